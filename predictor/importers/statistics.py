"""What many traces have in common: sums and counts by service and by edge. Their size does not grow with the traces.

Services count by their depth, too: a service that is asked again further down must not close a circle, and which depths
can be joined again is known only at the end (`merge`).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from predictor.graph.types import PROTOCOLS
from predictor.importers.critical_path import CriticalPath
from predictor.importers.hops import Requests
from predictor.importers.spans import MOST_NAMES, FloatArray, IntArray
from predictor.importers.stages import Stages
from profiler.errors import UsageError

Node = tuple[int, int]
"""A service's code and its depth in the tree of requests."""
Edge = tuple[Node, Node, bool]
"""Caller, callee, whether the caller waits."""

DEEPEST: Final = 4096
BUCKETS_PER_DOUBLING: Final = 32
"""Own times are counted in classes 2 % wide, which is how exact their percentiles are."""

_EDGE_SUMS: Final = 10 + len(PROTOCOLS)
CALLS, REQUESTS_SIZED, REQUEST_BYTES, RESPONSES_SIZED, RESPONSE_BYTES, STAGE, ON_PATH, WAY_NS, RECORDED, TWICE = range(
    10
)
"""Columns of an edge's sums; then one per protocol. TWICE counts calls that overlap another one of the same edge."""

NODE_COLUMNS: Final = 5
HANDLED, OWN_NS, PATH_OWN_NS, NODE_ON_PATH, BY_SIDECAR = range(NODE_COLUMNS)


@dataclass(slots=True)
class Statistics:
    """Sums over all traces seen. `nodes` and `edges` hold arrays with the columns named above.

    `own_times` counts requests by node and class of own time. `overlaps` and `follows` count neighbours in one request
    that share a stage and that are in successive ones. `entries`: sums of first requests by service, columns as edges.
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
        depth = _depths(requests.caller)
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
        columns = (np.ones(node.size), stages.own_ns, path.own_ns, path.on_path, requests.by_sidecar)
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
        """Count neighbours by stage; returns by row whether a call overlaps another one of its edge.

        Within a stage calls are in order of their edge, so the same calls make the same pairs whichever began first.
        """
        twice = np.zeros(place.size)
        rows = stages.order
        rows = rows[np.lexsort((place[rows], stages.stage[rows], requests.caller[rows]))]
        left, right = rows[:-1], rows[1:]
        together = requests.caller[left] == requests.caller[right]
        left, right = left[together], right[together]
        same_stage, same_edge = stages.stage[left] == stages.stage[right], place[left] == place[right]
        both = same_stage & same_edge
        twice[left[both]] = 1.0
        twice[right[both]] = 1.0
        edges = [_edge_of(code) for code in codes.tolist()]
        for chosen, counter in ((same_stage & ~same_edge, self.overlaps), (~same_stage & ~same_edge, self.follows)):
            low = np.minimum(place[left[chosen]], place[right[chosen]])
            high = np.maximum(place[left[chosen]], place[right[chosen]])
            pairs, counts = np.unique(low * codes.size + high, return_counts=True)
            for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
                first, second = divmod(pair, codes.size)
                counter[edges[first], edges[second]] += count
        return twice


_OUTSIDE: Final[Node] = (-1, DEEPEST - 1)


def _edge_of(code: int) -> Edge:
    rest, waited = divmod(code, 2)
    caller, callee = divmod(rest, MOST_NAMES)
    node = divmod(caller - 1, DEEPEST)
    return node, (callee, node[1] + 1), bool(waited)


def _edge_columns(
    requests: Requests, stages: Stages, path: CriticalPath, twice: FloatArray
) -> list[FloatArray | IntArray]:
    """The columns of `_EDGE_SUMS`, by row of the requests."""
    sized = [(column >= 0, np.maximum(column, 0)) for column in (requests.request_bytes, requests.response_bytes)]
    return [
        np.ones(twice.size),
        *(column for pair in sized for column in pair),
        np.maximum(stages.stage, 0),
        path.on_path,
        path.way_ns,
        requests.recorded,
        twice,
        *(requests.protocol == index for index in range(len(PROTOCOLS))),
    ]


def _depths(caller: IntArray) -> IntArray:
    """How many callers each request has above it, by pointer doubling."""
    depth, above = (caller >= 0).astype(np.int64), caller.copy()
    while (climbing := np.flatnonzero(above >= 0)).size:
        depth[climbing] += depth[above[climbing]]
        above[climbing] = above[above[climbing]]
    return depth
