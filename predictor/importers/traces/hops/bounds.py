"""What a caller waited for lies within its own time: the part of a request outside of it is left out. Pure."""

import numpy as np

from predictor.importers.traces.spans.spans import BoolArray, IntArray

Interval = tuple[IntArray, IntArray]


def within_callers(
    caller: IntArray, waited: BoolArray, handling: Interval, hop: Interval
) -> tuple[Interval, Interval, BoolArray]:
    """Handling and hop of each request, cut to the hop and to the caller's handling; and where more than a bit went.

    From the first request of a trace down, so what is below a cut one is cut with it. Requests that nobody waits for
    keep their times.
    """
    rows = np.flatnonzero(waited & (caller >= 0))
    outside = _outside(rows, caller, handling, hop)
    cut = np.zeros(caller.size, dtype=np.bool_)
    if not outside.any():
        return handling, hop, cut
    start, end, hop_start, hop_end = (column.copy() for column in (*handling, *hop))
    level = levels(caller)[rows]
    order = np.argsort(level, kind="stable")
    rows, level = rows[order], level[order]
    for part in np.split(rows, np.flatnonzero(np.diff(level)) + 1):
        above = caller[part]
        hop_start[part] = np.clip(hop_start[part], start[above], end[above])
        hop_end[part] = np.clip(hop_end[part], hop_start[part], end[above])
        start[part] = np.clip(start[part], hop_start[part], hop_end[part])
        end[part] = np.clip(end[part], start[part], hop_end[part])
    length = handling[1] - handling[0]
    cut = length - (end - start) > np.maximum(length // 100, 1_000)
    return (start, end), (hop_start, hop_end), cut


def _outside(rows: IntArray, caller: IntArray, handling: Interval, hop: Interval) -> BoolArray:
    above = caller[rows]
    outside: BoolArray = (
        (hop[0][rows] < handling[0][above])
        | (hop[1][rows] > handling[1][above])
        | (handling[0][rows] < hop[0][rows])
        | (handling[1][rows] > hop[1][rows])
    )
    return outside


def levels(caller: IntArray) -> IntArray:
    """How many callers each request has above it, by pointer doubling."""
    depth, above = (caller >= 0).astype(np.int64), caller.copy()
    while (climbing := np.flatnonzero(above >= 0)).size:
        depth[climbing] += depth[above[climbing]]
        above[climbing] = above[above[climbing]]
    return depth
