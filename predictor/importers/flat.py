"""Graphs from sources that know services and who calls whom, but neither depth nor order. Pure."""

from collections.abc import Callable
from dataclasses import replace

from predictor.graph.checks import check_graph, find_cycle
from predictor.graph.types import INGRESS, Assumption, CallGraph


def flat_graph(graph: CallGraph, origin: str) -> CallGraph:
    """The graph in order: stages one after another, circles cut, what no request reaches left out; all of it listed.

    Raises `UsageError` where what is left cannot be predicted.
    """
    graph = _renamed(graph)
    remarks: list[Assumption] = []
    while cycle := find_cycle(graph):
        caller, callee = cycle[-2:]
        cut = tuple(call for call in graph.calls if (call.caller, call.callee) != (caller, callee))
        remarks.append(Assumption(f"calls.{caller}->{callee}", f"left out: it closes the circle {' -> '.join(cycle)}"))
        graph = replace(graph, calls=cut)
    graph, left_out = _reached(graph)
    remarks += [Assumption(f"services.{name}", "left out: no request reaches it") for name in left_out]
    stages: dict[str, int] = {}
    calls = []
    for call in graph.calls:
        calls.append(replace(call, stage=stages.get(call.caller, 0)))
        stages[call.caller] = stages.get(call.caller, 0) + 1
    graph = replace(graph, calls=tuple(calls), assumed=(*graph.assumed, *remarks))
    check_graph(graph, lambda path: f"{origin}{f': {path[0]}' if path else ''}")
    return graph


def _renamed(graph: CallGraph) -> CallGraph:
    """A service may not have the name that the outside has."""
    new: Callable[[str], str] = lambda name: f"{name}-service" if name == INGRESS else name  # noqa: E731
    return replace(
        graph,
        services=tuple(replace(service, name=new(service.name)) for service in graph.services),
        calls=tuple(replace(call, caller=new(call.caller), callee=new(call.callee)) for call in graph.calls),
        ingress=tuple(replace(entry, service=new(entry.service)) for entry in graph.ingress),
    )


def _reached(graph: CallGraph) -> tuple[CallGraph, list[str]]:
    callees: dict[str, list[str]] = {}
    for call in graph.calls:
        callees.setdefault(call.caller, []).append(call.callee)
    reached = list(dict.fromkeys(entry.service for entry in graph.ingress))
    known = set(reached)
    for name in reached:
        new = [callee for callee in dict.fromkeys(callees.get(name, ())) if callee not in known]
        known.update(new)
        reached += new
    left_out = [service.name for service in graph.services if service.name not in known]
    kept = replace(
        graph,
        services=tuple(service for service in graph.services if service.name in known),
        calls=tuple(call for call in graph.calls if call.caller in known),
    )
    return kept, left_out
