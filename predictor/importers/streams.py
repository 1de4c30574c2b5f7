"""Inputs as streams: files, directories and standard input, gzip or plain. A file may be larger than memory."""

import gzip
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final, cast

from profiler.errors import UsageError

LARGEST_TEXT_BYTES: Final = 2**26


def input_files(inputs: Sequence[Path], endings: Sequence[str]) -> list[Path]:
    """The files to read: those given, and all below given directories, by name, that end with one of `endings`.

    An ending `.gz` after that is passed over; `-` is standard input. Raises `UsageError` for what is not there.
    """
    files: list[Path] = []
    for given in inputs:
        if given.is_dir():
            below = sorted(path for path in given.rglob("*") if path.is_file())
            chosen = [path for path in below if path.name.removesuffix(".gz").endswith(tuple(endings))]
            if not chosen:
                raise UsageError(f"{given}: no {' or '.join(endings)} file in this directory; give one that has some")
            files += chosen
        elif given.exists() or str(given) == "-":
            files.append(given)
        else:
            raise UsageError(f"{given}: no such file or directory; check the name")
    return files


@dataclass(slots=True)
class Source:
    """The bytes of one file, read on demand; `name` is what messages call it."""

    file: BinaryIO
    name: str
    packed: BinaryIO | None = None
    """What `file` unpacks."""
    _ahead: bytes = b""

    def peek(self, size: int) -> bytes:
        """What comes next, up to `size` bytes, to be read again."""
        self._ahead = self.read(size)
        return self._ahead

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end. Raises `UsageError` when they cannot be read."""
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        try:
            return ahead + self.file.read(size - len(ahead)) if ahead else self.file.read(size)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UsageError(f"{self.name}: cannot be read: {reason}; copy it again") from error

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self.file, self.packed):
            if opened is not None and opened is not sys.stdin.buffer:
                opened.close()


def open_source(path: Path) -> Source:
    """Open a file, or standard input for `-`; gzip is noticed by its first bytes. Raises `UsageError`."""
    try:
        plain = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        packed = cast(BufferedReader, plain).peek(2)[:2] == b"\x1f\x8b"  # what comes through a pipe is read once
        file = cast(BinaryIO, gzip.open(plain)) if packed else plain  # noqa: SIM115 (the source closes it)
        return Source(file, "standard input" if str(path) == "-" else str(path), plain if packed else None)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}; check its name and rights") from error


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
