"""Which edges of a call graph are drawn: all of a small one, of a large one those with most overhead. Pure: no I/O.

A picture of a thousand calls shows nothing. What is drawn grows from the entries, each time by the edge that leads to
most overhead, until the page is full. Where the overhead is too deep in the graph for that, the edges with most of it
are drawn wherever they are.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from predictor.graph.plan import topological_order
from predictor.graph.types import INGRESS, Call, CallGraph
from predictor.predict.types import EdgePrediction, Prediction

MOST_EDGES: Final = 40
MOST_LAYERS: Final = 7
"""So many services in a row fit on a page."""

_CONNECTED_ENOUGH: Final = 0.5
"""A picture that hangs together is preferred if it holds so much of what any picture could hold."""

_ON_A_MOVED_PATH: Final = 1.0
"""Counts as much as the latency of all edges: where the critical path moves is what the picture is for."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Edges to draw with their predictions, in the graph's order, and what all the others hold together.

    `layers` has the services (and the outside) by the longest way drawn that leads to them, so that each call goes to
    a later layer; those at 0 have no caller that is drawn. `latency_share` and `cpu_share` are the parts of the
    overhead of all edges that are left out.
    """

    edges: tuple[tuple[Call, EdgePrediction], ...]
    layers: Mapping[str, int]
    left_out: int
    latency_share: float
    cpu_share: float


def choose(graph: CallGraph, found: Prediction) -> Chosen:
    """The edges to draw; about linear in the number of calls."""
    calls = (*(entry.as_call() for entry in graph.ingress), *graph.calls)
    latency = _shares([edge.latency_ns.value * edge.path_weight for edge in found.edges])
    cpu = _shares([edge.vcpu.value for edge in found.edges])
    moved = set(found.path_before) ^ set(found.path_after)
    scores = [a + b + _ON_A_MOVED_PATH * (call.id in moved) for a, b, call in zip(latency, cpu, calls, strict=True)]
    growth = _connected(graph, calls, scores)
    if len(growth.chosen) < len(calls):
        heaviest = _heaviest(graph, calls, scores)
        if growth.score() < _CONNECTED_ENOUGH * heaviest.score():
            growth = heaviest
    others = [index for index in range(len(calls)) if index not in growth.chosen]
    return Chosen(
        edges=tuple((calls[index], found.edges[index]) for index in sorted(growth.chosen)),
        layers=growth.layers,
        left_out=len(others),
        latency_share=sum(latency[index] for index in others),
        cpu_share=sum(cpu[index] for index in others),
    )


def _shares(values: Sequence[float]) -> list[float]:
    total = sum(values)
    return [value / total if total > 0 else 0.0 for value in values]


def _connected(graph: CallGraph, calls: Sequence[Call], scores: Sequence[float]) -> "_Growth":
    """Edges that hang together from the entries on."""
    growth = _Growth(calls, scores)
    for name in reversed(topological_order(graph)):
        growth.ahead[name] = max((growth.worth(index) for index in growth.outgoing.get(name, ())), default=0.0)
    growth.wait_for_calls_of(INGRESS)
    growth.run()
    return growth


def _heaviest(graph: CallGraph, calls: Sequence[Call], scores: Sequence[float]) -> "_Growth":
    """Edges with the highest scores, wherever they are."""
    growth = _Growth(calls, scores, ahead={service.name: 0.0 for service in graph.services})
    growth.waiting = [(-score, index) for index, score in enumerate(scores)]
    growth.run()
    return growth


@dataclass(slots=True)
class _Growth:
    """The chosen edges as they become more, by index; `waiting` are candidates, best first."""

    calls: Sequence[Call]
    scores: Sequence[float]
    chosen: set[int] = field(default_factory=set)
    layers: dict[str, int] = field(default_factory=dict)
    outgoing: dict[str, list[int]] = field(default_factory=dict)
    ahead: dict[str, float] = field(default_factory=dict)
    waiting: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for index, call in enumerate(self.calls):
            self.outgoing.setdefault(call.caller, []).append(index)

    def run(self) -> None:
        """Choose until nothing is left or the page is full."""
        heapq.heapify(self.waiting)
        while self.waiting and len(self.chosen) < MOST_EDGES:
            self._take(*heapq.heappop(self.waiting))

    def score(self) -> float:
        """The scores of the chosen edges together."""
        return sum(self.scores[index] for index in self.chosen)

    def worth(self, index: int) -> float:
        """The best score of an edge and all that lies behind it."""
        return max(self.scores[index], self.ahead[self.calls[index].callee])

    def wait_for_calls_of(self, service: str) -> None:
        """Make the calls of a service candidates."""
        for index in self.outgoing.get(service, ()):
            heapq.heappush(self.waiting, (-self.worth(index), index))

    def _take(self, key: float, index: int) -> None:
        if index in self.chosen:
            return
        call = self.calls[index]
        reached = call.callee in self.layers
        if reached and -key > self.scores[index]:  # what lies behind it no longer needs it
            heapq.heappush(self.waiting, (-self.scores[index], index))
            return
        moved = self._moved_by(call)
        if moved is None:
            return
        self.layers.setdefault(call.caller, 0)
        self.layers.update(moved)
        self.chosen.add(index)
        if not reached:
            self.wait_for_calls_of(call.callee)

    def _moved_by(self, call: Call) -> dict[str, int] | None:
        """Services that a further edge moves to later layers, with these; None where one would be too late."""
        moved: dict[str, int] = {}
        waiting = [(call.callee, self.layers.get(call.caller, 0) + 1)]
        for service, layer in waiting:  # grows while it is walked
            if layer <= moved.get(service, self.layers.get(service, 0)):
                continue
            if layer > MOST_LAYERS:
                return None
            moved[service] = layer
            waiting += [(self.calls[i].callee, layer + 1) for i in self.outgoing.get(service, ()) if i in self.chosen]
        return moved
