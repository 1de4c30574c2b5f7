"""A state directory of the test's own, runs in it, and what of a run can be seen on the machine."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from profiler.host.netns import namespace_names
from profiler.host.process import read_stat
from profiler.host.programs import run_tool
from profiler.testbed.leftovers import remove_leftovers, run_processes
from profiler.testbed.run import Run

DRIVER: Final = Path(__file__).with_name("driver.py")


class Driver:
    """A program with a run (driver.py), to be interrupted at a named phase."""

    def __init__(self, state_dir: Path, *options: str) -> None:
        self.run_id = secrets.token_hex(4)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(state_dir), self.run_id, *options], stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def reach(self, phase: str) -> None:
        """Wait until it has printed the phase."""
        assert self._process.stdout is not None
        while phase not in self.lines:
            line = self._process.stdout.readline()
            assert line, f"the driver ended before {phase}: {self.lines}"
            self.lines.append(line.strip())

    def send(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def end(self) -> int:
        """Exit status once it has ended."""
        status = self._process.wait(timeout=60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self.end()


@pytest.fixture
def state_dir() -> Iterator[Path]:
    # Not below tmp_path: the proxy's user may not pass through that.
    directory = Path(tempfile.mkdtemp(prefix="meshinsight-test-"))
    directory.chmod(0o755)
    yield directory
    remove_leftovers(directory)  # of drivers that were killed at the end of their test
    shutil.rmtree(directory)


@pytest.fixture
def run(state_dir: Path) -> Iterator[Run]:
    with Run.start(state_dir) as run:
        yield run


@pytest.fixture
def drive(state_dir: Path) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def start(*options: str) -> Driver:
        drivers.append(Driver(state_dir, *options))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()


def traces(state_dir: Path, run_id: str) -> list[str]:
    """What is on the machine: every directory of runs, and this run's namespaces and processes."""
    directories = [path.name for path in state_dir.iterdir() if path.is_dir()]
    return directories + namespace_names(f"mi-{run_id}-") + [str(pid) for pid in run_processes(run_id)]


def root_network() -> tuple[list[str], set[str]]:
    """Capture rules and devices of the root namespace, which no run may touch."""
    rules = [line for line in run_tool(["iptables-save"]).splitlines() if not line.startswith("#")]
    return rules, {path.name for path in Path("/sys/class/net").iterdir()}


def is_gone(pid: int) -> bool:
    """Whether no process of that pid runs; one that nobody has reaped yet does not."""
    stat = read_stat(pid)
    return stat is None or stat.state == "Z"


def eventually(condition: Callable[[], bool], within_s: float = 15.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(autouse=True)
def signal_handlers_are_restored() -> Iterator[None]:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(signum) for signum in signals]
    yield
    assert [signal.getsignal(signum) for signum in signals] == before
