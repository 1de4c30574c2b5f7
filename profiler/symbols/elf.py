"""What an ELF file tells about its functions: symbols, the ranges of `.eh_frame`, segments, the build id.

The only place that reads ELF. Large programs have a million symbols and a quarter of a million ranges, so everything is
read as arrays. pyelftools is loaded only when a file is opened.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_FUNCTIONS: Final = (2, 10)  # STT_FUNC, STT_GNU_IFUNC, in the low four bits of st_info
_BUILD_ID: Final = 3  # NT_GNU_BUILD_ID
_COUNT_IS_UDATA4: Final = 0x03  # DW_EH_PE_udata4: the one encoding of the count that linkers write
_TABLE_IS_DATAREL_SDATA4: Final = 0x3B  # sorted pairs relative to the section: the one that linkers write
_HEADER_BYTES: Final = 12  # version, three encodings, pointer to .eh_frame, count
_RELATIVE_TO_ITSELF: Final = 0x10  # DW_EH_PE_pcrel
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
        """The name of a function, as it is in the file."""
        begin = int(self.name_offsets[index])
        return self.strings[begin : self.strings.index(b"\0", begin)].decode(errors="replace")


@dataclass(frozen=True)
class Segment:
    """A part of the file that is loaded: `size` bytes from `offset` on, to the virtual address `address`."""

    offset: int
    size: int
    address: int


class ElfFile:
    """An open ELF file. `open_elf` makes one; addresses are virtual addresses as in the file."""

    def __init__(self, elf: Any) -> None:
        self._elf = elf
        self._order = "<" if elf.little_endian else ">"
        self._pointer_bytes = elf.elfclass // 8

    @property
    def build_id(self) -> str | None:
        """The build id in hexadecimal."""
        section = self._elf.get_section_by_name(".note.gnu.build-id")
        for note in section.iter_notes() if section else ():
            if note["n_type"] in ("NT_GNU_BUILD_ID", _BUILD_ID):
                return str(note["n_desc"])
        return None

    def segments(self) -> list[Segment]:
        """The loaded parts, by address."""
        loaded = [part for part in self._elf.iter_segments() if part["p_type"] == "PT_LOAD"]
        return [Segment(part["p_offset"], part["p_filesz"], part["p_vaddr"]) for part in loaded]

    def functions(self, table: str) -> Symbols:
        """The functions that `.symtab` or `.dynsym` defines; none if there is no such table."""
        section = self._elf.get_section_by_name(table)
        rows = np.frombuffer(section.data() if section else b"", self._symbol_type())
        defined = np.isin(rows["info"] & 0xF, _FUNCTIONS) & (rows["section"] != 0)
        rows = rows[defined]
        strings = bytes(self._elf.get_section(section["sh_link"]).data()) if section else b""
        starts, sizes, names = (rows[field].astype(np.int64) for field in ("value", "size", "name"))
        return Symbols(starts, sizes, (rows["info"] >> 4).astype(np.int64), names, strings + b"\0")

    def frame_count(self) -> int:
        """The number of ranges that `.eh_frame_hdr` says `.eh_frame` has."""
        head = self._header()
        if len(head) < _HEADER_BYTES or head[2] != _COUNT_IS_UDATA4:
            return 0
        return int.from_bytes(head[8:_HEADER_BYTES], "little" if self._elf.little_endian else "big")

    def frames(self) -> tuple[Numbers, Numbers]:
        """Starts and ends of the function ranges in `.eh_frame`, sorted; empty if there are none that can be read."""
        empty = np.empty(0, np.int64)
        section, header = self._elf.get_section_by_name(".eh_frame"), self._header()
        count = self.frame_count()
        if section is None or section["sh_type"] == "SHT_NOBITS" or not count or header[3] != _TABLE_IS_DATAREL_SDATA4:
            return empty, empty
        pairs = np.frombuffer(header, self._order + "i4", 2 * count, _HEADER_BYTES).astype(np.int64).reshape(-1, 2)
        pairs = pairs + self._elf.get_section_by_name(".eh_frame_hdr")["sh_addr"]
        lengths = self._lengths(section.data(), pairs[:, 1] - section["sh_addr"])
        known = lengths > 0
        return pairs[known, 0], pairs[known, 0] + lengths[known]

    def _header(self) -> bytes:
        section = self._elf.get_section_by_name(".eh_frame_hdr")
        return section.data() if section is not None and section["sh_type"] != "SHT_NOBITS" else b""

    def _lengths(self, data: bytes, entries: Numbers) -> Numbers:
        """The length of the code range of each frame description entry, at these offsets of `.eh_frame`; 0 if unknown.

        An entry is: length (4 bytes), distance back to its common entry (4 bytes), start and length of the range. The
        width of the last two is in the common entry.
        """
        content = np.frombuffer(data, np.uint8)
        lengths = np.zeros(len(entries), np.int64)
        readable = (entries >= 0) & (entries + 8 <= len(content))
        common = np.full(len(entries), -1, np.int64)
        common[readable] = entries[readable] + 4 - self._read(content, entries[readable] + 4, 4)
        for at in np.unique(common[readable]):
            width = self._pointer_width(data, int(at))
            chosen = (common == at) & (entries + 8 + 2 * width <= len(content))
            if width:
                lengths[chosen] = self._read(content, entries[chosen] + 8 + width, width)
        return lengths

    def _read(self, content: Bytes, offsets: Numbers, width: int) -> Numbers:
        """Unsigned numbers of `width` bytes at these offsets."""
        windows = np.ascontiguousarray(content[offsets[:, None] + np.arange(width)])
        return windows.view(f"{self._order}u{width}").reshape(-1).astype(np.int64)

    def _pointer_width(self, data: bytes, at: int) -> int:
        """Bytes of the pointers in the entries of the common entry at this offset; 0 where that cannot be read."""
        if not 0 <= at < len(data):
            return 0
        encoding = _pointer_encoding(data, at, self._pointer_bytes)
        return _POINTER_BYTES.get(encoding & 0x0F, self._pointer_bytes if encoding & 0x0F == 0 else 0)

    def _symbol_type(self) -> list[tuple[str, str]]:
        fields = {
            64: [("name", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2"), ("value", "u8"), ("size", "u8")],
            32: [("name", "u4"), ("value", "u4"), ("size", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2")],
        }
        return [(name, self._order + kind) for name, kind in fields[self._elf.elfclass]]


def _pointer_encoding(data: bytes, at: int, pointer_bytes: int) -> int:
    """The pointer encoding (DW_EH_PE_…) that a common information entry sets; 0, absolute, if it sets none."""
    version = data[at + 8]
    letters_end = data.index(b"\0", at + 9)
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
    while data[at] & 0x80:
        at += 1
    return at + 1


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
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        yield ElfFile(ELFFile(file))
    except (ELFError, IndexError) as error:
        raise ValueError(f"{name} is no ELF file: {error}") from error
