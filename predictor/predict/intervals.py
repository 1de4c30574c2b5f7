"""Intervals from draws, and of figures with the model's own error in them. Pure numpy."""

from typing import Final

import numpy as np

from predictor.models.types import Floats
from predictor.predict.own_error import widened

FOREIGN_PLATFORM: Final = 0.3
"""Relative error that another CPU model adds (a judgement)."""

_SHARES: Final = (0.025, 0.975)
_SEED: Final = 7


def central(draws: Floats) -> tuple[Floats, Floats]:
    """Both ends of the central 95 % of each row, as `np.quantile` gives them."""
    return central_of_own(draws.copy())


def central_of_own(draws: Floats) -> tuple[Floats, Floats]:
    """The same; leaves the rows of `draws` sorted, which is faster than to find but the ends."""
    draws.sort(axis=1)
    last = draws.shape[1] - 1
    ends = []
    for share in _SHARES:
        place = share * last
        below = int(place)
        low, high = draws[:, below], draws[:, min(below + 1, last)]
        ends.append(low + (high - low) * (place - below))
    return ends[0], ends[1]


def with_own_error(
    values: Floats, low: Floats, high: Floats, error: float, least: float = -np.inf
) -> tuple[Floats, Floats]:
    """The intervals of figures whose draws end at `low` and `high`, which are taken as no less than `least`."""
    low, high = np.minimum(np.maximum(low, least), values), np.maximum(high, values)
    low, high = widened(values, low, high, error)
    return np.minimum(low, values), np.maximum(high, values)


def doubt_draws(count: int, intervals: bool) -> Floats:
    """By how many times its doubt each imagined run is off, the same for all edges; none without intervals."""
    return np.asarray(np.random.default_rng(_SEED).standard_normal(count) * intervals)
