"""Where a run is kept, looked at before anything is measured: whether it can be, and whether root may write there.

A run as root writes many files below one directory. Whoever else could replace a part of that path, or a file in it,
could make root write somewhere else. So as root:

- every directory on the path belongs to root or to the user who called sudo (SUDO_UID);
- nobody else can write to it, unless it has the sticky bit, as /tmp has, and is not the run's own directory;
- a link on the path belongs to one of the two, and all of this holds for where it leads.

What is refused is said in one line. Without root the rights of the user are all that there is to lose.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError, UsageError
from profiler.files.writing import unwritable

NEEDED_BYTES: Final = 32 << 20
"""Free space to begin with; a long run takes more, a short one less."""

_MOST_LINKS: Final = 40
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def require_place(directory: Path, option: str) -> None:
    """Check that a run can be kept in `directory`, which need not exist.

    Raises:
        UsageError: it is no directory, or root may not write there.
        MeshInsightError: it cannot be written, or has no room.
    """
    whole = Path.cwd() / directory
    ancestor = _nearest(whole, directory, option)
    if os.geteuid() == 0:
        _require_trusted(whole, directory, option)
    _require_room(ancestor, directory, option)


def _nearest(whole: Path, directory: Path, option: str) -> Path:
    """The nearest directory that exists."""
    for place in (whole, *whole.parents):
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            if place.is_symlink():
                raise UsageError(f"{option} {directory}: {place} is a link to nothing; choose another place") from None
            continue
        except NotADirectoryError:
            continue
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{option} {directory}: cannot be used: {reason}; choose another place") from error
        if not stat.S_ISDIR(mode):
            what = "is a file" if place == whole else f"{place} is a file"
            raise UsageError(f"{option} {directory}: {what}, not a directory; choose another name")
        return place
    return Path("/")


def _require_trusted(whole: Path, directory: Path, option: str) -> None:
    own = [os.lstat(whole)] if whole.exists() else []
    for place, found in _parts(whole):
        last = any(os.path.samestat(found, one) for one in own)
        if problem := _problem(found, last):
            raise UsageError(
                f"{option} {directory}: {place} {problem}, who could redirect what root writes; choose a directory "
                "that only root writes to, or run with sudo from that user's account"
            )


def _parts(whole: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every part of a path that exists, from the root on, with those of the targets of links."""
    place, waiting, links = Path("/"), list(reversed(whole.parts[1:])), 0
    yield place, os.lstat(place)
    while waiting:
        name = waiting.pop()
        place = place.parent if name == ".." else place / name
        try:
            found = os.lstat(place)
        except OSError:
            return
        yield place, found
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return
            target = place.readlink()
            place = Path("/") if target.is_absolute() else place.parent
            waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _problem(found: os.stat_result, last: bool) -> str:
    """Who else could change this part of the path; empty if nobody."""
    users, groups = _trusted("SUDO_UID"), _trusted("SUDO_GID")
    if found.st_uid not in users:
        what = "is a link of" if stat.S_ISLNK(found.st_mode) else "belongs to"
        return f"{what} {_user(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode) or (found.st_mode & stat.S_ISVTX and not last):
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    if found.st_mode & stat.S_IWGRP and found.st_gid not in groups:
        return f"can be written by the users of group {found.st_gid}"
    return ""


def _trusted(variable: str) -> set[int]:
    given = os.environ.get(variable, "")
    return {0, int(given)} if given.isascii() and given.isdigit() else {0}


def _user(uid: int) -> str:
    import pwd

    with contextlib.suppress(KeyError):
        return f"user {pwd.getpwuid(uid).pw_name}"
    return f"the user of id {uid}"


def _require_room(place: Path, directory: Path, option: str) -> None:
    """Write a file of no name there, as large as what a run needs, so that nothing of it is left."""
    try:
        descriptor = _nameless(place)
        try:
            os.posix_fallocate(descriptor, 0, NEEDED_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise MeshInsightError(
                f"{option} {directory}: less than {NEEDED_BYTES >> 20} MiB can be written there "
                f"({error.strerror}); free some space or choose another place"
            ) from error
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise unwritable(directory, error) from error


def _nameless(place: Path) -> int:
    import tempfile

    try:
        return os.open(place, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=place)
    Path(name).unlink()
    return descriptor
