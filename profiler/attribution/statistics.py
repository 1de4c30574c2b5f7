"""The few statistics that the figures rest on. Pure arithmetic on numpy arrays.

Means on shared machines are ruled by the host taking the CPU away, so everything quoted is a median, or a mean over
the middle of a distribution. Intervals are in `profiler.attribution.intervals`.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Round = TypeVar("Round")
Entry = TypeVar("Entry")

MIDDLE: Final = (0.4, 0.6)
"""The middle fifth of a distribution: its mean is close to the median, and means of parts add up."""

HELD_UP: Final = 10.0

_MSER_BATCHES: Final = 50
_INTERVAL: Final = (2.5, 97.5)


def spread_ties(values: npt.NDArray[np.int64], resolution_ns: int) -> Floats:
    """Values read off a clock of `resolution_ns`, sorted, with equal ones spread evenly over their step.

    Without it the median of readings in whole microseconds jumps by a whole microsecond (grouped-data median).
    """
    ordered = np.sort(values)
    _, first, inverse, counts = np.unique(ordered, return_index=True, return_inverse=True, return_counts=True)
    rank = np.arange(len(ordered)) - first[inverse]
    return ordered + ((rank + 0.5) / counts[inverse] - 0.5) * resolution_ns


def middle_mask(totals: Floats) -> npt.NDArray[np.bool_]:
    """Which entries lie in the middle fifth of `totals`."""
    low, high = np.quantile(totals, MIDDLE, method="nearest")  # entries themselves: never none, however few there are
    return np.asarray((totals >= low) & (totals <= high))


def middle_mean(parts: Floats, totals: Floats) -> Floats:
    """Mean of each column of `parts` (n × k) over the rows whose total lies in the middle fifth.

    The columns' means add up to the middle mean of the totals, which medians of the columns would not.
    """
    return np.asarray(parts[middle_mask(totals)].mean(axis=0))


def unheld_mask(totals: Floats) -> npt.NDArray[np.bool_]:
    """Which entries are not so long that the machine must have been held up meanwhile: over ten times the median."""
    return np.asarray(totals <= HELD_UP * np.median(totals))


def middle(entries: Sequence[Entry], key: Callable[[Entry], float]) -> list[Entry]:
    """The entries without the lowest and the highest quarter by `key`: for rounds, of which others spoil some.

    Quarters are rounded down to whole entries: up to three are all in the middle.
    """
    cut = len(entries) // 4
    return sorted(entries, key=key)[cut : len(entries) - cut]


def steady_from(series: Floats) -> int:
    """Index from which a series is in its steady state: the truncation point of MSER over batch medians.

    MSER (White 1997) takes the point, within the first half, that minimises the standard error of what remains; where
    that is the very end of the first half no steady state was seen, and the length of the series is returned.
    """
    batch = max(1, len(series) // _MSER_BATCHES)
    medians = np.median(series[: len(series) // batch * batch].reshape(-1, batch), axis=1)
    count = len(medians)
    if count < 4:
        return 0
    errors = [medians[start:].var() / (count - start) for start in range(count // 2 + 1)]
    best = int(np.argmin(errors))
    return best * batch if best < count // 2 else len(series)


def bootstrap_interval(
    rounds: Sequence[Round], statistic: Callable[[list[Round]], Floats], seed: int, resamples: int = 200
) -> tuple[Floats, Floats]:
    """95 % percentile interval of `statistic` (one or more values) by resampling whole rounds with replacement."""
    random = np.random.default_rng(seed)
    draws = [
        statistic([rounds[index] for index in random.integers(0, len(rounds), len(rounds))]) for _ in range(resamples)
    ]
    low, high = np.percentile(np.array(draws), _INTERVAL, axis=0)
    return low, high
