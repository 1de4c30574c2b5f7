"""Locks between the runs of one machine: files that only root can open, so no other user can hold one.

The state directory itself will not do, since every user can open it. A lock's file goes when the lock is released.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError
from profiler.files.json_text import decode_json, json_line
from profiler.files.writing import PRIVATE
from profiler.host.process import read_stat
from profiler.host.waiting import wait_until

REGISTRY: Final = "registry"
"""Held while a run enters or leaves the state directory."""
MEASURING: Final = "measuring"
"""Held while measuring."""

_STEP_S: Final = 0.02
_MOST_BYTES: Final = 200
_ATTEMPTS: Final = 10
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LockHeldError(MeshInsightError):
    """Another process held the lock for too long. Attribute `owner`: that process, None where it is not known."""

    def __init__(self, message: str, owner: "Owner | None") -> None:
        super().__init__(message)
        self.owner = owner


@dataclass(frozen=True)
class Owner:
    """A process that a run or a lock belongs to."""

    pid: int
    start_time_ticks: int

    @classmethod
    def this_process(cls) -> "Owner | None":
        """This process; None where /proc does not show it."""
        seen = read_stat(os.getpid())
        return None if seen is None else cls(os.getpid(), seen.start_time_ticks)

    @classmethod
    def parse(cls, text: str | bytes) -> "Owner | None":
        """The owner that a file names; None for anything else."""
        try:
            values = decode_json(text)
            return cls(pid=int(values["pid"]), start_time_ticks=int(values["start_time_ticks"]))
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> str:
        """What `parse` reads."""
        return json_line(asdict(self))

    def is_alive(self) -> bool:
        """Whether this very process still runs (a later one with the same pid does not count, nor does a zombie)."""
        seen = read_stat(self.pid)
        return seen is not None and seen.start_time_ticks == self.start_time_ticks and seen.state not in "ZX"


@contextmanager
def lock(state_dir: Path, name: str, wait_s: float, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock of the state directory.

    Args:
        state_dir: whose lock.
        name: `REGISTRY` or `MEASURING`.
        wait_s: how long to wait for another process that holds it.
        waiting: called again and again meanwhile; what it raises ends the wait.

    Raises:
        LockHeldError: it was held all the time.
        OSError: it cannot be made.
    """
    path = state_dir / f".{name}.lock"
    deadline_s = time.monotonic() + wait_s
    while True:
        descriptor = _opened(path)
        try:
            left_s = deadline_s - time.monotonic()
            if not wait_until(partial(_is_taken, descriptor), left_s, every_s=_STEP_S, check=waiting):
                owner = _living_owner(descriptor)
                holder = f"process {owner.pid}" if owner else "another process"
                raise LockHeldError(
                    f"{holder} has held the {name} lock for {wait_s:g} s; wait until it has ended, then try again",
                    owner,
                )
            if not _is_file_of(path, descriptor):
                continue  # who held it has removed the file meanwhile
            _name_owner(descriptor)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


def _opened(path: Path) -> int:
    """The lock's file, made where there is none. One that others could open, or a link, is replaced."""
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, _FLAGS, PRIVATE)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        else:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
                return descriptor
            os.close(descriptor)
        path.unlink(missing_ok=True)
    raise PermissionError(errno.EPERM, "another user puts files there", str(path))


def _is_file_of(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name_owner(descriptor: int) -> None:
    owner = Owner.this_process()
    with suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.text().encode() if owner else b"", 0)


def _living_owner(descriptor: int) -> Owner | None:
    """Who says that it holds the lock, if that process still runs: never one that merely has the same number."""
    owner = Owner.parse(os.pread(descriptor, _MOST_BYTES, 0))
    return owner if owner is not None and owner.is_alive() else None
