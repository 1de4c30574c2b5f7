"""Clocks of different hosts brought together. Pure arithmetic on columns.

A request lies inside the call that made it, so each pair of client and server span bounds how far the server's clock
may be off. All pairs of two hosts in one trace share one offset: none if none is needed, else the middle of what their
bounds leave, as if requests and responses took equally long. Where no single offset fits, each pair gets its own.
Client and server span that have no moment in common are of two clocks, whatever their hosts are called.
A callee without a client span around it is moved only if it begins before its caller: it may end later, or be no part
of what the caller waits for.
"""

from dataclasses import replace

import numpy as np

from predictor.importers.traces.spans.names import is_own_address
from predictor.importers.traces.spans.spans import BoolArray, IntArray, SpanBatch, Vocabulary


def correct_clocks(
    batch: SpanBatch, words: Vocabulary, head: BoolArray, owner: IntArray, client: IntArray, free: BoolArray
) -> tuple[SpanBatch, IntArray]:
    """The batch with all times of a trace by the clock of its first span, and by how much each span was moved.

    `head`, `owner` and `client` as in `hops`; `free` marks spans that nobody waits for, which bound nothing.
    """
    shift = np.zeros(head.size, dtype=np.int64)
    rows = np.flatnonzero(head & (batch.parent >= 0))
    asked = client[rows] >= 0
    around = np.where(asked, client[rows], owner[batch.parent[rows]])
    hosts = _hosts(batch, words)
    disjoint = (batch.start_ns[rows] > batch.end_ns[around]) | (batch.end_ns[rows] < batch.start_ns[around])
    apart = (hosts[around] != hosts[rows]) | (asked & disjoint)
    rows, around, asked = rows[apart], around[apart], asked[apart]
    low = batch.start_ns[around] - batch.start_ns[rows]
    high = batch.end_ns[around] - batch.end_ns[rows]
    binding = ~(free[rows] | free[around])
    if not _outside(low, high, binding, asked).any():
        return batch, shift
    shift[rows] = _offsets((batch.trace[rows], hosts[around], hosts[rows]), (low, high), binding, asked)
    shift = _accumulated(shift, batch.parent)
    return replace(batch, start_ns=batch.start_ns + shift, end_ns=batch.end_ns + shift), shift


def _outside(low: IntArray, high: IntArray, binding: BoolArray, asked: BoolArray) -> BoolArray:
    """Requests that begin before their caller, or that end after the client's span around them."""
    outside: BoolArray = binding & ((low > 0) | (asked & (high < 0) & (low <= high)))
    return outside


def _hosts(batch: SpanBatch, words: Vocabulary) -> IntArray:
    """A number per clock: the host where it is known, else the service, so that unknown hosts count as different."""
    clocks: dict[str, int] = {}
    codes = [
        clocks.setdefault(f"service {service}" if not host or is_own_address(host) else host, len(clocks))
        for service, host in words.processes.values
    ]
    return np.array(codes, dtype=np.int64)[batch.process]


def _offsets(
    between: tuple[IntArray, IntArray, IntArray],
    bounds: tuple[IntArray, IntArray],
    binding: BoolArray,
    asked: BoolArray,
) -> IntArray:
    """The shift of each pair's server side: one per trace and pair of hosts where one fits, else one per pair.

    A server span longer than its client span says only that it cannot have begun before it. Without a client span the
    callee may well end after its caller, so its end bounds nothing unless its begin is wrong.
    """
    low, high = bounds
    outside = _outside(low, high, binding, asked)
    _, group = np.unique(np.stack(between), axis=1, return_inverse=True)
    group = group.reshape(-1)
    far = np.int64(2**62)
    lowest = np.full(group.max() + 1, -far)
    highest = np.full(group.max() + 1, far)
    fits = (low <= high) & (asked | outside)
    np.maximum.at(lowest, group[binding], low[binding])
    np.minimum.at(highest, group[binding & fits], high[binding & fits])
    lowest, highest = lowest[group], np.where(highest[group] == far, np.maximum(lowest, 0)[group], highest[group])
    shared = np.where((lowest <= 0) & (highest >= 0), 0, lowest + (highest - lowest) // 2)
    alone = np.where(outside, np.where(low <= high, low + (high - low) // 2, low), 0)
    return np.where(lowest <= highest, shared, alone)


def _accumulated(shift: IntArray, parent: IntArray) -> IntArray:
    """Each span's shift plus those of all its ancestors, by pointer doubling."""
    above = parent.copy()
    while (climbing := np.flatnonzero(above >= 0)).size:
        shift[climbing] += shift[above[climbing]]
        above[climbing] = above[above[climbing]]
    return shift
