"""Functions of Go programs: by the table that stripped programs keep; damaged tables are refused."""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from profiler.symbols.elf import elf_in_memory, open_elf
from profiler.symbols.go_table import go_functions
from profiler.symbols.tables import GO, FunctionTable, FunctionTables, function_table
from tests.fuzz.mutators.binary import mutate_bytes
from tests.fuzz.mutators.elf import make_elf
from tests.fuzz.mutators.go_table import CODE, FUNCTIONS, make_go_elf, make_table, module

SOURCE = """package main
import "fmt"
//go:noinline
func counted(n int) int { return n * 3 }
func main() { fmt.Println(counted(2)) }
"""
NAMES = [name for name, _ in FUNCTIONS]
STARTS = [CODE, CODE + 0x20, CODE + 0x60]


def read(data: bytes) -> FunctionTable:
    with elf_in_memory(data, "x") as elf:
        return function_table(elf)


def names(table: FunctionTable) -> list[str | None]:
    return [table.name(index) for index in range(len(table))]


@pytest.mark.parametrize("version", [116, 118, 120])
def test_each_version_of_the_table_names_its_functions(version: int) -> None:
    table = read(make_go_elf(make_table(version)))
    assert (names(table), table.starts.tolist(), table.language) == (NAMES, STARTS, GO)
    assert table.ends.tolist() == [*STARTS[1:], CODE + 0x70]


def test_a_table_without_the_begin_of_the_code_takes_that_of_the_runtime() -> None:
    table = read(make_go_elf(make_table(code=0), module=module(CODE + 0x10)))
    assert table.starts.tolist() == [start + 0x10 for start in STARTS]


def test_a_table_without_any_begin_of_the_code_takes_that_of_the_text() -> None:
    assert read(make_go_elf(make_table(code=0))).starts.tolist() == STARTS


def test_a_table_in_another_section_is_found_by_its_header() -> None:
    assert names(read(make_go_elf(section=".data.rel.ro"))) == NAMES


def test_a_program_of_another_language_has_none() -> None:
    with elf_in_memory(make_elf(), "x") as elf:
        assert go_functions(elf) is None


def test_as_if_stripped_it_has_no_names() -> None:
    with elf_in_memory(make_go_elf(), "x") as elf:
        assert len(function_table(elf, hide_symbols=True)) == 0


def changed(at: int, number: int, width: int = 8) -> bytes:
    table = make_table()
    return make_go_elf(table[:at] + number.to_bytes(width, "little") + table[at + width :])


@pytest.mark.parametrize("number", [0, 1 << 20, 1 << 40, (1 << 64) - 1])
@pytest.mark.parametrize("at", [8, 32, 40, 64])
def test_a_header_that_points_outside_is_one_error(at: int, number: int) -> None:
    with pytest.raises(ValueError, match=r"^x is no ELF file, or a damaged one: its table of Go functions is damaged"):
        read(changed(at, number))


def test_a_version_that_is_not_known_is_one_error() -> None:
    with pytest.raises(ValueError, match=r"known are those since Go 1\.16"):
        read(changed(0, 0xFFFFFFFB, 4))


def test_functions_out_of_order_are_one_error() -> None:
    table = make_table()
    at = table.index(struct.pack("<I", 0x20))
    with pytest.raises(ValueError, match="order of their addresses"):
        read(make_go_elf(table[:at] + struct.pack("<I", 0x7FFFFFFF) + table[at + 4 :]))


def test_whatever_the_table_says_it_is_read_or_refused() -> None:
    rng = random.Random(1)  # noqa: S311 - repeatable, not secret
    for _ in range(300):
        try:
            table = read(make_go_elf(mutate_bytes(make_table(rng.choice((116, 118, 120))), rng)))
        except ValueError:
            continue
        assert len(names(table)) == len(table.starts)


@pytest.mark.skipif(not shutil.which("go"), reason="no Go compiler")
def test_a_real_program_s_functions_are_those_that_the_linker_lists_stripped_or_not(tmp_path: Path) -> None:
    source = tmp_path / "main.go"
    source.write_text(SOURCE)
    found = {}
    for name, flags in (("plain", []), ("stripped", ["-ldflags=-s -w"])):
        subprocess.run(["go", "build", *flags, "-o", tmp_path / name, source], check=True, cwd=tmp_path)
        with open_elf(tmp_path / name) as elf:
            functions = go_functions(elf)
        assert functions
        found[name] = {functions.name(index): int(start) for index, start in enumerate(functions.starts)}
    nm = subprocess.run(["go", "tool", "nm", tmp_path / "plain"], check=True, capture_output=True, text=True)
    listed = {line.split()[-1]: int(line.split()[0], 16) for line in nm.stdout.splitlines() if " T " in line}
    wanted = ("main.main", "main.counted", "runtime.mallocgc", "fmt.Fprintln")
    assert {name: found["plain"].get(name) for name in wanted} == {name: listed[name] for name in wanted}
    assert found["stripped"] == found["plain"]


def test_a_damaged_table_gives_the_file_no_functions(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(changed(8, 1 << 40))
    assert FunctionTables(tmp_path).table("/program") is None
