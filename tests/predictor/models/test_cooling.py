"""How idle sidecars cool, from the anchor at low rates."""

import pytest

from predictor.models.cooling import cooling_curve, natural_curve
from profiler.profile.types import CoolingPoint
from tests.predictor.models.profiles import anchor


def point(temperature: str, rate_rps: float | None, overhead_us: float, baseline_us: float = 100.0) -> CoolingPoint:
    with_us = baseline_us + overhead_us
    return CoolingPoint(
        temperature=temperature, rate_rps=rate_rps, with_p50_ns=1e3 * with_us, baseline_p50_ns=1e3 * baseline_us
    )


ENDS = [point("hot", None, 200), point("cold", None, 600)]


def test_positions_are_between_hot_and_cold_by_the_time_between_requests() -> None:
    curve = cooling_curve(anchor(cooling=[*ENDS, point("hot", 50.0, 1000), point("hot", 1000.0, 300)]))
    assert [gap for gap, _ in curve] == pytest.approx([150e3, 600e3, 18.9e6])  # half an answer; 1/rate less an answer
    assert [position for _, position in curve] == pytest.approx([0.0, 0.25, 2.0])


def test_noise_never_makes_it_warmer() -> None:
    curve = cooling_curve(
        anchor(cooling=[*ENDS, point("hot", 1000.0, 150), point("hot", 200.0, 500), point("hot", 50.0, 400)])
    )
    assert [position for _, position in curve] == pytest.approx([0.0, 0.0, 0.75, 0.75])


@pytest.mark.parametrize(
    "points", [[], ENDS, [point("hot", None, 200), point("hot", 50.0, 300)], [*ENDS[:1], point("cold", None, 205)]]
)
def test_without_both_ends_or_rates_there_is_no_curve(points: list[CoolingPoint]) -> None:
    assert cooling_curve(anchor(cooling=points)) == ()
    assert cooling_curve(None) == ()


def test_where_cpus_sleep_the_fastest_natural_point_is_the_end() -> None:
    asleep = [point("natural", 50.0, 900), point("natural", 500.0, 500), point("natural", 200.0, 600)]
    hot, curve = natural_curve(anchor(cooling=[*ENDS, *asleep, point("hot", 50.0, 1000)]))
    assert hot == pytest.approx(200 / 500)
    assert [gap for gap, _ in curve] == pytest.approx([150e3, 1.4e6, 4.3e6, 19e6])
    assert [position for _, position in curve] == pytest.approx([0.0, 1.0, 4 / 3, 7 / 3])


def test_without_natural_points_nothing_is_known_of_sleep() -> None:
    assert natural_curve(anchor(cooling=[*ENDS, point("hot", 50.0, 1000)])) == (1.0, ())
    assert natural_curve(None) == (1.0, ())
