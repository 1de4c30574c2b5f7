"""Unpacks an archive from a pod, which is not trusted: plain files and folders inside one folder, and nothing else.

Each member is checked and written here rather than by `TarFile.extractall(filter="data")`, which Python has from 3.11.4
on: Debian 12 has 3.11.2. An archive with one wrong member leaves nothing.
"""

import gzip
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from profiler.cluster.api.errors import ClusterError
from profiler.text import error_line, one_line

_PIECE_BYTES: Final = 1 << 16
_LONGEST_READ: Final = 1 << 20
"""Of what tarfile reads at once: a header that claims more would fill the memory."""
_END: Final = bytes(2 * tarfile.BLOCKSIZE)
_PLAIN_FILES: Final = (tarfile.REGTYPE, tarfile.AREGTYPE)
_DAMAGED: Final = (
    tarfile.TarError, OSError, EOFError, ArithmeticError, LookupError, ValueError, RecursionError, zlib.error
)  # fmt: skip
"""What Python's readers raise for archives that are truncated or damaged on purpose."""


@dataclass(frozen=True)
class Limits:
    """The most that is unpacked: bytes once decompressed, members, levels of folders, and bytes of one name."""

    size_bytes: int = 2 << 30
    members: int = 20_000
    depth: int = 16
    name_bytes: int = 255


def unpack(packed: Path, folder: Path, limits: Limits = Limits()) -> None:
    """Unpack a .tar.gz into `folder`, which is made.

    Raises:
        ClusterError: it is truncated, damaged or too large, or holds something else than plain files and folders with
            relative, printable names; `folder` is not there then.
    """
    plain = packed.with_name(f"{packed.name}.plain")
    try:
        _decompress(packed, plain, limits)
        folder.mkdir()
        with plain.open("rb") as file:
            _unpack_members(file, folder, limits)
    except ClusterError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except _DAMAGED as error:
        shutil.rmtree(folder, ignore_errors=True)
        problem = error_line(error)
        raise ClusterError(f"the result of the pod cannot be unpacked: {problem}; run it again") from error
    finally:
        plain.unlink(missing_ok=True)


class _Frugal:
    """A file that refuses to read much at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def _decompress(packed: Path, plain: Path, limits: Limits) -> None:
    size = 0
    with gzip.open(packed) as source, plain.open("xb") as target:
        while piece := source.read(_PIECE_BYTES):
            size += len(piece)
            if size > limits.size_bytes:
                raise _refused(f"has more than {limits.size_bytes} bytes")
            target.write(piece)


def _unpack_members(file: BinaryIO, folder: Path, limits: Limits) -> None:
    with tarfile.open(fileobj=_Frugal(file), mode="r:") as tar:  # type: ignore[call-overload] # a file as far as it reads
        for number, member in enumerate(tar, start=1):
            if number > limits.members:
                raise _refused(f"has more than {limits.members} members")
            target = folder.joinpath(*_parts(member.name, limits))
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.type in _PLAIN_FILES and target != folder:
                target.parent.mkdir(parents=True, exist_ok=True)
                _write(tar, member, target)
            else:
                raise _refused(f"holds {one_line(member.name)!r}, which is neither a plain file nor a folder")
        # tarfile takes a damaged header for the end.
        file.seek(tar.offset)
        if file.read(len(_END)) != _END:
            raise _refused("is truncated or damaged")


def _parts(name: str, limits: Limits) -> list[str]:
    parts = name.split("/")
    wanted = [part for part in parts if part not in ("", ".")]
    if (
        name.startswith("/")
        or ".." in parts
        or not name.isprintable()
        or len(wanted) > limits.depth
        or any(len(part.encode()) > limits.name_bytes for part in wanted)
    ):
        raise _refused(f"holds the name {one_line(name)!r}")
    return wanted


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise _refused(f"holds {one_line(member.name)!r} without content")
    with source, target.open("xb") as file:  # never over another member
        shutil.copyfileobj(source, file, _PIECE_BYTES)
        written = file.tell()
    if written != member.size:
        raise _refused("is truncated or damaged")


def _refused(what: str) -> ClusterError:
    return ClusterError(f"the result of the pod is refused: its archive {what}; run it again")
