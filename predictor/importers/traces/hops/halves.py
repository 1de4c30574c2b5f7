"""Spans of one trace that share ids (client and server half of one call) or lack times. Pure, linear in the spans."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from predictor.importers.traces.spans.spans import CLIENT, CONSUMER, LOST_PARENT, NO_PARENT, PRODUCER, SERVER

_ASKING: Final = (CLIENT, PRODUCER)
_ANSWERING: Final = (SERVER, CONSUMER)


class Half(NamedTuple):
    """A span: its row in the reader's columns, ids, what tells halves apart, and times or None."""

    row: int
    span: str
    parent: str
    service: str
    kind: int
    start: int | None
    duration: int | None


def once(spans: Sequence[Half]) -> list[Half]:
    """Each span once, though a file may hold it twice; of two the one that has a duration."""
    found: dict[tuple[str, int, str], Half] = {}
    for span in spans:
        key = (span.span, span.kind, span.service)
        if key not in found or (found[key].duration is None and span.duration is not None):
            found[key] = span
    return list(found.values())


def parents_of(spans: Sequence[Half]) -> list[int]:
    """The place of each span's parent in `spans`, NO_PARENT or LOST_PARENT.

    Client and server half may have one id: the server's parent is the client, and children belong to their service's
    half, else to the server's.
    """
    asking: dict[str, list[int]] = {}
    by_service: dict[tuple[str, str], list[int]] = {}
    anyone: dict[str, list[int]] = {}
    order = [place for place, span in enumerate(spans) if span.kind in _ANSWERING]
    order += [place for place, span in enumerate(spans) if span.kind not in _ANSWERING]
    for place in order:
        span = spans[place]
        if span.kind in _ASKING:
            _add(asking.setdefault(span.span, []), place)
        _add(by_service.setdefault((span.span, span.service), []), place)
        _add(anyone.setdefault(span.span, []), place)
    parents = []
    for place, span in enumerate(spans):
        if span.kind in _ANSWERING and span.span in asking:
            parents.append(asking[span.span][0])
        elif not span.parent:
            parents.append(NO_PARENT)
        else:
            best = [*by_service.get((span.parent, span.service), ()), *anyone.get(span.parent, ())]
            parents.append(next((other for other in best if other != place), LOST_PARENT))
    return parents


def _add(places: list[int], place: int) -> None:
    """Keep the first two: one of them is not the span that looks for its parent."""
    if len(places) < 2:
        places.append(place)


def timed(spans: Sequence[Half], parents: Sequence[int]) -> tuple[list[Half], list[int]]:
    """Spans without times get those of their children; without children, too, they say nothing and are left out."""
    known = list(spans)
    if all(span.start is not None and span.duration is not None for span in known):
        return known, list(parents)
    for place in _children_first(parents):
        span, parent = known[place], parents[place]
        if span.start is not None and span.duration is not None and parent >= 0:
            known[parent] = _around(known[parent], spans[parent], span.start, span.start + span.duration)
    kept = [place for place, span in enumerate(known) if span.start is not None and span.duration is not None]
    new = {place: index for index, place in enumerate(kept)}
    return [known[place] for place in kept], [new.get(parents[place], min(parents[place], NO_PARENT)) for place in kept]


def _around(span: Half, recorded: Half, start: int, end: int) -> Half:
    """A span that lacks times, with those of one more child taken in."""
    if recorded.start is not None and recorded.duration is not None:
        return span
    first = min(start, start if span.start is None else span.start) if recorded.start is None else recorded.start
    if recorded.duration is not None:
        return span._replace(start=first)
    last = end if span.start is None or span.duration is None else max(end, span.start + span.duration)
    return span._replace(start=first, duration=max(last - first, 0))


def _children_first(parents: Sequence[int]) -> list[int]:
    """All places, each after its children; those on a cycle are not among them."""
    waiting = [0] * len(parents)
    for parent in parents:
        if parent >= 0:
            waiting[parent] += 1
    ready = [place for place, count in enumerate(waiting) if not count]
    for place in ready:
        parent = parents[place]
        if parent >= 0:
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    return ready
