"""What can be changed in a graph, and what it becomes then. Pure.

Changes of an edge: its sidecars move HTTP as bytes (`protocol`), no mTLS (`tls`), one filter less (`filter`). Changes
of a deployment's sidecars: none for the calls it makes (`client`), the node's instead of its own (`shared`), none at
all (`none`). One change of all: Unix sockets between applications and sidecars (`uds`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from predictor.graph.plan import passed_sidecars
from predictor.graph.types import Call, CallGraph, Protocol, Service, Sidecar, SidecarMode, Tls

KINDS: Final[Mapping[str, str]] = {
    "protocol": "HTTP calls moved as bytes",
    "client": "no sidecar for the calls a service makes",
    "uds": "Unix sockets between applications and sidecars",
    "tls": "calls without mTLS",
    "filter": "calls without a filter",
    "shared": "one proxy per node",
    "none": "services without sidecar",
}
"""All kinds of changes."""

DEFAULT_KINDS: Final = ("protocol", "client", "uds")
"""Those that keep encryption, filters, and a proxy of its own for each replica."""

_OF_SERVICES: Final = ("client", "shared", "none")


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `target` is an edge id or a deployment, empty for all; `filter` the name of the dropped one."""

    kind: str
    target: str = ""
    filter: str = ""

    @property
    def of_service(self) -> bool:
        """Whether it changes the sidecars of a deployment."""
        return self.kind in _OF_SERVICES

    def __str__(self) -> str:
        what = {
            "protocol": "move as TCP",
            "client": "no sidecar for its own calls",
            "tls": "no mTLS",
            "filter": f"drop {self.filter}",
            "shared": "the node's shared proxy",
            "none": "no sidecar",
        }
        return f"{self.target}: {what[self.kind]}" if self.target else "all: Unix sockets to the sidecars"


@dataclass(frozen=True, slots=True)
class Treatment:
    """How the sidecars of an edge, as configured, treat its calls. `transport` is empty where it is as it was."""

    client: SidecarMode
    server: SidecarMode
    protocol: Protocol
    tls: Tls
    filters: tuple[str, ...]
    transport: str = ""


def edges_of(graph: CallGraph) -> tuple[Call, ...]:
    """All edges, those from outside first, as predictions have them."""
    return (*(entry.as_call() for entry in graph.ingress), *graph.calls)


def required_filters(call: Call) -> tuple[str, ...]:
    """Filters that may not be taken away."""
    return tuple(name for name in call.required if name != "mtls")


class Edges:
    """The edges of a graph with what changes depend on: the sidecars at both ends and whose they are."""

    def __init__(self, graph: CallGraph) -> None:
        self.graph = graph
        self.calls = edges_of(graph)
        services = {service.name: service for service in graph.services}
        self.owners: list[tuple[str | None, str]] = []
        self._modes: list[tuple[SidecarMode, SidecarMode]] = []
        for call in self.calls:
            caller, callee = services.get(call.caller), services[call.callee]
            self.owners.append((caller.deployment if caller else None, callee.deployment))
            self._modes.append(passed_sidecars(call, caller, callee))

    def modes(self, edge: int) -> tuple[SidecarMode, SidecarMode]:
        """The sidecars at both ends as the file has them."""
        return self._modes[edge]

    def touched(self, edge: int, change: Change) -> bool:
        """Whether a change may alter what this edge costs."""
        if change.kind == "uds":
            return self._modes[edge] != ("none", "none")
        if not change.of_service:
            return self.calls[edge].id == change.target
        client, server = self.owners[edge]
        return change.target == client or (change.kind != "client" and change.target == server)

    def under(self, edge: int, changes: Collection[Change]) -> Treatment | None:
        """How an edge is treated with changes; None where they contradict each other, or TCP would skip a filter."""
        call, (client, server) = self.calls[edge], self._modes[edge]
        own = {change.kind for change in changes if change.target == call.id and not change.of_service}
        dropped = {change.filter for change in changes if change.target == call.id and change.kind == "filter"}
        moved = {}
        for side, name in enumerate(self.owners[edge]):
            kinds = {change.kind for change in changes if change.of_service and change.target == name}
            if len(kinds) > 1:
                return None
            moved[side] = kinds.pop() if kinds else ""
        new_client, new_server = _client(client, moved[0]), _server(server, moved[1])
        removed = (new_client == "none" != client) or (new_server == "none" != server)
        tls: Tls = "none" if "tls" in own or removed else call.tls
        gone = "none" in (moved[1], *(() if (new_client, new_server) != ("none", "none") else ("none",)))
        filters = () if gone else tuple(name for name in call.filters if name not in dropped)
        if "protocol" in own and filters:
            return None
        transport = "uds" if any(change.kind == "uds" for change in changes) else ""
        return Treatment(new_client, new_server, "tcp" if "protocol" in own else call.protocol, tls, filters, transport)


def _client(mode: SidecarMode, moved: str) -> SidecarMode:
    return "none" if moved in ("client", "none") else _shared(mode, moved)


def _server(mode: SidecarMode, moved: str) -> SidecarMode:
    return "none" if moved == "none" else _shared(mode, moved)


def _shared(mode: SidecarMode, moved: str) -> SidecarMode:
    return "shared" if moved == "shared" and mode not in ("none", "waypoint") else mode


def changed_graph(graph: CallGraph, changes: Sequence[Change]) -> CallGraph:
    """The graph with changes (but for `uds`, which is none of the graph). Raises `ValueError` if they contradict."""
    edges = Edges(graph)
    moved = {change.target: change.kind for change in changes if change.of_service}

    def service(item: Service) -> Service:
        kind = moved.get(item.deployment, "")
        return replace(item, sidecar=Sidecar(_client(item.sidecar.client, kind), _server(item.sidecar.server, kind)))

    by_edge: dict[str, set[Change]] = {}
    for change in changes:
        by_edge.setdefault(change.target, set()).add(change)

    def edge(index: int, item: Any) -> Any:
        names = {edges.calls[index].id, *edges.owners[index]}
        treated = edges.under(index, {change for name in names for change in by_edge.get(name or "", ())})
        if treated is None:
            raise ValueError(f"{edges.calls[index].id}: changes that contradict each other")
        return replace(item, protocol=treated.protocol, tls=treated.tls, filters=treated.filters)

    first = len(graph.ingress)
    return replace(
        graph,
        services=tuple(map(service, graph.services)),
        ingress=tuple(edge(index, entry) for index, entry in enumerate(graph.ingress)),
        calls=tuple(edge(first + index, call) for index, call in enumerate(graph.calls)),
    )


def given_up(graph: CallGraph, change: Change) -> str:
    """What a change gives up, in words."""
    if change.kind == "protocol":
        return "balancing, retries, routes and metrics by request"
    if change.kind == "uds":
        return "nothing; applications must speak through Unix sockets"
    if change.kind == "tls":
        return "encryption, and the proof of who calls"
    if change.kind == "filter":
        return f"what {change.filter} does there"
    if change.kind == "shared":
        return "a proxy of its own: one holds the keys of all services of a node"
    edges = Edges(graph)
    plain, bare = 0, 0
    for index, call in enumerate(edges.calls):
        treated = edges.under(index, {change})
        if treated is not None and edges.touched(index, change):
            plain += treated.tls != call.tls
            bare += treated.filters != call.filters
    texts = ["retries, balancing and metrics of the caller" if change.kind == "client" else "all its sidecar does"]
    texts += [f"mTLS of {plain} edge{'s' * (plain > 1)}"] if plain else []
    texts += [f"filters of {bare} edge{'s' * (bare > 1)}"] if bare else []
    return ", ".join(texts)
