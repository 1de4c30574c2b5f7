"""How much a program's file tells about its functions: what user time can be split by."""

from dataclasses import dataclass
from pathlib import Path

from profiler.symbols.elf import open_elf


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
    with open_elf(path) as elf:
        symtab, dynsym = (len(elf.functions(table).starts) for table in (".symtab", ".dynsym"))
        return FunctionSources(symtab, dynsym, elf.frame_count())
