"""Traces that can be understood: whole trees. What is left out is counted, and too much of it is an error. Pure."""

import math
from dataclasses import dataclass

import numpy as np

from predictor.importers.traces.spans.spans import LOST_PARENT, NO_PARENT, BoolArray, IntArray, SpanBatch
from profiler.errors import UsageError


@dataclass(slots=True)
class Tally:
    """What an import has seen. `incomplete` traces have spans whose parent is not there, or that are their own parent.

    `impossible` ones have spans that end before they begin, or last longer than LONGEST_NS. `entered_elsewhere`: traces
    whose first span has a parent that is not there, the only one of its trace.
    """

    traces: int = 0
    spans: int = 0
    incomplete: int = 0
    impossible: int = 0
    lost_spans: int = 0
    entered_elsewhere: int = 0
    other_operations: int = 0
    used: int = 0

    def check(self, origin: str, allow_incomplete: bool) -> None:
        """Raise `UsageError` when nothing usable was seen, or more than half of it was incomplete."""
        if self.traces == 0:
            raise UsageError(f"{origin}: no traces in it; give a file with at least one span")
        if self.other_operations == self.traces:
            raise UsageError(f"{origin}: no trace begins with that operation; leave --operation out to see them all")
        if self.incomplete * 2 > self.traces and not allow_incomplete:
            raise UsageError(
                f"{origin}: {self.incomplete} of {self.traces} traces have spans without their parent "
                f"({self.lost_spans} spans); fetch whole traces, or use what is there with --allow-incomplete"
            )
        if self.impossible * 2 > self.traces or (self.impossible and not self.used):
            raise UsageError(
                f"{origin}: {self.impossible} of {self.traces} traces have a span whose duration is negative or longer "
                "than 19 hours; correct or remove them"
            )
        if self.used == 0:
            raise UsageError(f"{origin}: no trace has a beginning ({self.lost_spans} spans); fetch whole traces")


def whole_traces(batch: SpanBatch, tally: Tally, allow_incomplete: bool) -> SpanBatch:
    """The traces of a batch that are trees; with `allow_incomplete` also the tree at the start of the others.

    Those with impossible times are not among them. Adds to `tally`.
    """
    tally.traces += int(batch.trace[-1]) + 1 if batch.trace.size else 0
    tally.spans += batch.trace.size
    batch = _possible(batch, tally)
    if not (batch.parent == LOST_PARENT).any() and not _tops(batch)[1].any():
        return batch
    top, circular = _tops(batch)
    rooted = np.zeros(int(batch.trace[-1]) + 1, dtype=np.bool_)
    rooted[batch.trace[batch.parent == NO_PARENT]] = True
    entry = _entries(batch, rooted)
    kept = ~circular & entry[np.where(circular, 0, top)]
    broken = np.zeros(rooted.size, dtype=np.bool_)
    broken[batch.trace[~kept]] = True
    tally.incomplete += int(broken.sum())
    tally.lost_spans += int((~kept).sum())
    tally.entered_elsewhere += int((~rooted & ~broken).sum())
    return batch.rows(kept if allow_incomplete else ~broken[batch.trace])


def _possible(batch: SpanBatch, tally: Tally) -> SpanBatch:
    """The traces without spans that end before they begin."""
    wrong = batch.end_ns < batch.start_ns
    if not wrong.any():
        return batch
    bad = np.zeros(int(batch.trace[-1]) + 1, dtype=np.bool_)
    bad[batch.trace[wrong]] = True
    tally.impossible += int(bad.sum())
    return batch.rows(~bad[batch.trace])


def _tops(batch: SpanBatch) -> tuple[IntArray, BoolArray]:
    """The parentless span above each span, by pointer doubling, and which spans never reach one."""
    top = np.where(batch.parent >= 0, batch.parent, np.arange(batch.parent.size))
    for _ in range(math.ceil(math.log2(top.size + 1)) + 1):
        top = top[top]
    return top, batch.parent[top] >= 0 if top.size else np.zeros(0, dtype=np.bool_)


def _entries(batch: SpanBatch, rooted: BoolArray) -> BoolArray:
    """The spans that begin a trace: those without a parent, else the earliest of those whose parent is missing."""
    entry: BoolArray = batch.parent == NO_PARENT
    lost = np.flatnonzero((batch.parent == LOST_PARENT) & ~rooted[batch.trace])
    order = lost[np.lexsort((batch.start_ns[lost], batch.trace[lost]))]
    _, first = np.unique(batch.trace[order], return_index=True)
    entry[order[first]] = True
    return entry
