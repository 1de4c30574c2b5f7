"""The machine as doctor sees it: files to read and programs to run. Tests put a made-up machine in its place."""

import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from profiler.host.interpreter import PYTHON
from profiler.host.programs import program_path
from profiler.host.search_path import SYSTEM, absolute_entries


@dataclass(frozen=True)
class Answer:
    """What a program said before it ended. `text` is standard output followed by standard error."""

    status: int
    text: str

    @property
    def last_line(self) -> str:
        """The last line with something in it; programs put the reason for a failure there."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"


class Host(Protocol):
    """What the checks need to know about a machine. `cpus` are those that this process may use.

    `python` is the interpreter, `virtual` whether it is of a virtual environment, `checkout` whether this program is in
    a checkout, with its Makefile. `kubeconfigs` are the files in which kubectl looks for a cluster.
    """

    system: str
    release: str
    machine: str
    user_id: int
    cpus: Sequence[int]
    root: Path
    python: str
    virtual: bool
    checkout: bool
    kubeconfigs: Sequence[str]

    def read(self, path: str) -> str | None:
        """The text of a file; None if it is not there or may not be read."""

    def exists(self, path: str) -> bool:
        """Whether a path is there, as far as this user can see."""

    def program(self, name: str) -> Path | None:
        """Where a program is installed."""

    def run(self, *argv: str, input_text: str = "", timeout_s: float = 10) -> Answer:
        """Run a program to its end. One that cannot be started or takes too long answers with status 127 or 124."""

    def module_file(self, name: str) -> str | None:
        """The file of an importable Python package or module; None if it cannot be imported."""

    def sleep(self, seconds: float) -> None:
        """Wait, to see what changes meanwhile."""


class LocalHost:
    """The machine this process runs on."""

    def __init__(self) -> None:
        self.system = sys.platform
        self.release = platform.release()
        self.machine = platform.machine()
        self.user_id = os.geteuid() if hasattr(os, "geteuid") else -1
        self.cpus: Sequence[int] = _usable_cpus()
        self.root = Path("/")
        self.python = PYTHON
        self.virtual = sys.prefix != sys.base_prefix
        self.checkout = all((Path(__file__).parents[2] / name).is_file() for name in ("Makefile", "pyproject.toml"))
        named = os.environ.get("KUBECONFIG")
        self.kubeconfigs: Sequence[str] = (
            [path for path in named.split(os.pathsep) if path] if named else [str(Path.home() / ".kube" / "config")]
        )

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        try:
            return Path(path).exists()
        except OSError:  # a folder on the way may not be entered
            return False

    def program(self, name: str) -> Path | None:
        found = program_path(name, SYSTEM)
        return Path(found) if found else None

    def run(self, *argv: str, input_text: str = "", timeout_s: float = 10) -> Answer:
        environment = {**os.environ, "LC_ALL": "C", "PATH": f"{SYSTEM}:{absolute_entries()}"}
        try:
            done = subprocess.run(
                argv,
                input=input_text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                env=environment,
                cwd="/",
            )
        except subprocess.TimeoutExpired:
            return Answer(124, f"{argv[0]} did not end within {timeout_s:.0f} s")
        except OSError as error:
            return Answer(127, f"{argv[0]}: {error.strerror}")
        return Answer(done.returncode, done.stdout + done.stderr)

    def module_file(self, name: str) -> str | None:
        found = importlib.util.find_spec(name)
        return found.origin if found else None

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _usable_cpus() -> list[int]:
    """The CPUs that this process may use: a cpuset or taskset may exclude some."""
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
