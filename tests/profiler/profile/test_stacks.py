"""The file of stacks: what is written is read again, and anything else is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from profiler.errors import ProfileError
from profiler.files.zstd import unpacked, zstd
from profiler.profile.document import load_profile, save_profile
from profiler.profile.stacks import is_packed, packed, profile_stacks, read_stacks, stacks_of
from profiler.symbols.stacks import KERNEL, SampledStacks, Stack

EXAMPLE = Path(__file__).parents[2] / "data" / "example-profile.json"
STACKS = (
    Stack("client_sidecar", "user", "/usr/bin/envoy", ("Envoy::run()",), 3_000_000.0),
    Stack("server_app", "socket_write", KERNEL, ("do_syscall_64", "tcp_sendmsg"), 2_000_000.0),
)
FOUND = [
    SampledStacks("http1-both-hot", "cpu-clock", STACKS, 120.0),
    SampledStacks("pid 7 (envoy)", "cycles", STACKS[:1]),
]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "stacks.zst"
    file.write_bytes(packed(FOUND))
    assert is_packed(file)
    assert read_stacks(file) == FOUND


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unpacked(packed(FOUND), 1 << 20))
    return found


def changed(**parts: object) -> bytes:
    data: bytes = zstd().compress(json.dumps({**document(), **parts}).encode())
    return data


def cell(stack: list[object], **parts: object) -> bytes:
    return changed(cells=[{"name": "a", "event": "cycles", "requests": None, "stacks": [stack], **parts}])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "damaged zstd data"),
        (b"{}", "damaged zstd data"),
        (packed(FOUND)[:-9], "damaged zstd data"),
        (changed(version=2), r"\$\.version"),
        (changed(format="other"), r"\$\.format"),
        (changed(more=1), "unknown field `more`"),
        (cell([0, 0, 0, [99], 1.0]), "name 99 is not among the"),
        (cell([0, 0, 0, [], 1.0]), "length >= 1"),
        (cell([0, 0, 0, [0], -1.0]), ">= 0"),
        (cell([0, 0, 0, [0], 1.0], event="x"), "Invalid enum value"),
        (zstd().compress(b"[" * 100_000), "Expected `object`"),
    ],
)
def test_any_other_content_is_refused_in_one_line(data: bytes, problem: str) -> None:
    with pytest.raises(ProfileError, match=problem) as caught:
        stacks_of(data, "stacks.zst")
    assert str(caught.value).startswith("stacks.zst: ")
    assert str(caught.value).isprintable()


def test_a_small_file_that_unpacks_to_much_is_refused() -> None:
    with pytest.raises(ProfileError, match="holds more than 64 MiB"):
        stacks_of(zstd().compress(b" " * (65 << 20)), "stacks.zst")


def run_with(files: dict[str, str], folder: Path) -> Path:
    save_profile(replace(load_profile(EXAMPLE), files=files), folder)
    return folder


def test_the_blocks_of_a_run_are_read_together_the_first_of_a_cell_counts(tmp_path: Path) -> None:
    run_with({"stacks": "stacks.zst", "stacks_2": "stacks_2.zst", "stacks_x": "none"}, tmp_path)
    later = SampledStacks("tcp-both-hot", "cpu-clock", STACKS[1:], 3.0)
    (tmp_path / "stacks.zst").write_bytes(packed(FOUND[:1]))
    (tmp_path / "stacks_2.zst").write_bytes(packed([SampledStacks("http1-both-hot", "cpu-clock", ()), later]))
    assert profile_stacks(load_profile(tmp_path), tmp_path) == [FOUND[0], later]


def test_a_profile_without_stacks_says_so_in_one_line(tmp_path: Path) -> None:
    folder = run_with({}, tmp_path)
    with pytest.raises(
        ProfileError, match="has no stacks: it was measured without perf, or by a version that kept none"
    ):
        profile_stacks(load_profile(folder), folder)


@pytest.mark.parametrize("name", ["stacks.zst", "../stacks.zst", "/etc/hostname"])
def test_only_files_next_to_the_profile_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "stacks.zst").write_bytes(packed(FOUND))
    folder = run_with({"stacks": name}, tmp_path / "run")
    with pytest.raises(ProfileError, match=f"{name} is not next to it; give the directory of the run"):
        profile_stacks(load_profile(folder), folder)
