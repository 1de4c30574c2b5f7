"""What a configuration makes of an edge, as linear forms of the edge's terms. Pure.

Single predictions and batches use the same forms: coefficients and draws with the side's share, the mean over the
median, and speed-ups already in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from predictor.hop_costs.hops import CLIENT, Part
from predictor.hop_costs.options import Factors, Options
from predictor.hop_costs.slopes import SIZES, Slopes, unmeasured
from predictor.models.types import CURRENCIES, FEATURES, UNEXPLAINED, Configuration, Cost, FittedModel, Floats
from profiler.vocabulary.components import EVENT_WAIT, OTHER, QUEUEING, TUNNEL

Booleans = npt.NDArray[np.bool_]

PER_DOUBLING: Final = 0.1
"""A size twice that of any measured one adds this to the relative error, where sizes were varied (a judgement)."""

WITHOUT_COLD: Final = 0.5
"""Relative error where the sidecar is at the other end of the temperatures than all that was measured."""

_MOST_AWAY: Final = 2.5
"""Temperatures farther from the measured ones add no more error: it is unknown anyway."""

NEAR: Final = 0.05
"""A temperature that far from the measured ones is not told as beyond them."""

_MOST_DOUBT: Final = 1.0
_SMALL_BYTES: Final = 4096.0
"""Sizes below this hardly differ in cost: doublings are counted from there."""

_FEW: Final = 64.0
_NOT_THE_WORKER: Final = (EVENT_WAIT, TUNNEL, OTHER, UNEXPLAINED)


@dataclass(frozen=True, slots=True)
class Form:
    """A part's cost in one currency: of `terms`, `coefficients` are terms × components, `draws` × terms × components.

    `columns` are the components' places among all, `totals` the draws of all components together, terms × draws.
    """

    cost: Cost
    columns: npt.NDArray[np.intp]
    coefficients: Floats
    draws: Floats
    totals: Floats


class Forms:
    """The forms of a model's configurations, each worked out once."""

    def __init__(self, model: FittedModel, options: Options) -> None:
        names = dict.fromkeys(
            name
            for item in model.configurations
            for currency in CURRENCIES
            if (cost := item.cost(currency))
            for name in cost.components
        )
        last = (QUEUEING, UNEXPLAINED)
        self.components = (*(name for name in names if name not in last), *last)
        self._columns = {name: index for index, name in enumerate(self.components)}
        self._speedup: Mapping[str, Factors] = options.speedup or {}
        self._intervals = options.intervals
        self._slopes = Slopes(model.configurations)
        self._known: dict[tuple[int, int | None, str, str], Form] = {}

    def form(self, part: Part, item: Configuration, currency: str) -> Form | None:
        """The form of `item`, one of the part's points; None where the currency was not measured."""
        cost = item.cost(currency)
        if cost is None:
            return None
        key = (id(item), part.share, part.only, currency)
        if key not in self._known:
            cost = self._slopes.completed(item, cost, currency)
            factors = self._factors(cost, part, item, currency)
            draws = (cost.draws if self._intervals else cost.coefficients[None]) * factors
            self._known[key] = Form(
                cost=cost,
                columns=np.array([self._columns[name] for name in cost.components]),
                coefficients=cost.coefficients * factors,
                draws=draws,
                totals=draws.sum(axis=2).T,
            )
        return self._known[key]

    def _factors(self, cost: Cost, part: Part, item: Configuration, currency: str) -> Floats:
        """Terms × components: share of the side, mean over median, speed-ups."""
        found = np.ones((len(cost.terms), len(cost.components)))
        for column, name in enumerate(cost.components):
            factors = self._speedup.get(name, Factors())
            base, slope = factors.latency_base, factors.latency_slope
            if currency == "cpu":
                base, slope = factors.cpu_base, factors.cpu_slope
            found[0, column] = base
            found[1:, column] = slope
            if part.share is not None:
                share = item.client_share.get(name, 0.5)
                found[:, column] *= share if part.share == CLIENT else 1.0 - share
            if not name.startswith(part.only):
                found[:, column] = 0.0
        return found * item.mean_ratio if currency == "latency" else found


def worker_components(components: tuple[str, ...]) -> Booleans:
    """Which components keep a sidecar's worker busy."""
    return np.array([not name.endswith(".server") and name not in _NOT_THE_WORKER for name in components])


def term_column(term: str, features: Mapping[str, Floats]) -> Floats:
    """A term of edges other than the base: a feature, or the part of it above a knot."""
    name, _, knot = term.partition(">")
    return np.maximum(features[name] - float(knot), 0.0) if knot else features[name]


def mixture(part: Part, cold: Floats, step: Floats) -> tuple[Floats, Floats]:
    """How much of each point of the part edges of temperature `cold` take: points × edges; how far they lie outside.

    Beyond cold, all of what cold costs rises by `step` of it per unit of temperature.
    """
    positions = np.array([position for position, _ in part.points])
    inside = np.clip(cold, positions[0], positions[-1])
    if len(positions) == 1:
        return np.ones((1, len(cold))), np.minimum(np.abs(cold - inside), _MOST_AWAY)
    if len(positions) == 2:
        second = (inside - positions[0]) / (positions[1] - positions[0])
        found = np.stack([1.0 - second, second])
    else:
        found = np.stack([np.interp(inside, positions, row) for row in np.eye(len(positions))])
    if positions[-1] < 1.0:
        return found, np.minimum(np.abs(cold - inside), _MOST_AWAY)
    found[-1] += step * np.maximum(cold - 1.0, 0.0)
    return found, np.maximum(inside - cold, 0.0)


def beyond(item: Configuration, name: str, values: Floats) -> Floats | None:
    """By how much a feature's values lie outside what was measured, as relative error; None where none does.

    The draws of a slope hold the error of that slope; this is for a cost that does not go on as a straight line.
    """
    low, high = item.ranges[name]
    if values.size == 0 or (values.min() >= low and values.max() <= high):
        return None
    if name == "new_connections":  # what a new connection costs is unknown
        found = np.where(values > high, 10.0 * (values - high), 0.0)
    elif name in unmeasured(item):  # a prior of the slope is among the draws
        found = np.zeros(len(values))
    else:
        found = np.zeros(len(values))
        above, below = values > high, values < low
        least = _SMALL_BYTES if name in SIZES else _FEW
        found[above] = np.log2((values[above] + least) / (high + least))
        found[below] = np.log2((low + least) / (values[below] + least))
    return PER_DOUBLING * found


def range_doubt(item: Configuration, features: Mapping[str, Floats]) -> tuple[Floats | None, dict[str, Booleans]]:
    """The relative error of edges outside of what was measured (None: all inside), and which they are, by feature."""
    total: Floats | None = None
    where: dict[str, Booleans] = {}
    for name in FEATURES:
        found = beyond(item, name, features[name])
        if found is not None:
            total = found if total is None else total + found
            low, high = item.ranges[name]
            where[name] = (features[name] < low) | (features[name] > high)
    return (None if total is None else np.minimum(total, _MOST_DOUBT)), where
