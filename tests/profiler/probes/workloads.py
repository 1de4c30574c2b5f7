"""Child processes of known behaviour, for known-answer tests of the probes. They begin when told on standard input."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

WRITES = """
import os, sys
sink = os.open("/dev/null", os.O_WRONLY)
sys.stdin.readline()
for _ in range({count}):
    os.write(sink, b"x")
os.write(1, b"done\\n")
sys.stdin.readline()
"""

PARTNERS = """
import os, socket, sys
ours, theirs = socket.socketpair()
cpus = {cpus}
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # who is woken does not interrupt who woke it
if os.fork():
    os.sched_setaffinity(0, {{cpus[0]}})
    sys.stdin.readline()
    for _ in range({rounds}):
        ours.send(b"x"); ours.recv(1)
    os.write(1, b"done\\n")
    sys.stdin.readline()
else:
    os.sched_setaffinity(0, {{cpus[1]}})
    ours.close()
    print(os.getpid(), flush=True)
    while data := theirs.recv(1):
        theirs.send(data)
"""
"""Two processes that send a byte to and fro, each on its CPU; the second prints its id."""


@contextmanager
def child(program: str) -> "Iterator[subprocess.Popen[str]]":
    """A Python child that waits for a line before it works and for another before it ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def work(process: "subprocess.Popen[str]") -> str:
    """Let it work, and return what it says when it is done."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    return process.stdout.readline()
