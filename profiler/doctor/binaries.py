"""How much a program's file tells about its functions: what user time can be split by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

_FUNCTION: Final = 2  # STT_FUNC, in the low four bits of st_info
_COUNT_IS_UDATA4: Final = 0x03  # DW_EH_PE_udata4: the one encoding of the count that linkers write


@dataclass(frozen=True)
class FunctionSources:
    """Functions that a file defines, by where they can be learnt from. `ranges` have no names."""

    symtab: int
    dynsym: int
    ranges: int


def function_sources(path: Path) -> FunctionSources:
    """Count the functions of an ELF file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no ELF file.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        try:
            elf = ELFFile(file)
            return FunctionSources(_functions(elf, ".symtab"), _functions(elf, ".dynsym"), _ranges(elf))
        except ELFError as error:
            raise ValueError(f"{path} is no ELF file: {error}") from error


def _functions(elf: Any, table: str) -> int:
    """Defined functions of a symbol table. Read as an array: large builds have a million symbols."""
    section = elf.get_section_by_name(table)
    if section is None:
        return 0
    order = "<" if elf.little_endian else ">"
    if elf.elfclass == 64:
        fields = [("name", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2"), ("value", "u8"), ("size", "u8")]
    else:
        fields = [("name", "u4"), ("value", "u4"), ("size", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2")]
    symbols = np.frombuffer(section.data(), [(name, order + kind) for name, kind in fields])
    return int(np.count_nonzero(((symbols["info"] & 0xF) == _FUNCTION) & (symbols["section"] != 0)))


def _ranges(elf: Any) -> int:
    """Entries of the table by which `.eh_frame` is searched: version, three encodings, pointer, count."""
    section = elf.get_section_by_name(".eh_frame_hdr")
    if section is None:
        return 0
    head = section.data()[:12]
    if len(head) < 12 or head[2] != _COUNT_IS_UDATA4:
        return 0
    return int.from_bytes(head[8:12], "little" if elf.little_endian else "big")
