"""User time of a program is split by the catalogue of its proxy, or of its language; what has no name is said."""

from pathlib import Path

import pytest

from profiler.attach.user_time import USER_UNRESOLVED, split_user_time
from profiler.probes.perf_sampling import CPU_CLOCK, SampledTimes
from profiler.symbols.maps import UserAddress
from profiler.symbols.programs import Program
from profiler.vocabulary.components import CLIENT_SIDECAR, PARSING, PROXY_CORE, RUNTIME
from profiler.vocabulary.cpu_states import USER
from tests.fuzz.mutators.elf import make_elf
from tests.fuzz.mutators.go_table import FUNCTIONS, make_go_elf, make_table

PROGRAM = "/bin/proxy"
CODE_AT = 64 + 3 * 56
"""Where the file has its code."""
WITHIN = {name: CODE_AT + sum(size for _, size in FUNCTIONS[:index]) for index, (name, _) in enumerate(FUNCTIONS)}


def split(
    tmp_path: Path, data: bytes, weights: dict[int, float], proxy: str | None = None
) -> tuple[dict[str, float], str]:
    (tmp_path / "bin").mkdir()
    (tmp_path / PROGRAM[1:]).write_bytes(data)
    user = {(CLIENT_SIDECAR, UserAddress(PROGRAM, offset)): weight for offset, weight in weights.items()}
    parts, doubt = split_user_time(
        Program(Path(PROGRAM), proxy, "", tmp_path), SampledTimes(CPU_CLOCK, {}, {}, 9, 0, user, 9)
    )
    return parts, doubt or ""


@pytest.mark.parametrize("proxy", [None, "nginx"])
def test_a_go_program_is_split_by_package_whatever_it_is_called(tmp_path: Path, proxy: str | None) -> None:
    weights = dict(zip(WITHIN.values(), (2.0, 5.0, 3.0), strict=True))
    parts, doubt = split(tmp_path, make_go_elf(), weights, proxy)
    assert parts == pytest.approx({RUNTIME: 0.2, PARSING: 0.5, PROXY_CORE: 0.3})
    assert doubt == ""


def test_more_than_a_tenth_without_a_name_is_said(tmp_path: Path) -> None:
    parts, doubt = split(tmp_path, make_go_elf(), {WITHIN["runtime.main"]: 8.0, CODE_AT + 0x100: 2.0})
    assert parts == pytest.approx({RUNTIME: 0.8, USER_UNRESOLVED: 0.2})
    assert doubt.startswith("20% of user time is in functions without names")


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    table = make_table()
    parts, doubt = split(tmp_path, make_go_elf(table[:8] + b"\xff" * 8 + table[16:]), {CODE_AT: 1.0})
    assert parts == {USER: 1.0}
    assert "its table of Go functions is damaged" in doubt
    assert "\n" not in doubt


def test_a_program_of_another_language_is_not_split(tmp_path: Path) -> None:
    parts, doubt = split(tmp_path, make_elf(), {0x400: 1.0})
    assert parts == {USER: 1.0}
    assert "is no proxy that MeshInsight knows" in doubt
