"""What a choice of changes gives, fast: latency, CPU, memory, and what each further change would save.

The figures are those of `predict`, put together from the prices of the single edges; percentiles come near them. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.advise.changes import Change, Edges
from predictor.advise.prices import Priced, Prices
from predictor.advise.tail import Indices, Requests
from predictor.graph.plan import edge_rates, execution_plan, met_rates
from predictor.graph.types import CallGraph
from predictor.hop_costs.hops import CLIENT
from predictor.hop_costs.load import SATURATED, Load, at_work, graph_owners, sidecar_load
from predictor.models.types import Floats
from predictor.predict.latency import Answer, Hops, answer
from predictor.predict.longest import hop_variance, hop_waits
from predictor.predict.own_times import variance_ns2

MEAN: Final = "mean"
CPU: Final = "cpu"
MEMORY: Final = "memory"
_NS: Final = 1e-9


@dataclass(slots=True)
class State:
    """A choice of changes: their numbers, and by edge the bits of those that touch it and the row of its price."""

    chosen: tuple[int, ...]
    masks: list[int]
    rows: Indices

    @property
    def possible(self) -> bool:
        """Whether no edge has a contradiction or something the profile lacks."""
        return bool((self.rows > 0).all())


class Figures:
    """Figures of choices from `changes`. `cold` is by edge id, `requests` what percentiles are sampled from."""

    def __init__(
        self,
        graph: CallGraph,
        changes: Sequence[Change],
        prices: Prices,
        cold: Mapping[str, tuple[float, float]],
        requests: Requests | None,
        workers: int,
    ) -> None:
        self.changes = changes
        self.edges = Edges(graph)
        self._graph, self._prices, self._cold, self._requests = graph, prices, cold, requests
        self._workers = workers
        self._plan = execution_plan(graph)
        self._own = {service.name: service.service_time.mean_ns for service in graph.services}
        self._own_variances = {service.name: variance_ns2(service.service_time) for service in graph.services}
        self.rates, self._met_rates = (
            np.array([rates[call.id] for call in self.edges.calls]) for rates in (edge_rates(graph), met_rates(graph))
        )
        self.touching = self._touching()
        pairs = [(edge, bit, change) for edge, own in enumerate(self.touching) for bit, change in enumerate(own)]
        self._effects: dict[int, list[tuple[int, int]]] = {number: [] for number in range(len(changes))}
        for edge, bit, change in pairs:
            self._effects[change].append((edge, bit))
        self._effect_edge = np.array([edge for edge, _, _ in pairs], dtype=np.intp)
        self._effect_change = np.array([change for _, _, change in pairs], dtype=np.intp)
        self._effects_of_edge: list[list[int]] = [[] for _ in self.edges.calls]
        for index, (edge, _, _) in enumerate(pairs):
            self._effects_of_edge[edge].append(index)
        self._effect_bit = [bit for _, bit, _ in pairs]
        self._effect_clears = [self._rivals(edge, change) for edge, _, change in pairs]
        self._row: dict[tuple[int, int], int] = {}
        _, self._owners = graph_owners(graph, self.edges.calls)
        self._replicas = self._owners.replicas
        self._owner = np.column_stack(self._owners.sides)

    def _touching(self) -> list[list[int]]:
        """Numbers of the changes that touch each edge."""
        by_target: dict[str, list[int]] = {}
        for number, change in enumerate(self.changes):
            by_target.setdefault(change.target, []).append(number)
        found = []
        for edge, call in enumerate(self.edges.calls):
            names = dict.fromkeys((call.id, *self.edges.owners[edge], ""))
            near = [number for name in names for number in by_target.get(name or "", ())]
            found.append([n for n in dict.fromkeys(near) if self.edges.touched(edge, self.changes[n])])
        return found

    def _rivals(self, edge: int, number: int) -> int:
        """The bits at an edge that a change replaces: a deployment's sidecars are changed in one way only."""
        change = self.changes[number]
        if not change.of_service:
            return 0
        own = ((bit, self.changes[other]) for bit, other in enumerate(self.touching[edge]) if other != number)
        return sum(1 << bit for bit, other in own if other.of_service and other.target == change.target)

    # -- choices ---------------------------------------------------------------------------------------------------

    def start(self) -> State:
        """Nothing changed."""
        masks = [0] * len(self.edges.calls)
        self.price(enumerate(masks))
        return State((), masks, np.array([self._row[edge, 0] for edge in range(len(masks))], dtype=np.intp))

    def price(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Find the prices of edges under masks of changes, all at once."""
        new = [pair for pair in dict.fromkeys(wanted) if pair not in self._row]
        rows = self._prices.rows([self._priced(edge, mask) for edge, mask in new])
        self._row.update(zip(new, rows, strict=True))

    def _priced(self, edge: int, mask: int) -> Priced | None:
        own = self.touching[edge]
        treated = self.edges.under(edge, {self.changes[own[bit]] for bit in range(len(own)) if mask >> bit & 1})
        if treated is None:
            return None
        call = self.edges.calls[edge]
        cold = self._cold[call.id]
        return Priced(treated, call.request_bytes, call.response_bytes, call.headers, call.new_connections or 0.0, cold)

    def all_masks(self, edge: int) -> list[int]:
        """All combinations of the changes that touch an edge."""
        return list(range(1 << len(self.touching[edge])))

    def row(self, edge: int, mask: int) -> int:
        """The row of an edge's price under a mask that was priced."""
        return self._row[edge, mask]

    def with_(self, state: State, number: int) -> State:
        """The choice with one more change, which replaces another one of the same sidecars."""
        change = self.changes[number]
        rivals = [
            n
            for n in state.chosen
            if change.of_service and self.changes[n].of_service and self.changes[n].target == change.target
        ]
        for rival in rivals:
            state = self.without(state, rival)
        return self._moved(state, (*state.chosen, number), number, add=True)

    def without(self, state: State, number: int) -> State:
        """The choice with one change less."""
        return self._moved(state, tuple(n for n in state.chosen if n != number), number, add=False)

    def _moved(self, state: State, chosen: tuple[int, ...], number: int, add: bool) -> State:
        masks, rows = state.masks.copy(), state.rows.copy()
        effects = self._effects[number]
        for edge, bit in effects:
            masks[edge] = masks[edge] | 1 << bit if add else masks[edge] & ~(1 << bit)
        missing = [(edge, masks[edge]) for edge, _ in effects if (edge, masks[edge]) not in self._row]
        if missing:
            self.price(missing)
        for edge, _ in effects:
            rows[edge] = self._row[edge, masks[edge]]
        return State(chosen, masks, rows)

    def touched_by(self, number: int) -> list[int]:
        """The edges a change touches."""
        return [edge for edge, _ in self._effects[number]]

    # -- figures ---------------------------------------------------------------------------------------------------

    def hops(self, rows: Indices) -> Floats:
        """Overhead of each edge's call in ns, waiting at its sidecars in it."""
        busy_one = self._prices.busy[rows]
        return self.hops_of(self._prices.latency_ns[rows], busy_one)

    def varying(self, rows: Indices) -> tuple[Floats, Floats, Floats]:
        """Variance of each edge's overhead in ns², what of it is waiting (`hop_waits`), and the client side's share."""
        load, work = self._load(self._prices.busy[rows])
        busy = at_work(self._owners, np.minimum(load.utilisation, SATURATED), work)
        waits = load.waits_ns.T
        variances = hop_variance(self._prices.latency_ns[rows], self._prices.sigmas[rows], waits, busy.T)
        sides = self._prices.latency_ns[rows]
        hops = (sides + waits).sum(axis=1)
        shares = np.divide(sides[:, CLIENT], hops, out=np.zeros_like(hops), where=hops > 0.0)
        return variances, hop_waits(waits, busy.T), shares

    def waits(self, rows: Indices) -> Floats:
        """Waiting of each edge's call in ns."""
        return np.asarray(self.hops(rows) - self._prices.latency_ns[rows].sum(axis=1))

    @property
    def entry_rate(self) -> float:
        """Requests per second from outside."""
        return sum(entry.rate_rps for entry in self._graph.ingress)

    def edge_tables(self, edge: int) -> dict[str, Floats]:
        """`latency`, `cpu` (sums) and `sides` (latency and utilisation by side) by mask; all masks must be priced."""
        rows = np.array([self._row[edge, mask] for mask in self.all_masks(edge)], dtype=np.intp)
        prices = self._prices
        busy = np.where(rows[:, None] > 0, prices.busy[rows], np.inf)
        return {
            "latency": prices.latency_ns[rows].sum(axis=1),
            "cpu": prices.cpu_ns[rows].sum(axis=1),
            "sides": np.hstack([prices.latency_ns[rows], busy]),
        }

    def least(self, tables: Sequence[Mapping[str, Floats]], names: Sequence[str]) -> dict[str, float]:
        """Figures that no choice goes below: each edge at its cheapest, whatever that is."""
        found: dict[str, float] = {}
        if CPU in names:
            found[CPU] = float(self.rates @ np.array([table["cpu"].min() for table in tables])) * _NS
        timed = [name for name in names if name not in (CPU, MEMORY)]
        if timed:
            sides = np.array([table["sides"].min(axis=0) for table in tables])
            waits = self.hops_of(np.zeros((len(tables), 2)), sides[:, 2:])
            hops = waits + np.array([table["latency"].min() for table in tables])
            # Times that do not vary: the longest of several is then never above what it is in any choice.
            found[MEAN] = answer(self._plan, self._graph.ingress, self._own, Hops(self._by_edge(hops))).mean_ns
            found |= self.percentiles(hops, [name for name in timed if name != MEAN])
        return found

    def hops_of(self, latency_ns: Floats, busy_one: Floats) -> Floats:
        """The same from latencies and utilisations at one call per second, edges × sides."""
        return np.asarray(latency_ns.sum(axis=1) + self._load(busy_one)[0].waits_ns.sum(axis=0))

    def _load(self, busy_one: Floats) -> tuple[Load, Floats]:
        work = busy_one.T * self._workers * 1e9
        return sidecar_load(self._owners, self._met_rates, work, np.full(work.shape, float(self._workers))), work

    def answer(self, hop_ns: Floats, varying: tuple[Floats, Floats, Floats]) -> Answer:
        """Mean latency and what it waits for; hops vary as `varying` says."""
        variances, waits, shares = varying
        by_edge = dict(zip((call.id for call in self.edges.calls), waits.T.tolist(), strict=True))
        hops = Hops(self._by_edge(hop_ns), self._by_edge(variances), by_edge, self._by_edge(shares))
        return answer(self._plan, self._graph.ingress, self._own, hops, self._own_variances)

    def _by_edge(self, values: Floats) -> dict[str, float]:
        return {call.id: value for call, value in zip(self.edges.calls, values.tolist(), strict=True)}

    def vcpu(self, rows: Indices) -> float:
        """CPU of all sidecars."""
        return float(self.rates @ self._prices.cpu_ns[rows].sum(axis=1)) * _NS

    def memory_bytes(self, rows: Indices) -> float:
        """Memory of all sidecars: per deployment its largest proxy, per edge its connections."""
        prices, shared = self._prices, self._prices.shared[rows]
        node, outside = len(self._replicas), len(self._replicas) + 1
        holder = np.where(shared, node, np.where(self._owner < 0, outside, self._owner))
        largest = np.zeros(len(self._replicas) + 2)
        np.maximum.at(largest, holder.ravel(), prices.rss_bytes[rows].ravel())
        count = np.concatenate([self._replicas, [self._graph.cluster.nodes or 1, 0.0]])
        pairs = np.append(self._replicas, 1.0)[self._owner].prod(axis=1)  # −1, outside, takes the last
        return float(largest @ count + pairs @ prices.connection_bytes[rows].sum(axis=1))

    def values(self, rows: Indices, names: Sequence[str]) -> dict[str, float]:
        """Figures by name: `mean`, `p50` … in ns, `cpu` in vCPU, `memory` in bytes."""
        found: dict[str, float] = {}
        timed = [name for name in names if name not in (CPU, MEMORY)]
        if timed:
            hops = self.hops(rows)
            if MEAN in timed:
                found[MEAN] = self.answer(hops, self.varying(rows)).mean_ns
            found |= self.percentiles(hops, [name for name in timed if name != MEAN])
        if CPU in names:
            found[CPU] = self.vcpu(rows)
        if MEMORY in names:
            found[MEMORY] = self.memory_bytes(rows)
        return found

    def percentiles(self, hop_ns: Floats, names: Sequence[str]) -> dict[str, float]:
        """Percentiles such as `p99` of the sampled requests."""
        if not names or self._requests is None:
            return {}
        times = np.percentile(self._requests.times(hop_ns), [float(name[1:]) for name in names])
        return dict(zip(names, times.tolist(), strict=True))

    # -- what further changes save ---------------------------------------------------------------------------------

    def neighbours(self, state: State) -> Indices:
        """For each effect (an edge and a change that touches it), the row after that change alone."""
        pairs = [self._after(state, effect) for effect in range(len(self._effect_edge))]
        self.price(pairs)
        return np.array([self._row[pair] for pair in pairs], dtype=np.intp)

    def _after(self, state: State, effect: int) -> tuple[int, int]:
        edge = int(self._effect_edge[effect])
        return edge, (state.masks[edge] & ~self._effect_clears[effect]) | 1 << self._effect_bit[effect]

    def renewed(self, neighbours: Indices, state: State, edges: Iterable[int]) -> Indices:
        """`neighbours` after the state changed at some edges."""
        effects = [index for edge in edges for index in self._effects_of_edge[edge]]
        pairs = [self._after(state, effect) for effect in effects]
        self.price(pairs)
        found = neighbours.copy()
        found[effects] = [self._row[pair] for pair in pairs]
        return found

    def savings(self, state: State, neighbours: Indices, name: str) -> Floats:
        """What each change would save of a figure, by the path as it is now; what cannot be saves −inf."""
        before = state.rows[self._effect_edge]
        if name == MEMORY:
            return self._memory_savings(state, neighbours)
        table = self._prices.cpu_ns if name == CPU else self._prices.latency_ns
        weights = self._weights(state, name)
        totals = table.sum(axis=1)
        gains = weights[self._effect_edge] * np.where(neighbours > 0, totals[before] - totals[neighbours], 0.0)
        found = np.bincount(self._effect_change, gains, len(self.changes))
        found[self._effect_change[neighbours == 0]] = -np.inf
        return np.asarray(found)

    def _weights(self, state: State, name: str) -> Floats:
        if name == CPU:
            return self.rates * _NS
        hops = self.hops(state.rows)
        if name == MEAN:
            weights = self.answer(hops, self.varying(state.rows)).edge_weights
            return np.array([weights[call.id] for call in self.edges.calls])
        if self._requests is None:
            raise ValueError("percentiles need sampled requests")
        return self._requests.weights(hops, float(name[1:]))

    def _memory_savings(self, state: State, neighbours: Indices) -> Floats:
        now = self.memory_bytes(state.rows)
        found = np.full(len(self.changes), -np.inf)
        effects: dict[int, list[int]] = {}
        for index, number in enumerate(self._effect_change.tolist()):
            effects.setdefault(number, []).append(index)
        for number, indices in effects.items():
            if (neighbours[indices] > 0).all():
                rows = state.rows.copy()
                rows[self._effect_edge[indices]] = neighbours[indices]
                found[number] = now - self.memory_bytes(rows)
        return found
