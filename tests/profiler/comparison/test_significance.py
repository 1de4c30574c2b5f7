"""Student's tail against scipy, Holm's correction by hand, intervals against the one definition."""

import math

import pytest
from scipy import stats

from profiler.attribution.intervals import interval
from profiler.comparison.significance import Error, Measured, difference, distance, holm, mean_of, measured_of, tail
from profiler.profile.intervals import Figure

NO_DRIFT = Error(0.0, 10**6)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 11, 24, 199, 200, 1000])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 2.57, 6.0, 15.0])
def test_the_tail_is_that_of_student(t: float, freedom: int) -> None:
    assert tail(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9, abs=1e-9)
    assert tail(-t, freedom) == tail(t, freedom)


def test_many_degrees_of_freedom_are_never_too_significant() -> None:
    for t in (1.0, 2.0, 4.0):
        assert tail(t, 10**6) == tail(t, 1000) > 2 * stats.t.sf(t, 10**6)


def test_holm_multiplies_the_smallest_most_and_never_falls() -> None:
    assert holm([0.02, 0.01, 0.04]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.04, 0.01, 0.9]) == pytest.approx([0.08, 0.03, 0.9])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("rounds", [[10.0, 12.0], [10.0, 11.0, 9.0], [10.0, 11.0, 9.0, 10.0, 12.0, 8.0], []])
def test_the_interval_of_two_equal_runs_is_the_one_definition(rounds: list[float]) -> None:
    drift, figure = 0.03, Figure(10.0, rounds, 0.5)
    one = measured_of(figure, Error(drift**2, 11))
    low, high = interval(10.0, rounds, drift, 0.5) or (0.0, 0.0)
    assert difference(one, one).interval == pytest.approx((low - 10.0, high - 10.0))
    assert distance(one, 4.0).interval == pytest.approx((low - 4.0, high - 4.0))


def test_five_percent_is_where_the_interval_ends() -> None:
    old = Measured(0.0, (Error(4.0, 5),), NO_DRIFT)
    half = difference(old, old).half
    assert half is not None
    edge = difference(old, Measured(half, old.errors, NO_DRIFT))
    assert edge.p == pytest.approx(0.05, rel=0.01)
    assert edge.interval is not None
    assert edge.interval[0] == pytest.approx(0.0, abs=1e-9)


def test_a_single_round_has_no_interval() -> None:
    one = measured_of(Figure(10.0, [10.0], 0.5), NO_DRIFT)
    gap = difference(one, measured_of(Figure(12.0, [12.0, 12.5], 0.0), NO_DRIFT))
    assert (gap.value, gap.interval, gap.p) == (2.0, None, None)


def test_nothing_in_both_runs_is_certain_not_to_differ() -> None:
    nothing = Measured(0.0, (Error(0.0, 5),), NO_DRIFT)
    assert difference(nothing, nothing).p == 1.0
    assert difference(nothing, Measured(1.0, nothing.errors, NO_DRIFT)).p is None


def test_the_mean_averages_scatter_but_not_drift() -> None:
    one = Measured(100.0, (Error(25.0, 5),), Error(0.01, 11))
    mean = mean_of([one] * 4)
    half = difference(Measured(0.0, (Error(0.0, 5),), NO_DRIFT), mean).half
    assert mean.value == 100.0
    assert half == pytest.approx(1.96 * math.sqrt(25.0 / 4 + 100.0))
