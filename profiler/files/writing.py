"""Writing a file whole or not at all, also where others can write: never through a link, never under a known name."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
READABLE: Final = 0o644
PRIVATE: Final = 0o600


def write_whole(target: Path, content: str | bytes, mode: int = READABLE) -> None:
    """Write a file so that a reader sees the old content or the new one, never half of it.

    The content goes to a new file of a random name in the same directory, which then takes the target's name: a link
    of that name is replaced, not followed. `mode` is the file's, less the umask.

    Raises:
        MeshInsightError: with one line when the disk is full or the place cannot be written.
    """
    try:
        if not target.is_symlink() and target.exists() and not target.is_file():
            raise MeshInsightError(f"{target}: cannot be written: it is not a regular file; choose another name")
        with _replacement(target, mode) as descriptor, os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:  # ValueError: text or a name that UTF-8 does not have
        raise unwritable(target, error) from error
    _sync_directory(target.parent)


def write_new(target: Path, content: str | bytes, mode: int = READABLE, owner: int | None = None) -> None:
    """Write a file that does not exist yet, and give it to `owner` (user and group) once its content is there.

    Raises:
        OSError: the file or a link of its name exists, or it cannot be written.
    """
    descriptor = os.open(target, _NEW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fchmod(descriptor, mode)
        if owner is not None:
            os.fchown(descriptor, owner, owner)


def unwritable(target: Path, error: OSError | ValueError) -> MeshInsightError:
    """The error for a file that cannot be written, with what to do."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some space or choose another place" if full else "choose another place"
    return MeshInsightError(f"{target}: cannot be written: {reason}; {remedy} with --out")


@contextlib.contextmanager
def _replacement(target: Path, mode: int) -> Iterator[int]:
    """A new file that takes the target's name at the end, or is removed when that fails."""
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, _NEW, mode)
    try:
        yield descriptor
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable. Best effort: some file systems refuse to sync a directory."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
