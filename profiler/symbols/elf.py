"""What an ELF file tells about its functions: symbols, the ranges of `.eh_frame`, segments, the build id.

Large programs have a million symbols and a quarter of a million ranges, so everything is read as arrays. Where the
parts of a file are is in `elf_layout.py`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
import numpy.typing as npt

from profiler.symbols.elf_layout import NO_BITS, NOTE, Layout, Segment

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_FUNCTIONS: Final = (2, 10)  # STT_FUNC, STT_GNU_IFUNC, in the low four bits of st_info
_NOTE_HEADER_BYTES: Final = 12  # sizes of name and description, type
_GNU: Final = b"GNU\0"
_BUILD_ID: Final = 3  # NT_GNU_BUILD_ID; other owners number their notes too
_LONGEST_BUILD_ID: Final = 64
_COUNT_IS_UDATA4: Final = 0x03  # DW_EH_PE_udata4: the one encoding of the count that linkers write
_TABLE_IS_DATAREL_SDATA4: Final = 0x3B  # sorted pairs relative to the section: the one that linkers write
_HEADER_BYTES: Final = 12  # version, three encodings, pointer to .eh_frame, count
_LONGEST_LETTERS: Final = 16  # of an augmentation; "zPLRS" in what compilers write
_LONGEST_LEB128: Final = 10
_POINTER_BYTES: Final = {0x02: 2, 0x0A: 2, 0x03: 4, 0x0B: 4, 0x04: 8, 0x0C: 8}  # DW_EH_PE_udata2 to DW_EH_PE_sdata8


@dataclass(frozen=True)
class Symbols:
    """Functions of a symbol table: addresses, sizes in bytes (0 if unknown), and where the names begin in `strings`."""

    starts: Numbers
    sizes: Numbers
    bindings: Numbers
    name_offsets: Numbers
    strings: bytes

    def name(self, index: int) -> str:
        """The name of a function, as it is in the file; empty where it points outside of it."""
        begin = int(self.name_offsets[index])
        return self.strings[begin : self.strings.find(b"\0", begin)].decode(errors="replace")


class ElfFile:
    """An open ELF file. `open_elf` makes one; addresses are virtual addresses as in the file."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._order = layout.order
        self._byte_order: Literal["little", "big"] = "little" if layout.little_endian else "big"
        self._pointer_bytes = layout.bits // 8

    @property
    def build_id(self) -> str | None:
        """The build id in hexadecimal."""
        section = self._layout.section(".note.gnu.build-id")
        data = self._layout.data(section) if section is not None and section.kind == NOTE else b""
        for owner, kind, description in self._notes(data):
            if (owner, kind) == (_GNU, _BUILD_ID) and 0 < len(description) <= _LONGEST_BUILD_ID:
                return description.hex()
        return None

    def _notes(self, data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        """Owner, type and description of each note, up to one that is cut."""
        at = 0
        while at + _NOTE_HEADER_BYTES <= len(data):
            owner_bytes, bytes_, kind = (
                int.from_bytes(data[at + offset : at + offset + 4], self._byte_order) for offset in (0, 4, 8)
            )
            owner = at + _NOTE_HEADER_BYTES
            description = owner + _aligned(owner_bytes)
            at = description + _aligned(bytes_)
            if description + bytes_ <= len(data):
                yield data[owner : owner + owner_bytes], kind, data[description : description + bytes_]

    def segments(self) -> list[Segment]:
        """The loaded parts, by address."""
        return list(self._layout.segments)

    @property
    def order(self) -> str:
        """The byte order, as numpy writes it."""
        return self._order

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """The byte order, as `int.from_bytes` takes it."""
        return self._byte_order

    @property
    def pointer_bytes(self) -> int:
        """How many bytes an address has."""
        return self._pointer_bytes

    def section_names(self) -> list[str]:
        """The names of all sections; none where a program was stripped of the sections' headers too."""
        return [section.name for section in self._layout.sections]

    def section(self, name: str) -> tuple[int, bytes]:
        """The address and the content of the first section of that name; empty where there is none."""
        section = self._layout.section(name)
        return (section.address if section else 0), self._layout.data(section)

    def content(self, segment: Segment) -> bytes:
        """What the file has of a segment."""
        return self._layout.read(segment.offset, segment.size)

    def functions(self, table: str) -> Symbols:
        """The functions that `.symtab` or `.dynsym` defines; none if there is no such table."""
        section = self._layout.section(table)
        kind = np.dtype(self._symbol_type())
        data = self._layout.data(section)
        rows = np.frombuffer(data, kind, len(data) // kind.itemsize)
        defined = np.isin(rows["info"] & 0xF, _FUNCTIONS) & (rows["section"] != 0)
        rows = rows[defined]
        linked = section is not None and section.link < len(self._layout.sections)
        strings = self._layout.data(self._layout.sections[section.link]) if section is not None and linked else b""
        starts, sizes, names = (rows[field].astype(np.int64) for field in ("value", "size", "name"))
        return Symbols(starts, sizes, (rows["info"] >> 4).astype(np.int64), names, strings + b"\0")

    def frame_count(self) -> int:
        """The number of ranges that `.eh_frame_hdr` says `.eh_frame` has."""
        head = self._header()
        if len(head) < _HEADER_BYTES or head[2] != _COUNT_IS_UDATA4:
            return 0
        return int.from_bytes(head[8:_HEADER_BYTES], self._byte_order)

    def frames(self) -> tuple[Numbers, Numbers]:
        """Starts and ends of the function ranges in `.eh_frame`, sorted; empty if there are none that can be read."""
        empty = np.empty(0, np.int64)
        section, head = self._layout.section(".eh_frame"), self._layout.section(".eh_frame_hdr")
        header, count = self._header(), self.frame_count()
        if section is None or head is None or section.kind == NO_BITS or not count:
            return empty, empty
        if header[3] != _TABLE_IS_DATAREL_SDATA4:
            return empty, empty
        pairs = np.frombuffer(header, self._order + "i4", 2 * count, _HEADER_BYTES).astype(np.int64).reshape(-1, 2)
        pairs = pairs + head.address
        lengths = self._lengths(self._layout.data(section), pairs[:, 1] - section.address)
        known = lengths > 0
        return pairs[known, 0], pairs[known, 0] + lengths[known]

    def _header(self) -> bytes:
        return self._layout.data(self._layout.section(".eh_frame_hdr"))

    def _lengths(self, data: bytes, entries: Numbers) -> Numbers:
        """The length of the code range of each frame description entry, at these offsets of `.eh_frame`; 0 if unknown.

        An entry is: length (4 bytes), distance back to its common entry (4 bytes), start and length of the range. The
        width of the last two is in the common entry.
        """
        content = np.frombuffer(data, np.uint8)
        lengths = np.zeros(len(entries), np.int64)
        readable = np.flatnonzero((entries >= 0) & (entries + 8 <= len(content)))
        entries = entries[readable]
        common, which = np.unique(entries + 4 - self._read(content, entries + 4, 4), return_inverse=True)
        widths = np.array([self._pointer_width(data, at) for at in common.tolist()], np.int64)[which.reshape(-1)]
        for width in set(_POINTER_BYTES.values()):
            chosen = (widths == width) & (entries + 8 + 2 * width <= len(content))
            lengths[readable[chosen]] = self._read(content, entries[chosen] + 8 + width, width)
        return lengths

    def _read(self, content: Bytes, offsets: Numbers, width: int) -> Numbers:
        """Unsigned numbers of `width` bytes at these offsets."""
        windows = np.ascontiguousarray(content[offsets[:, None] + np.arange(width)])
        return windows.view(f"{self._order}u{width}").reshape(-1).astype(np.int64)

    def _pointer_width(self, data: bytes, at: int) -> int:
        """Bytes of the pointers in the entries of the common entry at this offset; 0 where that cannot be read."""
        if not 0 <= at < len(data):
            return 0
        try:
            encoding = _pointer_encoding(data, at, self._pointer_bytes)
        except (IndexError, ValueError):  # it is cut, or none
            return 0
        return _POINTER_BYTES.get(encoding & 0x0F, self._pointer_bytes if encoding & 0x0F == 0 else 0)

    def _symbol_type(self) -> list[tuple[str, str]]:
        fields = {
            64: [("name", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2"), ("value", "u8"), ("size", "u8")],
            32: [("name", "u4"), ("value", "u4"), ("size", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2")],
        }
        return [(name, self._order + kind) for name, kind in fields[self._layout.bits]]


def _pointer_encoding(data: bytes, at: int, pointer_bytes: int) -> int:
    """The pointer encoding (DW_EH_PE_…) that a common information entry sets; 0, absolute, if it sets none."""
    version = data[at + 8]
    letters_end = data.index(b"\0", at + 9, at + 9 + _LONGEST_LETTERS)
    letters = data[at + 9 : letters_end].decode(errors="replace")
    if not letters.startswith("z"):
        return 0
    at = _past_leb128(data, _past_leb128(data, letters_end + 1))  # alignment of code, of data
    at = at + 1 if version == 1 else _past_leb128(data, at)  # register of the return address
    at = _past_leb128(data, at)  # length of what follows
    for letter in letters[1:]:
        if letter == "R":
            return data[at]
        if letter == "P":  # an encoding, and a pointer of that encoding
            at += 1 + _POINTER_BYTES.get(data[at] & 0x0F, pointer_bytes)
        elif letter == "L":
            at += 1
    return 0


def _past_leb128(data: bytes, at: int) -> int:
    for place in range(at, at + _LONGEST_LEB128):
        if not data[place] & 0x80:
            return place + 1
    raise ValueError(f"a number of more than {_LONGEST_LEB128} bytes")


def _aligned(size: int) -> int:
    return (size + 3) // 4 * 4


@contextmanager
def open_elf(path: Path) -> Iterator[ElfFile]:
    """Open an ELF file. What is raised may be raised while it is open, since sections are read when asked for.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no ELF file, or a damaged one.
    """
    with path.open("rb") as file, _readable(file, str(path)) as elf:
        yield elf


@contextmanager
def elf_in_memory(image: bytes, name: str) -> Iterator[ElfFile]:
    """The same for an ELF file whose content is at hand. Raises ValueError."""
    with _readable(io.BytesIO(image), name) as elf:
        yield elf


@contextmanager
def _readable(file: BinaryIO, name: str) -> Iterator[ElfFile]:
    try:
        yield ElfFile(Layout(file))
    except ValueError as error:
        raise ValueError(f"{name} is no ELF file, or a damaged one: {error}") from error
