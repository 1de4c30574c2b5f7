"""Network namespaces by name, through the `ip` program; and checked calls of such tools.

A namespace is a file below /run/netns; `ip netns` makes and removes it, so that the tools people know can look at it.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from profiler.errors import ProcessError
from profiler.host.programs import find_program, run_tool

NETNS_DIR: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_Result = TypeVar("_Result")


class Namespace:
    """A named network namespace. The object only holds the name: two objects of one name are the same namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def path(self) -> Path:
        """The file that stands for the namespace."""
        return NETNS_DIR / self.name

    def create(self) -> None:
        """Make it, with the loopback device up. Raises ProcessError, also when the name is taken."""
        run_tool(["ip", "netns", "add", self.name])
        self.ip_batch("link set lo up\n")

    def delete(self) -> None:
        """Remove it with all its devices; no effect when it is not there. Processes inside keep it alive unnamed."""
        try:
            run_tool(["ip", "netns", "delete", self.name])
        except ProcessError:
            if self.path.exists():
                raise

    def run(self, argv: Sequence[str], *, input_text: str = "", timeout_s: float = 10.0) -> str:
        """Run a short command inside and return its standard output. Raises MissingError and ProcessError."""
        program = find_program(argv[0])
        return run_tool(
            ["nsenter", f"--net={self.path}", program, *argv[1:]], input_text=input_text, timeout_s=timeout_s
        )

    def ip_batch(self, commands: str) -> None:
        """Run lines of `ip` commands inside, all in one process. Raises ProcessError at the first that fails."""
        run_tool(["ip", "-n", self.name, "-batch", "-"], input_text=commands)

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Run `function` inside, on a thread of its own. Sockets that it opens stay in the namespace for good."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(self._enter_and_call, function).result()

    def _enter_and_call(self, function: Callable[[], _Result]) -> _Result:
        libc = ctypes.CDLL(None, use_errno=True)
        with self.path.open("rb") as file:
            if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                raise ProcessError(f"cannot enter namespace {self.name}: {os.strerror(ctypes.get_errno())}")
        return function()


def namespace_names(prefix: str) -> list[str]:
    """Names of the machine's namespaces that begin with `prefix`, sorted."""
    try:
        return sorted(path.name for path in NETNS_DIR.iterdir() if path.name.startswith(prefix))
    except FileNotFoundError:
        return []
