"""What each edge of a graph costs: all edges at once, with numpy. Pure.

An edge's cost is the sum of its parts; a part between two measured temperatures is mixed of both (method.md 6a).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.graph.types import Call, Protocol, Tls
from predictor.hop_costs.forms import NEAR, WITHOUT_COLD, Form, Forms, mixture, range_doubt
from predictor.hop_costs.hops import Part
from predictor.hop_costs.needs import Kind
from predictor.hop_costs.temperature import Temperatures
from predictor.models.types import CURRENCIES, FEATURES, Configuration, Floats
from profiler.text import first_of

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Contribution:
    """A part of some edges from one configuration: `amounts` of the form's terms; sides as in `hops`."""

    edges: Indices
    side: int
    amounts: Floats
    form: Form


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

    def drawn(self, currency: str, draws: int) -> tuple[Floats, Floats]:
        """Edges × 2 sides × terms, and terms × draws: their product is the draws of each edge's total, by side."""
        forms = {id(part.form): part.form for part in self.contributions[currency]}
        sizes = [len(form.totals) for form in forms.values()]
        starts = dict(zip(forms, np.cumsum([0, *sizes]).tolist(), strict=False))
        amounts = np.zeros((len(self.doubt), 2, sum(sizes)))
        for part in self.contributions[currency]:
            start = starts[id(part.form)]
            amounts[part.edges, part.side, start : start + part.amounts.shape[1]] += part.amounts
        return amounts, np.concatenate([np.zeros((0, draws)), *(form.totals for form in forms.values())])

    def component_draws(self, currency: str, weights: Floats, draws: int) -> Floats:
        """Draws of each component, summed over edges with weights: draws × components."""
        found = np.zeros((draws, len(self.components)))
        for part in self.contributions[currency]:
            amounts = weights[part.edges] @ part.amounts
            found[:, part.form.columns] += np.tensordot(amounts, part.form.draws, axes=(0, 1))
        return found


class CostTable:
    """Adds up the parts of edges."""

    def __init__(self, forms: Forms, edges: Sequence[Call], temperatures: Temperatures) -> None:
        self._forms = forms
        self.components = forms.components
        self._edges = edges
        self._temperatures = temperatures
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

    def add(self, chosen: Sequence[int], parts: Sequence[Part]) -> None:
        """Add the parts of the edges `chosen`."""
        index = np.array(chosen, dtype=np.intp)
        for part in parts:
            found = [
                mixture(part, cold[part.side, index], step[index])
                for cold, step in zip(self._temperatures.cold, self._temperatures.step, strict=True)
            ]
            away = np.maximum(*(outside for _, outside in found))
            self._far[index] = np.maximum(self._far[index], WITHOUT_COLD * away)
            if (away > NEAR).any():
                text = f"colder or hotter than what was measured ({', '.join(item.name for _, item in part.points)})"
                self._beyond.setdefault(text, []).extend(index[away > NEAR].tolist())
            taken = np.stack([mixed for mixed, _ in found], axis=1)  # points × currencies × edges
            for rows, (_, item) in zip(taken, part.points, strict=True):
                self._point(index, part, item, rows)
                if not part.only:
                    share = rows[0] / taken[:, 0].sum(axis=0)
                    self._spread[index, part.side] += share * np.sqrt(2.0 * np.log(item.mean_ratio))

    def _point(self, index: Indices, part: Part, item: Configuration, mixed: Floats) -> None:
        """Add one of a part's configurations, of which edges take `mixed` (currencies × edges)."""
        features = self._features[index].copy()
        headers = features[:, FEATURES.index("headers")]
        headers[np.isnan(headers)] = item.headers
        self._workers[index, part.side] = item.workers
        if not part.only:
            self._check_range(index, item, features)
        for currency, share in zip(CURRENCIES, mixed, strict=True):
            form = self._forms.form(part, item, currency)
            if form is None:
                self._warnings.append(f"{item.name}: its {currency} was not measured; taken as none")
                continue
            rows = form.cost.rows(features) * share[:, None]
            self._values[currency][index[:, None], part.side, form.columns] += rows @ form.coefficients
            self._contributions[currency].append(Contribution(index, part.side, rows, form))

    def _check_range(self, index: Indices, item: Configuration, features: Floats) -> None:
        doubt, where = range_doubt(item, dict(zip(FEATURES, features.T, strict=True)))
        for name, outside in where.items():
            low, high = item.ranges[name]
            measured = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            text = f"{name} outside what was measured ({measured})"
            self._beyond.setdefault(text, []).extend(index[outside].tolist())
        if doubt is not None:
            self._outside[index] = np.maximum(self._outside[index], doubt)

    def costs(self) -> EdgeCosts:
        """The sums. A side whose total came out negative costs nothing, and that is said."""
        for currency, table in self._values.items():
            negative = table.sum(axis=2) < 0.0
            if negative.any():
                table[negative] = 0.0
                names = first_of([self._edges[edge].id for edge in np.unique(np.nonzero(negative)[0])], 3)
                self._warnings.append(
                    f"{currency} of {names}: measured as less than nothing, taken as none; profile for longer"
                )
        return EdgeCosts(
            components=self.components,
            values=self._values,
            contributions=self._contributions,
            spread=self._spread,
            doubt=self._outside + self._far + self._temperatures.doubt,
            workers=self._workers,
            extrapolations=tuple(
                f"{first_of([self._edges[edge].id for edge in dict.fromkeys(edges)], 3)}: {text}"
                for text, edges in self._beyond.items()
            ),
            warnings=tuple(dict.fromkeys(self._warnings)),
        )


def kinds_of(edges: Sequence[Call], modes: Mapping[str, tuple[str, str]]) -> dict[Kind, list[int]]:
    """Edges by what their cost depends on, apart from sizes."""
    alike: dict[tuple[tuple[Any, Any], Protocol, Tls, tuple[str, ...]], list[int]] = {}
    for index, call in enumerate(edges):
        alike.setdefault((modes[call.id], call.protocol, call.tls, call.filters), []).append(index)
    found: dict[Kind, list[int]] = {}
    for ((client, server), protocol, tls, filters), chosen in alike.items():
        found.setdefault(Kind(client, server, protocol, tls, tuple(sorted(filters))), []).extend(chosen)
    return found
