"""Function tables of real files, against readelf and nm; merging, of made-up ones."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from profiler.errors import MissingError
from profiler.proxies.envoy import find_binary
from profiler.symbols.elf import Symbols, open_elf
from profiler.symbols.elf_layout import Segment
from profiler.symbols.maps import NOWHERE, VDSO, UserAddress
from profiler.symbols.tables import Function, FunctionTable, FunctionTables, demangle, merged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ELF files are Linux's")

HAPROXY = Path("/usr/sbin/haproxy")
PROGRAM = """
__attribute__((noinline)) static int hidden(int x) { volatile int y = x; return y + 1; }
__attribute__((noinline)) int shown(int x) { return hidden(x) * 3; }
int main(int argc, char **argv) { return shown(argc) + hidden(argc); }
"""
needs_compiler = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("objcopy")), reason="no gcc or binutils")
needs_haproxy = pytest.mark.skipif(not HAPROXY.is_file(), reason="haproxy is not installed")


def symbols(*rows: tuple[int, int, str], binding: int = 1) -> Symbols:
    """Global functions as (address, size, name)."""
    strings, offsets = b"", []
    for _, _, name in rows:
        offsets.append(len(strings))
        strings += name.encode() + b"\0"
    starts, sizes = (np.array([row[column] for row in rows], np.int64) for column in (0, 1))
    return Symbols(starts, sizes, np.full(len(rows), binding), np.array(offsets, np.int64), strings)


def table(frames: list[tuple[int, int]], *tables: Symbols) -> FunctionTable:
    starts, ends = (np.array([frame[column] for frame in frames], np.int64) for column in (0, 1))
    return merged(starts, ends, tables, (Segment(0x1000, 0x1000, 0x5000),))


def names(found: FunctionTable) -> list[str | None]:
    return [found.name(index) for index in range(len(found))]


def compiled(folder: Path) -> Path:
    (folder / "program.c").write_text(PROGRAM)
    program = folder / "program"
    subprocess.run(["gcc", "-O1", "-Wl,--build-id", "-o", program, folder / "program.c"], check=True)
    return program


def address_of(name: str, program: Path) -> int:
    listed = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0], 16) for line in listed.splitlines() if line.split()[-1] == name)


def test_a_symbol_names_the_range_it_begins() -> None:
    assert names(table([(10, 20), (20, 30)], symbols((20, 10, "late")))) == [None, "late"]


def test_a_symbol_names_the_ranges_it_reaches_over() -> None:
    assert names(table([(10, 20), (20, 30), (30, 40)], symbols((10, 20, "wide")))) == ["wide", "wide", None]


def test_a_symbol_outside_of_all_ranges_is_a_function_of_its_own() -> None:
    found = table([(10, 20)], symbols((20, 5, "assembly"), (40, 0, "label")))
    assert (found.starts.tolist(), found.ends.tolist(), names(found)) == ([10, 20], [20, 25], [None, "assembly"])


def test_a_symbol_within_a_range_does_not_cut_it() -> None:
    found = table([(10, 20)], symbols((15, 2, "inner")))
    assert (found.ends.tolist(), names(found)) == ([20], [None])


def test_a_global_name_goes_before_a_local_one_of_any_table() -> None:
    assert names(table([(10, 20)], symbols((10, 5, "local"), binding=0), symbols((10, 5, "global")))) == ["global"]


def test_ranges_do_not_overlap() -> None:
    assert table([(10, 25), (20, 30)]).ends.tolist() == [20, 30]


def test_addresses_in_no_function_are_found_in_none() -> None:
    assert table([(10, 20), (30, 40)]).find([9, 10, 19, 20, 29, 30, 40]).tolist() == [-1, 0, 0, -1, -1, 1, -1]
    assert table([]).find([5]).tolist() == [-1]


def test_an_offset_that_is_not_loaded_has_no_address() -> None:
    assert table([]).addresses([0xFFF, 0x1000, 0x1FFF, 0x2000]).tolist() == [-1, 0x5000, 0x5FFF, -1]


def test_a_nameless_function_knows_the_names_around_it() -> None:
    found = table([(10, 20), (20, 30), (30, 40), (40, 50)], symbols((10, 10, "a"), (40, 10, "b")))
    assert [found.between(index) for index in range(4)] == [None, ("a", "b"), ("a", "b"), None]


def test_at_the_ends_of_a_file_there_is_one_name_around() -> None:
    found = table([(10, 20), (20, 30), (30, 40)], symbols((20, 10, "a")))
    assert (found.between(0), found.between(2), table([(10, 20)]).between(0)) == ((None, "a"), ("a", None), None)


@needs_haproxy
def test_ranges_agree_with_readelf() -> None:
    text = subprocess.run(
        ["readelf", "--debug-dump=frames", HAPROXY], capture_output=True, text=True, check=True
    ).stdout
    listed = [line.rsplit("pc=", 1)[1].split("..") for line in text.splitlines() if " FDE " in line]
    expected = sorted((int(start, 16), int(end, 16)) for start, end in listed)
    with open_elf(HAPROXY) as elf:
        starts, ends = elf.frames()
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == expected


@needs_haproxy
def test_hiding_symbols_leaves_the_ranges_and_takes_the_names() -> None:
    shown, hidden = FunctionTables().table(str(HAPROXY)), FunctionTables(hide_symbols=True).table(str(HAPROXY))
    assert shown is not None
    assert hidden is not None
    assert "process_stream" in names(shown)
    assert set(names(hidden)) == {None}
    assert len(hidden) <= len(shown)


@needs_compiler
def test_names_come_from_a_debug_file_by_build_id(tmp_path: Path) -> None:
    program = compiled(tmp_path)
    hidden_at = address_of("hidden", program)
    with open_elf(program) as elf:
        build_id = elf.build_id
    assert build_id
    debug = tmp_path / "debug" / build_id[:2] / f"{build_id[2:]}.debug"
    debug.parent.mkdir(parents=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", program], check=True)
    for folder, expected in ((tmp_path / "none", None), (tmp_path / "debug", "hidden")):
        found = FunctionTables(debug_directory=folder).table(str(program))
        assert found is not None
        assert found.name(int(found.find([hidden_at])[0])) == expected


@needs_compiler
def test_files_are_looked_up_below_the_root_of_a_process(tmp_path: Path) -> None:
    program = compiled(tmp_path)
    place = UserAddress("/program", address_of("shown", program))  # its first segment is loaded at its own offset
    function = Function("/program", place.offset, "shown")
    assert FunctionTables(root=tmp_path).functions([place]) == {place: function}


def test_places_without_a_readable_file_have_no_function(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    places = [UserAddress(dso, 16) for dso in (NOWHERE, "//anon", "/gone (deleted)", "/script", "[heap]")]
    assert FunctionTables(root=tmp_path).functions(places) == {}


def test_the_kernels_library_has_functions_though_it_has_no_file() -> None:
    found = FunctionTables().table(VDSO)
    assert found is not None
    assert any(name and "clock_gettime" in name for name in names(found))


@pytest.mark.skipif(not shutil.which("c++filt"), reason="no c++filt")
def test_mangled_names_become_those_of_the_source() -> None:
    assert demangle(["_ZN5Envoy4Http5CodecD1Ev"]) == {"_ZN5Envoy4Http5CodecD1Ev": "Envoy::Http::Codec::~Codec()"}


def test_a_stripped_envoy_has_its_functions_within_seconds() -> None:
    try:
        binary = find_binary()
    except MissingError as error:
        pytest.skip(str(error))
    started = time.process_time()
    found = FunctionTables(hide_symbols=True).table(str(binary))
    assert found is not None
    assert len(found) > 100_000
    assert bool(np.all(found.starts[1:] >= found.ends[:-1]))
    assert time.process_time() - started < 5
