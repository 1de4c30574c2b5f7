"""Warnings of a cell: which figure of it lies beyond which bound, and what to do."""

from typing import Any

import pytest
from msgspec.structs import replace

from profiler.evaluation.trust import residual, trust_warnings
from profiler.profile.types import Cell, Cpu, Latency, Noise, Perturbation
from tests.profiler.evaluation.blocks import EXAMPLE

UNDISTURBED = Perturbation(latency_ratio=1.0, throughput_ratio=1.0, proxy_cpu_ratio=1.0)
QUIET = Noise(steal_ratio=0.0, psi_cpu_some_ratio=0.0)
OVERHEAD_NS = 50_000.0


def latency(residual: float = 0.0, samples: int = 1000, **changes: Any) -> Latency:
    found = EXAMPLE.cells[0].latency
    assert found is not None
    components = {name: replace(part, samples=samples) for name, part in found.components.items()}
    made = replace(found, overhead_p50_ns=OVERHEAD_NS, overhead_rounds_ns=[49_000.0, 51_000.0], components=components)
    return replace(made, closure_residual=residual, **changes)


def cpu(residual: float = 0.0, **changes: Any) -> Cpu:
    found = EXAMPLE.cells[0].cpu
    assert found is not None
    made = replace(
        found,
        with_cpu_ns_per_request=found.baseline_cpu_ns_per_request + OVERHEAD_NS,
        components={name: replace(part, rounds_ns=[0.0, 100.0]) for name, part in found.components.items()},
        disagreement_points={},
    )
    return replace(made, closure_residual=residual, **changes)


def cell(**changes: Any) -> Cell:
    """A cell that nothing can be held against, changed."""
    trusted = replace(
        EXAMPLE.cells[0],
        protocol="http1",
        topology="both",
        latency=latency(),
        cpu=cpu(),
        perturbation=UNDISTURBED,
        noise=QUIET,
    )
    return replace(trusted, **changes)


def warning(found: Cell) -> str:
    (only,) = trust_warnings(found)
    return only


@pytest.mark.parametrize(
    ("parts", "measured", "expected"),
    [([60.0, 50.0], 100.0, 0.1), ([60.0, 20.0], 100.0, -0.2), ([-60.0, -50.0], -100.0, 0.1), ([], 100.0, -1.0)],
)
def test_the_residual_is_what_the_parts_miss_of_the_whole(parts: list[float], measured: float, expected: float) -> None:
    assert residual(parts, measured) == pytest.approx(expected)


def test_without_a_whole_there_is_no_residual() -> None:
    assert residual([1.0], 0.0) is None


def test_a_cell_within_all_bounds_has_no_warning() -> None:
    assert list(trust_warnings(cell())) == []
    assert list(trust_warnings(cell(latency=latency(0.1), cpu=cpu(-0.1)))) == []


def test_a_cell_without_figures_has_no_warning() -> None:
    unknown = Perturbation(latency_ratio=None, throughput_ratio=None, proxy_cpu_ratio=None)
    assert list(trust_warnings(cell(latency=None, perturbation=unknown))) == []
    assert list(trust_warnings(cell(cpu=None, perturbation=unknown))) == []


def test_what_does_not_close_is_named_with_its_sum_and_the_next_step() -> None:
    found = warning(cell(latency=latency(0.15)))
    assert found.startswith("latency: the components add up to 115% of the measured overhead (bound ±10%), and ")
    assert found.endswith("; quote the overhead, not its components")
    assert warning(cell(cpu=cpu(-0.2))).startswith("cpu: the components add up to 80% of the measured overhead")


def test_both_currencies_are_told_apart() -> None:
    found = list(trust_warnings(cell(latency=latency(0.15), cpu=cpu(0.15))))
    assert [text.partition(":")[0] for text in found] == ["latency", "cpu"]


def test_a_cell_without_sidecar_is_not_asked_to_close() -> None:
    assert list(trust_warnings(replace(cell(latency=latency(5.0), cpu=cpu(5.0)), topology="none"))) == []


DISTURBED = replace(UNDISTURBED, latency_ratio=1.2)
WIDE = [OVERHEAD_NS - 10_000 * 2**0.5 / 1.96, OVERHEAD_NS + 10_000 * 2**0.5 / 1.96]
"""Two rounds whose mean is known within 20 %."""


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        (
            {"noise": replace(QUIET, steal_ratio=0.03)},
            "likely because the host took 3% of the CPU time; repeat when the host is idle",
        ),
        (
            {"latency": latency(0.2, overhead_rounds_ns=WIDE)},
            "likely because its rounds spread by ±20%; repeat with more --rounds",
        ),
        (
            {"latency": latency(0.2, samples=299)},
            "likely because only 299 exchanges were followed; use a longer --duration",
        ),
        ({"latency": latency(0.2, components={})}, "likely because only 0 exchanges were followed"),
        (
            {"latency": latency(0.2, overhead_p50_ns=4000.0, overhead_rounds_ns=[])},
            "likely because the overhead of 4.0 µs is small; quote it, not its components",
        ),
        ({}, "and no cause was recorded"),
    ],
)
def test_the_likely_cause_is_what_was_recorded_of_the_cell(changes: dict[str, Any], cause: str) -> None:
    assert f", {cause}" in warning(cell(**{"latency": latency(0.2), **changes}))


def test_probes_that_changed_what_they_measured_are_the_likely_cause() -> None:
    closure, disturbed = trust_warnings(cell(latency=latency(0.2), perturbation=DISTURBED))
    assert "likely because the probes changed what they measured" in closure
    assert disturbed.startswith("probes raised the median latency by 20.0%")


def test_of_several_causes_the_first_in_order_is_named() -> None:
    both = cell(latency=latency(0.2, samples=1, overhead_rounds_ns=WIDE), noise=replace(QUIET, steal_ratio=0.03))
    assert "the host took 3%" in warning(both)
    assert "its rounds spread" in warning(replace(both, noise=QUIET))


def test_the_spread_of_cpu_is_that_of_its_widest_component() -> None:
    found = cpu(0.2)
    first = next(iter(found.components))
    wide = replace(found.components[first], rounds_ns=[0.0, WIDE[1] - WIDE[0]])
    assert "its rounds spread by ±20%" in warning(
        cell(cpu=replace(found, components={**found.components, first: wide}))
    )


def test_few_exchanges_or_disturbed_latency_are_no_cause_for_cpu() -> None:
    closure, _ = trust_warnings(cell(latency=latency(samples=1), cpu=cpu(0.2), perturbation=DISTURBED))
    assert "no cause was recorded" in closure


def test_an_overhead_of_nothing_does_not_spread() -> None:
    found = cpu(0.2)
    nothing = replace(found, with_cpu_ns_per_request=found.baseline_cpu_ns_per_request)
    assert "the overhead of 0.0 µs is small" in warning(cell(cpu=nothing))


def test_steal_that_nobody_knows_is_no_cause() -> None:
    assert "no cause was recorded" in warning(cell(latency=latency(0.2), noise=replace(QUIET, steal_ratio=None)))


@pytest.mark.parametrize(
    ("protocol", "ratio", "warned"),
    [("http1", 1.03, False), ("http1", 1.031, True), ("tcp", 1.06, False), ("tcp", 1.061, True), ("grpc", 1.05, True)],
)
def test_probes_may_raise_latency_up_to_the_bound_of_the_protocol(protocol: str, ratio: float, warned: bool) -> None:
    found = cell(protocol=protocol, perturbation=replace(UNDISTURBED, latency_ratio=ratio))
    assert [text.startswith("probes raised the median latency") for text in trust_warnings(found)] == [True] * warned


@pytest.mark.parametrize(("ratio", "warned"), [(0.95, False), (0.94, True)])
def test_probes_may_take_throughput_up_to_the_bound(ratio: float, warned: bool) -> None:
    found = list(trust_warnings(cell(perturbation=replace(UNDISTURBED, throughput_ratio=ratio))))
    assert [text.startswith("probes left 0.94 of the throughput at saturation (bound 0.95)") for text in found] == (
        [True] * warned
    )


@pytest.mark.parametrize(
    ("share", "points", "warned"),
    [(0.3, 10.0, False), (0.3, -11.0, True), (0.04, 30.0, False), (None, 30.0, False)],
)
def test_methods_may_differ_by_so_many_points(share: float | None, points: float, warned: bool) -> None:
    found = cpu(disagreement_points={"ipc": points})
    components = {**found.components, "ipc": replace(found.components["ipc"], share=share)}
    texts = list(trust_warnings(cell(cpu=replace(found, components=components))))
    assert texts == [
        f"cpu: eBPF and perf differ by {points:+.0f} points on ipc; see both before quoting either"
    ] * warned  # fmt: skip


def test_a_component_that_only_samples_know_is_not_compared() -> None:
    assert list(trust_warnings(cell(cpu=cpu(disagreement_points={"queueing": 30.0})))) == []
