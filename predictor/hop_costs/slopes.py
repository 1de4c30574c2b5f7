"""What a byte costs where a profile does not say: a prior instead of an unlimited doubt. Pure.

A configuration measured at one size alone has no slope by that size. Slopes that were measured anywhere lie between 0.1
and 1 ns per byte and direction, in latency and in CPU time, so a hundred bytes more or less hardly matter, and a
hundred thousand do.
"""

from typing import Final

import numpy as np

from predictor.models.types import Configuration, Cost, Floats
from profiler.vocabulary.components import SOCKET_READ, SOCKET_WRITE

SIZES: Final = ("request_bytes", "response_bytes")
LOWEST_NS: Final = 0.1
HIGHEST_NS: Final = 1.0
"""Both ends of the central 95 % of a slope that was not measured, in ns per byte."""

TYPICAL_NS: Final = float(np.sqrt(LOWEST_NS * HIGHEST_NS))

_SIGMA: Final = float(np.log(HIGHEST_NS / LOWEST_NS) / (2 * 1.96))
_SEED: Final = 11
_TAKERS: Final = (SOCKET_READ, SOCKET_WRITE)
"""Components that get it, in equal parts, as far as the configuration has them: bytes are copied there."""


def unmeasured(item: Configuration) -> tuple[str, ...]:
    """The sizes that a configuration was measured at one value of."""
    return tuple(name for name in SIZES if item.ranges[name][0] == item.ranges[name][1])


def with_prior(item: Configuration, cost: Cost) -> Cost:
    """The cost with a slope for each size that was measured at one value only; at that value nothing changes."""
    for name in unmeasured(item):
        if not any(term.partition(">")[0] == name for term in cost.terms):
            cost = _with_slope(cost, name, item.ranges[name][0])
    return cost


def _with_slope(cost: Cost, name: str, measured_bytes: float) -> Cost:
    takers = [column for column, known in enumerate(cost.components) if known in _TAKERS] or [0]
    share: Floats = np.zeros(len(cost.components))
    share[takers] = 1.0 / len(takers)
    # One seed for all configurations: a byte costs more than is typical everywhere, or nowhere.
    random = np.random.default_rng((_SEED, SIZES.index(name)))
    slopes = TYPICAL_NS * np.exp(_SIGMA * random.standard_normal(len(cost.draws)))
    coefficients = np.vstack([cost.coefficients, TYPICAL_NS * share])
    coefficients[0] -= measured_bytes * TYPICAL_NS * share
    draws = np.concatenate([cost.draws, (slopes[:, None] * share)[:, None, :]], axis=1)
    draws[:, 0] -= measured_bytes * slopes[:, None] * share
    return Cost((*cost.terms, name), cost.components, coefficients, draws, cost.cells)
