"""What a call graph does with one request: order, rates, stages. Pure functions, linear in the number of calls.

The graph is a DAG whose paths may be very many more than its calls, so nothing here walks paths: a service's handling
is the same wherever its request comes from, and the plan holds it once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from predictor.graph.types import Call, CallGraph, Cluster, Service, SidecarMode


@dataclass(frozen=True, slots=True)
class Stage:
    """Calls that start together; the stage ends with the last of them."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Handling:
    """One request in one service: its own service time and `stages` in order; `background` is asynchronous."""

    service: str
    stages: tuple[Stage, ...]
    background: tuple[Call, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls, those that are waited for first."""
        return (*(call for stage in self.stages for call in stage.calls), *self.background)


@dataclass(frozen=True, slots=True)
class Plan:
    """The execution tree of every ingress request, shared parts once.

    `order` has every caller before its callees (so reversed, callees come first, as latency needs them); `handlings` is
    by service name, in that order. The tree of one ingress request starts at `handlings[ingress.service]`. `cpus` is
    how many run its services, infinity where that is not known.
    """

    order: tuple[str, ...]
    handlings: Mapping[str, Handling]
    cpus: float = math.inf


def execution_plan(graph: CallGraph) -> Plan:
    """The plan of a graph that `check_graph` accepts. Raises `ValueError` if it has a cycle."""
    order = topological_order(graph)
    waited: dict[str, dict[int, list[Call]]] = {name: {} for name in order}
    background: dict[str, list[Call]] = {name: [] for name in order}
    for call in graph.calls:
        if call.asynchronous:
            background[call.caller].append(call)
        else:
            waited[call.caller].setdefault(call.stage, []).append(call)
    return Plan(order, {name: _handling(name, waited[name], background[name]) for name in order}, _cpus(graph.cluster))


def _cpus(cluster: Cluster) -> float:
    if cluster.nodes is None or cluster.cpus_per_node is None:
        return math.inf
    return max(cluster.nodes * cluster.cpus_per_node, 1.0)


def _handling(name: str, waited: Mapping[int, list[Call]], background: list[Call]) -> Handling:
    return Handling(name, tuple(Stage(tuple(waited[stage])) for stage in sorted(waited)), tuple(background))


def topological_order(graph: CallGraph) -> tuple[str, ...]:
    """All services, callers before callees, otherwise in the order of the file. Raises `ValueError` on a cycle."""
    callees: dict[str, list[str]] = {service.name: [] for service in graph.services}
    waiting = dict.fromkeys(callees, 0)
    for call in graph.calls:
        callees[call.caller].append(call.callee)
        waiting[call.callee] += 1
    order = [name for name, callers in waiting.items() if callers == 0]
    for name in order:  # grows while it is walked
        for callee in callees[name]:
            waiting[callee] -= 1
            if waiting[callee] == 0:
                order.append(callee)
    if len(order) < len(callees):
        raise ValueError("the call graph has a cycle")
    return tuple(order)


def request_rates(graph: CallGraph) -> dict[str, float]:
    """Requests per second that each service handles, all its replicas together, all ingress entries together."""
    rates = {service.name: 0.0 for service in graph.services}
    for entry in graph.ingress:
        rates[entry.service] += entry.rate_rps
    outgoing: dict[str, list[Call]] = {}
    for call in graph.calls:
        outgoing.setdefault(call.caller, []).append(call)
    for name in topological_order(graph):
        for call in outgoing.get(name, ()):
            rates[call.callee] += rates[name] * call.calls_per_request
    return rates


def call_rates(graph: CallGraph) -> dict[str, float]:
    """Calls per second on each edge, by its id: ingress rate times the multiplicities on the way to it."""
    rates = request_rates(graph)
    return {call.id: rates[call.caller] * call.calls_per_request for call in graph.calls}


def edge_rates(graph: CallGraph) -> dict[str, float]:
    """Calls per second on each edge, by its id, entries first."""
    return {entry.id: entry.rate_rps for entry in graph.ingress} | call_rates(graph)


def met_rates(graph: CallGraph) -> dict[str, float]:
    """The part of `edge_rates` that a request meets on its way, entries first.

    One of the connections of a closed loop meets the requests of the others, never its own earlier ones.
    """
    entry = graph.closed_loop
    if entry is None or entry.connections is None:
        return edge_rates(graph)
    met = replace(entry, rate_rps=entry.rate_rps * (1.0 - 1.0 / entry.connections))
    return edge_rates(replace(graph, ingress=(met,)))


def sidecar_modes(graph: CallGraph) -> dict[str, tuple[SidecarMode, SidecarMode]]:
    """The proxies each call passes, `(client side, server side)` by edge id, ingress entries included.

    As they treat the call: an `http` sidecar treats a TCP call as `tcp`. The caller `ingress` has no sidecar. `shared`
    stays `shared`; what it parses follows from the call's protocol.
    """
    services = {service.name: service for service in graph.services}
    found = {}
    for call in (*graph.calls, *(entry.as_call() for entry in graph.ingress)):
        client, server = passed_sidecars(call, services.get(call.caller), services[call.callee])
        found[call.id] = (_treating(client, call), _treating(server, call))
    return found


def passed_sidecars(call: Call, caller: Service | None, callee: Service) -> tuple[SidecarMode, SidecarMode]:
    """The sidecars on the way of a call, `(client side, server side)`; a `caller` of None is the outside."""
    client: SidecarMode = "none" if caller is None or "client" in call.bypass else caller.sidecar.client
    return client, "none" if "server" in call.bypass else callee.sidecar.server


def _treating(mode: SidecarMode, call: Call) -> SidecarMode:
    return "tcp" if mode == "http" and call.protocol == "tcp" else mode
