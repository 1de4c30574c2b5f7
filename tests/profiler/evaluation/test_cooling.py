"""From windows at low rates to points of a profile."""

import numpy as np
import pytest

from profiler.evaluation.cooling import cooling_point
from profiler.evaluation.windows import CoolingWindow
from profiler.planning.cells import anchor_scene
from profiler.profile.types import CoolingPoint
from profiler.vocabulary.hop import BOTH, MTLS, Hop
from profiler.vocabulary.protocols import GRPC

HOP = Hop(GRPC, BOTH, GRPC, tls=MTLS)


def window(
    latency_us: float, cpu_us: float = 100.0, count: int = 16, spread: float = 0.0, seed: int = 0
) -> CoolingWindow:
    random = np.random.default_rng(seed)
    factors = 1.0 + spread * random.standard_normal(count)
    return CoolingWindow(
        latency_ns=(1e3 * latency_us * factors).astype(np.int64),
        proxy_ns=np.full(4, 1e3 * cpu_us * count / 4) * (1.0 + spread * random.standard_normal(4)),
        requests=np.full(4, count / 4),
    )


def point(windows: list[CoolingWindow], baseline: list[CoolingWindow] | None = None) -> CoolingPoint:
    return cooling_point(HOP, anchor_scene("hot", 5.0), windows, baseline or [window(50.0)])


def test_a_point_names_its_hop_and_rate() -> None:
    found = point([window(350.0)])
    assert (found.protocol, found.tls, found.topology, found.temperature, found.rate_rps) == (
        "grpc", "mtls", "both", "hot", 5.0,
    )  # fmt: skip


def test_overhead_is_the_difference_of_medians_and_cpu_that_of_the_proxies_per_request() -> None:
    found = point([window(350.0, 120.0), window(350.0, 180.0)])
    assert found.overhead_ns == pytest.approx(300e3)
    assert found.cpu_ns == pytest.approx(150e3)
    assert found.overhead_error_ns == 0.0


def test_windows_that_differ_are_less_certain_than_requests_that_differ() -> None:
    alike = point([window(300.0, spread=0.1, seed=1), window(300.0, spread=0.1, seed=2)])
    apart = point([window(200.0, spread=0.1, seed=1), window(400.0, spread=0.1, seed=2)])
    assert apart.overhead_error_ns > 2.0 * alike.overhead_error_ns > 0.0


def test_errors_are_those_of_other_runs() -> None:
    """The standard deviation over many runs is about the error that each of them states."""
    runs = [point([window(300.0, spread=0.2, seed=seed)]) for seed in range(200)]
    for values, stated in (
        ([run.with_p50_ns for run in runs], [run.overhead_error_ns for run in runs]),
        ([run.cpu_ns or 0.0 for run in runs], [run.cpu_error_ns for run in runs]),
    ):
        assert np.std(values) == pytest.approx(np.mean(stated), rel=0.3)


def test_a_part_without_requests_counts_too() -> None:
    """At low rates a part may have none; what the proxies do meanwhile belongs to the others."""
    found = point([CoolingWindow(np.array([1000]), np.array([0.0, 4e3]), np.array([0.0, 1.0]))])
    assert found.cpu_ns == pytest.approx(4e3)
