"""Spans that come one by one, put together into traces. For the formats whose files do not keep traces together.

Traces stay open while their spans come in; when too many spans are held, those traces that have waited longest are
closed, so memory is bounded. A span that comes later than that counts as a trace without its beginning.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from predictor.importers.spans import (
    CLIENT,
    CONSUMER,
    LOST_PARENT,
    NO_PARENT,
    PRODUCER,
    SERVER,
    UNKNOWN,
    Facts,
    SpanBatch,
    SpanBuffer,
    Vocabulary,
)

MOST_HELD: Final = 400_000
SPANS_PER_BATCH: Final = 16_384
_ASKING: Final = (CLIENT, PRODUCER)
_ANSWERING: Final = (SERVER, CONSUMER)


class Record(NamedTuple):
    """One span. `start_ns` and `duration_ns` are None where not recorded; an empty `parent` is none.

    `shared`: the server's half of a span whose client half has the same id.
    """

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
    shared: bool = False
    follows: bool = False


def assemble(
    records: Iterable[Record], words: Vocabulary, origin: str, unit_ns: int = 1, most_held: int = MOST_HELD
) -> Iterator[SpanBatch]:
    """Batches of whole traces, times in units of `unit_ns`. Raises `UsageError` for times no clock shows."""
    held: dict[str, list[Record]] = {}
    count = 0
    buffer = SpanBuffer()
    latest = ""
    for record in records:
        if record.trace == latest and latest in held:
            spans = held[latest]
        else:
            latest = record.trace
            held[latest] = spans = held.pop(latest, [])  # now the last to be closed
        spans.append(record)
        count += 1
        while count > most_held and len(held) > 1:
            closed = held.pop(next(iter(held)))
            count -= len(closed)
            add_trace(buffer, closed, words)
            if len(buffer.starts) >= SPANS_PER_BATCH:
                yield buffer.batch(origin, unit_ns)
                buffer = SpanBuffer()
    for spans in held.values():
        add_trace(buffer, spans, words)
        if len(buffer.starts) >= SPANS_PER_BATCH:
            yield buffer.batch(origin, unit_ns)
            buffer = SpanBuffer()
    yield buffer.batch(origin, unit_ns)


def add_trace(buffer: SpanBuffer, spans: Sequence[Record], words: Vocabulary) -> None:
    """Put one trace into the buffer."""
    spans = _once(spans)
    parents = _parents(spans)
    spans, parents = _timed(spans, parents)
    base = len(buffer.starts)
    buffer.lengths.append(len(spans))
    for row, (span, parent) in enumerate(zip(spans, parents, strict=True), base):
        buffer.starts.append(span.start_ns or 0)
        buffer.durations.append(span.duration_ns or 0)
        buffer.processes.append(words.processes.code((span.service, span.host)))
        buffer.facts.append(words.facts.code(span.facts))
        buffer.parents.append(parent + base if parent >= 0 else parent)
        if max(span.sizes) >= 0:
            buffer.sizes[row] = span.sizes
        if span.follows:
            buffer.follows.append(row)
        if parent < 0:
            buffer.operations[row] = words.operations.code(span.operation)


def _once(spans: Sequence[Record]) -> list[Record]:
    """Each span once: what was reported twice (same id, kind and service) is the report that has a duration."""
    found: dict[tuple[str, int, str], Record] = {}
    if len({span.span for span in spans}) == len(spans):
        return list(spans)
    for span in spans:
        key = (span.span, span.facts.kind, span.service)
        if key not in found or (found[key].duration_ns is None and span.duration_ns is not None):
            found[key] = span
    return list(found.values())


def _parents(spans: Sequence[Record]) -> list[int]:
    """The place of each span's parent in `spans`, NO_PARENT or LOST_PARENT."""
    only = {span.span: place for place, span in enumerate(spans)}
    if len(only) == len(spans):
        return [only.get(span.parent, LOST_PARENT) if span.parent else NO_PARENT for span in spans]
    places: dict[str, list[int]] = {}
    for place, span in enumerate(spans):
        places.setdefault(span.span, []).append(place)
    return [_parent(place, span, spans, places) for place, span in enumerate(spans)]


def _parent(place: int, span: Record, spans: Sequence[Record], places: dict[str, list[int]]) -> int:
    """Client and server half may have one id: the server's parent is the client, and children belong to their service's
    half, else to the server's.
    """  # noqa: D205 (one sentence)
    if span.facts.kind in _ANSWERING:
        halves = [other for other in places[span.span] if other != place and spans[other].facts.kind in _ASKING]
        if halves:
            return halves[0]
    if not span.parent:
        return NO_PARENT
    candidates = [other for other in places.get(span.parent, ()) if other != place]
    if not candidates:
        return LOST_PARENT
    return max(
        candidates,
        key=lambda other: (spans[other].service == span.service, spans[other].facts.kind in _ANSWERING, -other),
    )


def _timed(spans: Sequence[Record], parents: Sequence[int]) -> tuple[list[Record], list[int]]:
    """Spans without times get those of their children; without children, too, they tell nothing and are left out."""
    known = list(spans)
    if all(span.start_ns is not None and span.duration_ns is not None for span in known):
        return known, list(parents)
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        children.setdefault(parent, []).append(place)
    for _ in known:
        changed = False
        for place, span in enumerate(known):
            if span.start_ns is None or span.duration_ns is None:
                timed = [known[child] for child in children.get(place, ()) if known[child].duration_ns is not None]
                if timed:
                    start = min(child.start_ns or 0 for child in timed) if span.start_ns is None else span.start_ns
                    end = max((child.start_ns or 0) + (child.duration_ns or 0) for child in timed)
                    known[place] = span._replace(start_ns=start, duration_ns=max(end - start, 0))
                    changed = True
        if not changed:
            break
    kept = [place for place, span in enumerate(known) if span.start_ns is not None and span.duration_ns is not None]
    new = {place: index for index, place in enumerate(kept)}
    return [known[place] for place in kept], [new.get(parents[place], min(parents[place], NO_PARENT)) for place in kept]
