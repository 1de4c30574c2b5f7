"""What each edge of a graph costs: all edges at once, with numpy. Pure.

An edge's cost is the sum of its parts; a part between two measured temperatures is mixed of both (method.md 6a).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from predictor.graph.types import Call
from predictor.models.types import CURRENCIES, FEATURES, UNEXPLAINED, Configuration, Cost, FittedModel, Floats
from predictor.predict.hops import CLIENT, Kind, Part
from predictor.predict.types import Factors, Options
from profiler.components import QUEUEING

Indices = npt.NDArray[np.intp]

PER_DOUBLING: Final = 0.1
"""A size twice that of any measured one adds this to the relative error (a judgement, not a measurement)."""

WITHOUT_COLD: Final = 0.5
"""Relative error where the sidecar is at the other end of the temperatures than all that was measured."""

_NEAR: Final = 0.05


@dataclass(frozen=True, slots=True)
class Contribution:
    """A part of some edges from one configuration: `amounts` × `draws` are their draws; sides as in `hops`."""

    edges: Indices
    side: int
    amounts: Floats
    draws: Floats
    columns: Indices


@dataclass(frozen=True, slots=True)
class EdgeCosts:
    """Costs of all edges: `values[currency]` is edges × 2 sides × components, in ns per call (latency: means).

    `spread` is the lognormal sigma of an edge's latency by side, `doubt` the relative error of an edge beyond what its
    draws tell. `workers` is threads of each side's proxy.
    """

    components: tuple[str, ...]
    values: Mapping[str, Floats]
    contributions: Mapping[str, Sequence[Contribution]]
    spread: Floats
    doubt: Floats
    workers: Floats
    extrapolations: tuple[str, ...]
    warnings: tuple[str, ...]

    def edge_draws(self, currency: str, draws: int) -> Floats:
        """Draws of each edge's total, by side: edges × 2 × draws."""
        found = np.zeros((len(self.doubt), 2, draws))
        for part in self.contributions[currency]:
            found[part.edges, part.side] += part.amounts @ part.draws.sum(axis=2).T
        return found

    def component_draws(self, currency: str, weights: Floats, draws: int) -> Floats:
        """Draws of each component, summed over edges with weights: draws × components."""
        found = np.zeros((draws, len(self.components)))
        for part in self.contributions[currency]:
            amounts = weights[part.edges] @ part.amounts
            found[:, part.columns] += np.tensordot(amounts, part.draws, axes=(0, 1))
        return found


class CostTable:
    """Adds up the parts of edges."""

    def __init__(self, model: FittedModel, edges: Sequence[Call], options: Options) -> None:
        names = dict.fromkeys(
            name
            for item in model.configurations
            for c in CURRENCIES
            if (cost := item.cost(c))
            for name in cost.components
        )
        last = (QUEUEING, UNEXPLAINED)
        self.components = (*(name for name in names if name not in last), *last)
        self._columns = {name: index for index, name in enumerate(self.components)}
        self._speedup = options.speedup or {}
        self._intervals = options.intervals
        self._edges = edges
        self._features = np.array(
            [
                [
                    call.request_bytes,
                    call.response_bytes,
                    np.nan if call.headers is None else call.headers,
                    0.0,
                    call.new_connections or 0.0,
                ]
                for call in edges
            ]
        ).reshape(-1, len(FEATURES))
        shape = (len(edges), 2, len(self.components))
        self._values = {currency: np.zeros(shape) for currency in CURRENCIES}
        self._contributions: dict[str, list[Contribution]] = {currency: [] for currency in CURRENCIES}
        self._spread = np.zeros((len(edges), 2))
        self._outside = np.zeros(len(edges))
        self._far = np.zeros(len(edges))
        self._workers = np.ones((len(edges), 2))
        self._beyond: dict[str, list[int]] = {}
        self._warnings: list[str] = []

    def add(self, chosen: Sequence[int], parts: Sequence[Part], cold: Floats) -> None:
        """Add the parts of the edges `chosen`, whose sidecars have temperatures `cold` (chosen × 2 sides)."""
        index = np.array(chosen, dtype=np.intp)
        for part in parts:
            positions = np.array([position for position, _ in part.points])
            wanted = cold[:, part.side]
            inside = np.clip(wanted, positions[0], positions[-1])
            away = np.abs(wanted - inside)
            self._far[index] = np.maximum(self._far[index], WITHOUT_COLD * away)
            if (away > _NEAR).any():
                text = f"colder or hotter than what was measured ({', '.join(item.name for _, item in part.points)})"
                self._beyond.setdefault(text, []).extend(index[away > _NEAR].tolist())
            mixed = np.column_stack([np.interp(inside, positions, row) for row in np.eye(len(positions))])
            for column, (_, item) in enumerate(part.points):
                self._point(index, part, item, mixed[:, column])

    def _point(self, index: Indices, part: Part, item: Configuration, mixture: Floats) -> None:
        features = self._features[index].copy()
        headers = features[:, FEATURES.index("headers")]
        headers[np.isnan(headers)] = item.headers
        if not part.only:
            self._check_range(index, item, features)
        self._workers[index, part.side] = item.workers
        if not part.only:
            self._spread[index, part.side] += mixture * np.sqrt(2.0 * np.log(item.mean_ratio))
        for currency in CURRENCIES:
            cost = item.cost(currency)
            if cost is None:
                self._warnings.append(f"{item.name}: its {currency} was not measured; taken as none")
                continue
            factors = self._factors(cost, part, item, currency)
            rows = cost.rows(features) * mixture[:, None]
            columns = np.array([self._columns[name] for name in cost.components])
            self._values[currency][index[:, None], part.side, columns] += rows @ (cost.coefficients * factors)
            self._contributions[currency].append(
                Contribution(index, part.side, rows, self._draws(cost) * factors, columns)
            )

    def _draws(self, cost: Cost) -> Floats:
        return cost.draws if self._intervals else cost.coefficients[None]

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

    def _check_range(self, index: Indices, item: Configuration, features: Floats) -> None:
        doubt = np.zeros(len(index))
        for column, name in enumerate(FEATURES):
            low, high = item.ranges[name]
            values = features[:, column]
            beyond = np.maximum(np.log2((values + 64.0) / (high + 64.0)), np.log2((low + 64.0) / (values + 64.0)))
            if name == "new_connections":
                beyond = np.where(values > high, 10.0 * (values - high), 0.0)  # what a new connection costs is unknown
            outside = beyond > 0.0
            doubt += np.where(outside, PER_DOUBLING * beyond, 0.0)
            if outside.any():
                measured = f"{low:g}" if low == high else f"{low:g} to {high:g}"
                text = f"{name} outside what {item.name} measured ({measured})"
                self._beyond.setdefault(text, []).extend(index[outside].tolist())
        self._outside[index] = np.maximum(self._outside[index], np.minimum(doubt, 1.0))

    def costs(self) -> EdgeCosts:
        """The sums. A side whose total came out negative costs nothing, and that is said."""
        for currency, table in self._values.items():
            negative = table.sum(axis=2) < 0.0
            if negative.any():
                table[negative] = 0.0
                names = [self._edges[edge].id for edge in np.unique(np.nonzero(negative)[0])]
                self._warnings.append(
                    f"{currency} of {_some(names)}: measured as less than nothing, taken as none; profile for longer"
                )
        return EdgeCosts(
            components=self.components,
            values=self._values,
            contributions=self._contributions,
            spread=self._spread,
            doubt=self._outside + self._far,
            workers=self._workers,
            extrapolations=tuple(
                f"{_some([self._edges[edge].id for edge in dict.fromkeys(edges)])}: {text}"
                for text, edges in self._beyond.items()
            ),
            warnings=tuple(dict.fromkeys(self._warnings)),
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def kinds_of(edges: Sequence[Call], modes: Mapping[str, tuple[str, str]]) -> dict[Kind, list[int]]:
    """Edges by what their cost depends on, apart from sizes."""
    found: dict[Kind, list[int]] = {}
    for index, call in enumerate(edges):
        client, server = modes[call.id]
        kind = Kind(client, server, call.protocol, call.tls, tuple(sorted(call.filters)))  # type: ignore[arg-type]
        found.setdefault(kind, []).append(index)
    return found
