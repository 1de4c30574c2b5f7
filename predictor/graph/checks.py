"""Whether the parts of a call graph fit together: names, cycles, reach. Pure."""

from collections.abc import Callable, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from predictor.graph.names import is_printable
from predictor.graph.plan import topological_order
from predictor.graph.types import (
    CLIENT_MODES,
    INGRESS,
    MOST_BYTES,
    MOST_CALLS_PER_REQUEST,
    MOST_CONNECTIONS,
    MOST_REPLICAS,
    MOST_RPS,
    Call,
    CallGraph,
    Ingress,
    Service,
)
from profiler.errors import UsageError
from profiler.text import some_of

Where = Callable[[tuple[str | int, ...]], str]
"""Names the place of a part, as `FILE:LINE: calls[2]`."""


def in_memory(path: tuple[str | int, ...]) -> str:
    """The place of a part of a graph that came from no file."""
    return "call graph: " + "".join(f"[{part}]" if isinstance(part, int) else part for part in path)


def check_graph(graph: CallGraph, where: Where = in_memory) -> None:
    """Raise `UsageError`, one line that names the part and the remedy, unless the graph can be predicted.

    Checked: services and edges have unique, printable names, values are within what a file may hold, calls and ingress
    name known services, there is ingress, no cycle, every service is reached, `required` and `mtls` agree. Linear in
    the size of the graph.
    """
    if not graph.services:
        raise UsageError(f"{where(('services',))}: no services; list them under 'services:'")
    _values(graph, where)
    _unique("services", (service.name for service in graph.services), where, "give each service its own name")
    _known(graph, where)
    _unique("calls", (call.id for call in graph.calls), where, "give the second one a 'name:'")
    _unique("ingress", (entry.service for entry in graph.ingress), where, "add up their rates")
    if not graph.ingress:
        raise UsageError(f"{where(('ingress',))}: no ingress; say where requests come in: service and rate_rps")
    _closed_loop_alone(graph, where)
    _required(graph, where)
    cycle = find_cycle(graph)
    if cycle:
        last = next(
            index for index, call in enumerate(graph.calls) if (call.caller, call.callee) == (cycle[-2], cycle[-1])
        )
        raise UsageError(
            f"{where(('calls', last))}: calls form a cycle: {shown_cycle(cycle)}; remove one, or enter the service "
            "again under another name with the same 'workload:'"
        )
    _reached(graph, where)


def _values(graph: CallGraph, where: Where) -> None:
    """What a file is refused for is refused in memory too, so whatever is written can be read back."""
    for index, service in enumerate(graph.services):
        if problem := _wrong_service(service):
            raise UsageError(f"{where(('services', index))}: {problem}; correct it")
    for index, call in enumerate(graph.calls):
        if problem := _wrong_call(call):
            raise UsageError(f"{where(('calls', index))}: {problem}; correct it")
    for index, entry in enumerate(graph.ingress):
        if problem := _wrong_entry(entry):
            raise UsageError(f"{where(('ingress', index))}: {problem}; correct it")


def _wrong_service(service: Service) -> str:
    name = service.name
    if not name or name == INGRESS or "->" in name or not is_printable(name + service.workload):
        return f"{name!r} is not a name for a service"
    if not 1 <= service.replicas <= MOST_REPLICAS:
        return f"{name}: {service.replicas} replicas are not between 1 and {MOST_REPLICAS}"
    if service.sidecar.client not in CLIENT_MODES:
        return f"{name}: {service.sidecar.client} is no sidecar of the calls that a service makes"
    return "" if service.service_time.bounded() else f"{name}: its service time is beyond all bounds"


def _wrong_call(call: Call) -> str:
    if not is_printable(call.id):
        return f"{call.id!r} is not a name for a call"
    if not 0.0 <= call.calls_per_request <= MOST_CALLS_PER_REQUEST:
        most = f"{MOST_CALLS_PER_REQUEST:g}"
        return f"{call.id}: {call.calls_per_request:g} calls per request are not between 0 and {most}"
    if 0.0 <= call.request_bytes <= MOST_BYTES and 0.0 <= call.response_bytes <= MOST_BYTES:
        return ""
    return _wrong_sizes(call)


def _wrong_entry(entry: Ingress) -> str:
    if not 0.0 <= entry.rate_rps <= MOST_RPS:
        return f"{entry.id}: {entry.rate_rps:g} requests per second are not between 0 and {MOST_RPS:g}"
    if entry.connections is not None and not 1 <= entry.connections <= MOST_CONNECTIONS:
        return f"{entry.id}: {entry.connections} connections are not between 1 and {MOST_CONNECTIONS}"
    if 0.0 <= entry.request_bytes <= MOST_BYTES and 0.0 <= entry.response_bytes <= MOST_BYTES:
        return ""
    return _wrong_sizes(entry)


def _wrong_sizes(edge: Call | Ingress) -> str:
    return f"{edge.id}: messages of {edge.request_bytes:g} and {edge.response_bytes:g} bytes are out of bounds"


def shown_cycle(cycle: Sequence[str]) -> str:
    """The way around a cycle, long ones shortened in the middle."""
    shown = cycle if len(cycle) <= 8 else (*cycle[:4], "…", *cycle[-2:])
    return " -> ".join(shown)


def _unique(kind: str, names: Iterable[str], where: Where, remedy: str) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise UsageError(f"{where((kind, index))}: {name!r} is there twice; {remedy}")
        seen.add(name)


def _known(graph: CallGraph, where: Where) -> None:
    names = {service.name for service in graph.services}
    for index, call in enumerate(graph.calls):
        for side, name in (("caller", call.caller), ("callee", call.callee)):
            if name not in names:
                raise UsageError(f"{where(('calls', index, side))}: unknown service {name!r}; {_known_names(names)}")
    for index, entry in enumerate(graph.ingress):
        if entry.service not in names:
            place = where(("ingress", index, "service"))
            raise UsageError(f"{place}: unknown service {entry.service!r}; {_known_names(names)}")


def _known_names(names: set[str]) -> str:
    return f"add it under 'services:', which has {some_of(sorted(names))}"


def _closed_loop_alone(graph: CallGraph, where: Where) -> None:
    closed = [index for index, entry in enumerate(graph.ingress) if entry.connections is not None]
    if closed and len(graph.ingress) > 1:
        place = where(("ingress", closed[0]))
        raise UsageError(f"{place}: an entry with connections must be the only one; give this one a rate_rps")


def _required(graph: CallGraph, where: Where) -> None:
    for index, call in enumerate(graph.calls):
        for name in call.required:
            if not (call.tls == "mtls" if name == "mtls" else name in call.filters):
                remedy = "set 'tls: mtls'" if name == "mtls" else "add it to 'filters:'"
                place = where(("calls", index, "required"))
                raise UsageError(f"{place}: {name!r} is required but the call has none; {remedy} or drop the mark")


def find_cycle(graph: CallGraph) -> tuple[str, ...]:
    """The services of one cycle from the graph's first of them, which is at the end again; empty when there is none."""
    try:
        topological_order(graph)  # a tenth of the time of graphlib, for all the graphs without one
    except ValueError:
        callers: dict[str, list[str]] = {}
        for call in graph.calls:
            callers.setdefault(call.callee, []).append(call.caller)
        try:
            TopologicalSorter(callers).prepare()
        except CycleError as error:
            cycle, place = error.args[1][:-1], {service.name: number for number, service in enumerate(graph.services)}
            first = cycle.index(min(cycle, key=place.__getitem__))
            return (*cycle[first:], *cycle[: first + 1])
    return ()


def _reached(graph: CallGraph, where: Where) -> None:
    callees: dict[str, list[str]] = {}
    for call in graph.calls:
        callees.setdefault(call.caller, []).append(call.callee)
    reached = dict.fromkeys(entry.service for entry in graph.ingress)
    queue = list(reached)
    for name in queue:
        new = [callee for callee in dict.fromkeys(callees.get(name, ())) if callee not in reached]
        reached.update(dict.fromkeys(new))
        queue += new
    for index, service in enumerate(graph.services):
        if service.name not in reached:
            raise UsageError(
                f"{where(('services', index))}: no request reaches {service.name!r}; add a call to it or an ingress, "
                "or remove it"
            )
