"""Zipkin's JSON, version 2 or 1: an array of spans, an array of traces (arrays of spans), or either one per line."""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from predictor.importers.streams import Source, input_files, open_source
from predictor.importers.traces.formats.json_elements import ElementReader
from predictor.importers.traces.formats.recognise import refuse_links
from predictor.importers.traces.spans.assemble import SpanColumns
from predictor.importers.traces.spans.attributes import KINDS
from predictor.importers.traces.spans.meanings import Meanings, remember
from predictor.importers.traces.spans.names import clean
from predictor.importers.traces.spans.spans import CLIENT, INTERNAL, PRODUCER, SpanBatch, Vocabulary
from profiler.errors import UsageError
from profiler.text import error_line

ENDINGS: Final = (".json", ".jsonl", ".ndjson")
_NULL: Final = msgspec.Raw(b"null")
_LAST_US: Final = 2**52


class _Endpoint(msgspec.Struct, gc=False):
    serviceName: str | None = None  # noqa: N815 (Zipkin's names, here and below)
    ipv4: str | None = None
    ipv6: str | None = None


class _Span(msgspec.Struct, gc=False):
    """A span; what is the same in many of them stays text until it is looked at."""

    traceId: str  # noqa: N815
    id: str
    parentId: str | None = None  # noqa: N815
    kind: str | None = None
    name: str | None = None
    timestamp: int | float | None = None
    duration: int | float | None = None
    localEndpoint: msgspec.Raw = _NULL  # noqa: N815
    remoteEndpoint: msgspec.Raw = _NULL  # noqa: N815
    tags: msgspec.Raw = _NULL
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


_ENDPOINT: Final = msgspec.json.Decoder(_Endpoint | None)
_TAGS: Final = msgspec.json.Decoder(dict[str, Any] | None)
_ANNOTATIONS: Final = msgspec.json.Decoder(list[_Annotation] | None)
_BINARY: Final = msgspec.json.Decoder(list[_BinaryAnnotation] | None)
_HALVES: Final = (("CLIENT", "cs", "cr"), ("SERVER", "sr", "ss"), ("PRODUCER", "ms", "ms"), ("CONSUMER", "mr", "mr"))
"""The halves of a span of version 1: kind, and the events at which it begins and ends."""


def read_zipkin(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    for path in input_files(inputs, ENDINGS):
        with open_source(path) as source:
            refuse_links(source)
            yield from _Reader(source, words).batches()


class _Reader:
    """Reads one file into columns."""

    def __init__(self, source: Source, words: Vocabulary) -> None:
        self._source = source
        self._words = words
        self._columns = SpanColumns(words, source.name)
        self._meanings = Meanings(words)
        self._processes: dict[bytes, int] = {}

    def batches(self) -> Iterator[SpanBatch]:
        """The file's traces. Raises `UsageError`."""
        for elements in ElementReader(self._source, _Span | list[_Span], "traces|spans", "traceId"):
            spans = [span for item in elements for span in (item if isinstance(item, list) else (item,))]
            old = {place for place, span in enumerate(spans) if _may_be_version_1(span) and _is_version_1(span)}
            for place in sorted(old):
                for half in self._halves(spans[place]):
                    self._add_half(*half)
            if old:
                spans = [span for place, span in enumerate(spans) if place not in old]
            self._add(spans)
            yield from self._columns.full()
        yield from self._columns.rest()

    def _add(self, spans: list[_Span]) -> None:
        """Add spans of version 2."""
        columns = self._columns
        base = len(columns.traces)
        known = self._processes.get
        processes = [known(bytes(span.localEndpoint)) for span in spans]
        for place, code in enumerate(processes):
            if code is None:
                raw = bytes(spans[place].localEndpoint)
                processes[place] = process = self._process(self._decoded(_ENDPOINT, raw, spans[place]))
                remember(self._processes, raw, process)
        label, meaning = self._meanings.label, self._meanings.known
        keys = [(bytes(span.tags), bytes(span.remoteEndpoint), span.kind, label(span.name or "")) for span in spans]
        codes = [meaning(key) for key in keys]
        for place, code in enumerate(codes):
            if code is None:
                span, what = spans[place], keys[place]
                tags = self._decoded(_TAGS, what[0], span) or {}
                codes[place], stated = self._learn(what, span, tags, self._decoded(_ENDPOINT, what[1], span), what[3])
                if max(stated) >= 0:
                    columns.sizes[base + place] = stated
        self._append(spans, cast(list[int], processes), cast(list[int], codes))

    def _append(self, spans: list[_Span], processes: list[int], codes: list[int]) -> None:
        columns = self._columns
        columns.traces += [span.traceId.lower() for span in spans]
        columns.spans += [span.id.lower() for span in spans]
        columns.parents += [span.parentId.lower() if span.parentId else "" for span in spans]
        columns.processes += processes
        columns.facts += codes
        columns.starts += self._nanoseconds([span.timestamp for span in spans])
        columns.durations += self._nanoseconds([span.duration for span in spans])
        columns.operations += [span.name or "" for span in spans]

    def _learn(
        self, what: Hashable, span: _Span, tags: dict[str, Any], remote: _Endpoint | None, label: str
    ) -> tuple[int, tuple[int, int]]:
        kind = KINDS.get(span.kind.lower(), INTERNAL) if span.kind else INTERNAL
        pairs = list(tags.items())
        if kind in (CLIENT, PRODUCER) and "peer.service" not in tags and (name := _name(remote)):
            pairs.append(("peer.service", name))
        return self._meanings.learn(what, pairs, kind, label)

    def _process(self, local: _Endpoint | None) -> int:
        host = (local.ipv4 or local.ipv6 or "") if local else ""
        return self._words.processes.code((clean(_name(local)) or "unnamed", host))

    def _add_half(self, span: _Span, local: _Endpoint | None, remote: _Endpoint | None, tags: dict[str, Any]) -> None:
        code, stated = self._learn((), span, tags, remote, self._meanings.label(span.name or ""))
        if max(stated) >= 0:
            self._columns.sizes[len(self._columns.traces)] = stated
        self._append([span], [self._process(local)], [code])

    def _halves(self, span: _Span) -> list[tuple[_Span, _Endpoint | None, _Endpoint | None, dict[str, Any]]]:
        """A span of version 1, which may hold what client and server recorded: halves with their endpoints and tags."""
        events = {event.value: event for event in self._decoded(_ANNOTATIONS, bytes(span.annotations), span) or ()}
        stated = self._decoded(_BINARY, bytes(span.binaryAnnotations), span) or ()
        remote = {each.key: each.endpoint for each in stated if each.key in ("sa", "ca", "ma")}
        tags = {each.key: each.value for each in stated if each.key not in remote}
        places = [each.endpoint for each in stated if each.key not in remote]
        places += [event.endpoint for event in events.values()]
        halves = []
        for kind, begin, end in _HALVES:
            first, last = events.get(begin), events.get(end)
            found = first or last
            if found is None:
                continue
            one = msgspec.structs.replace(span, kind=kind)
            if first and last and first.timestamp is not None and last.timestamp is not None:
                one.timestamp, one.duration = first.timestamp, last.timestamp - first.timestamp
            other = remote.get("ca" if kind == "SERVER" else "sa") or remote.get("ma")
            halves.append((one, found.endpoint, other, tags))
        return halves or [(span, places[0] if places else None, None, tags)]

    def _decoded(self, decoder: "msgspec.json.Decoder[Any]", raw: bytes, span: _Span) -> Any:
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            place = f"{self._source.name}: span {clean(span.id)!r}"
            raise UsageError(f"{place}: {error_line(error)}; correct it or remove it") from error

    def _nanoseconds(self, microseconds: list[int | float | None]) -> list[int | None]:
        times = [each for each in microseconds if each is not None]
        if times and not (min(times) > -_LAST_US and max(times) < _LAST_US):  # nor NaN
            raise UsageError(f"{self._source.name}: a span with a time beyond all bounds; correct or remove its trace")
        return [each if each is None else each * 1000 if type(each) is int else round(each * 1000)
                for each in microseconds]  # fmt: skip


def _may_be_version_1(span: _Span) -> bool:
    return span.localEndpoint == _NULL or span.binaryAnnotations != _NULL


def _is_version_1(span: _Span) -> bool:
    return bytes(span.binaryAnnotations) != b"null" or (
        bytes(span.localEndpoint) == b"null" and b'"endpoint"' in bytes(span.annotations)
    )


def _name(endpoint: _Endpoint | None) -> str:
    if endpoint is None:
        return ""
    return endpoint.serviceName or endpoint.ipv4 or endpoint.ipv6 or ""
