"""What edges of many graphs cost, and of which forms each graph's figures are sums. Pure numpy.

An edge's cost in a draw is linear in mixture × terms, so are sums over a graph's edges: those of mixture × terms come
first, then one product with the draws gives all graphs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from predictor.batch.decode import Booleans, Indices, Rows
from predictor.graph.types import PROTOCOLS, SIDECAR_MODES, TLS_MODES
from predictor.hop_costs.forms import (
    NEAR,
    WITHOUT_COLD,
    Form,
    Forms,
    mixture,
    range_doubt,
    term_column,
    worker_components,
)
from predictor.hop_costs.hops import Part
from predictor.hop_costs.needs import Kind
from predictor.hop_costs.temperature import Temperatures
from predictor.models.types import BASE, CURRENCIES, Configuration, Floats

_BLOCK: Final = 256
"""Graphs whose draws are held at once: they fit into a CPU's cache."""

_HTTP, _TCP = SIDECAR_MODES.index("http"), SIDECAR_MODES.index("tcp")


@dataclass(frozen=True, slots=True)
class Reduced:
    """A form summed over components, its constant terms put into the base: `terms` are the others.

    `coefficients` and `at_work` (what keeps the worker busy) are by term, `draws` terms × draws, the base first.
    """

    terms: tuple[str, ...]
    coefficients: tuple[float, ...]
    at_work: tuple[float, ...]
    draws: Floats


@dataclass(frozen=True, slots=True)
class Share:
    """What edges of one kind take of a form: `mixed` times the rows `places` of their `basis`, of which the first is 1.

    `edges` are neighbours.
    """

    edges: slice
    form: Reduced
    mixed: Floats
    basis: Floats
    places: tuple[int, ...]


@dataclass(slots=True)
class Costs:
    """Costs of edges: sides × edges in ns per call; `work` is what a worker of the proxy is busy with.

    `spread` is the lognormal sigma of the latency by side, `doubt` the relative error beyond the draws, `beyond` which
    edges are outside of what was measured.
    """

    latency: Floats
    cpu: Floats
    work: Floats
    workers: Floats
    spread: Floats
    doubt: Floats
    beyond: Booleans
    shares: dict[str, list[Share]] = field(default_factory=lambda: {"latency": [], "cpu": []})


def kind_codes(rows: Rows) -> npt.NDArray[np.int64]:
    """A number for each row's kind."""
    protocol = rows.choices["protocol"]
    modes = []
    for name in ("client_sidecar", "server_sidecar"):
        mode = rows.choices[name]
        modes.append(np.where((mode == _HTTP) & (protocol == PROTOCOLS.index("tcp")), _TCP, mode))
    code = (modes[0] * len(SIDECAR_MODES) + modes[1]) * len(PROTOCOLS) + protocol
    found: npt.NDArray[np.int64] = (code * len(TLS_MODES) + rows.choices["tls"]) * len(rows.filter_sets) + rows.filters
    return found


def kind_of(code: int, filter_sets: tuple[tuple[str, ...], ...]) -> Kind:
    """The kind of a number."""
    code, filters = divmod(code, len(filter_sets))
    code, tls = divmod(code, len(TLS_MODES))
    code, protocol = divmod(code, len(PROTOCOLS))
    client, server = divmod(code, len(SIDECAR_MODES))
    return Kind(SIDECAR_MODES[client], SIDECAR_MODES[server], PROTOCOLS[protocol], TLS_MODES[tls], filter_sets[filters])


def by_kind(codes: npt.NDArray[np.int64]) -> tuple[Indices | None, list[tuple[int, slice]]]:
    """The order that brings rows of one kind together (None: they are), and each kind's place in it."""
    if not codes.size:
        return None, []
    low, high = int(codes.min()), int(codes.max())
    if low == high:
        return None, [(low, slice(0, len(codes)))]
    narrow = codes.astype(np.uint16) if high < 1 << 16 else codes  # 16 bits are sorted by counting
    order = np.argsort(narrow, kind="stable")
    ordered = codes[order]
    bounds = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True]))).tolist()
    return order, [(int(ordered[start]), slice(start, end)) for start, end in pairwise(bounds)]


class CostSums:
    """Adds up the parts of edges. `reduced` is kept from chunk to chunk."""

    def __init__(self, forms: Forms, reduced: dict[tuple[int, tuple[str, ...]], Reduced], edges: int) -> None:
        self._forms = forms
        self._at_work = worker_components(forms.components)
        self._reduced = reduced
        self.costs = Costs(
            latency=np.zeros((2, edges)),
            cpu=np.zeros((2, edges)),
            work=np.zeros((2, edges)),
            workers=np.ones((2, edges)),
            spread=np.zeros((2, edges)),
            doubt=np.zeros(edges),
            beyond=np.zeros(edges, dtype=np.bool_),
        )

    def add(
        self, edges: slice, parts: tuple[Part, ...], features: Mapping[str, Floats], temperatures: Temperatures
    ) -> None:
        """Add the parts of neighbouring edges of one kind; `features` and `temperatures` are of all edges."""
        kind = _Kind(edges, {name: column[edges] for name, column in features.items()})
        seen: list[Mapping[str, tuple[float, float]]] = []
        for part in parts:
            found = [
                mixture(part, cold[part.side, edges], step[edges])
                for cold, step in zip(temperatures.cold, temperatures.step, strict=True)
            ]
            away = np.maximum(*(outside for _, outside in found))
            taken = found[0][0].sum(axis=0)
            if away.any():
                np.maximum(kind.far, WITHOUT_COLD * away, out=kind.far)
                self.costs.beyond[edges] |= away > NEAR
            for row, cpu_row, (_, item) in zip(found[0][0], found[1][0], part.points, strict=True):
                if item.workers != 1:
                    self.costs.workers[part.side, edges] = item.workers
                if not part.only and item.mean_ratio > 1.0:
                    self.costs.spread[part.side, edges] += row / taken * np.sqrt(2.0 * np.log(item.mean_ratio))
                if not part.only and item.ranges not in seen:
                    seen.append(item.ranges)
                    self._range(kind, item)
                self._point(kind, part, item, (row, cpu_row))
        self.costs.doubt[edges] = kind.far + kind.outside
        self._store(kind)

    def _range(self, kind: "_Kind", item: Configuration) -> None:
        doubt, where = range_doubt(item, kind.filled(item))
        for beyond in where.values():
            self.costs.beyond[kind.edges] |= beyond
        if doubt is not None:
            np.maximum(kind.outside, doubt, out=kind.outside)

    def _point(self, kind: "_Kind", part: Part, item: Configuration, mixed: tuple[Floats, Floats]) -> None:
        for currency, row in zip(CURRENCIES, mixed, strict=True):
            form = self._forms.form(part, item, currency) if row.any() else None
            if form is not None:
                reduced = self._reduce(form, kind.constant, item)
                kind.uses.append((currency, part.side, reduced, row, kind.places(reduced.terms, item)))

    def _store(self, kind: "_Kind") -> None:
        """The sums; a side that costs less than nothing costs nothing."""
        basis = np.stack(list(kind.columns.values()))
        table = np.zeros((len(kind.uses), 2, len(basis)))
        for row, (_, _, form, _, places) in enumerate(kind.uses):
            table[row, 0, list(places)] = form.coefficients
            table[row, 1, list(places)] = form.at_work
        for row, (currency, side, form, mixed, places) in enumerate(kind.uses):
            if currency == "latency":
                self.costs.latency[side, kind.edges] += mixed * (table[row, 0] @ basis)
            else:
                cpu, work = table[row] @ basis
                self.costs.cpu[side, kind.edges] += mixed * cpu
                self.costs.work[side, kind.edges] += mixed * work
            self.costs.shares[currency].append(Share(kind.edges, form, mixed, basis, places))
        cpu, work = self.costs.cpu[:, kind.edges], self.costs.work[:, kind.edges]
        if cpu.min(initial=0.0) < 0.0:
            work[cpu < 0.0] = 0.0
        for sums in (self.costs.latency[:, kind.edges], cpu, work):
            np.maximum(sums, 0.0, out=sums)

    def _reduce(self, form: Form, constant: tuple[str, ...], item: Configuration) -> Reduced:
        """The form with terms of `constant` features, headers as profiled and others zero, put into the base."""
        key = (id(form), constant)
        if key not in self._reduced:
            values = {name: np.array([item.headers if name == "headers" else 0.0]) for name in constant}
            names = [term.partition(">")[0] for term in form.cost.terms]
            kept = [place for place, name in enumerate(names) if place and name not in constant]
            fold = np.zeros((1 + len(kept), len(names)))
            fold[0, 0] = 1.0  # the base is the first term
            fold[np.arange(1, 1 + len(kept)), kept] = 1.0
            for place, term in enumerate(form.cost.terms):
                if names[place] in constant:
                    fold[0, place] = term_column(term, values)[0]
            coefficients = fold @ form.coefficients
            self._reduced[key] = Reduced(
                terms=tuple(form.cost.terms[place] for place in kept),
                coefficients=tuple(coefficients.sum(axis=1).tolist()),
                at_work=tuple(coefficients[:, self._at_work[form.columns]].sum(axis=1).tolist()),
                draws=fold @ form.totals,
            )
        return self._reduced[key]


class _Kind:
    """Neighbouring edges of one kind while their costs are added up."""

    def __init__(self, edges: slice, features: Mapping[str, Floats]) -> None:
        self.edges = edges
        self.far, self.outside = np.zeros(edges.stop - edges.start), np.zeros(edges.stop - edges.start)
        self.uses: list[tuple[str, int, Reduced, Floats, tuple[int, ...]]] = []
        self._features = features
        unknown = np.isnan(features["headers"])
        self._fill = unknown if unknown.any() else None
        self.constant: tuple[str, ...] = ("further_messages",)
        if unknown.all():
            self.constant += ("headers",)
        if not features["new_connections"].any():
            self.constant += ("new_connections",)
        self.columns: dict[tuple[str, float], Floats] = {(BASE, 0.0): np.ones(len(self.far))}

    def filled(self, item: Configuration) -> Mapping[str, Floats]:
        """The features; headers that were not given are as profiled."""
        if self._fill is None:
            return self._features
        return {**self._features, "headers": np.where(self._fill, item.headers, self._features["headers"])}

    def places(self, terms: tuple[str, ...], item: Configuration) -> tuple[int, ...]:
        """Where the base and the terms are among the columns; new ones are added."""
        found = [0]
        order = list(self.columns)
        for term in terms:
            key = (term, item.headers if self._fill is not None and term.startswith("headers") else 0.0)
            if key not in self.columns:
                self.columns[key] = term_column(term, self.filled(item))
                order.append(key)
            found.append(order.index(key))
        return tuple(found)


def graph_draws(
    shares: list[Share], weights: Floats, graph: Indices, graphs: int, doubt: Floats, spread: Floats
) -> Iterator[Floats]:
    """Draws of sums over each graph's edges with weights, `doubt` × `spread` in them: blocks of graphs × draws."""
    forms = {id(share.form): share.form for share in shares}
    sizes = [1, *(len(form.draws) for form in forms.values())]
    starts = dict(zip(forms, np.cumsum(sizes).tolist(), strict=False))
    amounts = np.zeros((sum(sizes), graphs))
    amounts[0] = doubt
    for share in shares:
        owner, weighted, start = graph[share.edges], weights[share.edges] * share.mixed, starts[id(share.form)]
        amounts[start] += np.bincount(owner, weighted, graphs)
        for number, place in enumerate(share.places[1:], start + 1):
            amounts[number] += np.bincount(owner, weighted * share.basis[place], graphs)
    draws = np.concatenate([spread[None], *(form.draws for form in forms.values())])
    for start in range(0, graphs, _BLOCK):
        yield amounts[:, start : start + _BLOCK].T @ draws
