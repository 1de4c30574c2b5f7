"""The order of the calls within a request: which overlap, which follow, what is the service's own time. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.importers.traces.hops.pairing import Requests
from predictor.importers.traces.spans.spans import LONGEST_NS, BoolArray, IntArray

_SLACK_PART: Final = 20


def slack_ns(duration_ns: IntArray) -> IntArray:
    """By how much calls of this length (of two, the shorter one) may overlap and still follow each other.

    A twentieth: clocks are coarse, and a client's span ends a little after the next call could begin.
    """
    slack: IntArray = duration_ns // _SLACK_PART
    return slack


@dataclass(frozen=True, slots=True)
class Stages:
    """`order`: the rows of waited-for hops, by caller, then start. `stage`: by row, -1 if not waited for.

    `own_ns`: by row, the time of a request minus the time its waited-for hops take, stage by stage. `start_ns`,
    `end_ns`: of those hops in the order of `order`, since the start of their caller and cut to its time.
    """

    order: IntArray
    stage: IntArray
    own_ns: IntArray
    start_ns: IntArray
    end_ns: IntArray


def find_stages(requests: Requests) -> Stages:
    """Hops of one caller that overlap in time share a stage; stages count from 0 in order of time.

    Hops that overlap by no more than `slack_ns` follow each other, and each counts in full.
    """
    rows = np.flatnonzero(requests.waited & (requests.caller >= 0))
    start, end = _within_caller(requests, rows)
    order = np.lexsort((start, requests.caller[rows]))
    rows, start, end = rows[order], start[order], end[order]
    own = requests.end_ns - requests.start_ns
    stage = np.full(own.size, -1)
    if rows.size:
        first = np.concatenate(([True], requests.caller[rows[1:]] != requests.caller[rows[:-1]]))
        reached, length = _reached(start, end, first)
        opens = first | (start >= reached - slack_ns(np.minimum(end - start, length)))
        covered = np.maximum(end - np.where(opens, start, np.maximum(start, reached)), 0)
        np.subtract.at(own, requests.caller[rows], covered)
        stage[rows] = _numbered(opens, first)
    return Stages(rows, stage, np.maximum(own, 0), start, end)


def _within_caller(requests: Requests, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Start and end of hops since their caller's start, cut to the caller's time."""
    caller = requests.caller[rows]
    begin = requests.start_ns[caller]
    length = requests.end_ns[caller] - begin
    start = np.clip(requests.hop_start_ns[rows] - begin, 0, length)
    return start, np.maximum(np.clip(requests.hop_end_ns[rows] - begin, 0, length), start)


def _reached(start: IntArray, end: IntArray, first: BoolArray) -> tuple[IntArray, IntArray]:
    """The latest end among the earlier hops of the same caller, and how long that hop is; anything for the first.

    One running maximum serves all callers: each is lifted above the one before.
    """
    lift = np.cumsum(first) * np.minimum(end.max() + 1, LONGEST_NS)
    highest = np.maximum.accumulate(end + lift)
    place = np.maximum.accumulate(np.where(end + lift == highest, np.arange(end.size), 0))
    reached: IntArray = np.concatenate(([0], highest[:-1])) - lift
    length: IntArray = np.concatenate(([0], (end - start)[place[:-1]]))
    return reached, length


def _numbered(opens: BoolArray, first: BoolArray) -> IntArray:
    """Stage numbers from 0 within each caller."""
    count = np.cumsum(opens)
    base = np.maximum.accumulate(np.where(first, count, 0))
    numbered: IntArray = count - base
    return numbered
