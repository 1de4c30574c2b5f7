"""Spans that come in any order, put together into traces. For the formats whose files do not keep traces together.

Traces stay open while their spans come in; when too many spans are held, those traces that have waited longest are
closed, so memory is bounded. A span that comes later than that counts as a trace without its beginning.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar, cast

import numpy as np

from predictor.importers.traces.hops.halves import Half, once, parents_of, timed
from predictor.importers.traces.spans.spans import (
    LONGEST_NS,
    LOST_PARENT,
    NO_PARENT,
    REPEATED,
    UNKNOWN,
    UNTIMED,
    Facts,
    IntArray,
    SpanBatch,
    SpanBuffer,
    Vocabulary,
)

_T = TypeVar("_T")

MOST_HELD: Final = 400_000
SPANS_PER_BATCH: Final = 32_768


class Record(NamedTuple):
    """One span. `start_ns` and `duration_ns` are None where not recorded; an empty `parent` is none."""

    trace: str
    span: str
    parent: str
    service: str
    host: str
    facts: Facts
    operation: str
    start_ns: int | None
    duration_ns: int | None
    sizes: tuple[int, int] = (UNKNOWN, UNKNOWN)
    follows: bool = False


class SpanColumns:
    """Spans held until their traces are closed; readers append to the lists, one element of each per span.

    `traces`, `spans` and `parents` are ids as text, `processes` and `facts` codes, times in units of `unit_ns` or None
    where not recorded. `sizes` and `follows` are sparse, by place in the lists.
    """

    def __init__(self, words: Vocabulary, origin: str, unit_ns: int = 1, most_held: int = MOST_HELD) -> None:
        self._words = words
        self._origin = origin
        self._unit_ns = unit_ns
        self._most_held = most_held
        self._clear()

    def _clear(self) -> None:
        self.traces: list[str] = []
        self.spans: list[str] = []
        self.parents: list[str] = []
        self.processes: list[int] = []
        self.facts: list[int] = []
        self.starts: list[int | None] = []
        self.durations: list[int | None] = []
        self.operations: list[str] = []
        self.sizes: dict[int, tuple[int, int]] = {}
        self.follows: set[int] = set()

    def full(self) -> Iterator[SpanBatch]:
        """Where too many spans are held: batches of the traces that have waited longest, down to half as many."""
        if len(self.traces) > self._most_held:
            yield from self._close(self._most_held // 2)

    def rest(self) -> Iterator[SpanBatch]:
        """Batches of all that is held."""
        yield from self._close(0)

    def _close(self, kept: int) -> Iterator[SpanBatch]:
        """Close traces, those whose last span came first, until about `kept` spans are left."""
        if not self.traces:
            return
        numbers = {name: number for number, name in enumerate(dict.fromkeys(self.traces))}
        trace = np.fromiter(map(numbers.__getitem__, self.traces), dtype=np.int64, count=len(self.traces))
        last = np.zeros(len(numbers), dtype=np.int64)
        last[trace] = np.arange(trace.size)  # of equal indices the last one counts
        oldest = np.argsort(last, kind="stable")
        lengths = np.bincount(trace, minlength=oldest.size)
        left = trace.size - np.cumsum(lengths[oldest])
        closing = oldest[: max(int(np.searchsorted(-left, -kept)) + 1, 1)] if kept else oldest
        rank = np.full(oldest.size, oldest.size)
        rank[closing] = np.arange(closing.size)
        order = np.argsort(rank[trace], kind="stable")
        ends = np.cumsum(lengths[closing])
        for first, behind in _pieces(ends):
            begin = int(ends[first - 1]) if first else 0
            yield self._batch(order[begin : int(ends[behind - 1])], lengths[closing[first:behind]])
        self._keep(np.sort(order[int(ends[-1]) :]).tolist())

    def _keep(self, rows: list[int]) -> None:
        """Go on with these rows alone."""
        if not rows:
            self._clear()
            return
        for name in ("traces", "spans", "parents", "processes", "facts", "starts", "durations", "operations"):
            column = getattr(self, name)
            setattr(self, name, [column[row] for row in rows])
        new = {row: place for place, row in enumerate(rows)}
        self.sizes = {new[row]: size for row, size in self.sizes.items() if row in new}
        self.follows = {new[row] for row in self.follows if row in new}

    def _batch(self, order: IntArray, lengths: IntArray) -> SpanBatch:
        """The spans at these places, whole traces of these lengths."""
        rows: Sequence[int] = order.tolist()
        if rows[-1] - rows[0] == len(rows) - 1 and bool((order[1:] > order[:-1]).all()):
            rows = range(rows[0], rows[-1] + 1)
        spans, starts, durations = (_at(each, rows) for each in (self.spans, self.starts, self.durations))
        if 0 in starts and max(start or 0 for start in starts) * self._unit_ns > LONGEST_NS:
            starts = [start or None for start in starts]  # some write zero for what they did not record
        place = dict(zip(spans, range(len(spans)), strict=True))
        buffer = SpanBuffer()
        if len(place) == len(spans) and None not in starts and None not in durations:
            parent = place.get
            buffer.parents = [parent(name, LOST_PARENT) if name else NO_PARENT for name in _at(self.parents, rows)]
            self._fill(buffer, rows, starts, durations)
            buffer.lengths = lengths.tolist()
        else:
            begin = 0
            for length in lengths.tolist():
                self._add_trace(buffer, rows[begin : begin + length], starts[begin : begin + length])
                begin += length
        return buffer.batch(self._origin, self._unit_ns)

    def _fill(
        self, buffer: SpanBuffer, rows: Sequence[int], starts: Sequence[int | None], durations: Sequence[int | None]
    ) -> None:
        base = len(buffer.starts)
        buffer.starts += cast(Sequence[int], starts)
        buffer.durations += cast(Sequence[int], durations)
        buffer.processes += _at(self.processes, rows)
        buffer.facts += _at(self.facts, rows)
        if self.sizes:
            buffer.sizes |= {place: self.sizes[row] for place, row in enumerate(rows, base) if row in self.sizes}
        if self.follows:
            buffer.follows += [place for place, row in enumerate(rows, base) if row in self.follows]
        code = self._words.operations.code
        for place, parent in enumerate(buffer.parents[base:]):
            if parent < 0:
                buffer.operations[base + place] = code(self.operations[rows[place]])

    def _add_trace(self, buffer: SpanBuffer, rows: Sequence[int], starts: Sequence[int | None]) -> None:
        """One trace whose spans may share ids or lack times."""
        facts, processes = self._words.facts.values, self._words.processes.values
        halves = once([
            Half(row, self.spans[row], self.parents[row], processes[self.processes[row]][0],
                 facts[self.facts[row]].kind, start, self.durations[row])
            for row, start in zip(rows, starts, strict=True)
        ])  # fmt: skip
        self._words.passed[REPEATED] += len(rows) - len(halves)
        count = len(halves)
        halves, parents = timed(halves, parents_of(halves))
        self._words.passed[UNTIMED] += count - len(halves)
        base = len(buffer.starts)
        buffer.lengths.append(len(halves))
        buffer.parents += [parent + base if parent >= 0 else parent for parent in parents]
        self._fill(buffer, [half.row for half in halves], [half.start for half in halves],
                   [half.duration for half in halves])  # fmt: skip


def _at(column: list[_T], rows: Sequence[int]) -> list[_T]:
    """The values at these places, in one piece where the places are."""
    return column[rows.start : rows.stop] if isinstance(rows, range) else [column[row] for row in rows]


def _pieces(ends: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of traces that have about SPANS_PER_BATCH spans each; `ends` are the ends of the traces."""
    first = 0
    while first < ends.size:
        begin = int(ends[first - 1]) if first else 0
        behind = max(int(np.searchsorted(ends, begin + SPANS_PER_BATCH)), first + 1)
        yield first, min(behind, ends.size)
        first = behind


def assemble(
    records: Iterable[Record], words: Vocabulary, origin: str, unit_ns: int = 1, most_held: int = MOST_HELD
) -> Iterator[SpanBatch]:
    """Batches of whole traces, times in units of `unit_ns`. Raises `UsageError` for times no clock shows."""
    columns = SpanColumns(words, origin, unit_ns, most_held)
    for record in records:
        add_record(columns, record, words)
        if len(columns.traces) > most_held:
            yield from columns.full()
    yield from columns.rest()


def add_record(columns: SpanColumns, record: Record, words: Vocabulary) -> None:
    """Put one span into the columns."""
    place = len(columns.traces)
    columns.traces.append(record.trace)
    columns.spans.append(record.span)
    columns.parents.append(record.parent)
    columns.processes.append(words.processes.code((record.service, record.host)))
    columns.facts.append(words.facts.code(record.facts))
    columns.starts.append(record.start_ns)
    columns.durations.append(record.duration_ns)
    columns.operations.append(record.operation)
    if max(record.sizes) >= 0:
        columns.sizes[place] = record.sizes
    if record.follows:
        columns.follows.add(place)
