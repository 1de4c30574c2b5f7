"""The chain of requests that determines how long a trace takes. Pure.

From the end of a request backwards: the last hop to finish is on the path, then the last one finished before that one
began, and so on; within each of them the same again (as in CRISP, Zhang et al., ATC'22). What lies between is the
service's own time, what a hop takes beyond its callee's time is the way there and back.
"""

from dataclasses import dataclass

import numpy as np

from predictor.importers.traces.calls.stages import slack_ns
from predictor.importers.traces.hops.pairing import Requests
from predictor.importers.traces.spans.spans import BoolArray, IntArray


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
    if not rows.size:
        return chosen
    caller = requests.caller[rows]
    origin = requests.start_ns[caller]
    length = requests.end_ns[caller] - origin
    start = requests.hop_start_ns[rows] - origin
    end = np.minimum(requests.hop_end_ns[rows] - origin, length)
    begun = start + slack_ns(end - start)
    longest = int(length.max())
    coarse = max((int(caller.max() + 1) * (longest + 1)).bit_length() - 62, 0)  # only for very many, very long requests
    base = caller * ((longest >> coarse) + 1)
    before_end = base + (np.clip(length - end, 0, longest) >> coarse)
    order = np.argsort(before_end, kind="stable")
    before_start = (base + (np.clip(length - begun, 0, longest) >> coarse))[order]
    rows, caller, before_end = rows[order], caller[order], before_end[order]
    earlier = np.maximum(np.searchsorted(before_end, before_start), np.arange(1, rows.size + 1))
    inside = (earlier < rows.size) & (caller[np.minimum(earlier, rows.size - 1)] == caller)
    earlier = np.where(inside, earlier, rows.size)
    first = np.concatenate((np.flatnonzero(np.diff(caller, prepend=-1)), [rows.size]))
    chosen[rows[_chain(first, earlier)]] = True
    return chosen


def _chain(first: IntArray, following: IntArray) -> IntArray:
    """All that is reached from `first` by going to the following one, again and again, by pointer doubling."""
    end = following.size
    reached = np.zeros(end + 1, dtype=np.bool_)
    reached[first] = True
    jump = np.append(following, end)
    while (jump < end).any():
        reached[jump[reached]] = True
        jump = jump[jump]
    reached[end] = False
    return np.flatnonzero(reached)


def _with_all_callers(chosen: BoolArray, caller: IntArray) -> BoolArray:
    """Rows that are chosen and whose callers are, all the way up, by pointer doubling."""
    chosen, above = chosen.copy(), caller.copy()
    while (climbing := np.flatnonzero(above >= 0)).size:
        chosen[climbing] &= chosen[above[climbing]]
        above[climbing] = above[above[climbing]]
    return chosen
