"""Which CPUs hops are placed on, on machines with and without SMT."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from profiler.host.cpu_topology import listed_cpus, threads_of_core
from profiler.host.hop_cpus import cores_of, cpus_for_hops, warnings_of_cpus


def machine(folder: Path, cpus: int, siblings: Callable[[int], str]) -> Path:
    for cpu in range(cpus):
        topology = folder / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings(cpu)}\n")
    return folder


def side_by_side(cpu: int) -> str:
    """As on cloud machines: 0 and 1 are a core."""
    return f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}"


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0", {0}), ("0-2,8\n", {0, 1, 2, 8}), ("", None), ("x", None), ("1-", None), ("9" * 30, None), ("3-1", {*()})],
)
def test_a_list_of_the_kernel(text: str, cpus: set[int] | None) -> None:
    assert listed_cpus(text) == cpus


def test_the_threads_of_a_core(tmp_path: Path) -> None:
    machine(tmp_path, 4, lambda cpu: f"{cpu % 2},{cpu % 2 + 2}")
    assert threads_of_core(3, tmp_path) == (1, 3)
    assert threads_of_core(9, tmp_path) == (9,)
    assert cores_of(range(4), tmp_path) == 2


def test_with_cores_enough_hops_run_on_one_cpu_of_each(tmp_path: Path) -> None:
    machine(tmp_path, 8, side_by_side)
    assert cpus_for_hops(range(8), tmp_path) == [0, 2, 4, 6]
    assert warnings_of_cpus([0, 2, 4, 6], tmp_path) == []


def test_64_cpus_are_32_cores(tmp_path: Path) -> None:
    machine(tmp_path, 64, lambda cpu: f"{cpu % 32},{cpu % 32 + 32}")
    assert cpus_for_hops(range(64), tmp_path) == list(range(32))


def test_with_few_cores_all_are_used_other_cores_first_and_it_is_said(tmp_path: Path) -> None:
    machine(tmp_path, 4, side_by_side)
    cpus = cpus_for_hops(range(4), tmp_path)
    assert cpus == [0, 2, 1, 3]
    (line,) = warnings_of_cpus(cpus, tmp_path)
    assert "4 CPUs are threads of 2 cores" in line


@pytest.mark.parametrize("cpus", [[0, 1], [2, 3, 5]])
def test_without_smt_all_are_used_in_order(tmp_path: Path, cpus: Sequence[int]) -> None:
    machine(tmp_path, 6, str)
    assert cpus_for_hops(cpus, tmp_path) == cpus
    assert warnings_of_cpus(cpus, tmp_path) == []


def test_a_sibling_that_may_not_be_used_does_not_count(tmp_path: Path) -> None:
    machine(tmp_path, 4, side_by_side)
    assert cpus_for_hops([1, 3], tmp_path) == [1, 3]
    assert warnings_of_cpus([1, 3], tmp_path) == []


def test_one_cpu_is_said(tmp_path: Path) -> None:
    (line,) = warnings_of_cpus([0], tmp_path)
    assert line.startswith("1 CPU: ")
