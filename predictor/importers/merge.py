"""From statistics of many traces to one call graph. Pure.

Calls per request are means: an edge seen in every third request of its caller has 0.33. Calls that shared a stage more
often than not are a parallel group. What the traces do not say gets a default, listed as assumed.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import PROTOCOLS, Assumption, Call, CallGraph, Ingress, Protocol, Service, edge_id
from predictor.importers import statistics as st
from predictor.importers.circles import names_without_circles
from predictor.importers.spans import FloatArray, Names
from predictor.importers.statistics import Edge, Node, Statistics

SIZE_BYTES: Final = 1024.0
ENOUGH: Final = 20
"""From so many requests on, percentiles say more than a mean."""
PERCENTS: Final = (50.0, 90.0, 99.0)


@dataclass(frozen=True, slots=True)
class Rates:
    """Where the ingress rate comes from: given, or from the time between the traces, or (neither) assumed."""

    rate_rps: float | None = None
    from_traces: bool = False


NO_RATE: Final = Rates()


@dataclass(slots=True)
class _Joined:
    """Statistics of the nodes and edges that are left when depths are joined; keys are names of the graph."""

    nodes: dict[str, FloatArray]
    own_times: dict[str, Counter[int]]
    edges: dict[tuple[str, str, bool], FloatArray]
    names: dict[Node, str]


def merge(found: Statistics, services: Names, rates: Rates) -> CallGraph:
    """The call graph of all traces counted; `services` are the names behind the codes."""
    joined = _join(found, services)
    assumed: list[Assumption] = [
        Assumption("services.*.replicas", "traces do not say; 1"),
        Assumption("services.*.sidecar", "traces do not say; http on both sides"),
        Assumption("calls.*.tls", "traces do not say; none"),
    ]
    graph_services = tuple(_service(name, joined, services, assumed) for name in joined.nodes)
    groups = _stages(found, joined)
    calls = tuple(_call(key, row, joined, groups[key], assumed) for key, row in joined.edges.items())
    calls = tuple(sorted(calls, key=lambda call: (list(joined.nodes).index(call.caller), call.stage)))
    return CallGraph(
        services=graph_services,
        calls=calls,
        ingress=_ingress(found, joined, rates, assumed),
        assumed=tuple(assumed),
    )


def _join(found: Statistics, services: Names) -> _Joined:
    names = names_without_circles(found.nodes, found.edges, services)
    joined = _Joined({}, {}, {}, names)
    for node in sorted(found.nodes, key=lambda node: (node[1], node[0])):
        name = names[node]
        joined.nodes[name] = joined.nodes.get(name, np.zeros(st.NODE_COLUMNS)) + found.nodes[node]
        joined.own_times.setdefault(name, Counter()).update(found.own_times.get(node, {}))
    for (caller, callee, waited), row in sorted(found.edges.items(), key=lambda item: (item[0][0][1], item[0])):
        key = (names[caller], names[callee], waited)
        joined.edges[key] = joined.edges.get(key, np.zeros(row.size)) + row
    return joined


def _service(name: str, joined: _Joined, services: Names, assumed: list[Assumption]) -> Service:
    workload = next(services.values[node[0]] for node, known in joined.names.items() if known == name)
    return Service(
        name=name,
        workload="" if workload == name else workload,
        service_time=_service_time(name, joined, assumed),
    )


def _service_time(name: str, joined: _Joined, assumed: list[Assumption]) -> ServiceTime:
    count = joined.nodes[name][st.HANDLED]
    mean_ns = float(round(joined.nodes[name][st.OWN_NS] / count))
    recorded = sum(row[st.RECORDED] for (_, callee, _), row in joined.edges.items() if callee == name)
    asked = sum(row[st.CALLS] for (_, callee, _), row in joined.edges.items() if callee == name)
    if asked and not recorded:
        assumed.append(
            Assumption(f"services.{name}.service_time", "left no spans; the caller's time, network included")
        )
    if joined.nodes[name][st.BY_SIDECAR] * 2 > count:
        assumed.append(Assumption(f"services.{name}.service_time", "recorded by its sidecar, whose own time is in it"))
    if count < ENOUGH or mean_ns <= 0:
        assumed.append(Assumption(f"services.{name}.service_time.distribution", f"only {count:g} requests; constant"))
        return ServiceTime.constant(mean_ns)
    return ServiceTime.measured(_percentiles(joined.own_times[name]), mean_ns)


def _percentiles(classes: Counter[int]) -> tuple[tuple[float, float], ...]:
    ordered = sorted(classes.items())
    total = sum(classes.values())
    points = []
    for percent in PERCENTS:
        wanted, seen = percent / 100 * total, 0
        for bucket, count in ordered:
            seen += count
            if seen >= wanted:
                points.append((percent, float(round(2 ** (bucket / st.BUCKETS_PER_DOUBLING)))))
                break
    return tuple(points)


def _stages(found: Statistics, joined: _Joined) -> dict[tuple[str, str, bool], int]:
    """The stage of each edge among those of its caller: groups by majority of overlaps, in order of mean stage."""
    leader = {key: key for key in joined.edges}

    def lead(key: tuple[str, str, bool]) -> tuple[str, str, bool]:
        while leader[key] != key:
            key = leader[key] = leader[leader[key]]
        return key

    def named(edge: Edge) -> tuple[str, str, bool]:
        return joined.names[edge[0]], joined.names[edge[1]], edge[2]

    votes: Counter[tuple[tuple[str, str, bool], ...]] = Counter()
    for counter, sign in ((found.overlaps, 1), (found.follows, -1)):
        for (first, second), count in counter.items():
            votes[tuple(sorted((named(first), named(second))))] += sign * count
    for (one, other), balance in votes.items():
        if balance > 0 and one[0] == other[0]:
            leader[lead(one)] = lead(other)
    return _ranked({key: lead(key) for key in joined.edges}, joined.edges)


def _ranked(
    group: dict[tuple[str, str, bool], tuple[str, str, bool]], edges: dict[tuple[str, str, bool], FloatArray]
) -> dict[tuple[str, str, bool], int]:
    position: dict[tuple[str, str, bool], list[float]] = {}
    for key, lead in group.items():
        position.setdefault(lead, []).append(float(edges[key][st.STAGE] / edges[key][st.CALLS]))
    order: dict[str, list[tuple[str, str, bool]]] = {}
    for lead in sorted(position, key=lambda lead: sum(position[lead]) / len(position[lead])):
        order.setdefault(lead[0], []).append(lead)
    rank = {lead: index for leads in order.values() for index, lead in enumerate(leads)}
    return {key: rank[lead] for key, lead in group.items()}


def _call(key: tuple[str, str, bool], row: FloatArray, joined: _Joined, stage: int, assumed: list[Assumption]) -> Call:
    caller, callee, waited = key
    other_kind = (caller, callee, not waited) in joined.edges
    identifier = edge_id(caller, callee, "async" if other_kind and not waited else "")
    protocol, request_bytes, response_bytes = _edge_values(f"calls.{identifier}", row, assumed)
    per_request = float(row[st.CALLS] / joined.nodes[caller][st.HANDLED])
    return Call(
        id=identifier,
        caller=caller,
        callee=callee,
        protocol=protocol,
        request_bytes=request_bytes,
        response_bytes=response_bytes,
        calls_per_request=float(f"{per_request:.6g}"),
        stage=stage,
        repeat="parallel" if row[st.TWICE] * 2 > row[st.CALLS] else "sequential",
        asynchronous=not waited,
    )


def _edge_values(path: str, row: FloatArray, assumed: list[Assumption]) -> tuple[Protocol, float, float]:
    """Protocol by majority and mean sizes; what no span told is assumed."""
    kinds = row[10:]
    protocol: Protocol = PROTOCOLS[int(kinds.argmax())] if kinds.any() else "http1"
    if not kinds.any():
        assumed.append(Assumption(f"{path}.protocol", "no span says; http1"))
    sizes = []
    for name, known, total in (
        ("request_bytes", st.REQUESTS_SIZED, st.REQUEST_BYTES),
        ("response_bytes", st.RESPONSES_SIZED, st.RESPONSE_BYTES),
    ):
        sizes.append(float(round(row[total] / row[known])) if row[known] else SIZE_BYTES)
        if not row[known]:
            assumed.append(Assumption(f"{path}.{name}", "no span says; 1024"))
    return protocol, sizes[0], sizes[1]


def _ingress(found: Statistics, joined: _Joined, rates: Rates, assumed: list[Assumption]) -> tuple[Ingress, ...]:
    """Entries share the rate as the traces do."""
    total = sum(row[st.CALLS] for row in found.entries.values())
    rate_rps = _rate_rps(found, float(total), rates, assumed)
    entries = []
    for service, row in found.entries.items():
        name = joined.names[service, 0]
        protocol, request_bytes, response_bytes = _edge_values(f"ingress.{name}", row, assumed)
        share = float(f"{rate_rps * row[st.CALLS] / total:.6g}")
        entries.append(Ingress(name, share, protocol, request_bytes=request_bytes, response_bytes=response_bytes))
    assumed.append(Assumption("ingress.*.tls", "traces do not say; none"))
    return tuple(entries)


def _rate_rps(found: Statistics, entries: float, rates: Rates, assumed: list[Assumption]) -> float:
    if rates.rate_rps is not None:
        return rates.rate_rps
    span_s = (found.last_ns - found.first_ns) / 1e9
    if rates.from_traces and entries > 1 and span_s > 0 and math.isfinite(span_s):
        assumed.append(Assumption("ingress.*.rate_rps", f"{entries:g} requests in {span_s:.6g} s, if all were traced"))
        return (entries - 1) / span_s
    assumed.append(Assumption("ingress.*.rate_rps", "traces do not say; 1 in all (see --rate and --rate-from-traces)"))
    return 1.0
