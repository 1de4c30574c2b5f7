"""What a byte costs where a profile does not say: a prior instead of an unlimited doubt. Pure.

A configuration measured at one size alone has no slope by that size. It gets that of configurations like it which have
one: of its protocol, else of its kind of protocol, with or without TLS as it is. Where no cell gives one, it is what
was seen elsewhere. A slope between sizes that are close to one another, which is less certain than that, is replaced
too. So a hundred bytes more or less hardly matter, and a hundred thousand do.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.models.types import BASE, FEATURES, Configuration, Cost, Floats
from profiler.vocabulary.components import SOCKET_READ, SOCKET_WRITE
from profiler.vocabulary.protocols import TCP

SIZES: Final = ("request_bytes", "response_bytes")
LOWEST_NS: Final = 0.1
HIGHEST_NS: Final = 2.0
"""Both ends of the central 95 % of a slope that no cell gives, in ns per byte and direction, of latency or CPU time."""

TYPICAL_NS: Final = float(np.sqrt(LOWEST_NS * HIGHEST_NS))

BORROWED: Final = 2.0
"""A slope taken from other configurations is within this factor of theirs in 95 % of cases (a judgement)."""

_CLOSE_BYTES: Final = 4096.0
"""Sizes no farther from one another tell no slope if noise hides it: so few bytes cost a few µs."""

_LEAST_NS: Final = 0.05
_LEAST_DEVIATION_NS: Final = 0.02
_CENTRAL: Final = 1.96
_SEED: Final = 11
_TAKERS: Final = (SOCKET_READ, SOCKET_WRITE)
"""Components that get it, in equal parts, as far as the configuration has them: bytes are copied there."""


@dataclass(frozen=True, slots=True)
class Prior:
    """A slope in ns per byte, and the factor within which it is in 95 % of cases."""

    typical_ns: float
    factor: float


UNKNOWN: Final = Prior(TYPICAL_NS, HIGHEST_NS / TYPICAL_NS)


@dataclass(frozen=True, slots=True)
class _Slope:
    """A measured slope with its standard deviation, in ns per byte."""

    protocol: str
    tls: str
    value_ns: float
    deviation_ns: float


class Slopes:
    """The slopes by size that the configurations of a model have, for those that have none."""

    def __init__(self, configurations: Iterable[Configuration]) -> None:
        self._known: dict[str, list[_Slope]] = {"latency": [], "cpu": []}
        for item in configurations:
            for currency, known in self._known.items():
                if (cost := item.cost(currency)) is not None:
                    known += _measured(item, cost)

    def prior(self, item: Configuration, currency: str) -> Prior:
        """What a byte of a configuration costs where its own cells do not say."""
        with_tls = [one for one in self._known[currency] if one.tls == item.tls]
        same = [one for one in with_tls if one.protocol == item.protocol]
        of_kind = [one for one in with_tls if (one.protocol == TCP) == (item.protocol == TCP)]
        for found in (same, of_kind):
            if found:
                weights = [max(one.deviation_ns, _LEAST_DEVIATION_NS) ** -2 for one in found]
                mean_ns = float(np.average([one.value_ns for one in found], weights=weights))
                return Prior(max(mean_ns, _LEAST_NS), BORROWED)
        return UNKNOWN

    def completed(self, item: Configuration, cost: Cost, currency: str) -> Cost:
        """The cost with a slope for each size that has none, or a poor one; in the middle of the sizes nothing changes.

        The middle is the measured size where there is one only.
        """
        prior = self.prior(item, currency)
        for name in SIZES:
            if _slope(item, cost, name) is None:
                cost = _with_slope(cost, name, sum(item.ranges[name]) / 2.0, prior)
        return cost


def unmeasured(item: Configuration) -> tuple[str, ...]:
    """The sizes that a configuration was measured at one value of."""
    return tuple(name for name in SIZES if item.ranges[name][0] == item.ranges[name][1])


def _measured(item: Configuration, cost: Cost) -> Iterator[_Slope]:
    for name in SIZES:
        if (found := _slope(item, cost, name)) is not None:
            yield found


def _slope(item: Configuration, cost: Cost, name: str) -> _Slope | None:
    """The mean slope over the measured sizes; None where they tell none, or less than the prior does."""
    low, high = item.ranges[name]
    if low == high:
        return None
    difference = (cost.rows(_only(name, high)) - cost.rows(_only(name, low)))[0] / (high - low)
    draws = np.einsum("t,dtc->d", difference, cost.draws)
    found = _Slope(item.protocol, item.tls, float((difference @ cost.coefficients).sum()), float(np.std(draws)))
    fitted = any(term.partition(">")[0] == name for term in cost.terms)
    known = fitted and _CENTRAL * found.deviation_ns <= HIGHEST_NS
    return found if known or high - low > _CLOSE_BYTES else None


def _only(name: str, size_bytes: float) -> Floats:
    """A row of features with that one alone."""
    return np.array([[size_bytes if feature == name else 0.0 for feature in FEATURES]])


def _with_slope(cost: Cost, name: str, middle_bytes: float, prior: Prior) -> Cost:
    """The cost with the prior for a slope by that size, in place of what it has of that size."""
    takers = [column for column, known in enumerate(cost.components) if known in _TAKERS] or [0]
    share: Floats = np.zeros(len(cost.components))
    share[takers] = 1.0 / len(takers)
    # One seed for all configurations: a byte costs more than is typical everywhere, or nowhere.
    random = np.random.default_rng((_SEED, SIZES.index(name)))
    sigma = np.log(prior.factor) / _CENTRAL
    slopes = prior.typical_ns * np.exp(sigma * random.standard_normal(len(cost.draws)))
    middle = cost.rows(_only(name, middle_bytes))[0]
    kept = [place for place, term in enumerate(cost.terms) if term.partition(">")[0] != name]
    base = cost.terms.index(BASE)
    dropped = np.array([0.0 if place in kept else middle[place] for place in range(len(cost.terms))])
    coefficients = np.vstack([cost.coefficients[kept], prior.typical_ns * share])
    coefficients[kept.index(base)] += dropped @ cost.coefficients - middle_bytes * prior.typical_ns * share
    draws = np.concatenate([cost.draws[:, kept], (slopes[:, None] * share)[:, None, :]], axis=1)
    draws[:, kept.index(base)] += np.einsum("t,dtc->dc", dropped, cost.draws)
    draws[:, kept.index(base)] -= middle_bytes * slopes[:, None] * share
    return Cost((*(cost.terms[place] for place in kept), name), cost.components, coefficients, draws, cost.cells)
