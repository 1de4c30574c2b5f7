"""OTLP traces: JSON (one document, one per line, an answer of Jaeger's or Tempo's API), protobuf, plain or delimited.

Names in JSON are in camelCase as the specification wants them, or in snake_case. What a file holds next to traces
(metrics, logs) is passed over and counted.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from predictor.importers.streams import Source, input_files, open_source, unpack_zstd
from predictor.importers.traces.formats.json_elements import ElementReader
from predictor.importers.traces.formats.otlp_protobuf import LENGTH_BYTES, is_protobuf, read_protobuf
from predictor.importers.traces.formats.otlp_words import KINDS, add_times, process_of, sizes_of
from predictor.importers.traces.spans.assemble import SpanColumns
from predictor.importers.traces.spans.meanings import Meanings, remember
from predictor.importers.traces.spans.spans import INTERNAL, SpanBatch, Vocabulary
from profiler.errors import UsageError
from profiler.files.zstd import MAGIC
from profiler.text import error_line

ENDINGS: Final = (".json", ".jsonl", ".ndjson", ".pb", ".bin", ".binpb", ".otlp", ".proto")
REMEDY: Final = "give OTLP traces"
_AFTER_LINE: Final = re.compile(r"_([a-z])")
_IDS: Final = ((32, 24), (16, 12))
"""Lengths of the ids of traces and spans, in hexadecimal as OTLP has them, and in base64, which is protobuf's own."""
_NO_IDS: Final = ("", "0" * 16, "0" * 32)
_NULL: Final = msgspec.Raw(b"null")


class _Value(msgspec.Struct, gc=False, rename="camel"):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None


class _Pair(msgspec.Struct, gc=False):
    key: str = ""
    value: _Value | None = None


class _Event(msgspec.Struct, gc=False):
    attributes: list[_Pair] | None = None


class _Resource(msgspec.Struct, gc=False):
    attributes: list[_Pair] | None = None


class _Span(msgspec.Struct, gc=False, rename="camel"):
    """A span; what is the same in many of them stays text until it is looked at."""

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: msgspec.Raw = _NULL
    events: msgspec.Raw = _NULL


class _Scope(msgspec.Struct, gc=False):
    spans: list[_Span] | None = None


class _ResourceSpans(msgspec.Struct, gc=False, rename="camel"):
    """Of one resource; or what such are in: a document, a line, an answer of Jaeger's or Tempo's API."""

    resource: msgspec.Raw = _NULL
    scope_spans: list[_Scope] | None = None
    instrumentation_library_spans: list[_Scope] | None = None
    resource_spans: list["_ResourceSpans"] | None = None
    batches: list["_ResourceSpans"] | None = None
    trace: "_ResourceSpans | None" = None
    result: "_ResourceSpans | None" = None
    resource_metrics: msgspec.Raw = _NULL
    resource_logs: msgspec.Raw = _NULL
    resource_profiles: msgspec.Raw = _NULL
    scope_metrics: msgspec.Raw = _NULL
    scope_logs: msgspec.Raw = _NULL


_PAIRS: Final = msgspec.json.Decoder(list[_Pair] | None)
_EVENTS: Final = msgspec.json.Decoder(list[_Event] | None)
_RESOURCE: Final = msgspec.json.Decoder(_Resource | None)
_OTHERS: Final = (("metrics", ("resource_metrics", "scope_metrics")), ("logs", ("resource_logs", "scope_logs")),
                  ("profiles", ("resource_profiles",)))  # fmt: skip


def read_otlp(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    files = input_files(inputs, ENDINGS)
    origin = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    columns = SpanColumns(words, origin)
    for path in files:  # one trace's spans may be in several
        with open_source(path) as source:
            for part in _parts(source):
                yield from _read(part, words, columns)
    yield from columns.rest()


def _read(source: Source, words: Vocabulary, columns: SpanColumns) -> Iterator[SpanBatch]:
    head = source.peek(2**14)
    if not head:
        raise UsageError(f"{source.name}: empty file; give one with traces in it")
    if _is_json(head):
        reader = _JsonReader(source, words, columns)
        for _ in reader.groups(head):
            yield from columns.full()
    elif is_protobuf(head):
        for _ in read_protobuf(source, head, words, columns):
            yield from columns.full()
    else:
        raise UsageError(f"{source.name}: byte 0: neither OTLP JSON nor OTLP protobuf; {REMEDY}")


def _parts(source: Source) -> Iterator[Source]:
    """The file; or, as the collector writes with compression, each of its messages, packed after its length."""
    head = source.peek(LENGTH_BYTES + len(MAGIC))
    if head[:1] != b"\0" or head[LENGTH_BYTES:] != MAGIC:
        yield source
        return
    while length := source.read(LENGTH_BYTES):
        yield Source(unpack_zstd(source.part(int.from_bytes(length))), source.name)


def _is_json(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"}", b"{", b"]", b"")


class _JsonReader:
    """Reads the JSON of one file into columns."""

    def __init__(self, source: Source, words: Vocabulary, columns: SpanColumns) -> None:
        self._source = source
        self._words = words
        self._columns = columns
        self._meanings = Meanings(words)
        self._processes: dict[bytes, int] = {}

    def groups(self, head: bytes) -> Iterator[None]:
        """Read the file, some elements at a time. Raises `UsageError`."""
        snake = any(key in head for key in (b'"resource_spans"', b'"scope_spans"', b'"trace_id"'))
        kind: Any = dict[str, Any] if snake else _ResourceSpans
        for elements in ElementReader(self._source, kind, "resourceSpans|resource_spans|batches", "resource"):
            spans: list[_Span] = []
            processes: list[int] = []
            waiting = [self._converted(element) for element in reversed(elements)] if snake else elements[::-1]
            while waiting:
                item = waiting.pop()
                if scopes := item.scope_spans or item.instrumentation_library_spans:
                    begin = len(spans)
                    for scope in scopes:
                        spans += scope.spans or ()
                    processes += [self._process(bytes(item.resource))] * (len(spans) - begin)
                elif item.resource_spans:
                    waiting += item.resource_spans[::-1]
                else:
                    waiting += self._inside(item)
            self._add(spans, processes)
            yield None

    def _inside(self, item: _ResourceSpans) -> list[_ResourceSpans]:
        """What an element without own spans holds, the last first; other signals than traces are counted."""
        found = [name for name, keys in _OTHERS if any(getattr(item, key) != _NULL for key in keys)]
        self._words.skipped.update(found)
        inner = [each for each in (item.trace, item.result, *(item.batches or ())) if each is not None]
        known = (item.resource_spans, item.batches, item.scope_spans, item.instrumentation_library_spans)
        if not found and not inner and item.resource == _NULL and all(each is None for each in known):
            raise UsageError(f"{self._source.name}: no 'resourceSpans'; {REMEDY}")
        return inner[::-1]

    def _converted(self, element: dict[str, Any]) -> _ResourceSpans:
        """The structure in JSON whose names are in snake_case."""
        try:
            decoded: _ResourceSpans = _DOCUMENT.decode(msgspec.json.encode(_in_camel_case(element)))
            return decoded
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> UsageError:
        return UsageError(f"{self._source.name}: not OTLP JSON: {error_line(error)}; {REMEDY}")

    def _process(self, resource: bytes) -> int:
        process = self._processes.get(resource)
        if process is None:
            decoded = self._decoded(_RESOURCE, resource)
            process = self._words.processes.code(process_of(_plain_pairs(decoded.attributes if decoded else None)))
            remember(self._processes, resource, process)
        return process

    def _add(self, spans: list[_Span], processes: list[int]) -> None:
        columns = self._columns
        base = len(columns.traces)
        columns.traces += _ids([span.trace_id for span in spans], *_IDS[0])
        columns.spans += _ids([span.span_id for span in spans], *_IDS[1])
        columns.parents += _ids([span.parent_span_id or "" for span in spans], *_IDS[1])
        columns.processes += processes
        columns.operations += [span.name or "" for span in spans]
        try:
            times = [(int(span.start_time_unix_nano), int(span.end_time_unix_nano)) for span in spans]
        except ValueError as error:
            raise self._damaged(error) from error
        add_times(columns, times)
        self._add_meanings(spans, base)

    def _add_meanings(self, spans: Sequence[_Span], base: int) -> None:
        label, known = self._meanings.label, self._meanings.known
        keys = [(bytes(span.attributes), span.kind, label(span.name or "")) for span in spans]
        codes: list[int | None] = [known(key) for key in keys]
        for place, span in enumerate(spans):
            events = bytes(span.events)
            if codes[place] is None or (len(events) > _FEW_BYTES and b"message" in events):
                codes[place], stated = self._learn(keys[place], span, events)
                if max(stated) >= 0:
                    self._columns.sizes[base + place] = stated
        self._columns.facts += cast(list[int], codes)

    def _learn(self, what: tuple[bytes, Any, str], span: _Span, events: bytes) -> tuple[int, tuple[int, int]]:
        pairs = _plain_pairs(self._decoded(_PAIRS, what[0]))
        found = self._decoded(_EVENTS, events) if b"message" in events else None
        more = sizes_of([dict(_plain_pairs(event.attributes)) for event in found]) if found else None
        kind = KINDS.get(span.kind, INTERNAL) if span.kind is not None else INTERNAL
        return self._meanings.learn(what, pairs, kind, what[2], more)

    def _decoded(self, decoder: "msgspec.json.Decoder[Any]", raw: bytes) -> Any:
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._damaged(error) from error


_DOCUMENT: Final = msgspec.json.Decoder(_ResourceSpans)
_FEW_BYTES: Final = 10
"""Too few for an event with a message in it."""


def _ids(texts: list[str], hexadecimal: int, encoded: int) -> list[str]:
    """Ids in lower case, empty for a parent that is none."""
    joined = "".join(texts)
    usual = {hexadecimal, 0} >= set(map(len, texts))
    if usual and "0" * 16 not in joined and joined == joined.lower():
        return texts
    return [_id(text, encoded) for text in texts]


def _id(text: str, encoded: int) -> str:
    if len(text) == encoded:
        try:
            text = base64.b64decode(text, validate=True).hex()
        except (binascii.Error, ValueError):
            return text
    return "" if text in _NO_IDS else text.lower()


def _in_camel_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _AFTER_LINE.sub(lambda found: found[1].upper(), key): _in_camel_case(each) for key, each in value.items()
        }
    return [_in_camel_case(each) for each in value] if isinstance(value, list) else value


def _plain_pairs(attributes: Iterable[_Pair] | None) -> list[tuple[str, Any]]:
    return [(pair.key, _plain(pair.value)) for pair in attributes or ()]


def _plain(value: _Value | None) -> Any:
    if value is None or value.string_value is not None:
        return value and value.string_value
    if value.int_value is not None:
        return value.int_value
    return value.bool_value if value.double_value is None else value.double_value
