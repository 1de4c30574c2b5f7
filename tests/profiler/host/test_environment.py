"""What machine a profile was measured on, from files of any content."""

from pathlib import Path

import pytest

from profiler.host.environment import describe_environment


def machine(root: Path, meminfo: bytes) -> Path:
    (root / "proc").mkdir()
    (root / "proc" / "meminfo").write_bytes(meminfo)
    (root / "proc" / "cpuinfo").write_bytes(b"model name\t: \xff CPU\n")
    return root


def test_memory_is_in_bytes(tmp_path: Path) -> None:
    assert describe_environment(machine(tmp_path, b"MemTotal:       16000 kB\n"))["memory_bytes"] == 16_384_000


@pytest.mark.parametrize("meminfo", [b"", b"MemTotal:\n", b"MemTotal: x kB\n", b"MemTotal: " + b"9" * 5000, b"\xff"])
def test_memory_that_is_not_told_is_none(tmp_path: Path, meminfo: bytes) -> None:
    assert describe_environment(machine(tmp_path, meminfo))["memory_bytes"] is None
