"""What if: changes of a call graph, and factors for components. Pure: texts in, values out.

A change is `EDGE.FIELD=VALUE`, as in `a->b.tls=none` or `*.protocol=tcp`; entries are edges too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from predictor.graph.checks import check_graph
from predictor.graph.types import PROTOCOLS, TLS_MODES, Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Factors
from profiler.errors import UsageError
from profiler.files.units import parse_size_bytes
from profiler.text import not_one_of, some_of
from profiler.vocabulary.components import COMPONENTS

FACTOR_NAMES: Final = {"C": "cpu_base", "c": "cpu_slope", "L": "latency_base", "l": "latency_slope"}
"""Names of the factors in a file: CPU and latency, at base (capital) and per byte, header, connection."""

TOPOLOGIES: Final = ("server", "shared", "waypoint", "none")
_EVERYWHERE: Final = {
    "shared": Sidecar("shared", "shared"), "waypoint": Sidecar("none", "waypoint"), "none": Sidecar("none", "none"),
}  # fmt: skip
_LARGEST: Final = 1e300

Named = Callable[[str, str], str]
"""Names a change in messages, by its kind (`set`, `drop-filter`, `topology`) and its text."""


def option(kind: str, text: str) -> str:
    """A change as it is given on the command line."""
    return f"--{kind} {text}"


@dataclass(frozen=True, slots=True)
class Changes:
    """Structural changes: `sets` as texts, and names of filters to drop.

    `topology` and `cold_weight` (0 hot to 1 cold) are for all services (None: as they are), `load` is a factor for the
    rates of requests from outside.
    """

    sets: tuple[str, ...] = ()
    dropped_filters: tuple[str, ...] = ()
    topology: str | None = None
    cold_weight: float | None = None
    load: float = 1.0


def changed(graph: CallGraph, changes: Changes, named: Named = option) -> CallGraph:
    """The graph with the changes. Raises `UsageError` when one names nothing, or the result cannot be predicted."""
    for text in changes.sets:
        graph = _set(graph, text, named)
    for name in changes.dropped_filters:
        graph = _drop(graph, name, named)
    if changes.topology is not None:
        services = (_placed(service, changes.topology, named) for service in graph.services)
        graph = replace(graph, services=tuple(services))
    if changes.cold_weight is not None:
        services = (replace(service, cold_weight=None) for service in graph.services)
        graph = replace(graph, services=tuple(services), cold_weight=changes.cold_weight)
    if changes.load != 1.0:
        graph = replace(graph, ingress=tuple(_loaded(entry, changes.load, named) for entry in graph.ingress))
    check_graph(graph)
    return graph


def _loaded(entry: Ingress, load: float, named: Named) -> Ingress:
    """The entry with so many times its rate, or its connections."""
    if entry.connections is None:
        return replace(entry, rate_rps=entry.rate_rps * load)
    connections = entry.connections * load
    if not connections.is_integer() or connections < 1.0:
        times = f"{entry.connections} connections times {load:g}"
        raise UsageError(f"{named('load', f'{load:g}')}: {times} are not a whole number of them")
    return replace(entry, connections=int(connections))


def _set(graph: CallGraph, text: str, named: Named) -> CallGraph:
    where, equals, value = text.partition("=")
    pattern, dot, field = where.rpartition(".")
    if not equals or not dot or field not in _FIELDS:
        raise UsageError(f"{named('set', text)}: expected EDGE.FIELD=VALUE, FIELD one of {', '.join(_FIELDS)}")
    try:
        setting = {field: _FIELDS[field](value)}
    except ValueError as error:
        raise UsageError(f"{named('set', text)}: {error}") from None
    edges: list[Call | Ingress] = [*graph.calls, *graph.ingress]
    if not any(fnmatchcase(edge.id, pattern) for edge in edges):
        known = some_of(edge.id for edge in edges)
        raise UsageError(f"{named('set', text)}: no edge is called so; the graph has {known}")

    def apply(edge: Any) -> Any:
        return replace(edge, **setting) if fnmatchcase(edge.id, pattern) else edge

    return replace(graph, calls=tuple(map(apply, graph.calls)), ingress=tuple(map(apply, graph.ingress)))


def _choice(known: tuple[str, ...]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in known:
            raise ValueError(not_one_of(value, known))
        return value

    return parse


_FIELDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "protocol": _choice(PROTOCOLS),
    "tls": _choice(TLS_MODES),
    "filters": lambda value: tuple(name for name in value.split("+") if name),
    "request_bytes": parse_size_bytes,
    "response_bytes": parse_size_bytes,
}


def _drop(graph: CallGraph, name: str, named: Named) -> CallGraph:
    edges: list[Call | Ingress] = [*graph.calls, *graph.ingress]
    if not any(name in edge.filters for edge in edges):
        raise UsageError(f"{named('drop-filter', name)}: no edge has it")

    def without(edge: Any) -> Any:
        return replace(edge, filters=tuple(item for item in edge.filters if item != name))

    return replace(graph, calls=tuple(map(without, graph.calls)), ingress=tuple(map(without, graph.ingress)))


def _placed(service: Service, topology: str, named: Named) -> Service:
    if topology not in TOPOLOGIES:
        raise UsageError(f"{named('topology', topology)}: {not_one_of(topology, TOPOLOGIES)}")
    if topology == "server":
        return replace(service, sidecar=Sidecar("none", service.sidecar.server))
    return replace(service, sidecar=_EVERYWHERE[topology])


def factors(document: Any, origin: str) -> dict[str, Factors]:
    """Speed-ups from a mapping such as `{parsing: {C: 0.5, L: 0.5}}`, or `{parsing: 0.5}` for all four.

    0.5 is half of the cost, 1 no change. Raises `UsageError`.
    """
    if not isinstance(document, Mapping):
        raise UsageError(f"{origin}: expected components with their factors, as in 'parsing: {{C: 0.5, L: 0.5}}'")
    found = {}
    for name, given in document.items():
        if name not in COMPONENTS and not str(name).startswith("filter:"):
            raise UsageError(f"{origin}: unknown component {name!r}; known: {', '.join(COMPONENTS)}, filter:NAME")
        entries: Mapping[str, Any] = given if isinstance(given, Mapping) else dict.fromkeys(FACTOR_NAMES, given)
        for key, value in entries.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if key not in FACTOR_NAMES or not number or not 0 <= value < _LARGEST:  # nor NaN
                raise UsageError(f"{origin}: {name}.{key}: expected C, c, L or l with a factor of 0 or more, as 0.5")
        found[str(name)] = Factors(**{FACTOR_NAMES[key]: float(value) for key, value in entries.items()})
    return found
