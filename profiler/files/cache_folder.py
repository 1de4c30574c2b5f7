"""The user's cache folder: below XDG_CACHE_HOME or ~/.cache, for this user alone.

Programs in it are run as root later, so nobody else may be able to replace a part of its path: no part is a link, all
belong to root or to this user, and none can be written by others.
"""

import os
import stat
from pathlib import Path
from typing import Final

from profiler.errors import UsageError
from profiler.files.folders import ONLY_OWNER

NAME: Final = "meshinsight"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def cache_folder(*names: str) -> Path:
    """The folder of these names in the cache, made where it is missing.

    Raises `UsageError` where somebody else could change what is in it, or it cannot be made.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = given if given.is_absolute() else Path.home() / ".cache"
    place = Path("/")
    descriptor = os.open(place, _FOLDER)
    try:
        for name in (*home.parts[1:], NAME, *names):
            place /= name
            inner = _opened(descriptor, name, place)
            os.close(descriptor)
            descriptor = inner
            _require_own(os.fstat(descriptor), place, only_owner=place.is_relative_to(home / NAME))
    finally:
        os.close(descriptor)
    return place


def _opened(parent: int, name: str, place: Path) -> int:
    try:
        try:
            return os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            os.mkdir(name, ONLY_OWNER, dir_fd=parent)
            return os.open(name, _FOLDER, dir_fd=parent)
    except NotADirectoryError as error:  # a link as well
        raise _refused(place, "is a link or no directory") from error
    except OSError as error:
        raise _refused(place, f"cannot be used: {error.strerror}") from error


def _require_own(found: os.stat_result, place: Path, *, only_owner: bool) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise _refused(place, f"belongs to the user of id {found.st_uid}")
    if only_owner and found.st_mode & 0o077:
        raise _refused(place, f"is open to other users; close it with: chmod 700 {place}")
    if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
        raise _refused(place, "can be written by other users")


def _refused(place: Path, problem: str) -> UsageError:
    return UsageError(f"cache: {place} {problem}; name a directory of your own by XDG_CACHE_HOME")
