"""OTLP traces: JSON (one document, one per line, an answer of Jaeger's API), protobuf, plain or length-delimited.

Protobuf is read through opentelemetry-proto's messages, one ResourceSpans at a time, or one message of a stream. JSON
is decoded into structures of the same shape, which is some twenty times as fast as by way of these messages; names are
in camelCase as the specification wants them, or in snake_case.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, TracesData

from predictor.importers.assemble import Record, assemble
from predictor.importers.attributes import CATEGORICAL, SIZES, clean, interpret, message_sizes, sizes
from predictor.importers.json_elements import ElementReader, short
from predictor.importers.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, Facts, SpanBatch, Vocabulary
from predictor.importers.streams import Source, input_files, open_source
from profiler.errors import UsageError

ENDINGS: Final = (".json", ".jsonl", ".ndjson", ".pb", ".bin", ".binpb", ".otlp", ".proto")
LARGEST_MESSAGE_BYTES: Final = 2**26
_MOST_EMPTY: Final = 10_000
REMEDY: Final = "give OTLP traces"
_KINDS: Final[dict[Any, int]] = {
    name: kind
    for number, kind in (
        (Span.SPAN_KIND_SERVER, SERVER),
        (Span.SPAN_KIND_CLIENT, CLIENT),
        (Span.SPAN_KIND_PRODUCER, PRODUCER),
        (Span.SPAN_KIND_CONSUMER, CONSUMER),
    )
    for name in (number, str(number), Span.SpanKind.Name(number))
}
"""By number, and by name, as some write it in JSON."""
_HOSTS: Final = ("k8s.pod.name", "host.name", "service.instance.id", "k8s.pod.ip", "container.id")
_OF_RESOURCE: Final = frozenset(("service.name", *_HOSTS))
_OF_SPAN: Final = CATEGORICAL | SIZES
_OF_EVENT: Final = frozenset(
    f"{prefix}message.{name}" for prefix in ("", "rpc.") for name in ("type", "compressed_size", "uncompressed_size")
)
_RESOURCE_SPANS: Final = 0x0A
"""Field 1, length-delimited: the only field of TracesData and of ExportTraceServiceRequest."""
_AFTER_LINE: Final = re.compile(r"_([a-z])")
_HEX_LENGTHS: Final = (16, 32)
_NO_IDS: Final = ("", "0" * 16, "0" * 32)


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
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[_Pair] | None = None
    events: list[_Event] | None = None


class _Scope(msgspec.Struct, gc=False):
    spans: list[_Span] | None = None


class _ResourceSpans(msgspec.Struct, gc=False, rename="camel"):
    """Of one resource; or what such are in: a document, a line, an answer of Jaeger's or Tempo's API."""

    resource: _Resource | None = None
    scope_spans: list[_Scope] | None = None
    instrumentation_library_spans: list[_Scope] | None = None
    resource_spans: list["_ResourceSpans"] | None = None
    batches: list["_ResourceSpans"] | None = None
    trace: "_ResourceSpans | None" = None
    result: "_ResourceSpans | None" = None


def read_otlp(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    files = input_files(inputs, ENDINGS)
    origin = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    yield from assemble(_records(files), words, origin)


def _records(files: Sequence[Path]) -> Iterator[Record]:
    """The spans of all files: one trace's may be in several."""
    for path in files:
        with open_source(path) as source:
            head = source.peek(2**14)
            if not head:
                raise UsageError(f"{source.name}: empty file; give one with traces in it")
            if _is_json(head):
                yield from _from_json(source, head)
            else:
                yield from _of_messages(_from_protobuf(source, head), source.name)


def _is_json(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"}", b"{", b"]", b"")


def _from_json(source: Source, head: bytes) -> Iterator[Record]:
    snake = any(key in head for key in (b'"resource_spans"', b'"scope_spans"', b'"trace_id"'))
    kind: Any = dict[str, Any] if snake else _ResourceSpans
    for elements in ElementReader(source, kind, "resourceSpans|resource_spans|batches", "resource"):
        waiting = [_converted(element, source.name) for element in reversed(elements)] if snake else elements[::-1]
        while waiting:
            item = waiting.pop()
            inner = [item.trace, item.result, *(item.resource_spans or ()), *(item.batches or ())]
            scopes = item.scope_spans or item.instrumentation_library_spans
            if item.resource is scopes is item.resource_spans is item.batches is item.trace is item.result:
                raise UsageError(f"{source.name}: no 'resourceSpans'; {REMEDY}")
            waiting += [each for each in reversed(inner) if each is not None]
            yield from _of_resource(item.resource, scopes or (), source.name)


def _converted(element: dict[str, Any], origin: str) -> _ResourceSpans:
    """The structure in JSON whose names are in snake_case."""
    try:
        return msgspec.convert(_in_camel_case(element), _ResourceSpans)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"{origin}: not OTLP JSON: {short(error)}; fetch it again") from error


def _in_camel_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _AFTER_LINE.sub(lambda found: found[1].upper(), key): _in_camel_case(each) for key, each in value.items()
        }
    return [_in_camel_case(each) for each in value] if isinstance(value, list) else value


def _of_resource(resource: _Resource | None, scopes: Iterable[_Scope], origin: str) -> Iterator[Record]:
    known = dict(_pairs_of_json(resource.attributes if resource else None, _OF_RESOURCE))
    service, host = _service_and_host(known)
    try:
        for scope in scopes:
            for span in scope.spans or ():
                start_ns, end_ns = int(span.start_time_unix_nano), int(span.end_time_unix_nano)
                kind = _KINDS.get(span.kind, INTERNAL)
                events = (dict(_pairs_of_json(event.attributes, _OF_EVENT)) for event in span.events or ())
                facts, told = _meaning(_pairs_of_json(span.attributes, _OF_SPAN), events, kind)
                ids = _id(span.trace_id), _id(span.span_id), _id(span.parent_span_id or "")
                yield Record(*ids, service, host, facts, span.name or "", start_ns, end_ns - start_ns, told)
    except ValueError as error:
        raise UsageError(f"{origin}: not OTLP JSON: {short(error)}; fetch it again") from error


def _id(text: str) -> str:
    """An id in lower case, empty for a parent that is none. OTLP has hexadecimal ids, protobuf's own JSON base64."""
    if len(text) not in _HEX_LENGTHS:
        try:
            text = base64.b64decode(text, validate=True).hex()
        except (binascii.Error, ValueError):
            return text
    return "" if text in _NO_IDS else text.lower()


def _pairs_of_json(attributes: Iterable[_Pair] | None, wanted: frozenset[str]) -> list[tuple[str, Any]]:
    return [(pair.key, _plain_json(pair.value)) for pair in attributes or () if pair.key in wanted]


def _plain_json(value: _Value | None) -> Any:
    if value is None or value.string_value is not None:
        return value and value.string_value
    if value.int_value is not None:
        return value.int_value
    return value.bool_value if value.double_value is None else value.double_value


def _service_and_host(resource: dict[str, Any]) -> tuple[str, str]:
    service = clean(str(resource.get("service.name") or "")) or "unnamed"
    return service, str(next((resource[key] for key in _HOSTS if resource.get(key)), ""))


def _meaning(
    pairs: list[tuple[str, Any]], events: Iterable[dict[str, Any]], kind: int
) -> tuple[Facts, tuple[int, int]]:
    """What the attributes of a span say, and its sizes, from its messages where attributes do not tell."""
    facts = interpret([pair for pair in pairs if pair[0] in CATEGORICAL], kind)
    request, response = sizes([pair for pair in pairs if pair[0] in SIZES])
    if min(request, response) < 0:
        sent = message_sizes(events, kind)
        request, response = (request if request >= 0 else sent[0]), (response if response >= 0 else sent[1])
    return facts, (request, response)


def _from_protobuf(source: Source, head: bytes) -> Iterator[ResourceSpans]:
    """The messages of field 1 one by one; or a stream of messages, each after its length (a varint, or four bytes).

    So the file need not fit into memory.
    """
    fixed = head[:1] == b"\0" and head[4:5] == bytes((_RESOURCE_SPANS,))
    plain = head[0] == _RESOURCE_SPANS
    position = 0
    while first := source.read(4 if fixed else 1):
        length, width = (int.from_bytes(first), 4) if fixed else _varint(source, b"" if plain else first)
        if (plain and first[0] != _RESOURCE_SPANS) or not 0 < length <= LARGEST_MESSAGE_BYTES:
            raise UsageError(f"{source.name}: byte {position}: neither OTLP JSON nor OTLP protobuf; {REMEDY}")
        body = source.read(length)
        position += width + length + plain
        try:
            if len(body) < length:
                raise DecodeError("ends inside a message")
            yield from (ResourceSpans.FromString(body),) if plain else TracesData.FromString(body).resource_spans
        except DecodeError as error:
            raise UsageError(f"{source.name}: truncated or damaged OTLP protobuf near byte {position}; "
                             "fetch it again") from error  # fmt: skip


def _varint(source: Source, first: bytes) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and its width. `first` has been read already."""
    value = 0
    for width in range(1, 11):
        byte, first = first or source.read(1), b""
        if not byte:
            break
        value |= (byte[0] & 0x7F) << (7 * (width - 1))
        if byte[0] < 0x80:
            return value, width
    return LARGEST_MESSAGE_BYTES + 1, 0


def _of_messages(messages: Iterable[ResourceSpans], origin: str) -> Iterator[Record]:
    """The spans of messages. Raises `UsageError` when endless ones have none: not every byte string is refused."""
    empty = 0
    for message in messages:
        empty = 0 if message.scope_spans else empty + 1
        if empty > _MOST_EMPTY:
            raise UsageError(f"{origin}: {_MOST_EMPTY} messages without spans; {REMEDY}")
        yield from _of_message(message)


def _of_message(message: ResourceSpans) -> Iterator[Record]:
    service, host = _service_and_host(dict(_pairs_of_message(message.resource.attributes, _OF_RESOURCE)))
    for scope in message.scope_spans:
        for span in scope.spans:
            start_ns, kind = span.start_time_unix_nano, _KINDS.get(span.kind, INTERNAL)
            events = (dict(_pairs_of_message(event.attributes, _OF_EVENT)) for event in span.events)
            facts, told = _meaning(_pairs_of_message(span.attributes, _OF_SPAN), events, kind)
            ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.strip(b"\0") and span.parent_span_id
            duration_ns = span.end_time_unix_nano - start_ns
            yield Record(*ids[:2], ids[2].hex(), service, host, facts, span.name, start_ns, duration_ns, told)


def _pairs_of_message(attributes: Iterable[KeyValue], wanted: frozenset[str]) -> list[tuple[str, Any]]:
    return [(key, _plain(attribute.value)) for attribute in attributes if (key := attribute.key) in wanted]


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind in ("string_value", "int_value", "double_value", "bool_value") else None
