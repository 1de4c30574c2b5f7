"""Names for services seen at several depths, such that calls never form a cycle. Pure."""

from collections.abc import Iterable

from predictor.importers.traces.calls.statistics import Edge, Node


def names_without_cycles(nodes: Iterable[Node], edges: Iterable[Edge], services: dict[int, str]) -> dict[Node, str]:
    """A name of the graph for each service at each depth.

    One service is one name, unless it lies on a cycle of calls (it asks itself again, however indirectly): then each
    depth where it occurs gets its own, `auth`, `auth~2`, and so on; calls lead from depth to depth: no cycle is left.
    """
    circular = _on_cycles({(services[caller[0]], services[callee[0]]) for caller, callee, _ in edges})
    names: dict[Node, str] = {}
    taken = set(services.values())
    depths: dict[str, list[int]] = {}
    for node in sorted(nodes, key=lambda node: (node[1], node[0])):
        base = services[node[0]]
        known = depths.setdefault(base, [])
        if not known or known[-1] != node[1]:
            known.append(node[1])
        names[node] = base
        if base in circular and len(known) > 1:
            number = len(known)
            while f"{base}~{number}" in taken:
                number += 1
            names[node] = f"{base}~{number}"
    return names


def _on_cycles(edges: set[tuple[str, str]]) -> set[str]:
    """Services on a cycle of calls, or between two: what is left when all that begin or end nothing are taken away.

    Each call is looked at once from either side.
    """
    callees: dict[str, list[str]] = {}
    callers: dict[str, list[str]] = {}
    for caller, callee in edges:
        callees.setdefault(caller, []).append(callee)
        callers.setdefault(callee, []).append(caller)
    left = callees.keys() | callers.keys()
    for forward, backward in ((callees, callers), (callers, callees)):
        count = {name: sum(other in left for other in backward.get(name, ())) for name in left}
        free = [name for name in left if not count[name]]
        while free:
            name = free.pop()
            left.discard(name)
            for other in forward.get(name, ()):
                if other in left:
                    count[other] -= 1
                    if not count[other]:
                        free.append(other)
    return left
