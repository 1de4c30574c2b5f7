"""Change points of series whose truth is known: none where nothing changes, and those that were injected."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.comparison.change_points import SHORTEST, chance, change_points, levels
from profiler.comparison.significance import Error, Measured, benjamini_hochberg

ONE_FIGURE = 0.05
FORTY_FIGURES = 0.05 / 40
SEEDS = range(200)


def series(seed: int, shifts: dict[int, float], count: int = 30, own: float = 1.0) -> list[Measured]:
    """Runs that scatter by 1 about levels that move by `shifts`, with intervals of `own`."""
    source = random.Random(seed)  # noqa: S311 (a simulation)
    level, runs = 100.0, []
    for number in range(count):
        level += shifts.get(number, 0.0)
        runs.append(Measured(level + source.gauss(0.0, 1.0), (Error(own**2, 5),)))
    return runs


def places(runs: list[Measured], most: float = FORTY_FIGURES) -> list[int]:
    return [point.at for point in change_points(runs, most)]


def test_histories_that_do_not_change_rarely_have_a_change() -> None:
    """Of one figure at its own 5 %, and of a family of forty."""
    assert sum(bool(places(series(seed, {}), ONE_FIGURE)) for seed in SEEDS) <= 0.05 * len(SEEDS)
    alarms = sum(any(places(series(1000 * seed + number, {})) for number in range(40)) for seed in range(60))
    assert alarms <= 0.05 * 60


def test_a_shift_of_three_sigma_is_found_at_its_place() -> None:
    """To the run next to it: at three sigma no method places more than about 86 of 100 on the very run."""
    found = [places(series(seed, {8 + seed % 15: 3.0})) for seed in SEEDS]
    near = sum(len(at) == 1 and abs(at[0] - 8 - seed % 15) <= 1 for seed, at in zip(SEEDS, found, strict=True))
    exact = sum(at == [8 + seed % 15] for seed, at in zip(SEEDS, found, strict=True))
    assert near >= 0.9 * len(SEEDS)
    assert exact >= 0.75 * len(SEEDS)


def test_the_range_of_places_holds_the_true_one() -> None:
    held, found = 0, 0
    for seed in SEEDS:
        for point in change_points(series(seed, {15: 3.0}), ONE_FIGURE)[:1]:
            found += 1
            held += point.earliest <= 15 <= point.latest
    assert found >= 0.95 * len(SEEDS)
    assert held >= 0.93 * found


def test_a_cost_that_came_and_went_is_two_changes() -> None:
    found = [places(series(seed, {10: 4.0, 20: -4.0})) for seed in SEEDS]
    near = [at for at in found if len(at) == 2 and abs(at[0] - 10) <= 1 and abs(at[1] - 20) <= 1]
    assert len(near) >= 0.9 * len(SEEDS)


def test_stairs_are_a_change_at_each_step() -> None:
    found = [places(series(seed, {10: 6.0, 20: 6.0})) for seed in range(50)]
    assert sum(at == [10, 20] for at in found) >= 45


def test_a_change_within_the_runs_own_intervals_is_none() -> None:
    """Runs that agree better than their intervals allow say less than they seem to."""
    runs = series(1, {15: 3.0})
    assert len(places(runs)) == 1
    wide = [Measured(run.value, (Error(100.0, 5),)) for run in runs]
    assert places(wide) == []


def test_a_change_within_the_scatter_of_the_runs_is_none() -> None:
    alarms = sum(bool(places(series(seed, {}, own=0.001), ONE_FIGURE)) for seed in SEEDS)
    assert alarms <= 0.05 * len(SEEDS)


def test_one_odd_run_is_no_change() -> None:
    runs = series(2, {12: 8.0, 13: -8.0})
    assert places(runs) == []


def test_the_interval_of_a_change_holds_the_shift() -> None:
    held = 0
    for seed in range(100):
        (point, *_) = change_points(series(seed, {15: 5.0}), ONE_FIGURE)
        low, high = point.difference.interval or (0.0, 0.0)
        held += low <= 5.0 <= high
    assert held >= 90


def test_equal_runs_and_few_runs_have_no_change() -> None:
    assert chance([Measured(1.0, (Error(0.0, 5),))] * 30) == 1.0
    assert chance(series(1, {2: 99.0}, count=5)) == 1.0
    assert change_points([], ONE_FIGURE) == []


@given(st.lists(st.floats(-1e9, 1e9), max_size=40), st.floats(1e-6, 0.9))
@settings(max_examples=60)
def test_levels_cover_all_runs_and_none_is_shorter_than_the_shortest(values: list[float], most: float) -> None:
    runs = [Measured(value, (Error(1.0, 5),)) for value in values]
    found = change_points(runs, most)
    parts = levels(values, found) if values else []
    assert [place for first, last, _ in parts for place in range(first, last + 1)] == list(range(len(values)))
    assert all(last - first + 1 >= SHORTEST for first, last, _ in parts) or not found
    assert all(point.earliest <= point.at <= point.latest for point in found)


def test_the_order_of_time_reversed_has_the_same_changes() -> None:
    for seed in range(20):
        runs = series(seed, {12: 5.0})
        assert places(runs[::-1]) == [30 - at for at in places(runs)[::-1]]


@pytest.mark.parametrize(
    ("probabilities", "most"),
    [([], 0.0), ([0.06], 0.0), ([0.04], 0.05), ([0.03, 0.04], 0.05), ([0.03, 0.06], 0.0), ([0.01, 0.9], 0.025)],
)
def test_benjamini_and_hochbergs_limit(probabilities: list[float], most: float) -> None:
    assert benjamini_hochberg(probabilities, 0.05) == pytest.approx(most)
