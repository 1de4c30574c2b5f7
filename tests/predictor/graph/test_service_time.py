"""Service times: means against numbers worked out another way, and bounds."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.graph.service_time import LONGEST_NS, ServiceTime
from predictor.predict.own_times import variance_ns2


def test_two_percentiles_are_a_lognormal_with_its_mean() -> None:
    sigma = 0.7
    points = tuple((percent, 1e6 * math.exp(sigma * score)) for percent, score in ((50.0, 0.0), (84.1344746, 1.0)))
    assert ServiceTime.from_percentiles(points).mean_ns == pytest.approx(1e6 * math.exp(sigma**2 / 2), rel=1e-6)


def test_a_steep_segment_within_the_percentiles_has_a_mean() -> None:
    time = ServiceTime.from_percentiles(((50.0, 1e6), (50.1, 10e6), (99.0, 10e6)))
    assert time.mean_ns == pytest.approx(_by_quadrature(time), rel=2e-3)


def _by_quadrature(time: ServiceTime) -> float:
    count = 200_000
    return sum(time.quantile_ns((index + 0.5) / count) for index in range(count)) / count


@pytest.mark.parametrize(
    "points", [((90.0, 1e6), (91.0, 1e7)), ((99.0, 1e6), (99.1, 1e7)), ((50.0, 1.0), (50.01, 1e18))]
)
def test_steep_last_percentiles_are_not_bounded(points: tuple[tuple[float, float], ...]) -> None:
    assert not ServiceTime.from_percentiles(points).bounded()
    assert not ServiceTime.from_percentiles(points, 1e6).bounded()


def test_measured_percentiles_lose_the_last_ones_where_they_are_too_steep() -> None:
    time = ServiceTime.measured(((50.0, 1e6), (90.0, 1e6), (99.0, 1e16)), 2e6)
    assert time.percentiles == ((50.0, 1e6), (90.0, 1e6))
    assert time.bounded()


@given(
    st.lists(
        st.tuples(st.floats(0.01, 99.99), st.floats(0, LONGEST_NS)), min_size=1, max_size=5, unique_by=lambda p: p[0]
    )
)
def test_any_percentiles_have_a_mean_or_are_not_bounded(points: list[tuple[float, float]]) -> None:
    percents, times = sorted(percent for percent, _ in points), sorted(ns for _, ns in points)
    time = ServiceTime.from_percentiles(tuple(zip(percents, times, strict=True)))
    assert time.bounded() == (0 <= time.mean_ns <= LONGEST_NS and _rare(time) <= LONGEST_NS)


def _rare(time: ServiceTime) -> float:
    try:
        return time.quantile_ns(1 - 1e-6)
    except OverflowError:
        return math.inf


@pytest.mark.parametrize(
    "time",
    [
        ServiceTime.exponential(2e6),
        ServiceTime.lognormal(2e6, 0.7),
        ServiceTime.from_percentiles(((50.0, 1e6), (90.0, 2e6), (99.0, 9e6))),
    ],
    ids=lambda time: time.kind,
)
def test_the_mean_is_the_integral_of_the_quantiles(time: ServiceTime) -> None:
    steps = 20_000
    mean = sum(time.quantile_ns((step + 0.5) / steps) for step in range(steps)) / steps
    assert mean == pytest.approx(time.mean_ns, rel=0.01)


def test_two_percentiles_make_a_lognormal() -> None:
    sigma = math.log(4) / NormalDist().inv_cdf(0.99)
    time = ServiceTime.from_percentiles(((50.0, 1e6), (99.0, 4e6)))
    assert time.mean_ns == pytest.approx(1e6 * math.exp(sigma**2 / 2))
    assert time.quantile_ns(0.99) == pytest.approx(4e6)


@pytest.mark.parametrize(
    "time",
    [
        ServiceTime.constant(2e6),
        ServiceTime.exponential(2e6),
        ServiceTime.lognormal(2e6, 0.8),
        ServiceTime.constant(0.0),
    ],
    ids=lambda time: f"{time.kind} {time.mean_ns:g}",
)
def test_a_longer_time_is_longer_on_average_and_varies_as_before(time: ServiceTime) -> None:
    longer = time.longer(5e5)
    assert longer.mean_ns == time.mean_ns + 5e5
    assert variance_ns2(longer) == pytest.approx(variance_ns2(time), rel=1e-9)


def test_percentiles_of_a_longer_time_are_longer() -> None:
    longer = ServiceTime.from_percentiles(((50.0, 1e6), (90.0, 3e6))).longer(5e5)
    assert [longer.quantile_ns(share) for share in (0.5, 0.9)] == pytest.approx([1.5e6, 3.5e6])
