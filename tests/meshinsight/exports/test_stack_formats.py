"""Stacks as folded text, speedscope and pprof: each read back by its own reader or by its documented structure."""

import gzip
import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from meshinsight.exports.folded import folded
from meshinsight.exports.pprof import pprof
from meshinsight.exports.speedscope import speedscope
from profiler.symbols.stacks import KERNEL, SampledStacks, Stack
from tests.conftest import go_program

ENVOY = Stack("client_sidecar", "user", "/usr/bin/envoy", ("Envoy::run(int; char)",), 3_000_000.4)
SENDING = Stack("client_sidecar", "socket_write", KERNEL, ("do_syscall_64", "tcp_sendmsg"), 2_000_000.0)
APP = Stack("server_app", "user", "[user]", ("[user]",), 1_000_000.0)
FOUND = [
    SampledStacks("http1-both-hot", "cpu-clock", (ENVOY, SENDING, APP), 120.0),
    SampledStacks("tcp-both-hot", "cpu-clock", (SENDING,), 80.0),
]


def test_folded_stacks_are_lines_of_frames_and_a_whole_number() -> None:
    assert folded(FOUND) == (
        "http1-both-hot;client_sidecar;Envoy::run(int: char) 3000000\n"
        "http1-both-hot;client_sidecar;do_syscall_64_[k];tcp_sendmsg_[k] 2000000\n"
        "http1-both-hot;server_app;[user] 1000000\n"
        "tcp-both-hot;client_sidecar;do_syscall_64_[k];tcp_sendmsg_[k] 2000000\n"
    )


def test_speedscope_has_what_its_schema_asks_of_sampled_profiles() -> None:
    found: dict[str, Any] = json.loads(speedscope(FOUND, "run 1"))
    assert found["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = found["shared"]["frames"]
    assert all(set(frame) <= {"name", "file", "line", "col"} and isinstance(frame["name"], str) for frame in frames)
    assert found["activeProfileIndex"] < len(found["profiles"])
    for profile in found["profiles"]:
        assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
        assert profile["type"] == "sampled"
        assert profile["unit"] in ("none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes")
        assert len(profile["samples"]) == len(profile["weights"])
        assert profile["endValue"] - profile["startValue"] == sum(profile["weights"])
        assert all(0 <= number < len(frames) for sample in profile["samples"] for number in sample)


def test_speedscope_has_the_stacks_outermost_frame_first() -> None:
    found = json.loads(speedscope(FOUND, "run 1"))
    frames = found["shared"]["frames"]
    named = [[frames[number]["name"] for number in sample] for sample in found["profiles"][0]["samples"]]
    assert named == [
        ["client_sidecar", "Envoy::run(int; char)"],
        ["client_sidecar", "do_syscall_64", "tcp_sendmsg"],
        ["server_app", "[user]"],
    ]
    assert found["profiles"][1]["weights"] == [2_000_000]


def test_weights_that_are_no_time_have_no_unit_of_time() -> None:
    cycles = [SampledStacks("pid 7", "cycles", (ENVOY,))]
    assert json.loads(speedscope(cycles, "x"))["profiles"][0]["unit"] == "none"
    assert b"nanoseconds" not in gzip.decompress(pprof(cycles))
    assert b"cycles" in gzip.decompress(pprof(cycles))


def test_pprof_is_the_same_for_the_same_stacks() -> None:
    assert pprof(FOUND) == pprof(FOUND)


def pprof_says(folder: Path, *options: str) -> str:
    file = folder / "stacks.pb.gz"
    file.write_bytes(pprof(FOUND, datetime(2026, 11, 29, 12, 30, tzinfo=UTC)))
    argv = [str(go_program()), "tool", "pprof", "-symbolize=none", *options, str(file)]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True, timeout=240).stdout


@pytest.mark.go
@pytest.mark.timeout(300)  # Go builds its pprof when it is first used
def test_pprof_reads_time_functions_and_comments(tmp_path: Path) -> None:
    found = pprof_says(tmp_path, "-top", "-unit=ms")
    assert "Type: cpu" in found
    assert "Time: 2026-11-29 12:30:00 UTC" in found
    assert "http1-both-hot: 120 requests" in found
    assert re.search(r"^ +3ms .* 3ms +37\.50% +Envoy::run", found, re.MULTILINE)
    rows = {line.split()[-1]: line.split()[:5] for line in found.splitlines() if "%" in line and "ms" in line}
    assert rows["tcp_sendmsg"] == ["4ms", "50.00%", "50.00%", "4ms", "50.00%"]
    assert rows["client_sidecar"][3] == "7ms"


@pytest.mark.go
@pytest.mark.timeout(300)
def test_pprof_selects_by_cell_process_and_component(tmp_path: Path) -> None:
    found = pprof_says(tmp_path, "-traces", "-unit=ms", "-tagfocus=cell=tcp-both-hot")
    lines = [line.split() for line in found.splitlines()]
    assert ["component:", "socket_write"] in lines
    assert [" ".join(line) for line in lines[lines.index(["component:", "socket_write"]) + 1 :][:4]] == [
        "2ms tcp_sendmsg", "do_syscall_64", "client_sidecar", "tcp-both-hot",
    ]  # fmt: skip
    assert "Envoy" not in found
