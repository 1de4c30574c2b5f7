import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from profiler.attribution.statistics import bootstrap_interval, middle, middle_mean, spread_ties, steady_from


def test_spread_ties_recovers_the_median_that_whole_microseconds_hide() -> None:
    exact = np.random.default_rng(1).normal(20_300, 1500, 20_001)
    read = (exact // 1000 * 1000 + 500).astype(np.int64)
    assert abs(np.median(spread_ties(read, 1000)) - np.median(exact)) < 30
    assert abs(np.median(read) - np.median(exact)) > 150


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_spread_ties_moves_no_value_by_more_than_half_a_step(values: list[int]) -> None:
    spread = spread_ties(np.array(values, dtype=np.int64), 1000)
    assert np.all(np.abs(spread - np.sort(values)) <= 500)


@given(st.integers(0, 2**32 - 1))
def test_middle_means_of_parts_add_up_to_the_middle_mean_of_the_whole(seed: int) -> None:
    parts = np.random.default_rng(seed).lognormal(size=(200, 5))
    totals = parts.sum(axis=1)
    assert np.isclose(middle_mean(parts, totals).sum(), middle_mean(totals[:, None], totals)[0])


def test_the_middle_mean_is_close_to_the_median_of_a_skewed_distribution() -> None:
    totals = np.random.default_rng(1).lognormal(size=20_000)
    assert abs(middle_mean(totals[:, None], totals)[0] / np.median(totals) - 1) < 0.01


def test_steady_state_begins_after_a_warm_up() -> None:
    random = np.random.default_rng(1)
    series = np.concatenate([np.linspace(500, 100, 300), np.full(2700, 100)]) + random.normal(0, 5, 3000)
    assert 240 <= steady_from(series) <= 400


def test_a_series_that_keeps_rising_has_no_steady_state() -> None:
    series = np.linspace(100, 500, 3000)
    assert steady_from(series) == len(series)


def test_a_flat_series_is_steady_from_early_on() -> None:
    series = np.random.default_rng(1).normal(100, 5, 3000)
    assert steady_from(series) < len(series)


def test_bootstrap_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for trial in range(100):
        rounds = list(random.normal(50.0, 4.0, 20))
        low, high = bootstrap_interval(rounds, lambda drawn: np.array([np.mean(drawn)]), trial)
        covered += bool(low[0] <= 50.0 <= high[0])
    assert 85 <= covered <= 99


@given(st.permutations(range(6)))
def test_the_middle_of_rounds_is_without_the_extremes_in_whatever_order(values: list[int]) -> None:
    assert sorted(middle(values, float)) == [1, 2, 3, 4]
    assert sorted(middle(values[:3], float)) == sorted(values[:3])


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=20))
def test_the_middle_is_never_empty_however_few_there_are(values: list[float]) -> None:
    totals = np.array(values)
    assert min(values) * (1 - 1e-12) <= middle_mean(totals[:, None], totals)[0] <= max(values) * (1 + 1e-12)
