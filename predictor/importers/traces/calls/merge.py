"""From statistics of many traces to one call graph. Pure.

Calls per request are means: an edge seen in every third request of its caller has 0.33. Calls that shared a stage more
often than not are a parallel group. What the traces do not say gets a default, listed as assumed.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import (
    INGRESS,
    PROTOCOLS,
    SIZE_BYTES,
    Assumption,
    Call,
    CallGraph,
    Ingress,
    Protocol,
    Service,
    Sidecar,
    edge_id,
)
from predictor.importers.traces.calls import statistics as st
from predictor.importers.traces.calls.cycles import names_without_cycles
from predictor.importers.traces.calls.order import EdgeKey, MeanCall, Partly, stages_of
from predictor.importers.traces.calls.statistics import Edge, Node, Statistics
from predictor.importers.traces.spans.names import display_names
from predictor.importers.traces.spans.spans import FloatArray, Names, Vocabulary
from profiler.files.units import format_duration

ENOUGH: Final = 20
"""From so many requests on, percentiles say more than a mean."""
PERCENTS: Final = (50.0, 90.0, 99.0)
_FASTEST_RPS: Final = 1e12
_GATEWAYS: Final = re.compile(r"\Aistio-(?:in|e)gressgateway(?:\.|\Z)|(?:\A|-)waypoint(?:\.|\Z)")
"""Names that Istio's own charts give to gateways and waypoints."""


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
    edges: dict[EdgeKey, FloatArray]
    names: dict[Node, str]
    display: dict[int, str]
    """The name without its depth, by code of the service."""
    asked: dict[str, float]
    """Calls that reach each service, and those of them that it recorded."""
    recorded: dict[str, float]


def merge(found: Statistics, words: Vocabulary, rates: Rates) -> CallGraph:
    """The call graph of all traces counted; `words` has the names behind the codes."""
    joined = _join(found, words.services)
    assumed: list[Assumption] = [
        Assumption("services.*.replicas", "traces do not say; 1"),
        Assumption("services.*.sidecar", "traces do not say; http on both sides"),
        Assumption("calls.*.tls", "traces do not say; none"),
    ]
    workloads = {name: joined.display[node[0]] for node, name in reversed(joined.names.items())}
    assumed += [
        Assumption(f"services.{name}", "no span says who is called")
        for name in dict.fromkeys(joined.names[node] for node in joined.names if node[0] in words.unknown)
    ]
    gateways = {joined.names[node] for node in joined.names if node[0] in words.gateways}
    graph_services = tuple(_service(name, workloads[name], name in gateways, joined, assumed) for name in joined.nodes)
    groups = _stages(found, joined, assumed)
    calls = tuple(_call(key, row, joined, groups[key], assumed) for key, row in joined.edges.items())
    place = {name: index for index, name in enumerate(joined.nodes)}
    calls = tuple(sorted(calls, key=lambda call: (place[call.caller], call.stage)))
    return CallGraph(
        services=graph_services,
        calls=calls,
        ingress=_ingress(found, joined, rates, assumed),
        assumed=tuple(assumed),
    )


def service_names(found: Statistics, words: Vocabulary) -> dict[Node, str]:
    """The name in the graph of each service at each depth."""
    return names_without_cycles(found.nodes, found.edges, _display(found, words.services))


def _join(found: Statistics, services: Names) -> _Joined:
    display = _display(found, services)
    names = names_without_cycles(found.nodes, found.edges, display)
    joined = _Joined({}, {}, {}, names, display, {}, {})
    for node in sorted(found.nodes, key=lambda node: (node[1], node[0])):
        name = names[node]
        joined.nodes[name] = joined.nodes.get(name, np.zeros(st.NODE_COLUMNS)) + found.nodes[node]
        joined.own_times.setdefault(name, Counter()).update(found.own_times.get(node, {}))
    for (caller, callee, waited), row in sorted(found.edges.items(), key=lambda item: (item[0][0][1], item[0])):
        key = (names[caller], names[callee], waited)
        joined.edges[key] = joined.edges.get(key, np.zeros(row.size)) + row
        joined.asked[key[1]] = joined.asked.get(key[1], 0.0) + float(row[st.CALLS])
        joined.recorded[key[1]] = joined.recorded.get(key[1], 0.0) + float(row[st.RECORDED])
    return joined


def _display(found: Statistics, services: Names) -> dict[int, str]:
    """The name of each service that occurs, by its code."""
    codes = sorted({node[0] for node in found.nodes} | set(found.entries))
    names = [name or "unnamed" for name in display_names([services.values[code] for code in codes])]
    outside = f"{INGRESS}-service"
    while outside in names:
        outside += "-"
    return {code: outside if name == INGRESS else name for code, name in zip(codes, names, strict=True)}


def _service(name: str, workload: str, gateway: bool, joined: _Joined, assumed: list[Assumption]) -> Service:
    gateway = gateway or bool(_GATEWAYS.search(workload))
    if gateway:
        assumed.append(Assumption(f"services.{name}.sidecar", "a gateway, which is a proxy itself; none"))
    return Service(
        name=name,
        workload="" if workload == name else workload,
        sidecar=Sidecar("none", "none") if gateway else Sidecar(),
        service_time=_service_time(name, joined, assumed),
    )


def _service_time(name: str, joined: _Joined, assumed: list[Assumption]) -> ServiceTime:
    count = joined.nodes[name][st.HANDLED]
    mean_ns = float(round(joined.nodes[name][st.OWN_NS] / count))
    if joined.asked.get(name) and not joined.recorded.get(name):
        assumed.append(
            Assumption(f"services.{name}.service_time", "left no spans; the caller's time, network included")
        )
    row = joined.nodes[name]
    if row[st.BY_SIDECAR] * 2 > count:
        assumed.append(Assumption(f"services.{name}.service_time", "recorded by its sidecar, whose own time is in it"))
    if row[st.MOVED]:
        mean = row[st.MOVED_NS] / row[st.MOVED]
        assumed.append(Assumption(f"services.{name}.service_time", f"clock moved in {row[st.MOVED]:g} of {count:g} "
                                  f"requests, by {format_duration(round(mean))} on average"))  # fmt: skip
    if row[st.CUT]:
        assumed.append(Assumption(f"services.{name}.service_time", f"in {row[st.CUT]:g} of {count:g} requests the part "
                                  "outside the call that waits for it is left out"))  # fmt: skip
    if count < ENOUGH or mean_ns <= 0:
        assumed.append(Assumption(f"services.{name}.service_time.distribution", f"only {count:g} requests; constant"))
        return ServiceTime.constant(mean_ns)
    points = _percentiles(joined.own_times[name])
    time = ServiceTime.measured(points, mean_ns)
    if len(time.percentiles) < len(points):
        dropped = ", ".join(f"p{percent:g}" for percent, _ in points[len(time.percentiles) :])
        assumed.append(
            Assumption(f"services.{name}.service_time", f"{dropped} left out: rare times would have no bound")
        )
    return time


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


def _stages(found: Statistics, joined: _Joined, assumed: list[Assumption]) -> dict[EdgeKey, int]:
    """The stage of each edge among those of its caller; what stages express only roughly is listed."""

    def named(edge: Edge) -> EdgeKey:
        return joined.names[edge[0]], joined.names[edge[1]], edge[2]

    overlaps: Counter[tuple[EdgeKey, EdgeKey]] = Counter()
    follows: Counter[tuple[EdgeKey, EdgeKey]] = Counter()
    for (first, second), count in found.overlaps.items():
        one, other = sorted((named(first), named(second)))
        overlaps[one, other] += count
    for (first, second), count in found.follows.items():
        follows[named(first), named(second)] += count
    calls = {key: _mean_call(row, joined.nodes[key[0]][st.HANDLED]) for key, row in joined.edges.items()}
    stage, partly = stages_of({key: calls[key] for key in calls if key[2]}, overlaps, follows)
    assumed += [_partly(each) for each in partly]
    last = Counter[str]()
    for (caller, _, _), number in stage.items():
        last[caller] = max(last[caller], number + 1)
    for key in joined.edges:
        if key not in stage:  # nobody waits for it
            stage[key] = last[key[0]]
            last[key[0]] += 1
    return stage


def _mean_call(row: FloatArray, handled: float) -> MeanCall:
    """Where an edge's calls lie in a mean request: sequential ones one after another around their mean start."""
    calls = float(row[st.CALLS])
    start, length = float(row[st.START_NS]) / calls, float(row[st.HOP_NS]) / calls
    further = max(calls / float(handled) - 1, 0.0) if row[st.TWICE] * 2 <= calls else 0.0
    return MeanCall(start - further * length / 2, start + length * (1 + further / 2), float(row[st.STAGE]) / calls)


def _partly(each: Partly) -> Assumption:
    caller = each.edges[0][0]
    callees = ", ".join(sorted(key[1] for key in each.edges))
    return Assumption(
        f"calls.{caller}->*.group",
        f"calls to {callees} overlap in part and take {each.taken_ns / 1e6:.4g} ms; "
        f"as stages {each.staged_ns / 1e6:.4g} ms",
    )


def _call(key: EdgeKey, row: FloatArray, joined: _Joined, stage: int, assumed: list[Assumption]) -> Call:
    caller, callee, waited = key
    other_kind = (caller, callee, not waited) in joined.edges
    identifier = edge_id(caller, callee, "async" if other_kind and not waited else "")
    protocol, request_bytes, response_bytes = _edge_values(f"calls.{identifier}", row, assumed)
    if row[st.LATE]:
        assumed.append(Assumption(f"calls.{identifier}.asynchronous",
                                  f"{row[st.LATE]:g} of {row[st.CALLS]:g} calls lie outside their caller"))  # fmt: skip
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
    """Protocol by majority and mean sizes; what no span stated is assumed."""
    kinds = row[st.FIRST_PROTOCOL :]
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
    rows: dict[str, FloatArray] = {}
    for service, row in found.entries.items():
        name = joined.names[service, 0]
        rows[name] = rows[name] + row if name in rows else row
    for name, row in rows.items():
        protocol, request_bytes, response_bytes = _edge_values(f"ingress.{name}", row, assumed)
        share = float(f"{rate_rps * row[st.CALLS] / total:.6g}")
        entries.append(Ingress(name, share, protocol, request_bytes=request_bytes, response_bytes=response_bytes))
    assumed.append(Assumption("ingress.*.tls", "traces do not say; none"))
    return tuple(entries)


def _rate_rps(found: Statistics, entries: float, rates: Rates, assumed: list[Assumption]) -> float:
    if rates.rate_rps is not None:
        return rates.rate_rps
    span_s = (found.last_ns - found.first_ns) / 1e9
    if rates.from_traces and entries > 1 and span_s > 0 and (entries - 1) / span_s < _FASTEST_RPS:
        assumed.append(Assumption("ingress.*.rate_rps", f"{entries:g} requests in {span_s:.6g} s, if all were traced"))
        return (entries - 1) / span_s
    assumed.append(Assumption("ingress.*.rate_rps", "traces do not say; 1 in all (see --rate and --rate-from-traces)"))
    return 1.0
