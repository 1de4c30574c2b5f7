"""Cores and caches, read from a tree of files such as the kernel has."""

from pathlib import Path

import pytest

from profiler.host.cpu_topology import read_topology
from profiler.vocabulary.timeline_events import CpuTopology


def add_cpu(root: Path, cpu: int, siblings: str, caches: dict[int, tuple[str, str]]) -> None:
    """A CPU with the caches of some levels: type, and which CPUs share it."""
    topology = root / f"cpu{cpu}" / "topology"
    topology.mkdir(parents=True)
    (topology / "thread_siblings_list").write_text(f"{siblings}\n")
    for number, (level, (kind, shared)) in enumerate(caches.items()):
        index = root / f"cpu{cpu}" / "cache" / f"index{number}"
        index.mkdir(parents=True)
        for name, text in (("level", str(level)), ("type", kind), ("shared_cpu_list", shared)):
            (index / name).write_text(f"{text}\n")


def test_siblings_share_a_core_and_cores_a_cache(tmp_path: Path) -> None:
    for cpu, siblings, last in ((0, "0,4", "0-1,4-5"), (1, "1,5", "0-1,4-5"), (4, "0,4", "0-1,4-5"), (2, "2-3", "2-3")):
        add_cpu(tmp_path, cpu, siblings, {1: ("Data", siblings), 3: ("Unified", last), 2: ("Unified", siblings)})
    (tmp_path / "cpufreq").mkdir()
    assert read_topology(tmp_path) == CpuTopology({0: 0, 1: 1, 4: 0, 2: 2}, {0: 0, 1: 0, 4: 0, 2: 2})


def test_a_cache_of_instructions_is_none(tmp_path: Path) -> None:
    add_cpu(tmp_path, 0, "0", {1: ("Data", "0"), 2: ("Instruction", "0-7")})
    add_cpu(tmp_path, 1, "1", {1: ("Data", "1"), 2: ("Instruction", "0-7")})
    assert read_topology(tmp_path).caches == {0: 0, 1: 1}


@pytest.mark.parametrize("text", ["", "none", "\n"])
def test_what_the_kernel_does_not_say_is_left_out(tmp_path: Path, text: str) -> None:
    add_cpu(tmp_path, 0, text, {3: ("Unified", text)})
    (tmp_path / "cpu1").mkdir()
    assert read_topology(tmp_path) == CpuTopology()
    assert read_topology(tmp_path / "missing") == CpuTopology()
