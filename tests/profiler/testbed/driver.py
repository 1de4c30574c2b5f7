"""A program with a run, for tests that interrupt it: prints each phase it has reached, and stays in the last one.

Usage: driver.py STATE_DIR RUN_ID [stubborn] [measure] [leave] [keys]
"""

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from profiler.host.interrupts import Interrupted
from profiler.testbed.certificates import make_certificates
from profiler.testbed.neighbour import Neighbours
from profiler.testbed.pods import PodNetwork
from profiler.testbed.run import Run, measuring_lock


def say(phase: str) -> None:
    sys.stdout.write(phase + "\n")
    sys.stdout.flush()


def work(state_dir: Path, options: list[str]) -> None:
    say("begin")
    with ExitStack() as stack:
        if "measure" in options:
            stack.enter_context(measuring_lock(state_dir))
        run = stack.enter_context(Run.start(state_dir))
        say("entered")
        if "keys" in options:
            make_certificates(run.add_directory("certificates"))
            say("keys")
        network = PodNetwork(run)
        client = network.add_pod("client", capture=True)
        server = network.add_pod("server")
        say("pods")
        run.spawn("as-user", ["sleep", "1000"], netns=client.namespace, uid=1337)
        run.spawn("with-stray", ["sh", "-c", "setsid sleep 1000 & exec sleep 1000"], netns=server.namespace)
        if "stubborn" in options:
            stubborn = run.spawn("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"])
            while not stubborn.log_path.read_text():
                time.sleep(0.01)
        say("spawned")
        Neighbours(run, [0]).cold()
        say("neighbours")
        if "leave" not in options:
            time.sleep(1000)
        say("leaving")
    say("left")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell that started the tests ignores
    try:
        with patch("secrets.token_hex", return_value=sys.argv[2]):  # so that the test knows it from the start
            work(Path(sys.argv[1]), sys.argv[3:])
    except Interrupted as interrupted:
        sys.exit(128 + interrupted.signum)
    except KeyboardInterrupt:
        sys.exit(130)
