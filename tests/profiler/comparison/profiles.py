"""Profiles whose truth is known: rounds are drawn from the noise model of docs/method.md."""

import random
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from msgspec.structs import replace

from profiler.attribution.statistics import middle
from profiler.profile.document import load_profile
from profiler.profile.types import AnchorRound, Cell, CpuComponent, LatencyComponent, Profile

EXAMPLE = load_profile(Path(__file__).parents[2] / "data" / "example-profile.json")
TRUTH_NS = {"ipc": 40_000.0, "socket_write": 10_000.0, "parsing": 30_000.0, "proxy_core": 20_000.0, "other": 500.0}
"""What each component costs where nothing is injected."""
SCATTER = 0.05
DRIFT = 0.02


def drawn(
    seed: int,
    cells: int = 4,
    injected: Mapping[str, float] | None = None,
    rounds: int = 6,
    scatter: float = SCATTER,
    drift: float = DRIFT,
) -> Profile:
    """A run of a machine whose speed differs by `drift` from run to run, and as much within one.

    `injected` adds to components, in ns. Components of a round scatter by `scatter`.
    """
    source = random.Random(seed)  # noqa: S311 (a simulation)
    speed = source.gauss(1.0, drift)
    speeds = [source.gauss(1.0, drift) for _ in range(12)]
    tenths = quantiles(speeds, n=10, method="inclusive")
    assert EXAMPLE.anchor is not None
    anchor = replace(
        EXAMPLE.anchor,
        rounds=[AnchorRound(at_s=at, with_p50_ns=1e5 * each, baseline_p50_ns=3e4) for at, each in enumerate(speeds)],
        drift_ratio=tenths[-1] - tenths[0],
    )
    truth = {name: value + (injected or {}).get(name, 0.0) for name, value in TRUTH_NS.items()}

    def figures() -> dict[str, tuple[float, list[float]]]:
        found = {}
        for name, value in truth.items():
            taken = [value * speed * source.gauss(1.0, scatter) for _ in range(rounds)]
            found[name] = fmean(middle(taken, float)), taken
        return found

    return replace(
        EXAMPLE,
        anchor=anchor,
        cells=[
            cell_of(f"http1-both-hot-q128-s{1024 + number}-c1-max", figures(), figures()) for number in range(cells)
        ],
    )


Figures = Mapping[str, tuple[float, list[float]]]


def cell_of(name: str, latency: Figures, cpu: Figures) -> Cell:
    example = next(cell for cell in EXAMPLE.cells if cell.latency and cell.cpu)
    assert example.latency is not None
    assert example.cpu is not None
    whole_ns, whole_rounds = _whole(latency)
    cpu_ns, cpu_rounds = _whole(cpu)
    return replace(
        example,
        id=name,
        latency=replace(
            example.latency,
            baseline_p50_ns=30_000,
            with_p50_ns=30_000 + whole_ns,
            overhead_p50_ns=whole_ns,
            overhead_rounds_ns=whole_rounds,
            overhead_ci95_ns=None,
            baseline=replace(example.latency.baseline, p99_ns=60_000),
            with_sidecars=replace(example.latency.with_sidecars, p99_ns=60_000 + 2 * whole_ns),
            overhead_p99_rounds_ns=[2 * value for value in whole_rounds],
            components={key: _latency_component(*entry) for key, entry in latency.items()},
        ),
        cpu=replace(
            example.cpu,
            baseline_cpu_ns_per_request=50_000,
            with_cpu_ns_per_request=50_000 + cpu_ns,
            overhead_rounds_ns=cpu_rounds,
            overhead_ci95_ns=None,
            components={key: _cpu_component(*entry) for key, entry in cpu.items()},
        ),
    )


def _whole(figures: Figures) -> tuple[float, list[float]]:
    rounds = [sum(parts) for parts in zip(*(taken for _, taken in figures.values()), strict=True)]
    return sum(value for value, _ in figures.values()), rounds


def _latency_component(value: float, rounds: list[float]) -> LatencyComponent:
    return LatencyComponent(
        median_ns=value,
        mean_ns=value,
        p99_ns=2 * value,
        ci95_ns=None,
        samples=100,
        dropped=0,
        lost=0,
        rounds_ns=rounds,
        source="drawn",
    )


def _cpu_component(value: float, rounds: list[float]) -> CpuComponent:
    return CpuComponent(
        cpu_ns_per_request=value,
        vcpu_per_1000_rps=value * 1e-6,
        share=None,
        ci95_ns=None,
        rounds_ns=rounds,
        source="drawn",
    )


def with_environment(profile: Profile, **changed: Any) -> Profile:
    """The profile of another machine."""
    return replace(profile, environment={**profile.environment, **changed})
