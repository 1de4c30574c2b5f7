"""The chain of requests that determines how long a trace takes. Pure.

From the end of a request backwards: the last hop to finish is on the path, then the last one finished before that one
began, and so on; within each of them the same again (as in CRISP, Zhang et al., ATC'22). What lies between is the
service's own time, what a hop takes beyond its callee's time is the way there and back.
"""

from dataclasses import dataclass

import numpy as np

from predictor.importers.hops import Requests
from predictor.importers.spans import BoolArray, IntArray
from predictor.importers.stages import slack_ns


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """By row of the requests: whether it is on the path of its trace, and what it adds there (0 elsewhere), in ns.

    The sum of `own_ns` and `way_ns` over the rows of one root is the root's duration, where hops lie inside their
    caller and callees inside their hop.
    """

    on_path: BoolArray
    own_ns: IntArray
    way_ns: IntArray


def critical_path(requests: Requests) -> CriticalPath:
    """The critical path of every trace; hops that nobody waits for are never on it."""
    last = _last_to_finish(requests)
    on_path = _with_all_callers(last, requests.caller)
    duration = requests.end_ns - requests.start_ns
    way = np.where(on_path & (requests.caller >= 0), requests.hop_end_ns - requests.hop_start_ns - duration, 0)
    own = np.where(on_path, duration, 0)
    below = np.flatnonzero(on_path & (requests.caller >= 0))
    caller = requests.caller[below]
    hop = np.minimum(requests.hop_end_ns[below], requests.end_ns[caller]) - np.maximum(
        requests.hop_start_ns[below], requests.start_ns[caller]
    )
    np.subtract.at(own, caller, np.maximum(hop, 0))
    return CriticalPath(on_path, np.maximum(own, 0), np.maximum(way, 0))


def _last_to_finish(requests: Requests) -> BoolArray:
    """Hops that determine when their caller could go on; roots count as such."""
    chosen = requests.caller < 0
    rows = np.flatnonzero(requests.waited & ~chosen)
    end = np.minimum(requests.hop_end_ns[rows], requests.end_ns[requests.caller[rows]])
    rows = rows[np.lexsort((-end, requests.caller[rows]))]
    end = np.minimum(requests.hop_end_ns[rows], requests.end_ns[requests.caller[rows]])
    path: list[int] = []
    current, free_until = -1, 0
    start = requests.hop_start_ns[rows]
    columns = (rows, requests.caller[rows], start + slack_ns(end - start), end)
    for row, caller, begun, done in zip(*(column.tolist() for column in columns), strict=True):
        if caller != current or done <= free_until:
            current, free_until = caller, begun
            path.append(row)
    chosen[path] = True
    return chosen


def _with_all_callers(chosen: BoolArray, caller: IntArray) -> BoolArray:
    """Rows that are chosen and whose callers are, all the way up, by pointer doubling."""
    chosen, above = chosen.copy(), caller.copy()
    while (climbing := np.flatnonzero(above >= 0)).size:
        chosen[climbing] &= chosen[above[climbing]]
        above[climbing] = above[above[climbing]]
    return chosen
