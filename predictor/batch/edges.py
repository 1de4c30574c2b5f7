"""The edges of many graphs in the two orders that arithmetic needs: the way of requests, and kind by kind. Pure."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from predictor.batch.costs import by_kind, kind_codes
from predictor.batch.decode import Booleans, Indices, Problems, Rows
from predictor.graph.types import REPEATS, SIDECAR_MODES
from predictor.hop_costs.load import Owners
from predictor.models.types import Floats
from predictor.predict.levels import Entries, Requests, find_levels

_PARALLEL: Final = REPEATS.index("parallel")
_SHARED: Final = SIDECAR_MODES.index("shared")


@dataclass(frozen=True, slots=True)
class Flow:
    """The way of requests: rows in the order of `Requests`, `calls` calls and then the entries.

    `bounds` are the places of levels, `rates` by row and `node_rates` by node, per second.
    """

    order: Indices
    calls: int
    bounds: tuple[tuple[int, int], ...]
    rates: Floats
    node_rates: Floats


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges sorted by kind: `order` are their rows (None: as they are). The others are in this order."""

    order: Indices | None
    kinds: list[tuple[int, slice]]
    graph: Indices
    rates: Floats
    owners: Owners

    def sorted(self, rows: Any) -> Any:
        """What is by row, in the order of the edges."""
        return rows if self.order is None or rows.strides == (0,) else rows[self.order]

    def by_row(self, edges: Any) -> Any:
        """The other way round."""
        if self.order is None:
            return edges
        found = np.empty_like(edges)
        found[self.order] = edges
        return found


def sums(groups: Indices, values: Floats, count: int) -> Floats:
    """Sums of values by group, of which there are `count`."""
    return np.asarray(np.bincount(groups, values, count), dtype=float)


def find_flow(rows: Rows) -> tuple[Flow | None, Problems]:
    """The way of requests; None where calls of some graphs form cycles, which `problems` then names."""
    problems = Problems()
    inside = rows.caller >= 0
    calls, entries = np.flatnonzero(inside), np.flatnonzero(~inside)
    times, stage = rows.numbers["calls_per_request"], rows.numbers["stage"]
    entered = sums(rows.callee[entries], rows.numbers["rate_rps"][entries], rows.nodes)
    levels = find_levels(rows.caller[calls], rows.callee[calls], stage[calls], times[calls], entered)
    if levels.stuck.size:
        problems.add(rows.node_graph[levels.stuck], "")
        return None, problems
    rates = levels.rates[rows.caller] * times
    rates[entries] = rows.numbers["rate_rps"][entries]
    return Flow(
        np.concatenate((calls[levels.order], entries)), len(calls), levels.bounds, rates, levels.rates
    ), problems


def by_kinds(rows: Rows, flow: Flow) -> Edges:
    """The edges sorted by kind, with their rates and the owners of their sidecars."""
    replicas = np.ones(rows.deployments)
    np.maximum.at(replicas, rows.deployment, rows.numbers["replicas"])
    order, kinds = by_kind(kind_codes(rows))
    caller, callee = (side if order is None else side[order] for side in (rows.caller, rows.callee))
    client = np.where(caller >= 0, rows.deployment[caller], -1)
    owners = Owners(client, rows.deployment[callee], replicas)
    graph = rows.graph if order is None else rows.graph[order]
    return Edges(order, kinds, graph, flow.rates if order is None else flow.rates[order], owners)


def of_deployment(rows: Rows) -> Indices:
    """The graph of each deployment."""
    found = np.empty(rows.deployments, dtype=np.intp)
    found[rows.deployment] = rows.node_graph
    return found


def shared_sides(rows: Rows, edges: Edges) -> tuple[Any, Any]:
    """By side: the deployments with a shared proxy, None where there are none."""
    found: list[Any] = []
    for name, owner in zip(("client_sidecar", "server_sidecar"), edges.owners.sides, strict=True):
        shared = rows.choices[name] == _SHARED
        marked = None
        if shared.any():
            marked = np.zeros(rows.deployments, dtype=np.bool_)
            marked[owner[edges.sorted(shared)]] = True
        found.append(marked)
    return found[0], found[1]


def cpus_of(rows: Rows) -> Floats:
    """CPUs that run the services of each graph, infinity where not known."""
    found = rows.numbers["nodes"] * rows.numbers["cpus_per_node"]
    return np.asarray(np.where(np.isnan(found), np.inf, np.maximum(found, 1.0)))


def requests_of(rows: Rows, flow: Flow) -> Requests:
    """The requests through the graphs."""
    calls, cpus = flow.order[: flow.calls], cpus_of(rows)
    return Requests(
        flow.bounds,
        rows.caller[calls],
        rows.callee[calls],
        rows.numbers["stage"][calls],
        rows.numbers["calls_per_request"][calls],
        rows.choices["repeat"][calls] == _PARALLEL,
        None if rows.asynchronous is None else rows.asynchronous[calls],
        None if np.isinf(cpus).all() else cpus[rows.graph[calls]],
        rows.graph[calls],
        rows.numbers["service_time_ns"],
        rows.own_variances,
    )


def endless_graphs(rows: Rows, flow: Flow, requests: Requests, endless: Booleans) -> Booleans:
    """The graphs whose requests wait for an edge that is `endless` (by row)."""
    calls, entries = flow.order[: flow.calls], flow.order[flow.calls :]
    waiting = requests.reaching(endless[calls], rows.nodes)[rows.callee[entries]] | endless[entries]
    return np.bincount(rows.graph[entries], waiting, rows.graphs) > 0.0


def mean_latency(
    rows: Rows, flow: Flow, requests: Requests, hops: tuple[Floats, Floats, Floats, Floats]
) -> dict[str, Floats]:
    """Means by graph; `weights` by row. `hops` are by row too, else as `Requests.times` takes them."""
    order, entries = flow.order, flow.order[flow.calls :]
    graph, rates = rows.graph[entries], flow.rates[entries]
    total = np.bincount(graph, rates, rows.graphs)[graph]
    count = np.bincount(graph, minlength=rows.graphs)[graph]
    share = np.divide(rates, total, out=1.0 / count, where=total > 0.0)
    own = rows.numbers["service_time_ns"]
    means, variances, waits, client_shares = hops
    calls, from_outside = order[: flow.calls], Entries(rows.callee[entries], graph, share, rows.graphs)
    times = requests.times(means[calls], variances[calls], waits[:, calls], client_shares[calls])
    found = requests.answers(times, means[order], from_outside)
    before_ns = requests.without_hops_ns(from_outside)
    waited = np.bincount(rows.node_graph, own * found.service_weights, rows.graphs)
    weights = np.empty(len(order))
    weights[order] = found.edge_weights
    return {
        "latency_without_ns": before_ns,
        "latency_with_ns": found.mean_ns,
        "hidden": waited - before_ns,
        "weights": weights,
    }
