"""Temperatures of the sidecars of many graphs: 0 is hot, 1 cold (`predictor.hop_costs.temperature`). Pure numpy."""

from typing import Final

import numpy as np

from predictor.batch.decode import Booleans, Indices, Rows
from predictor.batch.edges import Flow, cpus_of
from predictor.graph.types import PROTOCOLS, REPEATS, SIDECAR_MODES, TLS_MODES
from predictor.hop_costs.temperature import ASSUMED_USE, Cooling, Temperatures, Visits, with_given
from predictor.models.types import Floats
from predictor.predict.levels import Requests, stage_begins

_TCP: Final = PROTOCOLS.index("tcp")
_MTLS: Final = TLS_MODES.index("mtls")
_TCP_MODE, _WAYPOINT = SIDECAR_MODES.index("tcp"), SIDECAR_MODES.index("waypoint")
_PARALLEL: Final = REPEATS.index("parallel")


def temperatures(rows: Rows, flow: Flow, requests: Requests, replicas: Floats, cooling: Cooling) -> Temperatures:
    """Temperatures of rows; `replicas` by deployment."""
    given = np.empty(rows.deployments)
    latest = slice(None) if rows.deployments == rows.nodes else np.argsort(-rows.first)
    given[rows.deployment[latest]] = rows.numbers["cold_weight"][latest]
    given = given[rows.deployment]
    ends = cooling.ends(*_treated(rows))
    visits = _visits(rows, flow, requests, replicas) if np.isnan(given).any() else None
    return with_given(cooling, ends, visits, (rows.caller, rows.callee), given)


def _treated(rows: Rows) -> tuple[Indices, Indices]:
    """The protocol that sidecars take a row's call for, and its TLS, which is mutual in the tunnels of a waypoint."""
    as_tcp = (rows.choices["client_sidecar"] == _TCP_MODE) | (rows.choices["server_sidecar"] == _TCP_MODE)
    in_tunnels = rows.choices["server_sidecar"] == _WAYPOINT
    return (
        np.asarray(np.where(as_tcp, _TCP, rows.choices["protocol"])),
        np.asarray(np.where(in_tunnels, _MTLS, rows.choices["tls"])),
    )


def _visits(rows: Rows, flow: Flow, requests: Requests, replicas: Floats) -> Visits:
    visits = np.bincount(rows.deployment, flow.node_rates, rows.deployments) / replicas
    times = rows.numbers["calls_per_request"]
    parallel = rows.choices["repeat"] == _PARALLEL
    calls = np.maximum(times, 1.0)
    first, at_once, calling = _stages(rows, flow, np.where(parallel, calls, 1.0))
    visited = _visited(rows, flow, times)
    most = np.ones(rows.graphs)
    np.maximum.at(most, rows.node_graph, visited)
    on_node = np.minimum(most, np.bincount(rows.node_graph, minlength=rows.graphs)) / rows.numbers["nodes"]
    use = rows.numbers["cpu_use"]
    use = np.where(np.isnan(use), ASSUMED_USE, use)
    return Visits(
        own_ns=rows.numbers["service_time_ns"],
        answer_ns=requests.without_hops.mean,
        rates=visits[rows.deployment],
        visited=visited,
        on_node=on_node[rows.node_graph],
        calling=calling,
        use=use[rows.node_graph],
        cpus=cpus_of(rows)[rows.node_graph],
        caller=rows.caller,
        callee=rows.callee,
        calls=calls,
        in_a_row=np.where(parallel, 1.0, calls),
        at_once=at_once,
        first=first,
    )


def _visited(rows: Rows, flow: Flow, times: Floats) -> Floats:
    """By node, how many services one of its requests visits, itself included."""
    found = np.ones(rows.nodes)
    for start, end in reversed(flow.bounds):
        calls = flow.order[start:end]
        np.add.at(found, rows.caller[calls], times[calls] * found[rows.callee[calls]])
    return found


def _stages(rows: Rows, flow: Flow, counts: Floats) -> tuple[Booleans, Floats, Booleans]:
    """By row: whether in its caller's first stage, and how many calls start with it; by node: whether it waits."""
    calls: Indices = flow.order[: flow.calls]
    caller, stage = rows.caller[calls], rows.numbers["stage"][calls]
    waited = np.ones(len(calls)) if rows.asynchronous is None else np.where(rows.asynchronous[calls], 0.0, 1.0)
    groups = np.cumsum(stage_begins(caller, stage)) - 1
    sizes = np.bincount(groups, waited * counts[calls])[groups] if len(calls) else np.zeros(0)
    earliest = np.full(rows.nodes, np.inf)
    np.minimum.at(earliest, caller[waited > 0.0], stage[waited > 0.0])
    first, at_once = np.zeros(len(rows.graph), dtype=np.bool_), np.ones(len(rows.graph))
    first[calls] = (waited > 0.0) & (stage == earliest[caller])
    at_once[calls] = np.where(waited > 0.0, sizes, 1.0)
    return first, at_once, np.asarray(earliest < np.inf)
