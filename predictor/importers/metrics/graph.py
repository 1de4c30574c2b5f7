"""The call graph of mesh metrics: mean calls per request from rates, cycles cut before anything is divided. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Final

from predictor.graph.types import (
    INGRESS,
    MOST_BYTES,
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
from predictor.importers.closing_calls import closing_calls
from predictor.importers.flat import cut_call, flat_graph
from predictor.importers.gateways import is_gateway_name
from predictor.importers.metrics.edges import CONNECTIONS, REQUESTS, SIZES, TCP_BYTES, MetricEdge, Metrics
from predictor.importers.metrics.labels import Party
from profiler.errors import UsageError

_PROTOCOLS: Final[dict[str, Protocol]] = {"http": "http1", "http/1.1": "http1", "http2": "http2", "h2": "http2",
                                          "grpc": "grpc", "tcp": "tcp"}  # fmt: skip

Pair = tuple[str, str]
"""Names of caller and callee; the caller is empty for requests from outside the mesh."""


@dataclass(slots=True)
class _Flow:
    """Requests per unit of time: `edges` by names, `requests` that services get, `entries` that come in from outside.

    `parties` are the names' owners, in the order in which they were met. `inferred` entries were not measured.
    """

    edges: dict[Pair, MetricEdge]
    parties: dict[str, Party]
    remarks: list[Assumption]
    entries: dict[str, float] = field(default_factory=dict)
    inferred: set[str] = field(default_factory=set)
    requests: dict[str, float] = field(default_factory=dict)


def metric_graph(metrics: Metrics, origin: str, rate_rps: float | None, over_s: float | None) -> CallGraph:
    """The graph. Raises `UsageError`, one line, where the metrics hold none."""
    flow = _named(metrics)
    if not flow.edges:
        raise UsageError(f"{origin}: {REQUESTS} counts no requests between services; ask for a time when there were")
    _cut(flow)
    _follow(flow)
    assumed: list[Assumption] = []
    calls = tuple(call for pair, edge in flow.edges.items() if pair[0] for call in _calls(pair, edge, flow, assumed))
    scale = _scale(flow.entries, origin, rate_rps, over_s, assumed)
    graph = CallGraph(
        services=tuple(_service(name, flow, metrics, assumed) for name in flow.parties),
        calls=calls,
        ingress=tuple(_entry(name, count * scale, flow, assumed) for name, count in flow.entries.items()),
        assumed=(*metrics.remarks(), *assumed, *flow.remarks, *_NEVER_SAID),
    )
    return flat_graph(graph, origin)


_NEVER_SAID: Final = (
    Assumption("services.*.service_time", "metrics do not say; 1 ms"),
    Assumption("services.*.replicas", "metrics do not say; 1"),
    Assumption("services.*.sidecar", "http on both sides, unless listed"),
    Assumption("calls.*.stage", "metrics do not say; one after another"),
)


def _named(metrics: Metrics) -> _Flow:
    """The edges by the names that the graph gives their ends; what is no service is left out and listed."""
    names = _names(party for pair in metrics.edges for party in pair)
    flow = _Flow({}, {}, [])
    lost: dict[str, float] = {}
    for (source, destination), edge in metrics.edges.items():
        caller = names.get(source, "")
        if destination.sort in ("service", "host"):
            callee = names[destination]
            _join(flow.edges, (caller, callee), edge)
            for name, party in ((caller, source), (callee, destination)):
                if name and (flow.parties.setdefault(name, party).sort == "host" != party.sort):
                    flow.parties[name] = party
        else:
            path = f"calls.{caller or INGRESS}->{destination.name or 'unknown'}"
            lost[f"{path}\0{destination.sort}"] = lost.get(f"{path}\0{destination.sort}", 0.0) + _amount(edge)
    for key, amount in lost.items():
        path, _, sort = key.partition("\0")
        flow.remarks.append(Assumption(path, f"left out: {amount:g} {_WHY_LOST[sort]}"))
    return flow


_WHY_LOST: Final = {
    "passthrough": "requests or connections to addresses that the mesh does not know",
    "blackhole": "requests or connections that the mesh refused, since it does not know their address",
    "unknown": "requests or connections whose destination no label names",
}


def _amount(edge: MetricEdge) -> float:
    return edge.get(REQUESTS) or edge.get(CONNECTIONS)


def _names(parties: Iterable[Party]) -> dict[Party, str]:
    """A name for each: the bare one, or `name.namespace` where services of several namespaces have the same."""
    known = dict.fromkeys(party for party in parties if party.sort in ("service", "host"))
    namespaces: dict[str, set[str]] = {}
    for party in known:
        namespaces.setdefault(party.name, set()).update({party.namespace} - {""})
    several = {name for name, found in namespaces.items() if len(found) > 1}
    return {
        party: f"{party.name}.{party.namespace}" if party.name in several and party.namespace else party.name
        for party in known
    }


def _join(edges: dict[Pair, MetricEdge], pair: Pair, edge: MetricEdge) -> None:
    known = edges.setdefault(pair, MetricEdge())
    for reporter, totals in edge.totals.items():
        sums = known.totals.setdefault(reporter, {})
        for metric, value in totals.items():
            sums[metric] = sums.get(metric, 0.0) + value
    for protocol, weight in edge.protocols.items():
        known.protocols[protocol] = known.protocols.get(protocol, 0.0) + weight
    known.mutual_tls += edge.mutual_tls
    known.with_tls_known += edge.with_tls_known


def _cut(flow: _Flow) -> None:
    """Find the entries, and cut the calls that lead back, so that what is left can be divided."""
    callees: dict[str, list[str]] = {}
    called: set[str] = set()
    weights: dict[str, float] = {}
    for (caller, callee), edge in flow.edges.items():
        if caller:
            callees.setdefault(caller, []).append(callee)
            both = (weights.get(caller, 0.0), _amount(edge))
            weights[caller] = sum(both) if is_gateway_name(flow.parties[caller].name) else max(both)
        if caller != callee:
            called.add(callee)
    for (caller, callee), edge in flow.edges.items():
        if not caller:
            flow.entries[callee] = _amount(edge)
            if not edge.get(REQUESTS):
                why = f"TCP: {_amount(edge):g} connections, whose number of requests no metric tells"
                flow.remarks.append(Assumption(f"ingress.{callee}.rate_rps", why))
    for caller, weight in weights.items():
        if caller not in called:
            _infer_entry(flow, caller, weight, "nobody was seen to call it")
    _enter_the_rest(flow, callees, weights)
    closing = closing_calls(list(flow.entries), callees)
    for pair, cycle in closing.items():
        remark = cut_call(*pair, cycle)
        amount = f" ({_amount(flow.edges[pair]):g} requests)"
        flow.remarks.append(Assumption(remark.path, remark.why + amount))
        del flow.edges[pair]


def _enter_the_rest(flow: _Flow, callees: Mapping[str, list[str]], weights: Mapping[str, float]) -> None:
    """Services that only call each other, in a cycle, are entered at the busiest."""
    reached = _reach(flow.entries, callees, set())
    for caller in sorted(weights, key=lambda name: -weights[name]):
        if caller not in reached:
            _infer_entry(flow, caller, weights[caller], "only services that it calls itself call it; the busiest")
            _reach([caller], callees, reached)


def _reach(starts: Iterable[str], callees: Mapping[str, list[str]], reached: set[str]) -> set[str]:
    waiting = [name for name in starts if name not in reached]
    reached.update(waiting)
    while waiting:
        for callee in callees.get(waiting.pop(), ()):
            if callee not in reached:
                reached.add(callee)
                waiting.append(callee)
    return reached


def _infer_entry(flow: _Flow, name: str, rate: float, reason: str) -> None:
    if name not in flow.entries:
        flow.entries[name] = rate
        flow.inferred.add(name)
        gateway = is_gateway_name(flow.parties[name].name)
        what = "a gateway, so the sum of its calls" if gateway else "as often as its most frequent call"
        flow.remarks.append(Assumption(f"ingress.{name}", f"{reason}; {what}, {rate:g}"))


def _follow(flow: _Flow) -> None:
    """How many requests each service handles: callers before callees."""
    flow.requests = dict(flow.entries)
    callers: dict[str, list[str]] = {}
    for caller, callee in flow.edges:
        if caller:
            callers.setdefault(callee, []).append(caller)
    for callee in TopologicalSorter(callers).static_order():
        for caller in callers.get(callee, ()):
            requests = flow.edges[caller, callee].get(REQUESTS) or flow.requests.get(caller, 0.0)
            flow.requests[callee] = flow.requests.get(callee, 0.0) + requests


def _calls(pair: Pair, edge: MetricEdge, flow: _Flow, assumed: list[Assumption]) -> Iterable[Call]:
    """The requests of an edge, and its bytes as a call of their own, of which the number is not known."""
    caller, callee = pair
    handled, requests = flow.requests.get(caller, 0.0), edge.get(REQUESTS)
    if requests and handled:
        values = _values(f"calls.{edge_id(*pair)}", edge, assumed)
        yield Call(edge_id(*pair), caller, callee, calls_per_request=_short(requests / handled), **values)
    if edge.has_tcp:
        identifier = edge_id(*pair, "tcp" if requests and handled else "")
        why = f"TCP: {edge.get(CONNECTIONS):g} connections were opened, which are not requests; 1"
        assumed.append(Assumption(f"calls.{identifier}.calls_per_request", why))
        values = _tcp_values(f"calls.{identifier}", edge, handled, assumed)
        yield Call(identifier, caller, callee, **values)


def _tcp_values(path: str, edge: MetricEdge, handled: float, assumed: list[Assumption]) -> dict[str, Any]:
    values: dict[str, Any] = {"protocol": "tcp", "tls": _tls(path, edge, assumed)}
    for name, metric in zip(("request_bytes", "response_bytes"), TCP_BYTES, strict=True):
        total = edge.get(metric)
        values[name] = _whole(total / handled) if total and handled else SIZE_BYTES
        why = "all bytes, by the requests of the caller" if total and handled else f"no metric says; {SIZE_BYTES:g}"
        assumed.append(Assumption(f"{path}.{name}", why))
    return values


def _values(path: str, edge: MetricEdge, assumed: list[Assumption]) -> dict[str, Any]:
    """Protocol, TLS and mean sizes of an edge; what no metric tells is assumed."""
    known = {name: count for name, count in edge.protocols.items() if name in _PROTOCOLS}
    protocol = _PROTOCOLS[max(known, key=lambda name: known[name])] if known else "http1"
    if not known:
        assumed.append(Assumption(f"{path}.protocol", "no metric says; http1"))
    values: dict[str, Any] = {"protocol": protocol, "tls": _tls(path, edge, assumed)}
    for name, metric in zip(("request_bytes", "response_bytes"), SIZES, strict=True):
        total, count = edge.get(f"{metric}_sum"), edge.get(f"{metric}_count") or edge.get(REQUESTS)
        values[name] = _whole(total / count) if total and count else SIZE_BYTES
        if not (total and count):
            assumed.append(Assumption(f"{path}.{name}", f"no metric says; {SIZE_BYTES:g}"))
    return values


def _tls(path: str, edge: MetricEdge, assumed: list[Assumption]) -> str:
    if not edge.with_tls_known:
        assumed.append(Assumption(f"{path}.tls", "no metric says; none"))
    return "mtls" if edge.mutual_tls * 2 > edge.with_tls_known else "none"


def _service(name: str, flow: _Flow, metrics: Metrics, assumed: list[Assumption]) -> Service:
    party, place = flow.parties[name], f"services.{name}.sidecar"
    if party.sort == "host":
        assumed.append(Assumption(place, "a host outside of the mesh; none"))
        return Service(name, sidecar=Sidecar("none", "none"))
    if is_gateway_name(party.name):
        assumed.append(Assumption(place, "a gateway by its name, which is a proxy itself; none"))
        return Service(name, sidecar=Sidecar("none", "none"))
    if name in flow.inferred and "destination" in metrics.reporters:
        assumed.append(Assumption(place, "its proxy reports no requests to it; client http, server none"))
        return Service(name, sidecar=Sidecar("http", "none"))
    return Service(name)


def _entry(name: str, rate_rps: float, flow: _Flow, assumed: list[Assumption]) -> Ingress:
    edge, path = flow.edges.get(("", name), MetricEdge()), f"ingress.{name}"
    only_tcp = edge.has_tcp and not edge.get(REQUESTS)
    values = _tcp_values(path, edge, flow.entries[name], assumed) if only_tcp else _values(path, edge, assumed)
    return Ingress(name, _short(rate_rps), **values)


def _scale(
    entries: Mapping[str, float], origin: str, rate_rps: float | None, over_s: float | None, assumed: list[Assumption]
) -> float:
    total = sum(entries.values())
    if rate_rps is not None:
        if not total:
            raise UsageError(f"{origin}: no requests come in, so no rate can be given to them; leave --rate out")
        return rate_rps / total
    if over_s is not None:
        return 1.0 / over_s
    why = "the values as they are, as if the query were rate(...) (see --over and --rate)"
    assumed.append(Assumption("ingress.*.rate_rps", why))
    return 1.0


def _whole(number: float) -> float:
    return float(round(number)) if number < MOST_BYTES else number


def _short(number: float) -> float:
    return float(f"{number:.6g}")
