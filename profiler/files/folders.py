"""Folders of a run that another user gets, and their removal. That user is not trusted.

Root writes first and hands over last: whoever owns a folder can put a link in the place of any file in it, and root
would write through that link. Afterwards root only reads from such a folder, with `read_regular`, and removes it.
"""

import errno
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from profiler.files.writing import PRIVATE, write_new

ONLY_OWNER: Final = 0o700
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_BYTES: Final = 1 << 24
_NEEDED_CAPABILITIES: Final = 1 << 0 | 1 << 6 | 1 << 7
"""CHOWN, SETGID and SETUID."""
_STRAGGLERS: Final = 20


def can_hand_over() -> bool:
    """Whether this process is root and may give files to other users and become them, which a container may deny it."""
    if os.geteuid() != 0:
        return False
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return found is not None and int(found[1], 16) & _NEEDED_CAPABILITIES == _NEEDED_CAPABILITIES


def hand_over(folder: Path, uid: int) -> None:
    """Give a folder of root's and everything in it to `uid`, readable by that user only; the folder itself last.

    Links are not followed. Raises OSError.
    """
    descriptor = os.open(folder, _FOLDER)
    try:
        _hand_over(descriptor, uid)
    finally:
        os.close(descriptor)


def _hand_over(folder: int, uid: int) -> None:
    for name in _names(folder):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                _hand_over(inner, uid)
            finally:
                os.close(inner)
            continue
        if stat.S_ISREG(mode):
            os.chmod(name, PRIVATE, dir_fd=folder)
        os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)
    os.fchmod(folder, ONLY_OWNER)
    os.fchown(folder, uid, uid)


def write_private(file: Path, content: str | bytes, uid: int | None = None) -> None:
    """Write a file that only `uid`, by default the owner of its folder, can read, in the place of what was there.

    Raises OSError.
    """
    file.unlink(missing_ok=True)
    owner = file.parent.stat().st_uid if uid is None else uid
    write_new(file, content, PRIVATE, owner if owner != os.geteuid() and can_hand_over() else None)


def read_regular(file: Path) -> bytes | None:
    """The content of a regular file; None for a link, a pipe, anything else, or where there is nothing.

    For files in a folder that another user owns: never waits, never follows a link in the place of the file.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return opened.read(_MOST_BYTES)


def remove_entry(path: Path) -> None:
    """Remove a file or a folder with all that is in it; no effect where there is nothing. Raises OSError.

    Links are removed, not followed. Folders are taken from their owners first, so nobody can add to them meanwhile.
    """
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not _unlink(parent, path.name):
            _remove_folder(parent, path.name)
    finally:
        os.close(parent)


def _remove_folder(parent: int, name: str) -> None:
    """One level at a time, so that neither depth nor the number of open files is a limit."""
    top = _taken(parent, name)
    try:
        for _ in range(_STRAGGLERS):
            while names := _names(top):
                for inner in names:
                    if not _unlink(top, inner):
                        _flatten(top, inner)
            if _rmdir(parent, name):
                return
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _flatten(top: int, name: str) -> None:
    """Remove a folder of `top`, after moving its own folders up into `top`."""
    folder = _taken(top, name)
    try:
        for inner in _names(folder):
            if not _unlink(folder, inner):
                os.rename(inner, secrets.token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    _rmdir(top, name)


def _rmdir(parent: int, name: str) -> bool:
    """Remove an empty folder; False where a file has arrived that was being made when the folder was taken."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _taken(parent: int, name: str) -> int:
    """A descriptor of a folder that from now on belongs to this user alone."""
    descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.fchown(descriptor, os.geteuid(), os.getegid())
        os.fchmod(descriptor, ONLY_OWNER)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unlink(folder: int, name: str) -> bool:
    """Remove what is not a folder; whether that has been done, or there is nothing."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True
