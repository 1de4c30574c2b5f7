"""Zipkin's JSON, version 2 or 1: an array of spans, an array of traces (arrays of spans), or either one per line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from predictor.importers.assemble import Record, assemble
from predictor.importers.attributes import CATEGORICAL, KINDS, SIZES, clean, interpret, sizes
from predictor.importers.json_elements import ElementReader, short
from predictor.importers.spans import CLIENT, INTERNAL, PRODUCER, SpanBatch, Vocabulary
from predictor.importers.streams import Source, input_files, open_source
from profiler.errors import UsageError

ENDINGS: Final = (".json", ".jsonl", ".ndjson")
_NULL: Final = msgspec.Raw(b"null")


class _Endpoint(msgspec.Struct, gc=False):
    serviceName: str | None = None  # noqa: N815 (Zipkin's names, here and below)
    ipv4: str | None = None
    ipv6: str | None = None


class _Span(msgspec.Struct, gc=False):
    traceId: str  # noqa: N815
    id: str
    parentId: str | None = None  # noqa: N815
    kind: str | None = None
    name: str | None = None
    timestamp: int | float | None = None
    duration: int | float | None = None
    localEndpoint: _Endpoint | None = None  # noqa: N815
    remoteEndpoint: _Endpoint | None = None  # noqa: N815
    tags: dict[str, Any] | None = None
    shared: bool | None = None
    annotations: msgspec.Raw = _NULL
    binaryAnnotations: msgspec.Raw = _NULL  # noqa: N815


class _Annotation(msgspec.Struct, gc=False):
    value: str
    timestamp: int | float | None = None
    endpoint: _Endpoint | None = None


class _BinaryAnnotation(msgspec.Struct, gc=False):
    key: str
    value: Any = None
    endpoint: _Endpoint | None = None


_ANNOTATIONS: Final = msgspec.json.Decoder(list[_Annotation] | None)
_BINARY: Final = msgspec.json.Decoder(list[_BinaryAnnotation] | None)
_HALVES: Final = (("CLIENT", "cs", "cr"), ("SERVER", "sr", "ss"), ("PRODUCER", "ms", "ms"), ("CONSUMER", "mr", "mr"))
"""The halves of a span of version 1: kind, and the events at which it begins and ends."""


def read_zipkin(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    for path in input_files(inputs, ENDINGS):
        with open_source(path) as source:
            yield from assemble(_records(source), words, source.name)


def _records(source: Source) -> Iterator[Record]:
    for elements in ElementReader(source, _Span | list[_Span], "traces|spans", "traceId"):
        for element in elements:
            for span in element if isinstance(element, list) else (element,):
                for half in _halves(span, source.name) if _is_version_1(span) else (span,):
                    yield _record(half, source.name)


def _is_version_1(span: _Span) -> bool:
    return bytes(span.binaryAnnotations) != b"null" or (
        span.localEndpoint is None and b'"endpoint"' in bytes(span.annotations)
    )


def _halves(span: _Span, origin: str) -> list[_Span]:
    """A span of version 1, which may hold what client and server recorded, as one span of version 2 for each."""
    try:
        events = {event.value: event for event in _ANNOTATIONS.decode(span.annotations) or ()}
        told = _BINARY.decode(span.binaryAnnotations) or ()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{origin}: span {clean(span.id)!r}: {short(error)}; fetch it again or remove it") from error
    remote = {each.key: each.endpoint for each in told if each.key in ("sa", "ca", "ma")}
    tags = {each.key: each.value for each in told if each.key not in remote}
    places = [each.endpoint for each in told if each.key not in remote] + [event.endpoint for event in events.values()]
    halves = []
    for kind, begin, end in _HALVES:
        first, last = events.get(begin), events.get(end)
        found = first or last
        if found is None:
            continue
        one = msgspec.structs.replace(span, kind=kind, localEndpoint=found.endpoint, tags=tags)
        one.remoteEndpoint = remote.get("ca" if kind == "SERVER" else "sa") or remote.get("ma")
        if first and last and first.timestamp is not None and last.timestamp is not None:
            one.timestamp, one.duration = first.timestamp, last.timestamp - first.timestamp
        halves.append(one)
    if not halves:
        halves = [msgspec.structs.replace(span, tags=tags, localEndpoint=places[0] if places else None)]
    return halves


def _record(span: _Span, origin: str) -> Record:
    kind = KINDS.get(span.kind.lower(), INTERNAL) if span.kind else INTERNAL
    tags = span.tags or {}
    pairs = [(key, value) for key, value in tags.items() if key in CATEGORICAL]
    if kind in (CLIENT, PRODUCER) and "peer.service" not in tags and (remote := _name(span.remoteEndpoint)):
        pairs.append(("peer.service", remote))
    local = span.localEndpoint
    return Record(
        trace=span.traceId.lower(),
        span=span.id.lower(),
        parent=span.parentId.lower() if span.parentId else "",
        service=clean(_name(local)) or "unnamed",
        host=(local.ipv4 or local.ipv6 or "") if local else "",
        facts=interpret(pairs, kind),
        operation=span.name or "",
        start_ns=_nanoseconds(span.timestamp, origin),
        duration_ns=_nanoseconds(span.duration, origin),
        sizes=sizes([(key, value) for key, value in tags.items() if key in SIZES]),
        shared=bool(span.shared),
    )


def _name(endpoint: _Endpoint | None) -> str:
    if endpoint is None:
        return ""
    return endpoint.serviceName or endpoint.ipv4 or endpoint.ipv6 or ""


def _nanoseconds(microseconds: float | None, origin: str) -> int | None:
    if microseconds is None:
        return None
    if not abs(microseconds) < 2**52:
        raise UsageError(f"{origin}: a span with a time beyond all bounds; correct or remove its trace")
    return int(microseconds * 1000) if isinstance(microseconds, int) else round(microseconds * 1000)
