"""Files below a root that somebody else may change while they are looked for, such as that of a container."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

_STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def open_below(root: Path, path: str) -> Iterator[int]:
    """A descriptor, for reading, of a regular file by its path below `root`.

    No link is followed: the kernel names mapped files by paths without any, and one put there later could lead out of
    the root.

    Raises:
        OSError: there is no such file, it is none, or a part of its path is a link.
    """
    here = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in PurePosixPath(path.lstrip("/")).parts:
            if name == "..":
                raise OSError(f"{path}: leads upwards")
            inner = os.open(name, _STEP, dir_fd=here)
            os.close(here)
            here = inner
        if not stat.S_ISREG(os.fstat(here).st_mode):
            raise OSError(f"{path}: no regular file")
        # Opened through its descriptor, so that it is the file that was looked at; nothing else could make this wait.
        file = os.open(f"/proc/self/fd/{here}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(here)
    try:
        yield file
    finally:
        os.close(file)
