"""How long calls at the same time take: the mean of the longest, not the longest of the means. Pure numpy.

Each call takes a lognormal time of a given mean and variance, independent of the others, as in the sampled percentiles.
The distribution of the longest, Π Gᵢ(t), is summed over a grid of log time; a step of it belongs to calls in proportion
to the growth of Gᵢ there times the product of the others. A call that takes one time only is spread over half a step of
the grid. Where calls are so far apart that only chance decides which is the longest, no grid is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from predictor.models.types import Floats
from predictor.predict.schedule import RAREST

Booleans = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_POINTS: Final = 33
_APART: Final = 2.5
"""Calls are apart where so many deviations of both fit between their means: the mean of the longer one is that of the
longest to less than a thousandth."""

_BLOCK: Final = 16_384
"""So many probabilities are worked out at once: they fit into a CPU's cache."""

_LOW: Final = 4.0
_HIGH: Final = 3.5
_LEAST: Final = 1e-300
_OFTEN: Final = 0.2
"""Waits of a stage are apart from what else varies where so many of its calls wait; rarer ones want no wider grid."""

_MOST_OF_A_WAIT: Final = 4.0
_LINEAR: Final = 1.5976
_CUBIC: Final = 0.07056598
_SCALE: Final = -(_CUBIC ** (1 / 3))


@dataclass(frozen=True, slots=True)
class Longest:
    """Stages in rows, their calls in columns.

    `mean` and `variance` are by stage, in ns. By call, `decides` is how often one of its copies is the longest, and
    `excess` what its time then is above its mean, in ns per request: mean = Σ decides × call's mean + excess.
    """

    mean: Floats
    variance: Floats
    decides: Floats
    excess: Floats


def longest(
    means: Floats, variances: Floats, certain: Floats, likely: Floats, waiting: Floats | None = None
) -> Longest:
    """The longest call of each stage.

    Args:
        means: mean time of one copy of each call in ns, stages × calls.
        variances: its variance.
        certain: how many copies there are in any case.
        likely: probability of one more.
        waiting: of the hop of each call, the rows of `hop_waits`; what they count is in `variances`. Waits are apart
            from what else varies: most calls of few, and the longest of many, are decided by whether they wait.
    """
    means = np.maximum(means, 1e-9)
    found, apart = _apart(means, variances, certain, likely)
    waited = np.zeros(len(means), dtype=np.bool_)
    if waiting is not None:
        waited = (waiting[0] * (certain + likely)).sum(axis=1) > _OFTEN
    for rows, wait in _blocks(np.flatnonzero(~apart), means.shape[1], waited):
        among = np.ascontiguousarray(waiting[:, rows].transpose(0, 2, 1)) if wait and waiting is not None else None
        one = _summed(*_contiguous(means[rows], variances[rows]), *_contiguous(certain[rows], likely[rows]), among)
        found.mean[rows], found.variance[rows] = one.mean, one.variance
        found.decides[rows], found.excess[rows] = one.decides, one.excess
    return found


def _apart(means: Floats, variances: Floats, certain: Floats, likely: Floats) -> tuple[Longest, Booleans]:
    """The longest where only chance decides which call it is, and for which stages that is so."""
    stages = np.arange(len(means))[:, None]
    order = np.argsort(-means, axis=1, kind="stable")
    mean, variance, copies = means[stages, order], variances[stages, order], (certain + likely)[stages, order]
    often = np.minimum(copies, 1.0)
    deviation = _APART * np.sqrt(variance)
    decides = often.copy()
    decides[:, 1:] *= np.cumprod(1.0 - often[:, :-1], axis=1)
    shorter = np.zeros_like(mean)
    shorter[:, :-1] = np.maximum.accumulate((mean + deviation)[:, :0:-1], axis=1)[:, ::-1]
    alone = (mean - deviation > shorter) & ((copies <= 1.0) | (deviation == 0.0))
    weighted = decides * mean
    total = weighted.sum(axis=1)
    squares = (weighted * mean + decides * variance).sum(axis=1)
    shares = np.empty_like(means)
    shares[stages, order] = decides
    found = Longest(total, np.maximum(squares - total**2, 0.0), shares, np.zeros_like(means))
    return found, (alone | (decides <= 0.0)).all(axis=1)


def _blocks(rows: Indices, calls: int, waited: Booleans) -> Iterator[tuple[Indices, bool]]:
    """The rows in blocks that fit into a cache, those whose waits are apart after the others, and which these are."""
    size = max(_BLOCK // (calls * _POINTS), 1)
    for wait in (False, True):
        part = rows[waited[rows] == wait]
        for start in range(0, len(part), size):
            yield part[start : start + size], wait


def _contiguous(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Both transposed, calls × stages."""
    return np.ascontiguousarray(first.T), np.ascontiguousarray(second.T)


def _summed(means: Floats, variances: Floats, certain: Floats, likely: Floats, waiting: Floats | None) -> Longest:
    """The longest call of each stage from its distribution on a grid; arguments as of `longest`, calls × stages.

    Tables are calls × steps × stages, so that sums and products go along the memory.
    """
    always = (certain >= 1.0).any(axis=0)
    grid, below = _distributions(means, variances, certain, likely, waiting)
    below[:, -1] = 1.0
    done = _all_copies(below, certain[:, None], likely[:, None])
    whole = done.prod(axis=0)
    none = np.where(always, 0.0, np.prod(1.0 - likely, axis=0))
    grown = whole[1:] - whole[:-1]
    growth = _others((done[:, 1:] + done[:, :-1]) / 2.0)
    growth *= done[:, 1:] - done[:, :-1]
    total = growth.sum(axis=0)
    steps = np.exp(grid)
    times = (steps[1:] + steps[:-1]) / 2.0
    # What lies below the grid is the share of its first step, at its beginning, as far as any call happens.
    below_grid = np.maximum(whole[0] - none, 0.0)
    grown[0] += below_grid
    times[0] -= (times[0] - steps[0]) * below_grid / np.maximum(grown[0], _LEAST)
    growth *= grown / np.maximum(total, _LEAST)
    decides = growth.sum(axis=1)
    growth *= times
    taken = growth.sum(axis=1)
    squares = (growth.sum(axis=0) * times).sum(axis=0)
    known = decides.sum(axis=0)
    scale = np.divide(1.0 - none, known, out=np.zeros_like(known), where=known > 0.0)
    decides, taken, squares = decides * scale, taken * scale, squares * scale
    mean = taken.sum(axis=0)
    return Longest(mean, np.maximum(squares - mean**2, 0.0), decides.T, (taken - decides * means).T)


def _all_copies(below: Floats, certain: Floats, likely: Floats) -> Floats:
    """The probability that all copies of a call are below, from that of one, which is overwritten."""
    if (certain + likely).max() <= 1.0:
        below *= certain + likely
        below += 1.0 - certain - likely
        return below
    return np.asarray(below**certain * (1.0 - likely * (1.0 - below)))


def _others(values: Floats) -> Floats:
    """For each call the product over all other calls of its stage."""
    found = np.empty_like(values)
    found[0], found[-1] = 1.0, 1.0
    for before, value in pairwise(range(len(values) - 1)):
        np.multiply(found[before], values[before], out=found[value])
    if len(values) > 1:
        np.multiply(found[-2], values[-2], out=found[-1])
    after = values[-1].copy()
    for call in reversed(range(len(values) - 1)):
        found[call] *= after
        after *= values[call]
    return found


def _distributions(
    means: Floats, variances: Floats, certain: Floats, likely: Floats, waiting: Floats | None
) -> tuple[Floats, Floats]:
    """A grid of log times for each stage (steps × stages), and one copy's distribution on it for each call."""
    kinds, chance = [(means, variances)], np.zeros(means.shape)
    if waiting is not None:
        chance, wait, wait_variance, counted = waiting
        calm = np.maximum(means - chance * wait, 1e-9), np.maximum(variances - counted, 0.0)
        kinds = [calm, (calm[0] + wait, calm[1] + wait_variance)]
    score = _HIGH + np.sqrt(2.0 * np.log(certain + likely + 1.0))
    spreads = [np.sqrt(np.log1p(variance / mean**2)) for mean, variance in kinds]
    middles = [np.log(mean) - spread**2 / 2.0 for (mean, _), spread in zip(kinds, spreads, strict=True)]
    lows = middles[0] - _LOW * spreads[0]
    always = certain >= 1.0
    low = np.where(always.any(axis=0), np.where(always, lows, -np.inf).max(axis=0), lows.min(axis=0))
    ends = [(middle + score * spread).max(axis=0) for middle, spread in zip(middles, spreads, strict=True)]
    step = (np.maximum(np.max(ends, axis=0), low + 1e-9) - low) / (_POINTS - 1)
    grid = low + step * np.arange(_POINTS)[:, None]
    below = [_below(grid, mean, spread, step) for (mean, _), spread in zip(kinds, spreads, strict=True)]
    if len(below) == 1:
        return grid, below[0]
    below[0] *= (1.0 - chance)[:, None]
    below[1] *= chance[:, None]
    below[0] += below[1]
    return grid, below[0]


def _below(grid: Floats, means: Floats, spreads: Floats, step: Floats) -> Floats:
    """The probability to be below each time of the grid; nothing is sharper than half a step of it."""
    spreads = np.maximum(spreads, step / 2.0)
    middles = np.log(means) - spreads**2 / 2.0
    scores = grid - middles[:, None]
    scores *= (_SCALE / spreads)[:, None]
    return _normal(scores)


def _normal(scaled: Floats) -> Floats:
    """The normal distribution at scores times `_SCALE`, by a logistic one of a cubic: it is right to 0.0002."""
    found = scaled * scaled
    found += _LINEAR / -_SCALE
    found *= scaled
    with np.errstate(over="ignore"):  # so far below that the probability is none
        np.exp(found, out=found)
    found += 1.0
    return np.asarray(np.reciprocal(found, out=found))


def hop_variance(means: Floats, spreads: Floats, waits: Floats, busy: Floats) -> Floats:
    """Variance of hops' overhead, edges × sides summed: lognormal of that mean and sigma, and exponential waits.

    A wait happens with the probability `busy`, and is `waits` on average over all calls. Rare ones vary by far more
    than the longest of a few calls feels, so what they count is bounded.
    """
    lognormal = means**2 * np.expm1(spreads**2)
    return np.asarray((lognormal + _counted(waits, busy)).sum(axis=1))


def hop_waits(waits: Floats, busy: Floats) -> Floats:
    """Whether and how long hops wait, from edges × sides: 4 × edges.

    The rows are the probability to wait at one side or both, mean and variance of the time where it does, and what
    `hop_variance` has of it.
    """
    chance = 1.0 - np.prod(1.0 - np.where(waits > 0.0, busy, 0.0), axis=1)
    whole = waits.sum(axis=1)
    mean = np.divide(whole, chance, out=np.zeros_like(whole), where=chance > 0.0)
    squares = np.divide(2.0 * waits**2, busy, out=np.zeros_like(waits), where=busy > 0.0) - waits**2
    variance = squares.sum(axis=1) + whole**2
    variance = np.divide(variance, chance, out=np.zeros_like(variance), where=chance > 0.0) - mean**2
    return np.stack([chance, mean, np.maximum(variance, 0.0), _counted(waits, busy).sum(axis=1)])


def _counted(waits: Floats, busy: Floats) -> Floats:
    relative = np.divide(2.0, busy, out=np.ones_like(busy), where=busy >= RAREST) - 1.0
    return np.asarray(waits**2 * np.minimum(relative, _MOST_OF_A_WAIT))
