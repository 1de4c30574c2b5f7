"""How idle sidecars cool, from hops at low rates."""

import numpy as np
import pytest

from predictor.models.cooling import natural_curve
from predictor.models.fitting import fit_profile
from predictor.models.types import CoolingEnd, FittedModel
from profiler.profile.types import Anchor, Cell, CoolingPoint
from tests.predictor.models.profiles import HTTP, LOADS, anchor, cell, profile, with_anchor

RATES = (300.0, 80.0, 20.0, 5.0)
HOT_US = {"http1": 200.0, "grpc": 400.0}
RISES = {
    ("http1", "none", "latency"): 3.0,
    ("http1", "none", "cpu"): 1.5,
    ("grpc", "mtls", "latency"): 8.0,
    ("grpc", "mtls", "cpu"): 4.0,
}
"""How much more than hot a request costs after a very long time, as a fraction of hot."""


def point(temperature: str, rate_rps: float | None, overhead_us: float, baseline_us: float = 100.0) -> CoolingPoint:
    with_us = baseline_us + overhead_us
    return CoolingPoint(
        temperature=temperature, rate_rps=rate_rps, with_p50_ns=1e3 * with_us, baseline_p50_ns=1e3 * baseline_us
    )


def truth(pair: tuple[str, str], currency: str, rate_rps: float | None, tau_ms: float, beta: float) -> float:
    """Cost over that of hot. Between an answer and the next request is the gap, which depends on the answer's time."""
    gap_ms, rises = 0.0, (RISES[*pair, "latency"], RISES[*pair, currency])
    for _ in range(100 if rate_rps else 0):
        latency = 1.0 + rises[0] * -np.expm1(-((gap_ms / tau_ms) ** beta))
        gap_ms = 0.5 * (gap_ms + 1e3 / (rate_rps or 1.0) - 0.05 - 1e-3 * HOT_US[pair[0]] * latency)
    return float(1.0 + rises[1] * -np.expm1(-((gap_ms / tau_ms) ** beta)))


def known_points(tau_ms: float, beta: float, noise: float = 0.0, seed: int = 0) -> list[CoolingPoint]:
    """What a measurement with so much relative noise gives where cooling follows that law."""
    random = np.random.default_rng(seed)
    found = []
    for protocol, tls in (("http1", "none"), ("grpc", "mtls")):
        for rate in (None, *RATES):
            latency, cpu = (truth((protocol, tls), name, rate, tau_ms, beta) for name in ("latency", "cpu"))
            overhead_ns, cpu_ns = (1e3 * HOT_US[protocol] * cost for cost in (latency, cpu))
            measured = overhead_ns * (1.0 + noise * random.standard_normal())
            found.append(
                CoolingPoint(
                    protocol=protocol, tls=tls, temperature="hot", rate_rps=rate, baseline_p50_ns=50e3,
                    with_p50_ns=50e3 + max(0.0, measured), overhead_error_ns=noise * overhead_ns,
                    cpu_ns=cpu_ns * (1.0 + noise * random.standard_normal()), cpu_error_ns=noise * cpu_ns,
                )
            )  # fmt: skip
    return found


def both_ends() -> list[Cell]:
    """Cold costs twice as much as hot with HTTP/1.1, and three times with gRPC and mTLS."""
    found = []
    for protocol, tls, factor in (("http1", "none", 2.0), ("grpc", "mtls", 3.0)):
        for temperature, times in (("hot", 1.0), ("cold", factor)):
            costs = {name: tuple(times * value for value in values) for name, values in HTTP.items()}
            found += [cell(costs, load, protocol=protocol, tls=tls, temperature=temperature) for load in LOADS]
    return found


def model(points: list[CoolingPoint], cells: list[Cell] | None = None) -> FittedModel:
    known: Anchor = anchor(cooling=points)
    return fit_profile(with_anchor(profile(cells or both_ends()), known), draws=4)


def ends(found: FittedModel) -> dict[tuple[str, str, str], CoolingEnd]:
    return {(end.protocol, end.tls, end.currency): end for end in found.cooling_ends}


def modelled(found: FittedModel, end: CoolingEnd, gap_ns: float) -> float:
    """Cost over that of hot after a gap, from the position that predictions use."""
    gaps, positions = zip(*found.cooling, strict=True)
    return float(1.0 + end.rise * end.factor * np.interp(gap_ns, gaps, positions))


@pytest.mark.parametrize("tau_ms", [2.0, 20.0, 120.0])
@pytest.mark.parametrize("beta", [0.6, 0.9])
def test_at_each_measured_rate_the_model_gives_back_what_was_measured(tau_ms: float, beta: float) -> None:
    points = known_points(tau_ms, beta)
    found = model(points)
    for one in points:
        if one.rate_rps is not None:
            for currency in ("latency", "cpu"):
                end = ends(found)[one.protocol, one.tls, currency]
                expected = truth((one.protocol, one.tls), currency, one.rate_rps, tau_ms, beta)
                assert modelled(found, end, 1e9 / one.rate_rps - one.with_p50_ns) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("tau_ms", [3.0, 60.0])
def test_the_interval_covers_the_truth_of_noisy_measurements(tau_ms: float) -> None:
    inside = []
    for seed in range(6):
        points = known_points(tau_ms, 0.7, noise=0.08, seed=seed)
        found = model(points)
        for one in points:
            for currency in ("latency", "cpu"):
                if one.rate_rps is not None:
                    end = ends(found)[one.protocol, one.tls, currency]
                    cost = modelled(found, end, 1e9 / one.rate_rps - one.with_p50_ns)
                    expected = truth((one.protocol, one.tls), currency, one.rate_rps, tau_ms, 0.7)
                    inside.append(abs(cost - expected) <= 1.96 * end.error * (cost - 1.0) + 1.96 * 0.03)
    assert np.mean(inside) >= 0.9


def test_latency_and_cpu_and_each_protocol_have_an_end_of_their_own() -> None:
    found = ends(model(known_points(5.0, 0.8)))
    assert found["http1", "none", "latency"].factor == 1.0
    added = {key: end.factor * end.rise for key, end in found.items()}
    reference = added["http1", "none", "latency"]
    for key, rise in RISES.items():
        assert added[key] / reference == pytest.approx(rise / 3.0, rel=0.15)
    assert found["http1", "none", "latency"].rise == pytest.approx(1.0)
    assert found["grpc", "mtls", "cpu"].rise == pytest.approx(2.0)


def test_the_position_leads_to_the_measured_cost_whatever_the_cold_cells_cost() -> None:
    """Cold cells that cost hardly more than hot, as noise may have it, change positions but no cost."""
    hardly = [entry for entry in both_ends() if entry.temperature == "hot"]
    warm = {name: tuple(1.01 * value for value in values) for name, values in HTTP.items()}
    hardly += [cell(warm, load, protocol="http1", temperature="cold") for load in LOADS]
    points = known_points(10.0, 0.7)
    found = model(points, hardly)
    end = ends(found)["http1", "none", "latency"]
    slowest = next(one for one in points if one.rate_rps == RATES[-1])
    expected = truth(("http1", "none"), "latency", RATES[-1], 10.0, 0.7)
    assert modelled(found, end, 1e9 / RATES[-1] - slowest.with_p50_ns) == pytest.approx(expected, rel=0.1)


def test_a_profile_of_http1_alone_without_errors_and_cpu_still_has_a_curve() -> None:
    points = [point("hot", None, 200), point("hot", 200.0, 400), point("hot", 50.0, 500), point("cold", None, 500)]
    found = model(points)
    (end,) = found.cooling_ends
    assert (end.protocol, end.tls, end.currency, end.factor) == ("http1", "none", "latency", 1.0)
    assert modelled(found, end, 19.5e6) == pytest.approx(2.5, rel=0.1)
    assert modelled(found, end, 1e5) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "points", [[], [point("hot", None, 200)], [point("hot", 50.0, 300)], [point("hot", None, 0), point("hot", 5.0, 9)]]
)
def test_without_hot_or_rates_there_is_no_curve(points: list[CoolingPoint]) -> None:
    found = model(points)
    assert (found.cooling, found.cooling_ends) == ((), ())


def test_what_does_not_cool_has_an_end_of_nothing() -> None:
    found = model([point("hot", None, 200), point("hot", 50.0, 190), point("hot", 5.0, 180)])
    (end,) = found.cooling_ends
    assert (end.factor, modelled(found, end, 2e8)) == (0.0, 1.0)


def test_where_cpus_sleep_the_fastest_natural_point_is_the_end() -> None:
    asleep = [point("natural", 50.0, 900), point("natural", 500.0, 500), point("natural", 200.0, 600)]
    hot, curve = natural_curve(anchor(cooling=[point("hot", None, 200), *asleep, point("hot", 50.0, 1000)]))
    assert hot == pytest.approx(200 / 500)
    assert [gap for gap, _ in curve] == pytest.approx([150e3, 1.4e6, 4.3e6, 19e6])
    assert [position for _, position in curve] == pytest.approx([0.0, 1.0, 4 / 3, 7 / 3])


def test_without_natural_points_nothing_is_known_of_sleep() -> None:
    assert natural_curve(anchor(cooling=[point("hot", None, 200), point("hot", 50.0, 1000)])) == (1.0, ())
    assert natural_curve(None) == (1.0, ())
