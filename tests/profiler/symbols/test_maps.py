"""Places of addresses: records of perf and lines of /proc as they look on real machines."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from profiler.symbols.maps import (
    NOWHERE,
    VDSO,
    AddressSpaces,
    MappedPages,
    UserAddress,
    parse_mappings,
    read_mappings,
)

PROXY = (
    "    0 U     PERF_RECORD_MMAP2 17864/17864: [0x560ad1821000(0xc1000) @ 0x2f000 fe:00 246999 0]: r-xp /opt/my proxy"
)
LIBRARY = "PERF_RECORD_MMAP2 17864/17865: [0x7fe4b1d6a000(0x2000) @ 0 00:00 0 0]: r-xp [vdso]"


def spaces(*lines: str) -> AddressSpaces:
    found = AddressSpaces()
    assert all(found.add_record(line) for line in lines)
    return found


def test_an_address_is_an_offset_in_the_mapped_file() -> None:
    assert spaces(PROXY).place(17864, 0x560AD1821010) == UserAddress("/opt/my proxy", 0x2F010)


def test_mappings_of_one_process_are_not_those_of_another() -> None:
    assert spaces(PROXY).place(1, 0x560AD1821010) == UserAddress(NOWHERE, 0x560AD1821010)


def test_the_end_of_a_mapping_is_outside() -> None:
    assert spaces(PROXY).place(17864, 0x560AD1821000 + 0xC1000).dso == NOWHERE


def test_a_mapping_of_a_thread_is_its_processs() -> None:
    assert spaces(LIBRARY).place(17864, 0x7FE4B1D6A123) == UserAddress(VDSO, 0x123)


def test_a_later_mapping_replaces_an_earlier_one() -> None:
    late = PROXY.replace("/opt/my proxy", "/opt/new").replace("@ 0x2f000", "@ 0")
    assert spaces(PROXY, late).place(17864, 0x560AD1821010) == UserAddress("/opt/new", 0x10)


def test_records_with_a_build_id_are_read() -> None:
    line = PROXY.replace("fe:00 246999 0", "<60b8e5e5b1ba94a2f2a2a7b6e0f3a9f1f0b5a6c7>")
    assert spaces(line).place(17864, 0x560AD1821010).offset == 0x2F010


def test_data_are_no_code() -> None:
    assert spaces(PROXY.replace("r-xp", "r--p")).mappings == {}


def test_lines_of_proc_are_read_as_records_are() -> None:
    lines = [
        "560ad17f2000-560ad1821000 r--p 00000000 fe:00 246999                     /usr/bin/bash",
        "560ad1821000-560ad18e2000 r-xp 0002f000 fe:00 246999                     /usr/bin/bash\n",
        "7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
    ]
    assert parse_mappings(lines) == [
        MappedPages(0x560AD1821000, 0x560AD18E2000, 0x2F000, "/usr/bin/bash"),
        MappedPages(0x7F0000000000, 0x7F0000001000, 0, ""),
    ]


def test_a_process_that_has_ended_has_no_mappings(tmp_path: Path) -> None:
    assert read_mappings(1, proc=tmp_path) == []


def test_this_process_has_a_program_and_the_kernels_library() -> None:
    assert {VDSO, str(Path(f"/proc/{os.getpid()}/exe").resolve())} <= {
        entry.path for entry in read_mappings(os.getpid())
    }


@given(st.text(max_size=120))
def test_no_line_breaks_the_reader(line: str) -> None:
    AddressSpaces().add_record(line)
    assert len(parse_mappings([line])) <= 1
