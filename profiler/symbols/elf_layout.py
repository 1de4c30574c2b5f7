"""How an ELF file is laid out: its header, sections and segments, each checked against the size of the file.

The files come from the processes that are measured, so nothing in them is believed: what points outside of the file is
an error before it is read.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Final

NOTE: Final = 7
NO_BITS: Final = 8
"""Kinds of sections (sh_type): notes, and what takes no place in the file."""
LOADED: Final = 1
"""The kind of segment (p_type) that is loaded into memory."""

_MAGIC: Final = b"\x7fELF"
_IDENT_BYTES: Final = 16
_COMPRESSED: Final = 0x800  # SHF_COMPRESSED
_IN_FIRST_SECTION: Final = 0xFFFF  # SHN_XINDEX: the number does not fit and is in section 0
_MOST_ADDRESS: Final = 1 << 63
_LONGEST_NAME: Final = 256
_MOST_BYTES: Final = 1 << 30
"""Of one section; a sparse file can claim any size."""


@dataclass(frozen=True)
class Section:
    """A section: kind, address, place in the file, and the number of a section that it belongs to."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True)
class Segment:
    """A part of the file that is loaded: `size` bytes from `offset` on, to the virtual address `address`."""

    offset: int
    size: int
    address: int


@dataclass(frozen=True)
class _Structs:
    """The layout of headers for one word size; each as (format, names of its fields)."""

    header: tuple[str, tuple[str, ...]]
    section: tuple[str, tuple[str, ...]]
    segment: tuple[str, tuple[str, ...]]


_HEADER: Final = (
    "type", "machine", "version", "entry", "segments", "sections", "flags", "size", "segment_size", "segment_count",
    "section_size", "section_count", "names",
)  # fmt: skip
_SECTION: Final = ("name", "kind", "flags", "address", "offset", "size", "link", "info", "align", "entry")
_STRUCTS: Final = {
    32: _Structs(
        ("HHIIIIIHHHHHH", _HEADER),
        ("IIIIIIIIII", _SECTION),
        ("IIIIIIII", ("kind", "offset", "address", "physical", "size", "memory", "flags", "align")),
    ),
    64: _Structs(
        ("HHIQQQIHHHHHH", _HEADER),
        ("IIQQQQIIQQ", _SECTION),
        ("IIQQQQQQ", ("kind", "flags", "offset", "address", "physical", "size", "memory", "align")),
    ),
}


class Layout:
    """The layout of an open file. Raises ValueError where it is no ELF file, or a damaged one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bytes = file.seek(0, os.SEEK_END)
        ident = self.read(0, _IDENT_BYTES) if self._bytes >= _IDENT_BYTES else b""
        if ident[:4] != _MAGIC or ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise ValueError("it does not begin as one")
        self.bits = 32 * ident[4]
        self.little_endian = ident[5] == 1
        self.order = "<" if self.little_endian else ">"
        self._header = self._rows(_STRUCTS[self.bits].header, _IDENT_BYTES, 1)[0]

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file. Raises ValueError where it has fewer, and for more than 1 GiB."""
        if size > _MOST_BYTES:
            raise ValueError(f"a part of {size} bytes is too large")
        if not 0 <= offset <= offset + size <= self._bytes:
            raise ValueError(f"it should have {size} bytes at {offset}, and ends at {self._bytes}")
        self._file.seek(offset)
        return self._file.read(size)

    def data(self, section: Section | None) -> bytes:
        """The content of a section; empty for none, and for one that is not in the file or compressed."""
        if section is None or section.kind == NO_BITS or section.flags & _COMPRESSED:
            return b""
        return self.read(section.offset, section.size)

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    @cached_property
    def sections(self) -> Sequence[Section]:
        """All sections, in the order of their numbers."""
        head = self._header
        if not head["sections"]:
            return ()
        first = self._rows(_STRUCTS[self.bits].section, head["sections"], 1, head["section_size"])[0]
        count = head["section_count"] or first["size"]
        rows = self._rows(_STRUCTS[self.bits].section, head["sections"], count, head["section_size"])
        number = first["link"] if head["names"] == _IN_FIRST_SECTION else head["names"]
        names = self.read(rows[number]["offset"], rows[number]["size"]) if number < len(rows) else b""
        return tuple(_section(row, names) for row in rows)

    @cached_property
    def segments(self) -> Sequence[Segment]:
        """The loaded segments."""
        head = self._header
        rows = self._rows(
            _STRUCTS[self.bits].segment, head["segments"], head["segment_count"], head["segment_size"] or None
        )
        found = [Segment(row["offset"], row["size"], row["address"]) for row in rows if row["kind"] == LOADED]
        if any(part.offset + part.size > self._bytes or part.address >= _MOST_ADDRESS for part in found):
            raise ValueError("a segment lies outside of it")
        return found

    def _rows(
        self, layout: tuple[str, tuple[str, ...]], offset: int, count: int, row_bytes: int | None = None
    ) -> list[dict[str, int]]:
        """A table of headers, each with its numbers by name."""
        packed = struct.Struct(self.order + layout[0])
        width = packed.size if row_bytes is None else row_bytes
        if width < packed.size:
            raise ValueError(f"its headers have {width} bytes, expected {packed.size}")
        data = self.read(offset, width * count)
        return [dict(zip(layout[1], packed.unpack_from(data, width * n), strict=True)) for n in range(count)]


def _section(row: dict[str, int], names: bytes) -> Section:
    if row["address"] >= _MOST_ADDRESS:
        raise ValueError(f"a section has the address {row['address']:#x}")
    text = names[row["name"] : row["name"] + _LONGEST_NAME].partition(b"\0")[0]
    return Section(
        text.decode(errors="replace"),
        row["kind"],
        row["flags"],
        row["address"],
        row["offset"],
        row["size"],
        row["link"],
    )
