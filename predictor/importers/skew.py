"""Clocks of different hosts brought together. Pure arithmetic on columns.

A request lies inside the call that made it, so each pair of client and server span bounds how far the server's clock
may be off. All pairs of two hosts in one trace share one offset: none if none is needed, else the middle of what their
bounds leave, as if requests and responses took equally long. Where no single offset fits, each pair gets its own.
"""

from dataclasses import replace

import numpy as np

from predictor.importers.spans import BoolArray, IntArray, SpanBatch, Vocabulary


def correct_clocks(
    batch: SpanBatch, words: Vocabulary, head: BoolArray, owner: IntArray, client: IntArray, free: BoolArray
) -> SpanBatch:
    """The batch with all times of a trace by the clock of its first span.

    `head`, `owner` and `client` as in `hops`; `free` marks spans that nobody waits for, which bound nothing.
    """
    rows = np.flatnonzero(head & (batch.parent >= 0))
    around = np.where(client[rows] >= 0, client[rows], owner[batch.parent[rows]])
    hosts = _hosts(batch, words)
    apart = hosts[around] != hosts[rows]
    rows, around = rows[apart], around[apart]
    low = batch.start_ns[around] - batch.start_ns[rows]
    high = batch.end_ns[around] - batch.end_ns[rows]
    binding = ~(free[rows] | free[around])
    if not (binding & ((low > 0) | ((high < 0) & (low <= high)))).any():
        return batch
    offset = _offsets(batch.trace[rows], hosts[around], hosts[rows], (low, high), binding)
    shift = np.zeros(head.size, dtype=np.int64)
    shift[rows] = offset
    shift = _accumulated(shift, batch.parent)
    return replace(batch, start_ns=batch.start_ns + shift, end_ns=batch.end_ns + shift)


def _hosts(batch: SpanBatch, words: Vocabulary) -> IntArray:
    """A number per clock: the host where it is known, else the service, so that unknown hosts count as different."""
    clocks: dict[str, int] = {}
    codes = [clocks.setdefault(host or f"service {service}", len(clocks)) for service, host in words.processes.values]
    return np.array(codes, dtype=np.int64)[batch.process]


def _offsets(
    trace: IntArray, here: IntArray, there: IntArray, bounds: tuple[IntArray, IntArray], binding: BoolArray
) -> IntArray:
    """The shift of each pair's server side: one per trace and pair of hosts where one fits, else one per pair.

    A server span longer than its client span says only that it cannot have begun before it.
    """
    low, high = bounds
    _, group = np.unique(np.stack((trace, here, there)), axis=1, return_inverse=True)
    group = group.reshape(-1)
    far = np.int64(2**62)
    lowest = np.full(group.max() + 1, -far)
    highest = np.full(group.max() + 1, far)
    fits = low <= high
    np.maximum.at(lowest, group[binding], low[binding])
    np.minimum.at(highest, group[binding & fits], high[binding & fits])
    lowest, highest = lowest[group], np.where(highest[group] == far, np.maximum(lowest, 0)[group], highest[group])
    shared = np.where((lowest <= 0) & (highest >= 0), 0, lowest + (highest - lowest) // 2)
    alone = np.where(fits, low + (high - low) // 2, low)
    alone = np.where(binding & ((low > 0) | ((high < 0) & fits)), alone, 0)
    return np.where(lowest <= highest, shared, alone)


def _accumulated(shift: IntArray, parent: IntArray) -> IntArray:
    """Each span's shift plus those of all its ancestors, by pointer doubling."""
    above = parent.copy()
    while (climbing := np.flatnonzero(above >= 0)).size:
        shift[climbing] += shift[above[climbing]]
        above[climbing] = above[above[climbing]]
    return shift
