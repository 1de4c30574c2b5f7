"""Names for services seen at several depths, such that calls never go in a circle. Pure."""

from collections.abc import Iterable

from predictor.graph.types import INGRESS
from predictor.importers.spans import Names
from predictor.importers.statistics import Edge, Node


def names_without_circles(nodes: Iterable[Node], edges: Iterable[Edge], services: Names) -> dict[Node, str]:
    """A name of the graph for each service at each depth.

    One service is one name, unless it lies on a circle of calls (it asks itself again, however indirectly): then each
    depth where it occurs gets its own, `auth`, `auth~2`, and so on; calls lead from depth to depth: no circle is left.
    """
    callees: dict[int, set[int]] = {}
    for caller, callee, _ in edges:
        callees.setdefault(caller[0], set()).add(callee[0])
    circular = _on_circles(callees)
    taken = set(services.values)
    names: dict[Node, str] = {}
    seen: dict[int, int] = {}
    for node in sorted(nodes, key=lambda node: (node[1], node[0])):
        base = services.values[node[0]] or "unnamed"
        base = f"{base}-service" if base == INGRESS else base
        seen[node[0]] = seen.get(node[0], 0) + 1
        names[node] = base
        if node[0] in circular and seen[node[0]] > 1:
            number = seen[node[0]]
            while f"{base}~{number}" in taken:
                number += 1
            names[node] = f"{base}~{number}"
    return names


def _on_circles(callees: dict[int, set[int]]) -> set[int]:
    """Services on a circle of calls, or between two: what is left when all that begin or end nothing are taken away."""
    left = {(caller, callee) for caller, asked in callees.items() for callee in asked}
    while True:
        inner = {caller for caller, _ in left} & {callee for _, callee in left}
        kept = {(caller, callee) for caller, callee in left if caller in inner and callee in inner}
        if len(kept) == len(left):
            return inner
        left = kept
