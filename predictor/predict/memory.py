"""Memory of the sidecars. Pure. One proxy per replica, or one per node where it is shared."""

from collections.abc import Mapping, Sequence

from predictor.graph.types import CallGraph
from predictor.hop_costs.hops import Part
from predictor.hop_costs.load import Owners


def memory_bytes(
    graph: CallGraph, names: Sequence[str], owners: Owners, parts: Sequence[tuple[Part, ...]]
) -> tuple[dict[str, float] | None, list[str]]:
    """Resident bytes of all sidecars of each deployment (`names`), and what was assumed.

    A proxy holds its own memory (the largest of the configurations it runs), and per edge one connection with each
    replica at the other end. None when the profile has no memory. A node's shared proxies count for `*`.
    """
    count = dict(zip(names, owners.replicas.tolist(), strict=True))
    shared = {
        (service.deployment, side)
        for service in graph.services
        for side, mode in enumerate((service.sidecar.client, service.sidecar.server))
        if mode == "shared"
    }
    own: dict[str, float] = {}
    connections: dict[str, float] = {}
    for client, server, found in zip(owners.client.tolist(), owners.server.tolist(), parts, strict=True):
        sides = (None if client < 0 else names[client], names[server])
        for part in found:
            name = sides[part.side]
            item = part.points[0][1]
            if name is None or part.only or item.rss_bytes is None or item.per_connection_bytes is None:
                continue
            holder = "*" if (name, part.side) in shared else name
            own[holder] = max(own.get(holder, 0.0), item.rss_bytes)
            other = sides[1 - part.side]
            pairs = count[name] * (count[other] if other is not None else 1)
            connections[holder] = connections.get(holder, 0.0) + pairs * item.per_connection_bytes
    if not own and any(parts):
        return None, []
    nodes = graph.cluster.nodes or 1
    notes = ["memory: one connection per edge between each two replicas"] if own else []
    if "*" in own and graph.cluster.nodes is None:
        notes.append("cluster.nodes: not given; 1, for the memory of shared proxies")
    return {
        name: size * (nodes if name == "*" else count[name]) + connections[name] for name, size in own.items()
    }, notes


def total(by_deployment: Mapping[str, float] | None) -> float | None:
    """All of it."""
    return None if by_deployment is None else sum(by_deployment.values())
