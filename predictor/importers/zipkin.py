"""Zipkin's JSON, version 2: an array of spans, an array of traces (arrays of spans), or either one per line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from predictor.importers.assemble import Record, assemble
from predictor.importers.attributes import CATEGORICAL, KINDS, SIZES, clean, interpret, sizes
from predictor.importers.json_elements import ElementReader
from predictor.importers.spans import CLIENT, INTERNAL, PRODUCER, SpanBatch, Vocabulary
from predictor.importers.streams import Source, input_files, open_source
from profiler.errors import UsageError

ENDINGS: Final = (".json", ".jsonl", ".ndjson")


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
    binaryAnnotations: msgspec.Raw | None = None  # noqa: N815


def read_zipkin(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    for path in input_files(inputs, ENDINGS):
        with open_source(path) as source:
            yield from assemble(_records(source), words, source.name)


def _records(source: Source) -> Iterator[Record]:
    for elements in ElementReader(source, _Span | list[_Span], "traces|spans", "traceId"):
        for element in elements:
            for span in element if isinstance(element, list) else (element,):
                if span.binaryAnnotations is not None:
                    raise UsageError(f"{source.name}: Zipkin JSON version 1; fetch it again through /api/v2/traces")
                yield _record(span, source.name)


def _record(span: _Span, origin: str) -> Record:
    kind = KINDS.get((span.kind or "").lower(), INTERNAL)
    tags = span.tags or {}
    pairs = list(tags.items())
    remote = _name(span.remoteEndpoint)
    if remote and "peer.service" not in tags and kind in (CLIENT, PRODUCER):
        pairs.append(("peer.service", remote))
    local = span.localEndpoint or _Endpoint()
    return Record(
        trace=span.traceId.lower(),
        span=span.id.lower(),
        parent=(span.parentId or "").lower(),
        service=clean(_name(local)) or "unnamed",
        host=local.ipv4 or local.ipv6 or "",
        facts=interpret([pair for pair in pairs if pair[0] in CATEGORICAL], kind),
        operation=span.name or "",
        start_ns=_nanoseconds(span.timestamp, origin),
        duration_ns=_nanoseconds(span.duration, origin),
        sizes=sizes((key, value) for key, value in pairs if key in SIZES),
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
