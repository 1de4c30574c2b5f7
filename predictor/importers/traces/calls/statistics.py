"""What many traces have in common: sums and counts by service and by edge. Their size does not grow with the traces.

Services count by their depth, too: a service that is asked again further down must not close a cycle, and which depths
can be joined again is known only at the end (`merge`).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from predictor.graph.types import PROTOCOLS
from predictor.importers.traces.calls.critical_path import CriticalPath
from predictor.importers.traces.calls.stages import Stages, slack_ns
from predictor.importers.traces.hops.bounds import levels
from predictor.importers.traces.hops.pairing import Requests
from predictor.importers.traces.spans.spans import MOST_NAMES, BoolArray, FloatArray, IntArray
from profiler.errors import UsageError

Node = tuple[int, int]
"""A service's code and its depth in the tree of requests."""
Edge = tuple[Node, Node, bool]
"""Caller, callee, whether the caller waits."""

DEEPEST: Final = 4096
BUCKETS_PER_DOUBLING: Final = 32
"""Own times are counted in classes 2 % wide, which is how exact their percentiles are."""

(
    CALLS, REQUESTS_SIZED, REQUEST_BYTES, RESPONSES_SIZED, RESPONSE_BYTES, STAGE, ON_PATH, WAY_NS, RECORDED, TWICE,
    START_NS, HOP_NS, LATE, FIRST_PROTOCOL,
) = range(14)  # fmt: skip
"""Columns of an edge's sums; from the last on, one per protocol.

TWICE counts calls that overlap another one of the same edge, LATE those whose times alone say that nobody waits.
START_NS is since the start of the caller.
"""

NODE_COLUMNS: Final = 8
HANDLED, OWN_NS, PATH_OWN_NS, NODE_ON_PATH, BY_SIDECAR, MOVED, MOVED_NS, CUT = range(NODE_COLUMNS)

_COMPARED: Final = 4
"""So many calls after each one, by their start, are compared with it."""


@dataclass(slots=True)
class Statistics:
    """Sums over all traces seen. `nodes` and `edges` hold arrays with the columns named above.

    `own_times` counts requests by node and class of own time. `overlaps` counts requests in which calls of two edges
    run at the same time, the edges in ascending order; `follows` those in which they do not, the earlier edge first.
    `entries`: sums of first requests by service, columns as edges.
    """

    nodes: dict[Node, FloatArray] = field(default_factory=dict)
    edges: dict[Edge, FloatArray] = field(default_factory=dict)
    own_times: dict[Node, Counter[int]] = field(default_factory=dict)
    overlaps: Counter[tuple[Edge, Edge]] = field(default_factory=Counter)
    follows: Counter[tuple[Edge, Edge]] = field(default_factory=Counter)
    entries: dict[int, FloatArray] = field(default_factory=dict)
    first_ns: int = 2**63 - 1
    last_ns: int = -(2**63)
    traces: int = 0

    def add(self, requests: Requests, stages: Stages, path: CriticalPath) -> None:
        """Count the requests of some traces. Raises `UsageError` for requests nested beyond all measure."""
        if requests.caller.size == 0:
            return
        depth = levels(requests.caller)
        if depth.max() >= DEEPEST:
            raise UsageError(f"a trace with requests nested {int(depth.max())} deep; not a trace of services")
        roots = requests.caller < 0
        self.traces += int(requests.trace.max()) + 1
        self.first_ns = min(self.first_ns, int(requests.start_ns[roots].min()))
        self.last_ns = max(self.last_ns, int(requests.start_ns[roots].max()))
        node = requests.service * DEEPEST + depth
        self._add_nodes(node, requests, stages, path)
        self._add_edges(node, requests, stages, path)

    def _add_nodes(self, node: IntArray, requests: Requests, stages: Stages, path: CriticalPath) -> None:
        codes, place = np.unique(node, return_inverse=True)
        moved = requests.moved_ns != 0
        columns = (np.ones(node.size), stages.own_ns, path.own_ns, path.on_path, requests.by_sidecar, moved,
                   np.abs(requests.moved_ns), requests.cut)  # fmt: skip
        sums = np.stack([np.bincount(place, column, codes.size) for column in columns], axis=1)
        for code, row in zip(codes.tolist(), sums, strict=True):
            key = divmod(code, DEEPEST)
            self.nodes[key] = self.nodes[key] + row if key in self.nodes else row
        classes = np.round(np.log2(np.maximum(stages.own_ns, 1)) * BUCKETS_PER_DOUBLING).astype(np.int64)
        pairs, counts = np.unique(place * 4096 + classes, return_counts=True)
        keys = codes.tolist()
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            at, bucket = divmod(pair, 4096)
            self.own_times.setdefault(divmod(keys[at], DEEPEST), Counter())[bucket] += count

    def _add_edges(self, node: IntArray, requests: Requests, stages: Stages, path: CriticalPath) -> None:
        """An edge is `(caller node, callee service, waited)`: the callee's depth follows. Roots come from node -1."""
        caller = np.where(requests.caller >= 0, node[requests.caller], -1)
        code = ((caller + 1) * MOST_NAMES + requests.service) * 2 + requests.waited
        codes, place = np.unique(code, return_inverse=True)
        twice = self._add_order(codes, place, requests, stages)
        sums = np.stack(
            [np.bincount(place, column, codes.size) for column in _edge_columns(requests, stages, path, twice)], axis=1
        )
        for key, row in zip(map(_edge_of, codes.tolist()), sums, strict=True):
            if key[0] == _OUTSIDE:
                entry = key[1][0]
                self.entries[entry] = self.entries[entry] + row if entry in self.entries else row
            else:
                self.edges[key] = self.edges[key] + row if key in self.edges else row

    def _add_order(self, codes: IntArray, place: IntArray, requests: Requests, stages: Stages) -> FloatArray:
        """Count pairs of calls by their order; returns by row whether a call overlaps another one of its edge."""
        twice = np.zeros(place.size)
        rows, start, end = stages.order, stages.start_ns, stages.end_ns
        caller, edge = requests.caller[rows], place[rows]
        found: list[tuple[IntArray, BoolArray, BoolArray]] = []
        for distance in range(1, min(_COMPARED, rows.size - 1) + 1):
            left = np.flatnonzero(caller[:-distance] == caller[distance:])
            if not left.size:
                break
            right = left + distance
            common = np.minimum(end[left], end[right]) - start[right]
            overlap = common > slack_ns(np.minimum(end[left] - start[left], end[right] - start[right]))
            one, other = edge[left], edge[right]
            both = overlap & (one == other)
            twice[rows[left[both]]] = 1.0
            twice[rows[right[both]]] = 1.0
            pair = (caller[left] * codes.size + np.minimum(one, other)) * codes.size + np.maximum(one, other)
            differ = one != other
            found.append((pair[differ], overlap[differ], (one < other)[differ]))
        if found:
            pairs, overlap, forward = (np.concatenate([each[column] for each in found]) for column in range(3))
            self._count_pairs(codes, pairs, overlap, forward)
        return twice

    def _count_pairs(self, codes: IntArray, pairs: IntArray, overlap: BoolArray, forward: BoolArray) -> None:
        """One vote for each request and pair of edges: at the same time if any of their calls are, else in order."""
        if not pairs.size:
            return
        found, place = np.unique(pairs, return_inverse=True)
        together = np.bincount(place, overlap) > 0
        first = np.bincount(place, np.where(forward, 1, -1)) >= 0
        low, high = found // codes.size % codes.size, found % codes.size
        edges = [_edge_of(code) for code in codes.tolist()]
        for counter, chosen, one, other in (
            (self.overlaps, together, low, high),
            (self.follows, ~together, np.where(first, low, high), np.where(first, high, low)),
        ):
            votes, counts = np.unique(one[chosen] * codes.size + other[chosen], return_counts=True)
            for vote, count in zip(votes.tolist(), counts.tolist(), strict=True):
                one_edge, other_edge = divmod(vote, codes.size)
                counter[edges[one_edge], edges[other_edge]] += count


_OUTSIDE: Final[Node] = (-1, DEEPEST - 1)


def _edge_of(code: int) -> Edge:
    rest, waited = divmod(code, 2)
    caller, callee = divmod(rest, MOST_NAMES)
    node = divmod(caller - 1, DEEPEST)
    return node, (callee, node[1] + 1), bool(waited)


def _edge_columns(
    requests: Requests, stages: Stages, path: CriticalPath, twice: FloatArray
) -> list[FloatArray | IntArray]:
    """The columns of an edge's sums, by row of the requests."""
    called = requests.caller >= 0
    sized = [(column >= 0, np.maximum(column, 0)) for column in (requests.request_bytes, requests.response_bytes)]
    return [
        np.ones(twice.size),
        *(column for pair in sized for column in pair),
        np.maximum(stages.stage, 0),
        path.on_path,
        path.way_ns,
        requests.recorded,
        twice,
        np.where(called, requests.hop_start_ns - requests.start_ns[np.maximum(requests.caller, 0)], 0),
        requests.hop_end_ns - requests.hop_start_ns,
        requests.late,
        *(requests.protocol == index for index in range(len(PROTOCOLS))),
    ]
