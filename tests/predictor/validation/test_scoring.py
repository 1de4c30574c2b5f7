"""Scores of figures whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from predictor.predict.types import Estimate
from predictor.validation.measuring import Rounds, not_held
from predictor.validation.scoring import measured_answer, measured_cpu, measured_latency, measured_saving
from predictor.validation.types import Anchor, Score, Variant
from profiler.host.accounting import Noise
from profiler.measuring.applications import AnchorCell, AnchorReading, CpuReading, LatencyReading

QUIET = Noise(0.0, None)


def rounds(*medians_us: tuple[float, float], seed: int = 1) -> Rounds:
    """One round per pair of medians, without and with sidecars."""
    random = np.random.default_rng(seed)
    found = Rounds()
    for without, with_ in medians_us:
        for name, median in (("without", without), ("with", with_)):
            latency = (1000 * (median + random.uniform(-5, 5, 400))).astype(np.int64)
            found.latency[name].append(LatencyReading(latency, 0, QUIET, 400.0, {"a": latency // 2}))
            found.cpu[name].append(CpuReading(100.0, median * 1e5, {}, {"a": median * 1e4}, QUIET))
    return found


def test_a_rate_that_was_not_held_is_told() -> None:
    found = rounds((500, 600), (500, 600), (500, 600))
    slow = [
        replace(reading, answered_rps=rate)
        for reading, rate in zip(found.latency["with"], (300, 380, 300), strict=True)
    ]
    found.latency["with"] = slow
    assert not_held(found, 400.0) == {"with": 300.0}
    assert not_held(found, 320.0) == {}


def test_the_measured_overhead_is_the_difference_of_medians() -> None:
    found = measured_latency(rounds((500, 600), (500, 600), (500, 600)), "with", "without", 50.0)
    assert found.value == pytest.approx(100e3, rel=0.02)
    assert found.low <= 100e3 <= found.high


def test_drift_that_both_have_does_not_widen_the_interval_as_one_that_only_one_has_does() -> None:
    together = measured_latency(rounds((400, 500), (600, 700), (500, 600)), "with", "without", 50.0)
    apart = measured_latency(rounds((400, 700), (600, 500), (500, 600)), "with", "without", 50.0)
    assert together.high - together.low < (apart.high - apart.low) / 3


def test_a_service_takes_longer_by_the_difference_of_its_own_medians() -> None:
    found = measured_answer(rounds((500, 600), (500, 600), (500, 600)), "with", "without", "a")
    assert found is not None
    assert found.value == pytest.approx(50e3, rel=0.04)


def test_rounds_that_did_not_reach_a_service_do_not_count() -> None:
    found = rounds((500, 600), (500, 600))
    none = {"a": np.array([], dtype=np.int64)}
    found.latency["with"][0] = replace(found.latency["with"][0], by_service_ns=none)
    answer = measured_answer(found, "with", "without", "a")
    assert answer is not None
    assert answer.value == pytest.approx(50e3, rel=0.04)
    found.latency["without"][1] = replace(found.latency["without"][1], by_service_ns=none)
    assert measured_answer(found, "with", "without", "a") is None


def test_cpu_is_per_request_times_the_rate() -> None:
    found = measured_cpu(rounds((500, 600), (500, 600)), "with", "without", 50.0, lambda reading: reading.busy_ns)
    assert found.value == pytest.approx(1e7 / 100 * 50 * 1e-9)  # 10 ms more for 100 requests, at 50 per second


def test_errors_are_of_the_prediction_over_the_measured_raw_and_anchored() -> None:
    raw, measured = Estimate(80.0, 70.0, 90.0), Estimate(100.0, 95.0, 105.0)
    score = Score(raw, raw.scaled(1.2), measured)
    assert score.error_ratio == pytest.approx(-0.2)
    assert score.anchored_error_ratio == pytest.approx(-0.04)


def test_the_measured_figure_is_held_against_the_anchored_interval() -> None:
    raw = Estimate(80.0, 70.0, 90.0)
    assert Score(raw, raw.scaled(1.2), Estimate(100.0, 95.0, 105.0)).inside_interval  # 84 to 108, and 70 to 90
    assert not Score(raw.scaled(1.2), raw, Estimate(100.0, 95.0, 105.0)).inside_interval


def variant(name: str, latency: Estimate, cpu: Estimate) -> Variant:
    scores = {"p50": Score(latency, latency, latency)}
    return Variant(name, scores, {}, Score(cpu, cpu, cpu), {}, {}, ())


def test_a_saving_is_measured_round_by_round_where_the_baseline_is_one() -> None:
    found = rounds((400, 500), (600, 700), (500, 600))
    before, after = (variant(name, Estimate(9e3, 5e3, 20e3), Estimate(0.1, 0.0, 0.3)) for name in ("with", "without"))
    latency, cpu = measured_saving(found, before, after, 50.0, one_baseline=True)
    assert latency.value == pytest.approx(100e3, rel=0.02)
    assert cpu.value == pytest.approx(1e7 / 100 * 50 * 1e-9)
    apart, _ = measured_saving(found, before, after, 50.0, one_baseline=False)
    assert apart.value == 0.0
    assert apart.high == pytest.approx(np.hypot(11e3, 4e3))


def test_nothing_measured_has_no_error() -> None:
    one = Estimate(1.0, 0.0, 2.0)
    assert Score(one, one, Estimate(0.0, 0.0, 0.0)).error_ratio is None


def test_the_anchor_tells_how_much_slower_the_machine_is() -> None:
    rounds = (AnchorReading(240.0, 90.0), AnchorReading(250.0, 120.0), AnchorReading(260.0, 100.0))
    anchor = Anchor(AnchorCell("http1", "hot"), AnchorReading(200.0, 80.0), rounds)
    assert (anchor.factor, anchor.cpu_factor) == (1.25, 1.25)
    assert replace(anchor, profiled=AnchorReading(125.0, 0.0)).cpu_factor == 2.0
