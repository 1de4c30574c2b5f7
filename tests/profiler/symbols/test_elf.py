"""ELF files of other makers, damaged or made to do harm: read as far as they are sound, else one error."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.symbols.elf import ElfFile, open_elf
from profiler.symbols.tables import FunctionTables, function_table
from tests.fuzz.mutators.elf import make_elf

BUILD_ID = bytes(range(20)).hex()
SECTION_BYTES = 64
SECTION_SIZE_AT = 32


def written(tmp_path: Path, data: bytes) -> Path:
    file = tmp_path / "program"
    file.write_bytes(data)
    return file


def build_id(tmp_path: Path, data: bytes) -> str | None:
    with open_elf(written(tmp_path, data)) as elf:
        return elf.build_id


def section_at(data: bytes, number: int) -> int:
    return int.from_bytes(data[40:48], "little") + SECTION_BYTES * number


def with_number(data: bytes, at: int, width: int, number: int) -> bytes:
    return data[:at] + number.to_bytes(width, "little") + data[at + width :]


def refused(tmp_path: Path, data: bytes, read: Callable[[ElfFile], object]) -> str:
    file = written(tmp_path, data)
    with pytest.raises(ValueError, match="is no ELF file, or a damaged one") as error, open_elf(file) as elf:
        read(elf)
    return str(error.value)


def test_functions_are_named_and_bounded_by_their_frames(tmp_path: Path) -> None:
    with open_elf(written(tmp_path, make_elf())) as elf:
        table = function_table(elf)
    assert table.starts.tolist() == [0x1400, 0x1420]
    assert table.ends.tolist() == [0x1420, 0x1450]
    assert table.name(0) == "main"


def test_a_build_id_is_the_note_of_that_type_and_owner(tmp_path: Path) -> None:
    assert build_id(tmp_path, make_elf()) == BUILD_ID


@pytest.mark.parametrize("kind", [0, 1, 2, 4, 5, 6, 0x101, 0xFFFFFFFF])
def test_a_note_of_another_type_is_no_build_id(tmp_path: Path, kind: int) -> None:
    data = make_elf()
    assert build_id(tmp_path, with_number(data, data.index(b"GNU\0") - 4, 4, kind)) is None


def test_a_note_of_another_owner_is_no_build_id(tmp_path: Path) -> None:
    assert build_id(tmp_path, make_elf().replace(b"GNU\0", b"CORE", 1)) is None


@pytest.mark.parametrize("at", [-12, -8])
def test_a_note_longer_than_its_section_is_no_build_id(tmp_path: Path, at: int) -> None:
    data = make_elf()
    assert build_id(tmp_path, with_number(data, data.index(b"GNU\0") + at, 4, 0xFFFFFFFF)) is None


def test_a_note_before_the_build_id_is_passed_over(tmp_path: Path) -> None:
    data = make_elf()
    at = data.index(b"GNU\0") - 12
    two = struct.pack("<III", 4, 0, 5) + b"GNU\0" + struct.pack("<III", 4, 4, 3) + b"GNU\0" + b"\xab\xcd\xef\x01"
    assert build_id(tmp_path, data[:at] + two + data[at + len(two) :]) == "abcdef01"


@pytest.mark.parametrize("size", [1 << 20, 1 << 31, 1 << 40, (1 << 64) - 1])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_section_outside_of_the_file_is_an_error_before_it_is_read(tmp_path: Path, number: int, size: int) -> None:
    data = make_elf()
    data = with_number(data, section_at(data, number) + SECTION_SIZE_AT, 8, size)
    refused(tmp_path, data, function_table)


def test_an_address_beyond_what_user_space_has_is_an_error(tmp_path: Path) -> None:
    data = make_elf()
    assert "address" in refused(tmp_path, with_number(data, section_at(data, 2) + 16, 8, 1 << 63), function_table)


def test_a_symbol_whose_name_is_outside_of_the_strings_has_an_empty_one(tmp_path: Path) -> None:
    data = make_elf()
    at = data.index(struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0x1400, 0x20))
    with open_elf(written(tmp_path, with_number(data, at, 4, 0xFFFFFFFF))) as elf:
        assert elf.functions(".symtab").name(0) == ""


@pytest.mark.parametrize("length", [0, 3, 4, 15, 16, 63, 64, 200, 500])
def test_a_cut_file_is_one_error(tmp_path: Path, length: int) -> None:
    refused(tmp_path, make_elf()[:length], function_table)


def test_a_file_that_cannot_be_read_has_no_functions(tmp_path: Path) -> None:
    written(tmp_path, make_elf()[:200])
    assert FunctionTables(tmp_path).table("/program") is None
