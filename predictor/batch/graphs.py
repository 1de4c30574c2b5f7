"""Call graphs to rows of the long form, and back. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from predictor.batch.columns import CHOICES, FAILURE, FILTERS, NUMBERS, SCHEMA
from predictor.graph.plan import passed_sidecars
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import INGRESS, SIDES, Call, CallGraph, Cluster, Ingress, Service, Sidecar, edge_id
from predictor.hop_costs.temperature import given_weights
from profiler.errors import UsageError

Row = dict[str, Any]


def graph_rows(graph: CallGraph, name: str) -> list[Row]:
    """The rows of a graph: its entries, then its calls. A deployment's temperature is its first service's.

    Raises `UsageError` for a closed loop, whose rate is not known.
    """
    if graph.closed_loop is not None:
        raise UsageError(
            f"{graph.closed_loop.id}: predict-batch takes no connections; give the rate_rps that predict works out of "
            "them"
        )
    services = {service.name: service for service in graph.services}
    cold = given_weights(graph)
    edges = [(entry.as_call(), entry.rate_rps) for entry in graph.ingress]
    edges += [(call, None) for call in graph.calls]  # type: ignore[misc]
    return [_row(graph, name, call, rate, services, cold) for call, rate in edges]


def _row(
    graph: CallGraph,
    name: str,
    call: Call,
    rate: float | None,
    services: Mapping[str, Service],
    cold: Mapping[str, float | None],
) -> Row:
    callee, caller = services[call.callee], services.get(call.caller)
    time = callee.service_time
    client, server = passed_sidecars(call, caller, callee)
    return {
        "graph": name,
        "caller": call.caller,
        "callee": call.callee,
        "rate_rps": rate,
        "request_bytes": call.request_bytes,
        "response_bytes": call.response_bytes,
        "calls_per_request": call.calls_per_request,
        "stage": float(call.stage),
        "headers": call.headers,
        "new_connections": call.new_connections,
        "service_time_ns": time.mean_ns,
        "service_time_cv": time.cv,
        "replicas": float(callee.replicas),
        "cold_weight": cold[callee.deployment],
        "cpu_use": graph.cluster.cpu_use,
        "nodes": graph.cluster.nodes,
        "cpus_per_node": graph.cluster.cpus_per_node,
        "protocol": call.protocol,
        "tls": call.tls,
        "repeat": call.repeat,
        "client_sidecar": client,
        "server_sidecar": server,
        "service_time": time.kind,
        "asynchronous": call.asynchronous,
        "filters": "+".join(call.filters),
        "workload": callee.workload,
        "service_time_percents": [percent for percent, _ in time.percentiles] or None,
        "service_time_percentiles_ns": [ns for _, ns in time.percentiles] or None,
    }


def failed_row(name: str, why: str) -> Row:
    """The row of a graph that could not be read."""
    return {"graph": name, FAILURE: why}


def rows_table(rows: Sequence[Row]) -> pa.Table:
    """Rows as a table of the long form."""
    schema = SCHEMA
    if any(FAILURE in row for row in rows):
        schema = schema.append(pa.field(FAILURE, pa.string()))
    return pa.Table.from_pylist(list(rows), schema=schema)


def graph_table(graphs: Iterable[tuple[str, CallGraph]]) -> pa.Table:
    """Named graphs in the long form."""
    return rows_table([row for name, graph in graphs for row in graph_rows(graph, name)])


def complete_rows(table: pa.Table) -> list[Row]:
    """The rows with all columns, defaults filled in."""
    blank: Row = {item.name: None if math.isnan(item.default) else item.default for item in NUMBERS}
    blank |= {item.name: item.default for item in CHOICES}
    blank |= {"asynchronous": False, "workload": "", FILTERS: ""}
    blank |= {"service_time_percents": None, "service_time_percentiles_ns": None}
    found: Sequence[Row] = table.to_pylist()
    return [_complete(row, blank) for row in found]


def _complete(row: Row, blank: Row) -> Row:
    given = {name: value for name, value in row.items() if value is not None and value == value and name != FAILURE}
    if isinstance(given.get(FILTERS), list):
        given[FILTERS] = "+".join(given[FILTERS])
    return {**blank, **given}


def rebuilt(rows: Sequence[Row]) -> CallGraph:
    """The graph of some rows, columns complete; calls of one pair get numbers.

    A service whose client side no row tells has no sidecar there that matters. Where some rows of a service pass its
    sidecar and others do not, the latter bypass it.
    """
    clients: dict[str, Any] = {}
    servers: dict[str, Any] = {}
    for row in rows:
        for known, name, mode in (
            (clients, row["caller"], row["client_sidecar"]),
            (servers, row["callee"], row["server_sidecar"]),
        ):
            if known.setdefault(name, mode) == "none":
                known[name] = mode
    services: dict[str, Service] = {}
    for row in rows:
        if row["callee"] not in services:
            sidecar = Sidecar(clients.get(row["callee"], "http"), servers[row["callee"]])
            services[row["callee"]] = _service(row, sidecar)
    for row in rows:
        if row["caller"] != INGRESS and row["caller"] not in services:
            services[row["caller"]] = Service(row["caller"], sidecar=Sidecar(clients[row["caller"]]))
    seen: dict[tuple[str, str], int] = {}
    calls = []
    for row in rows:
        if row["caller"] != INGRESS:
            pair = (row["caller"], row["callee"])
            seen[pair] = number = seen.get(pair, 0) + 1
            calls.append(_call(row, edge_id(*pair, "" if number == 1 else str(number)), services))
    first = rows[0]
    nodes = first["nodes"]
    return CallGraph(
        services=tuple(services.values()),
        calls=tuple(calls),
        ingress=tuple(_entry(row, services) for row in rows if row["caller"] == INGRESS),
        name=str(first["graph"]),
        cluster=Cluster(
            nodes=None if nodes is None else int(nodes), cpus_per_node=first["cpus_per_node"], cpu_use=first["cpu_use"]
        ),
    )


def _service(row: Row, sidecar: Sidecar) -> Service:
    return Service(
        name=row["callee"],
        replicas=int(row["replicas"]),
        sidecar=sidecar,
        service_time=ServiceTime(
            row["service_time"],
            row["service_time_ns"],
            row["service_time_cv"],
            tuple(zip(row["service_time_percents"] or (), row["service_time_percentiles_ns"] or (), strict=True)),
        ),
        workload=row["workload"] or "",
        cold_weight=row["cold_weight"],
    )


def _edge(row: Row, services: Mapping[str, Service]) -> dict[str, Any]:
    caller, callee = services.get(row["caller"]), services[row["callee"]]
    modes = ("none" if caller is None else caller.sidecar.client, callee.sidecar.server)
    found = zip(SIDES, modes, (row["client_sidecar"], row["server_sidecar"]), strict=True)
    bypass = tuple(side for side, mode, passed in found if mode != "none" == passed)
    filters = tuple(name for name in (row["filters"] or "").split("+") if name)
    names = ("protocol", "tls", "request_bytes", "response_bytes")
    return {**{name: row[name] for name in names}, "filters": filters, "bypass": bypass}


def _call(row: Row, identifier: str, services: Mapping[str, Service]) -> Call:
    return Call(
        id=identifier,
        caller=row["caller"],
        callee=row["callee"],
        calls_per_request=row["calls_per_request"],
        stage=int(row["stage"]),
        repeat=row["repeat"],
        asynchronous=row["asynchronous"],
        headers=row["headers"],
        new_connections=row["new_connections"],
        **_edge(row, services),
    )


def _entry(row: Row, services: Mapping[str, Service]) -> Ingress:
    return Ingress(service=row["callee"], rate_rps=row["rate_rps"], **_edge(row, services))
