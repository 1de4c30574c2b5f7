"""Inputs as streams: files, directories and standard input; gzip, zstd or plain. A file may be larger than memory."""

import gzip
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from profiler.errors import UsageError
from profiler.files.zstd import MAGIC, zstd
from profiler.text import error_line

LARGEST_TEXT_BYTES: Final = 2**26
_GZIP: Final = b"\x1f\x8b"
_PACKED: Final = (".gz", ".zst", ".zstd")


def input_files(inputs: Sequence[Path], endings: Sequence[str]) -> list[Path]:
    """The files to read: those given, and all below given directories, by name, that end with one of `endings`.

    An ending `.gz`, `.zst` or `.zstd` after that is passed over; `-` is standard input. Raises `UsageError` for what is
    not there.
    """
    files: list[Path] = []
    for given in inputs:
        if given.is_dir():
            below = sorted(path for path in given.rglob("*") if path.is_file())
            chosen = [path for path in below if _unpacked_name(path).endswith(tuple(endings))]
            if not chosen:
                raise UsageError(f"{given}: no {' or '.join(endings)} file in this directory; give one that has some")
            files += chosen
        elif given.exists() or str(given) == "-":
            files.append(given)
        else:
            raise UsageError(f"{given}: no such file or directory; check the name")
    return files


def _unpacked_name(path: Path) -> str:
    name = path.name
    return next((name.removesuffix(ending) for ending in _PACKED if name.endswith(ending)), name)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Source:
    """The bytes of one file, read on demand; `name` is what messages call it."""

    file: _Readable
    name: str
    packed: BinaryIO | None = None
    """What `file` unpacks."""
    _ahead: BytesIO = field(default_factory=BytesIO)

    def peek(self, size: int) -> bytes:
        """What comes next, up to `size` bytes, to be read again."""
        data = self.read(size)
        self.unread(data)
        return data

    def unread(self, data: bytes) -> None:
        """Give back what was read, to be read again first."""
        self._ahead = BytesIO(data + self._ahead.read())

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end. Raises `UsageError` when they cannot be read."""
        ahead = self._ahead.read(size)
        parts, missing = [ahead] if ahead else [], size - len(ahead)
        try:
            while missing and (part := self.file.read(missing)):
                parts.append(part)
                missing -= len(part)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            reason = getattr(error, "strerror", None) or error_line(error)
            raise UsageError(f"{self.name}: cannot be read: {reason}; copy it again") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def part(self, size: int) -> BinaryIO:
        """The next `size` bytes as a file. Raises `UsageError` when there are fewer."""
        data = self.read(size)
        if len(data) < size:
            raise UsageError(f"{self.name}: cannot be read: ends inside a message; copy it again")
        return BytesIO(data)

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self.file, self.packed):
            if opened is not None and opened is not sys.stdin.buffer:
                opened.close()


def open_source(path: Path) -> Source:
    """Open a file, or standard input for `-`; gzip and zstd are noticed by their first bytes. Raises `UsageError`."""
    try:
        plain = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        name = "standard input" if str(path) == "-" else str(path)
        head = cast(BufferedReader, plain).peek(4)[:4]  # what comes through a pipe is read once
        if head[:2] == _GZIP:
            return Source(cast(BinaryIO, gzip.open(plain)), name, plain)
        if head == MAGIC:
            return Source(unpack_zstd(plain), name, plain)
        return Source(plain, name)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}; check its name and rights") from error


def unpack_zstd(packed: BinaryIO) -> _Readable:
    """A stream of what zstd frames hold, one frame or many."""
    return _ZstdStream(zstd().open(packed))


class _ZstdStream:
    """Damaged data is an `OSError`, as that of gzip is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except zstd().ZstdError as error:
            raise OSError(f"damaged zstd data: {error_line(error)}") from error

    def close(self) -> None:
        self._file.close()


def read_text(path: Path, remedy: str) -> str:
    """All of a text file, unpacked. Raises `UsageError`, with `remedy`, when it is missing, empty, huge or not text."""
    if path.is_dir() or not (path.exists() or str(path) == "-"):
        raise UsageError(f"{path}: {'is a directory' if path.is_dir() else 'no such file'}; {remedy}")
    with open_source(path) as source:
        data = source.read(LARGEST_TEXT_BYTES + 1)
        if len(data) > LARGEST_TEXT_BYTES:
            raise UsageError(f"{source.name}: larger than {LARGEST_TEXT_BYTES >> 20} MiB; {remedy}")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"{source.name}: not UTF-8 text (byte {error.start}); {remedy}") from error
        if not text.strip():
            raise UsageError(f"{source.name}: empty file; {remedy}")
        return text
