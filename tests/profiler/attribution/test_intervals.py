"""Intervals against many pairs of imagined runs: how often one holds the other's estimate."""

import itertools
import math

import numpy as np
import pytest

from profiler.attribution.intervals import interval, lent_scatter, lent_to

VALUE = 100.0


def covered(rounds: int, drift: float, scatter: float, *, lent: float = 0.0) -> float:
    """The share of intervals of runs of so many rounds that hold the estimate of the next run."""
    random = np.random.default_rng(11)
    runs = [
        VALUE * (1 + drift * random.standard_normal()) + scatter * random.standard_normal(rounds) for _ in range(2001)
    ]
    held = 0
    for one, other in itertools.pairwise(runs):
        found = interval(float(one.mean()), one.tolist(), drift, lent=lent)
        assert found is not None
        held += found[0] <= other.mean() <= found[1]
    return held / 2000


@pytest.mark.parametrize("rounds", [2, 3, 4, 10, 40])
def test_95_percent_of_other_runs_lie_inside(rounds: int) -> None:
    assert covered(rounds, drift=0.0, scatter=5.0) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("rounds", [4, 10])
def test_so_they_do_where_the_machine_drifts_between_the_runs(rounds: int) -> None:
    assert covered(rounds, drift=0.05, scatter=5.0) == pytest.approx(0.95, abs=0.02)


def test_few_rounds_with_the_scatter_of_other_components_are_narrower_and_hold_as_much() -> None:
    assert 0.94 <= covered(2, drift=0.0, scatter=5.0, lent=5.0) <= 0.995
    alone, together = (interval(VALUE, [98.0, 102.0], 0.0, lent=lent) for lent in (0.0, 2.0))
    assert alone is not None
    assert together is not None
    assert together[1] - together[0] < 0.25 * (alone[1] - alone[0])


def test_equal_rounds_are_as_uncertain_as_what_is_lent_and_as_the_drift() -> None:
    low, high = interval(VALUE, [100.0, 100.0], 0.1, lent=6.0) or (0.0, 0.0)
    assert high - VALUE == pytest.approx(VALUE - low)
    assert high - VALUE == pytest.approx(math.sqrt(2) * math.hypot(2.57 * 6 / math.sqrt(2), 1.96 * 10))


@pytest.mark.parametrize("rounds", [[90.0, 110.0], [95.0, 105.0, 100.0], [99.0] * 8])
def test_no_interval_is_narrower_than_the_drift(rounds: list[float]) -> None:
    low, high = interval(VALUE, rounds, 0.1 / 2.56) or (0.0, 0.0)
    assert high - low >= 2 * 0.1 * VALUE


def test_of_one_round_nothing_is_known() -> None:
    assert interval(VALUE, [VALUE], 0.1) is None
    assert interval(VALUE, [VALUE], 0.1, error=1.0) is None
    assert interval(VALUE, [], 0.1, error=1.0) is not None


def test_a_negative_figure_drifts_like_a_positive_one() -> None:
    low, high = interval(-VALUE, [-VALUE] * 4, 0.1) or (0.0, 0.0)
    assert low < -VALUE < high


def test_what_components_lend_is_their_scatter_by_the_root_of_their_size() -> None:
    random = np.random.default_rng(3)
    values = [400.0, 300.0, 200.0, 100.0] * 500
    rounds = [(value + 0.5 * math.sqrt(value) * random.standard_normal(2)).tolist() for value in values]
    scatter = lent_scatter(values, rounds, 1000.0)
    assert lent_to(400.0, 1000.0, scatter) == pytest.approx(10.0, rel=0.05)
    assert lent_to(100.0, 1000.0, scatter) == pytest.approx(5.0, rel=0.05)
    assert lent_scatter(values, [[*pair, *pair] for pair in rounds], 1000.0) == 0.0
