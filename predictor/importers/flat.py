"""Graphs from sources that know services and who calls whom, but neither depth nor order. Pure."""

from collections.abc import Callable
from dataclasses import replace

from predictor.graph.checks import check_graph
from predictor.graph.types import INGRESS, Assumption, Call, CallGraph, edge_id
from predictor.importers.closing_calls import closing_calls


def flat_graph(graph: CallGraph, origin: str) -> CallGraph:
    """The graph in order: stages one after another, cycles cut, what no request reaches left out; all of it listed.

    Raises `UsageError` where what is left cannot be predicted.
    """
    graph = _renamed(graph)
    callees: dict[str, list[str]] = {}
    for call in graph.calls:
        callees.setdefault(call.caller, []).append(call.callee)
    starts = [*(entry.service for entry in graph.ingress), *(service.name for service in graph.services)]
    closing = closing_calls(starts, callees)
    remarks = [cut_call(*pair, cycle) for pair, cycle in closing.items()]
    kept_calls = tuple(call for call in graph.calls if (call.caller, call.callee) not in closing)
    graph = replace(graph, calls=kept_calls)
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


def cut_call(caller: str, callee: str, cycle: str) -> Assumption:
    """The remark on a call that is left out since it leads back."""
    why = "left out: a service's calls to itself" if caller == callee else f"left out: it closes the cycle {cycle}"
    return Assumption(f"calls.{caller}->{callee}", why)


def _renamed(graph: CallGraph) -> CallGraph:
    """A service may not have the name that the outside has."""
    names = {service.name for service in graph.services}
    if INGRESS not in names:
        return graph
    free = f"{INGRESS}-service"
    while free in names:
        free += "-2"
    new: Callable[[str], str] = lambda name: free if name == INGRESS else name  # noqa: E731
    return replace(
        graph,
        services=tuple(replace(service, name=new(service.name)) for service in graph.services),
        calls=tuple(_between(call, new(call.caller), new(call.callee)) for call in graph.calls),
        ingress=tuple(replace(entry, service=new(entry.service)) for entry in graph.ingress),
    )


def _between(call: Call, caller: str, callee: str) -> Call:
    name = call.id.removeprefix(edge_id(call.caller, call.callee))
    return replace(call, id=edge_id(caller, callee) + name, caller=caller, callee=callee)


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
