"""How long calls at the same time take: the mean of the longest, not the longest of the means. Pure numpy.

Each call takes a lognormal time of a given mean and variance, independent of the others, as in the sampled percentiles.
The distribution of the longest, Π Gᵢ(t), is summed over a grid of log time; a step of it belongs to calls in proportion
to the growth of log Gᵢ there. A call that takes one time only is spread over half a step of the grid.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.models.types import Floats

_POINTS: Final = 49
_LOW: Final = 4.0
_HIGH: Final = 3.5
_LEAST_LOG: Final = -700.0
_OFTEN: Final = 0.2
"""Waits of a stage are apart from what else varies where so many of its calls wait; rarer ones want no wider grid."""

_MOST_OF_A_WAIT: Final = 4.0
_LINEAR: Final = 1.5976
_CUBIC: Final = 0.07056598


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
    always = (certain >= 1.0).any(axis=1)
    grid, logs = _distributions(means, variances, certain, likely, waiting)
    if likely.any():
        maybe = np.log(np.maximum(1.0 - likely[:, :, None] * -np.expm1(logs), 1e-300))
        logs = certain[:, :, None] * logs + maybe
    else:
        logs *= certain[:, :, None]
    logs[:, :, -1] = 0.0
    whole = np.exp(np.maximum(logs.sum(axis=1), _LEAST_LOG))
    none = np.where(always, 0.0, np.prod(1.0 - likely, axis=1))
    grown, growth = np.diff(whole, axis=1), np.diff(logs, axis=2)
    total = growth.sum(axis=1, keepdims=True)
    shares = np.divide(growth, total, out=np.zeros_like(growth), where=total > 0.0)
    steps = np.exp(grid)
    times = (steps[:, 1:] + steps[:, :-1]) / 2.0
    # What lies below the grid is the share of its first step, as far as any call happens.
    grown[:, 0] += np.maximum(whole[:, 0] - none, 0.0)
    parts = shares * grown[:, None, :]
    decides, taken = parts.sum(axis=2), (parts * times[:, None, :]).sum(axis=2)
    known = decides.sum(axis=1)
    scale = np.divide(1.0 - none, known, out=np.zeros_like(known), where=known > 0.0)[:, None]
    decides, taken = decides * scale, taken * scale
    mean = taken.sum(axis=1)
    squares = scale[:, 0] * (grown * times**2).sum(axis=1)
    return Longest(mean, np.maximum(squares - mean**2, 0.0), decides, taken - decides * means)


def _distributions(
    means: Floats, variances: Floats, certain: Floats, likely: Floats, waiting: Floats | None
) -> tuple[Floats, Floats]:
    """A grid of log times for each stage, and the logarithm of one copy's distribution on it for each call."""
    kinds, chance = [(means, variances)], np.zeros(means.shape)
    if waiting is not None and waiting[0].any():
        often = (waiting[0] * (certain + likely)).sum(axis=1) > _OFTEN
        chance, wait, wait_variance, counted = waiting * often[:, None]
        calm = np.maximum(means - chance * wait, 1e-9), np.maximum(variances - counted, 0.0)
        kinds = [calm, (calm[0] + wait, calm[1] + wait_variance)]
    score = _HIGH + np.sqrt(2.0 * np.log(certain + likely + 1.0))
    spreads = [np.sqrt(np.log1p(variance / mean**2)) for mean, variance in kinds]
    middles = [np.log(mean) - spread**2 / 2.0 for (mean, _), spread in zip(kinds, spreads, strict=True)]
    lows = middles[0] - _LOW * spreads[0]
    always = certain >= 1.0
    low = np.where(always.any(axis=1), np.where(always, lows, -np.inf).max(axis=1), lows.min(axis=1))
    ends = [(middle + score * spread).max(axis=1) for middle, spread in zip(middles, spreads, strict=True)]
    step = (np.maximum(np.max(ends, axis=0), low + 1e-9) - low) / (_POINTS - 1)
    grid = low[:, None] + step[:, None] * np.arange(_POINTS)
    logs = [_log_below(grid, mean, variance, step) for mean, variance in kinds]
    if len(logs) == 1:
        return grid, logs[0]
    share = chance[:, :, None]
    below = (1.0 - share) * np.exp(logs[0]) + share * np.exp(logs[1])
    return grid, np.log(np.maximum(below, 1e-300))


def _log_below(grid: Floats, means: Floats, variances: Floats, step: Floats) -> Floats:
    """Logarithm of the probability to be below each time of the grid; nothing is sharper than half a step of it."""
    spread = np.maximum(np.sqrt(np.log1p(variances / means**2)), step[:, None] / 2.0)
    middle = np.log(means) - spread**2 / 2.0
    return _log_normal((grid[:, None, :] - middle[:, :, None]) / spread[:, :, None])


def _log_normal(scores: Floats) -> Floats:
    """Logarithm of the normal distribution, by a logistic one of a cubic: it is right to 0.0002."""
    found = scores**2
    found *= -_CUBIC
    found -= _LINEAR
    found *= scores
    return np.asarray(-np.logaddexp(0.0, found))


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
    relative = np.divide(2.0, busy, out=np.full_like(busy, _MOST_OF_A_WAIT), where=busy > 0.0) - 1.0
    return np.asarray(waits**2 * np.minimum(relative, _MOST_OF_A_WAIT))
