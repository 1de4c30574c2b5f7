"""Where a figure changed in a series of runs: circular binary segmentation with a level of significance. Pure.

A stretch of runs that differs most from all others is looked for (Olshen and others, 2004), so that a cost that came
and went is found like one that stayed. It counts where neither the scatter of the runs (Student's t) nor their own
intervals explain the difference, by Bonferroni's correction over all stretches. Then its parts are searched in the same
way. The levels on both sides of each change point must differ, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.intervals import Z95, student_factor
from profiler.comparison.significance import Difference, Error, Measured, difference, tail

SHORTEST: Final = 3
"""Fewer runs in a row are no level: one odd run is none."""
FEWEST: Final = 2 * SHORTEST
"""So many runs are needed to search at all."""
_ALPHA: Final = 0.05
_FREEDOM_OF_MEANS: Final = 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """`at` is the number of the first run after the change; `earliest` to `latest` hold it in 95 of 100 cases.

    The difference is that of the levels on both sides; its interval holds the scatter of the runs and their errors.
    """

    at: int
    earliest: int
    latest: int
    before: float
    after: float
    difference: Difference


def chance(runs: Sequence[Measured]) -> float:
    """Probability of a stretch this different in a series of runs that do not change; 1 for too few runs."""
    return _stretch(np.array([run.value for run in runs]), runs, 0, len(runs))[2] if len(runs) >= FEWEST else 1.0


def change_points(runs: Sequence[Measured], most: float) -> list[ChangePoint]:
    """The changes in a series of runs, in their order. `most` is the largest `chance` that counts."""
    values = np.array([run.value for run in runs])
    found = sorted(_boundaries(values, runs, 0, len(runs), most))
    for _ in runs:  # a boundary that goes moves its neighbours; rounding must not make this endless
        moved = _moved(values, found)
        around = _around(moved, len(runs))
        kept = [at for at, (low, high) in zip(moved, around, strict=True) if _differs(runs, low, at, high)]
        if kept == found:
            break
        found = kept
    return [
        _described(values, runs, low, at, high)
        for at, (low, high) in zip(found, _around(found, len(runs)), strict=True)
    ]


def levels(values: Sequence[float], found: Sequence[ChangePoint]) -> list[tuple[int, int, float]]:
    """First and last run of each level with the mean of its runs."""
    ends = [0, *(point.at for point in found), len(values)]
    return [(low, high - 1, math.fsum(values[low:high]) / (high - low)) for low, high in pairwise(ends)]


def _around(found: Sequence[int], count: int) -> list[tuple[int, int]]:
    """The boundaries before and after each."""
    ends = [0, *found, count]
    return list(zip(ends, ends[2:], strict=False))


def _boundaries(values: Floats, runs: Sequence[Measured], low: int, high: int, most: float) -> list[int]:
    """Ends of stretches that differ from the rest of the runs from `low` to `high`, and of those within their parts."""
    if high - low < FEWEST:
        return []
    first, last, p = _stretch(values, runs, low, high)
    if p > most:
        return []
    ends = [end for end in (first, last) if low < end < high]
    parts = pairwise([low, *ends, high])
    return ends + [at for start, end in parts for at in _boundaries(values, runs, start, end, most)]


def _stretch(values: Floats, runs: Sequence[Measured], low: int, high: int) -> tuple[int, int, float]:
    """The stretch [first, last) that differs most, and the probability that it does so by chance."""
    first, last, tried = _most_different(values[low:high])
    first, last = first + low, last + low
    rest = [*runs[low:first], *runs[last:high]]
    return first, last, min(1.0, tried * _probability(rest, runs[first:last]))


def _most_different(values: Floats) -> tuple[int, int, int]:
    """The stretch whose mean is least likely that of the rest, as [first, last), and how many were tried."""
    count = len(values)
    sums = np.concatenate([[0.0], np.cumsum(values - values.mean())])
    first, last = np.triu_indices(count + 1, SHORTEST)
    whole = (last - first <= count - SHORTEST) & ((first == 0) | (first >= SHORTEST))
    whole &= (last == count) | (last <= count - SHORTEST)
    # A stretch at the end is the rest of one at the beginning.
    whole &= ~((last == count) & (first > 0))
    first, last = first[whole], last[whole]
    inside = last - first
    between = (sums[last] - sums[first]) ** 2 * count / (inside * (count - inside))
    best = int(np.argmax(between))
    return int(first[best]), int(last[best]), len(first)


def _moved(values: Floats, found: Sequence[int]) -> list[int]:
    """Each boundary where it splits the runs between its neighbours best."""
    moved = list(found)
    for number in range(len(moved)):
        low = moved[number - 1] if number else 0
        high = moved[number + 1] if number + 1 < len(moved) else len(values)
        if high - low >= FEWEST:
            moved[number] = low + SHORTEST + int(np.argmax(_between(values[low:high])))
    return moved


def _between(values: Floats) -> Floats:
    """Sum of squares that a split explains, for each split that leaves `SHORTEST` runs on both sides."""
    count = len(values)
    splits = np.arange(SHORTEST, count - SHORTEST + 1)
    sums = np.cumsum(values - values.mean())[splits - 1]
    found: Floats = sums**2 * count / (splits * (count - splits))
    return found


def _differs(runs: Sequence[Measured], low: int, at: int, high: int) -> bool:
    """Whether the runs on both sides of a boundary differ; the stretches that it ends are significant already."""
    splits = high - low - FEWEST + 1
    return splits > 0 and splits * _probability(runs[low:at], runs[at:high]) < _ALPHA


def _probability(one: Sequence[Measured], two: Sequence[Measured]) -> float:
    """Of a difference this large where there is none: the larger of that by the scatter and that by the intervals."""
    gap, spread, freedom = _scatter(one, two)
    by_scatter = tail(gap / spread, freedom) if spread > 0.0 else float(gap == 0.0)
    own = _own(one, two).p
    return 1.0 if own is None else max(own, by_scatter)


def _scatter(one: Sequence[Measured], two: Sequence[Measured]) -> tuple[float, float, int]:
    """Difference of the means, its standard error by the scatter of the runs, and its degrees of freedom."""
    first, second = (np.array([run.value for run in side]) for side in (one, two))
    freedom = len(first) + len(second) - _FREEDOM_OF_MEANS
    within = float(((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum())
    spread = math.sqrt(within / freedom * (1 / len(first) + 1 / len(second)))
    return float(second.mean() - first.mean()), spread, freedom


def _own(one: Sequence[Measured], two: Sequence[Measured]) -> Difference:
    """The difference of the means by the intervals of the runs, each with the drift of its machine."""
    return difference(_mean(one), _mean(two))


def _mean(runs: Sequence[Measured]) -> Measured:
    count = len(runs)
    errors = tuple(Error(error.variance / count**2, error.freedom) for run in runs for error in run.all_errors())
    return Measured(math.fsum(run.value for run in runs) / count, errors)


def _described(values: Floats, runs: Sequence[Measured], low: int, at: int, high: int) -> ChangePoint:
    one, two = runs[low:at], runs[at:high]
    own = _own(one, two)
    _, spread, freedom = _scatter(one, two)
    half = max(own.half or 0.0, Z95 * student_factor(freedom) * spread)
    first, last = _place(values[low:high])
    before, after = (float(values[start:end].mean()) for start, end in ((low, at), (at, high)))
    return ChangePoint(at, low + first, low + last, before, after, Difference(own.value, half, own.p))


def _place(values: Floats) -> tuple[int, int]:
    """The first and last split that explain the runs almost as well as the best.

    Twice the logarithm of the likelihood is less by at most 3.84, the 95 % point of one degree of freedom.
    """
    between = _between(values)
    total = float(((values - values.mean()) ** 2).sum())
    rest = total - between
    variance = float(rest.min()) / max(1, len(values) - _FREEDOM_OF_MEANS)
    near = np.flatnonzero(between.max() - between <= Z95**2 * variance) + SHORTEST
    return int(near[0]), int(near[-1])
