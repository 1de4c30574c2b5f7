"""The functions of a Go program, from the table that its runtime needs for stack traces: stripped programs keep it.

The table (`.gopclntab`) begins with a header, since Go 1.16:

    magic (4 bytes), 0, 0, quantum of instructions, bytes of a pointer; then numbers of a pointer's width:
    number of functions, number of files, [since 1.18: begin of the code, 0 since 1.26],
    offsets of: names, compilation units, files, values by instruction, functions

The functions' part begins with pairs (entry, offset of the function's record) and ends with the end of the last one.
The record begins with the entry again and, behind it, the offset of its name (4 bytes). Entries were addresses of a
pointer's width; since 1.18 they and the offsets are 4 bytes wide, and entries count from the begin of the code.
Source: `internal/abi`, `debug/gosym` and `runtime/symtab.go` of Go's sources.

The file comes from the process that is looked at, so whatever the table says is checked before it is used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from profiler.symbols.elf import ElfFile, Numbers, Symbols

_SECTIONS: Final = (".gopclntab", ".data.rel.ro.gopclntab")
_MARKS: Final = (".go.buildinfo", ".note.go.buildid")
"""Sections of every Go program; where a linker put the table in another section, it is searched for."""
_VERSIONS: Final = {0xFFFFFFFA: 116, 0xFFFFFFF0: 118, 0xFFFFFFF1: 120}
"""The Go version, times 100, since which a table begins with this number."""
_RELATIVE: Final = 118
"""Since this one entries count from the begin of the code."""
_HEADER: Final = re.compile(rb"(?:[\xf0\xf1\xfa]\xff{3}|\xff{3}[\xf0\xf1\xfa])\0\0[\x01\x02\x04][\x04\x08]", re.DOTALL)
_MOST_CANDIDATES: Final = 16
_MOST_FUNCTIONS: Final = 1 << 24
_FIXED_BYTES: Final = 8
_GLOBAL: Final = 1

# Where the runtime's description of the program, `runtime.moduledata`, has what is needed, in pointers from its begin.
_MODULE_FIRST: Final = 20
_MODULE_CODE: Final = 22
_MODULE_SECTIONS: Final = (".go.module", ".noptrdata", ".data", ".data.rel.ro", ".data.rel.ro.local")


@dataclass(frozen=True)
class _Table:
    """The table's content from its first byte on, its address, and what its header says."""

    data: bytes
    address: int
    version: int
    pointer_bytes: int
    order: str
    numbers: tuple[int, ...]

    @property
    def count(self) -> int:
        return self.numbers[0]

    @property
    def code(self) -> int:
        return self.numbers[2] if self.version >= _RELATIVE else 0

    def part(self, number: int) -> int:
        """The offset of one of the five parts."""
        return self.numbers[number + (3 if self.version >= _RELATIVE else 2)]

    @property
    def entry_bytes(self) -> int:
        """The width of entries, and of the offsets of functions' records."""
        return 4 if self.version >= _RELATIVE else self.pointer_bytes


def go_functions(elf: ElfFile) -> Symbols | None:
    """The functions that a Go program's table lists; None for a program of another language.

    Raises:
        ValueError: there is such a table, but it is damaged or of a version that is not known.
    """
    table = _table(elf)
    if table is None:
        return None
    if not 0 < table.count <= min(_MOST_FUNCTIONS, len(table.data) // (2 * table.entry_bytes)):
        raise _damaged(f"{table.count} functions in {len(table.data)} bytes")
    names, functions = table.part(0), table.part(4)
    rows = _numbers(table, functions, 2 * table.count + 1, table.entry_bytes)
    entries, records = rows[::2], rows[1::2] + functions + table.entry_bytes
    sizes = np.diff(entries)
    if entries[0] < 0 or np.any(sizes < 0):
        raise _damaged("its functions are not in the order of their addresses")
    if np.any(records < 0) or np.any(records + 4 > len(table.data)):
        raise _damaged("a function's record lies outside of it")
    strings = table.data[names : table.part(1)] + b"\0" if 0 < names < table.part(1) <= len(table.data) else b""
    name_offsets = _gathered(table, records)
    if not strings or np.any(name_offsets < 0) or np.any(name_offsets >= len(strings)):
        raise _damaged("a function's name lies outside of it")
    starts = entries[:-1] + _code_start(elf, table, int(entries[0]), int(entries[-1]))
    return Symbols(starts, sizes, np.full(len(starts), _GLOBAL, np.int64), name_offsets, strings)


def _table(elf: ElfFile) -> _Table | None:
    """The table of the program, by its section or, where it has none of that name, by the beginning of its header."""
    for name in _SECTIONS:
        address, data = elf.section(name)
        if data:
            return _read(elf, address, data)
    sections = elf.section_names()
    if sections and not set(_MARKS) & set(sections):
        return None
    return next(_searched(elf), None)


def _searched(elf: ElfFile) -> Iterator[_Table]:
    for segment in elf.segments():
        data = elf.content(segment)
        for _, found in zip(range(_MOST_CANDIDATES), _HEADER.finditer(data), strict=False):
            try:
                table = _read(elf, segment.address + found.start(), data[found.start() :])
            except ValueError:
                continue
            if all(0 < table.part(number) < len(table.data) for number in range(5)):
                yield table


def _read(elf: ElfFile, address: int, data: bytes) -> _Table:
    version = _VERSIONS.get(int.from_bytes(data[:4], elf.byte_order))
    if version is None or data[7:8] != bytes([elf.pointer_bytes]):
        raise ValueError("its table of Go functions is of a version that is not known; known are those since Go 1.16")
    count = 8 if version >= _RELATIVE else 7
    end = _FIXED_BYTES + count * elf.pointer_bytes
    if len(data) < end:
        raise _damaged(f"it has {len(data)} bytes")
    numbers = np.frombuffer(data[_FIXED_BYTES:end], f"{elf.order}u{elf.pointer_bytes}").tolist()
    return _Table(data, address, version, elf.pointer_bytes, elf.order, tuple(numbers))


def _numbers(table: _Table, offset: int, count: int, width: int) -> Numbers:
    if not 0 <= offset <= offset + count * width <= len(table.data):
        raise _damaged("its functions lie outside of it")
    return np.frombuffer(table.data, f"{table.order}u{width}", count, offset).astype(np.int64)


def _gathered(table: _Table, offsets: Numbers) -> Numbers:
    """The numbers of 4 bytes at these offsets."""
    content = np.frombuffer(table.data, np.uint8)
    rows = np.ascontiguousarray(content[offsets[:, None] + np.arange(4)])
    return rows.view(f"{table.order}i4").reshape(-1).astype(np.int64)


def _code_start(elf: ElfFile, table: _Table, first: int, end: int) -> int:
    """The address that entries count from: as the table has it, as the runtime's description, or `.text`'s."""
    if table.version < _RELATIVE:
        return 0
    for start in (table.code, _of_module(elf, table, first), elf.section(".text")[0]):
        if start and any(
            part.address <= start + first and start + end <= part.address + part.size for part in elf.segments()
        ):
            return start
    raise _damaged("its functions lie outside of the program")


def _of_module(elf: ElfFile, table: _Table, first: int) -> int:
    """The begin of the code by `runtime.moduledata`, which begins with the table's address; 0 if not found."""
    width = table.pointer_bytes
    head = [table.address, table.address + table.part(0)]
    wanted = b"".join((number % (1 << 8 * width)).to_bytes(width, elf.byte_order) for number in head)
    for name in _MODULE_SECTIONS:
        data = elf.section(name)[1]
        at = data.find(wanted)
        if at >= 0 and len(data) >= at + (_MODULE_CODE + 1) * width:
            words = np.frombuffer(data, f"{elf.order}u{width}", _MODULE_CODE + 1, at)
            code = int(words[_MODULE_CODE])
            if int(words[_MODULE_FIRST]) == code + first:
                return code
    return 0


def _damaged(what: str) -> ValueError:
    return ValueError(f"its table of Go functions is damaged: {what}")
