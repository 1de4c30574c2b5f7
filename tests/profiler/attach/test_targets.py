"""Which processes: named by their ids, and noticed when they end."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from profiler.attach.targets import local_targets, watched
from profiler.errors import UsageError
from profiler.symbols.programs import executable

NO_PID = 4_194_303
SLEEP = ["sleep", "60"]


def test_a_process_is_labelled_by_its_program() -> None:
    target = local_targets([os.getpid()])[0]
    assert target.pids == (os.getpid(),)
    assert target.label == f"pid {os.getpid()} ({executable(os.getpid()).name})"


def test_a_pid_that_is_given_twice_counts_once() -> None:
    assert len(local_targets([os.getpid(), os.getpid()])) == 1


def test_no_such_process() -> None:
    with pytest.raises(UsageError, match=f"--pid {NO_PID}: no such process here"):
        local_targets([NO_PID])


def test_a_thread_is_refused_with_its_process() -> None:
    done, ready = threading.Event(), threading.Event()

    def idle() -> None:
        ready.set()
        done.wait()

    thread = threading.Thread(target=idle)
    thread.start()
    ready.wait()
    try:
        with pytest.raises(UsageError, match=f"use --pid {os.getpid()}"):
            local_targets([thread.native_id or 0])
    finally:
        done.set()
        thread.join()


def test_a_kernel_thread_is_refused() -> None:
    if not os.path.exists("/proc/2/status") or os.path.exists("/proc/2/exe"):  # noqa: PTH110 - exe is a dangling link
        return
    with pytest.raises(UsageError, match="kernel thread"):
        local_targets([2])


def test_waiting_ends_when_a_process_does() -> None:
    with subprocess.Popen(SLEEP) as process, watched(local_targets([process.pid])) as lives:
        assert not lives.wait(0.01)
        assert lives.running
        process.kill()
        process.wait()
        lives.wait(10)
        assert not lives.running


def test_waiting_ends_when_a_descriptor_is_readable() -> None:
    read_end, write_end = os.pipe()
    with subprocess.Popen(SLEEP) as process, watched(local_targets([process.pid])) as lives:
        os.write(write_end, b"x")
        assert lives.wait(10, [read_end])
        process.kill()
    os.close(read_end)
    os.close(write_end)


def status(tmp_path: Path, text: bytes) -> Path:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_bytes(text)
    return tmp_path


def test_a_process_may_have_any_bytes_as_its_name(tmp_path: Path) -> None:
    proc = status(tmp_path, b"Name:\t\xff\nState:\tS (sleeping)\nTgid:\t7\nVmSize:\t1 kB\n")
    assert local_targets([7], proc)[0].pids == (7,)


@pytest.mark.parametrize(
    "text", [b"", b"Name:\tx\n", b"Tgid:\n", b"Tgid:\tx\n", b"Tgid:\t" + b"9" * 5000, b"Tgid:\t7\n"]
)
def test_a_process_that_tells_nothing_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UsageError, match=r"^--pid 7: [^\n]*$"):
        local_targets([7], status(tmp_path, text))
