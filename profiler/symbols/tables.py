"""The functions of a file as sorted ranges, with names where the file, or a separate debug file, has any.

Boundaries come from `.eh_frame`, which stripped files keep; symbols name them, and add functions that it leaves out.
Functions of Go programs, with their names, come from the table of Go's runtime, which stripped files keep too.
A part of a function that the compiler moved away has a range of its own and, without `.symtab`, no name.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from profiler.files.below import open_below
from profiler.host.programs import program_path
from profiler.symbols.elf import ElfFile, Numbers, Symbols, elf_in_memory, open_elf
from profiler.symbols.elf_layout import Segment
from profiler.symbols.go_table import go_functions
from profiler.symbols.maps import VDSO, UserAddress, read_mappings

DEBUG_DIRECTORY: Final = Path("/usr/lib/debug/.build-id")
GO: Final = "go"
RUST: Final = "rust"
"""Languages whose functions are named by package."""

_RUST_COMPILER: Final = b"rustc version"
"""In the section `.comment` of what rustc compiled."""
_RANK_OF_BINDING: Final = np.array([2, 0, 1])  # global, weak, local: which name an address with several is known by
_MANGLED: Final = ("_Z", "_R")
"""How names of C++ and of Rust (both manglings) begin."""
_DEMANGLE_S: Final = 30.0


class Function(NamedTuple):
    """A function of a file: the file's path, the virtual address of its beginning, and its name where known.

    `between` are the names of the nearest functions with names before and after one that has none; None at either end
    of the file.
    """

    dso: str
    start: int
    name: str | None = None
    between: tuple[str | None, str | None] | None = None


@dataclass(frozen=True)
class FunctionTable:
    """The functions of one file: virtual addresses from `starts` up to `ends`, sorted, without overlap.

    `named_by` is for each function the index of its symbol, -1 where it has none. `language` is `GO`, `RUST` or None.
    """

    starts: Numbers
    ends: Numbers
    named_by: Numbers
    symbols: tuple[Symbols, ...]
    segments: tuple[Segment, ...]
    language: str | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def name(self, index: int) -> str | None:
        """The name of a function, as it is in the file."""
        number = int(self.named_by[index])
        for table in self.symbols if number >= 0 else ():
            if number < len(table.starts):
                return table.name(number)
            number -= len(table.starts)
        return None

    def between(self, index: int) -> tuple[str | None, str | None] | None:
        """The names of the nearest named functions around one without a name; None where the file has no names."""
        if self.named_by[index] >= 0 or not len(self._named):
            return None
        after = int(np.searchsorted(self._named, index))
        before_name = self.name(int(self._named[after - 1])) if after else None
        return before_name, self.name(int(self._named[after])) if after < len(self._named) else None

    @cached_property
    def _named(self) -> Numbers:
        return np.flatnonzero(self.named_by >= 0)

    def addresses(self, offsets: npt.ArrayLike) -> Numbers:
        """Virtual addresses of offsets in the file; -1 for what is not loaded."""
        places = np.asarray(offsets, np.int64)
        found = np.full(places.shape, -1, np.int64)
        for part in self.segments:
            inside = (places >= part.offset) & (places < part.offset + part.size)
            found[inside] = places[inside] - part.offset + part.address
        return found

    def find(self, addresses: npt.ArrayLike) -> Numbers:
        """The index of the function that each virtual address is in; -1 for those in none."""
        wanted = np.asarray(addresses, np.int64)
        if not len(self.starts):
            return np.full(wanted.shape, -1, np.int64)
        index = np.searchsorted(self.starts, wanted, "right") - 1
        return np.where((index >= 0) & (wanted < self.ends[index]), index, -1)


def function_table(elf: ElfFile, debug: ElfFile | None = None, hide_symbols: bool = False) -> FunctionTable:
    """The functions of an open file.

    Args:
        elf: the file that runs.
        debug: the file that its symbols were moved to.
        hide_symbols: use `.eh_frame` only, as if the file were stripped of all symbols.

    Raises:
        ValueError: the file is damaged.
    """
    symbols: tuple[Symbols, ...] = ()
    language = RUST if _RUST_COMPILER in elf.section(".comment")[1] else None
    if not hide_symbols:
        symbols = (elf.functions(".symtab"), elf.functions(".dynsym"), *([debug.functions(".symtab")] if debug else []))
        if go := go_functions(elf):
            symbols, language = (go, *symbols), GO
    starts, ends = elf.frames()
    return replace(merged(starts, ends, symbols, tuple(elf.segments())), language=language)


def merged(
    frame_starts: Numbers, frame_ends: Numbers, symbols: tuple[Symbols, ...], segments: tuple[Segment, ...]
) -> FunctionTable:
    """The table of frame ranges (sorted by start) and symbols, which name ranges or are functions of their own."""
    begins, sizes, numbers = _one_per_address(symbols)
    outside = sizes > 0
    if len(frame_starts):
        before = np.searchsorted(frame_starts, begins, "right") - 1
        outside &= (before < 0) | (begins >= frame_ends[before])
    starts = np.concatenate([frame_starts, begins[outside]])
    ends = np.concatenate([frame_ends, begins[outside] + sizes[outside]])
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    return FunctionTable(starts, ends, _names(starts, begins, sizes, numbers), symbols, segments)


def _one_per_address(symbols: Sequence[Symbols]) -> tuple[Numbers, Numbers, Numbers]:
    """Addresses, sizes and numbers (counted through all tables) of the symbols, one per address, sorted."""
    empty = np.empty(0, np.int64)
    begins = np.concatenate([empty, *(table.starts for table in symbols)])
    sizes = np.concatenate([empty, *(table.sizes for table in symbols)])
    bindings = np.concatenate([empty, *(table.bindings for table in symbols)])
    order = np.lexsort((_RANK_OF_BINDING[np.minimum(bindings, 2)], begins))
    _, first = np.unique(begins[order], return_index=True)
    chosen = order[first]
    return begins[chosen], sizes[chosen], chosen.astype(np.int64)


def _names(starts: Numbers, begins: Numbers, sizes: Numbers, numbers: Numbers) -> Numbers:
    """For each function the number of the symbol that begins with it or reaches over its beginning, else -1."""
    if not len(begins):
        return np.full(len(starts), -1, np.int64)
    before = np.searchsorted(begins, starts, "right") - 1
    covered = (before >= 0) & ((begins[before] == starts) | (starts < begins[before] + sizes[before]))
    return np.where(covered, numbers[before], -1)


class FunctionTables:
    """The tables of all files that a process runs code of, read when first asked for and kept.

    Args:
        root: where the process's files are; `/proc/<pid>/root` for one with file systems of its own. It is not trusted:
            no link below it is followed.
        debug_directory: where debug files are, by build id.
        hide_symbols: use `.eh_frame` only, as if all files were stripped.
    """

    def __init__(
        self, root: Path = Path("/"), debug_directory: Path = DEBUG_DIRECTORY, hide_symbols: bool = False
    ) -> None:
        self.root = root
        self.debug_directory = debug_directory
        self.hide_symbols = hide_symbols

    def table(self, dso: str) -> FunctionTable | None:
        """The functions of a file by its path in the process; None where it cannot be read or is no ELF file."""
        with suppress(OSError, ValueError):
            if dso == VDSO:
                return _vdso(self.hide_symbols)
            if dso.startswith("/"):
                return self.of_file(dso)
        return None

    def of_file(self, path: str) -> FunctionTable:
        """The functions of a file by its absolute path in the process.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no ELF file, or a damaged one.
        """
        with open_below(self.root, path) as file:
            return _of_file(_Opened(file), self.debug_directory, self.hide_symbols)

    def functions(self, places: Iterable[UserAddress]) -> dict[UserAddress, Function]:
        """The function that each place is in; places in none are left out."""
        by_dso: dict[str, list[int]] = {}
        for place in places:
            by_dso.setdefault(place.dso, []).append(place.offset)
        found: dict[UserAddress, Function] = {}
        for dso, offsets in by_dso.items():
            if table := self.table(dso):
                found.update(_in_table(dso, offsets, table))
        return _demangled(found)


def _in_table(dso: str, offsets: Sequence[int], table: FunctionTable) -> dict[UserAddress, Function]:
    indices = table.find(table.addresses(offsets))
    functions = {
        index: Function(dso, int(table.starts[index]), table.name(index), table.between(index))
        for index in np.unique(indices[indices >= 0]).tolist()
    }
    pairs = zip(offsets, indices.tolist(), strict=True)
    return {UserAddress(dso, offset): functions[index] for offset, index in pairs if index >= 0}


class _Opened:
    """An open file as a key: two are equal if they are the same file with the same content, whatever their path."""

    def __init__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.path = Path(f"/proc/self/fd/{descriptor}")
        self._file = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Opened) and self._file == other._file

    def __hash__(self) -> int:
        return hash(self._file)


@lru_cache(maxsize=256)
def _of_file(file: _Opened, debug_directory: Path, hide_symbols: bool) -> FunctionTable:
    with open_elf(file.path) as elf:
        build_id = elf.build_id or ""
        debug_file = debug_directory / build_id[:2] / f"{build_id[2:]}.debug"
        if hide_symbols or not build_id or not debug_file.is_file():
            return function_table(elf, hide_symbols=hide_symbols)
        with open_elf(debug_file) as debug:
            return function_table(elf, debug)


@lru_cache(maxsize=2)
def _vdso(hide_symbols: bool) -> FunctionTable:
    """The kernel gives the same library to all processes, so this one's serves for all."""
    mapping = next((entry for entry in read_mappings(os.getpid()) if entry.path == VDSO), None)
    if mapping is None:
        raise ValueError(f"this process has no {VDSO}")
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        memory.seek(mapping.start)
        image = memory.read(mapping.end - mapping.start)
    with elf_in_memory(image, VDSO) as elf:
        return function_table(elf, hide_symbols=hide_symbols)


def _demangled(found: dict[UserAddress, Function]) -> dict[UserAddress, Function]:
    names = {name for function in found.values() for name in (function.name, *(function.between or ()))}
    plain = demangle(sorted(name for name in names if name and name.startswith(_MANGLED)))
    return {place: _with_plain_names(function, plain) for place, function in found.items()} if plain else found


def _with_plain_names(function: Function, plain: Mapping[str, str]) -> Function:
    before, after = function.between or (None, None)
    between = (plain.get(before or "", before), plain.get(after or "", after)) if function.between else None
    return function._replace(name=plain.get(function.name or "", function.name), between=between)


def demangle(names: Sequence[str]) -> dict[str, str]:
    """C++ and Rust names as written in the source, by mangled name; empty where there is no c++filt or it fails."""
    program = program_path("c++filt")
    if program is None or not names:
        return {}
    text = "\n".join(names)
    try:
        done = subprocess.run([program], input=text, capture_output=True, text=True, timeout=_DEMANGLE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = done.stdout.splitlines()
    return dict(zip(names, lines, strict=True)) if len(lines) == len(names) else {}
