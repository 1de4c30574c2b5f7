"""OTLP traces, JSON (one document or one per line, as the collector's file exporter writes) and protobuf.

Both are read through opentelemetry-proto's messages, one ResourceSpans at a time.
"""

import base64
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from predictor.importers.assemble import Record, assemble
from predictor.importers.attributes import CATEGORICAL, SIZES, clean, interpret, message_sizes, sizes
from predictor.importers.json_elements import ElementReader, short
from predictor.importers.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, SpanBatch, Vocabulary
from predictor.importers.streams import Source, input_files, open_source
from profiler.errors import UsageError

ENDINGS: Final = (".json", ".jsonl", ".ndjson", ".pb", ".bin", ".binpb", ".otlp")
LARGEST_MESSAGE_BYTES: Final = 2**26
_KINDS: Final = {
    Span.SPAN_KIND_SERVER: SERVER,
    Span.SPAN_KIND_CLIENT: CLIENT,
    Span.SPAN_KIND_PRODUCER: PRODUCER,
    Span.SPAN_KIND_CONSUMER: CONSUMER,
}
_HOSTS: Final = ("k8s.pod.name", "host.name", "service.instance.id", "k8s.pod.ip", "container.id")
_IDS: Final = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")
_RESOURCE_SPANS: Final = 0x0A
"""Field 1, length-delimited: the only field of TracesData and of ExportTraceServiceRequest."""


def read_otlp(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    files = input_files(inputs, ENDINGS)
    origin = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    yield from assemble(_records(files), words, origin)


def _records(files: Sequence[Path]) -> Iterator[Record]:
    """The spans of all files: one trace's may be in several."""
    for path in files:
        with open_source(path) as source:
            head = source.peek(64)
            if not head:
                raise UsageError(f"{source.name}: empty file; give one with traces in it")
            messages = _from_json(source) if _is_json(head) else _from_protobuf(source)
            for message in messages:
                yield from _spans(message)


def _is_json(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"}", b"{", b"]", b"")


def _from_json(source: Source) -> Iterator[ResourceSpans]:
    for elements in ElementReader(source, dict[str, Any], "resourceSpans|resource_spans|batches"):
        for element in elements:
            inner = element.get("trace", element)
            listed = inner.get("resourceSpans", [inner]) if isinstance(inner, dict) else None
            for item in listed if isinstance(listed, list) else [listed]:
                yield _message(item, source.name)


def _message(item: Any, origin: str) -> ResourceSpans:
    if not isinstance(item, dict) or not ("scopeSpans" in item or "scope_spans" in item or "resource" in item):
        raise UsageError(f"{origin}: no 'resourceSpans'; give OTLP (for other formats: from-jaeger, from-zipkin)")
    try:
        _recode_ids(item)
        return ParseDict(item, ResourceSpans(), ignore_unknown_fields=True, max_recursion_depth=100)
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{origin}: not OTLP JSON: {short(error)}; fetch it again") from error


def _recode_ids(item: dict[str, Any]) -> None:
    """OTLP's JSON has ids in hexadecimal, where the JSON of protobuf has base64."""
    for scope in item.get("scopeSpans") or item.get("scope_spans") or ():
        for span in scope.get("spans") or ():
            for key in _IDS:
                if isinstance(span.get(key), str):
                    with contextlib.suppress(ValueError):  # then it is base64
                        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()


def _from_protobuf(source: Source) -> Iterator[ResourceSpans]:
    """The messages of field 1, one by one, so that the file need not fit into memory."""
    position = 0
    while tag := source.read(1):
        length, width = _varint(source)
        if tag[0] != _RESOURCE_SPANS or length > LARGEST_MESSAGE_BYTES:
            raise UsageError(f"{source.name}: byte {position}: neither OTLP JSON nor OTLP protobuf; give an OTLP file")
        body = source.read(length)
        position += 1 + width + length
        try:
            if len(body) < length:
                raise DecodeError("ends inside a message")
            yield ResourceSpans.FromString(body)
        except DecodeError as error:
            raise UsageError(f"{source.name}: truncated or damaged OTLP protobuf near byte {position}; "
                             "fetch it again") from error  # fmt: skip


def _varint(source: Source) -> tuple[int, int]:
    value = 0
    for width in range(1, 11):
        byte = source.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << (7 * (width - 1))
        if byte[0] < 0x80:
            return value, width
    return LARGEST_MESSAGE_BYTES + 1, 0


def _spans(message: ResourceSpans) -> Iterator[Record]:
    resource = dict(_pairs(message.resource.attributes))
    service = clean(str(resource.get("service.name", ""))) or "unnamed"
    host = str(next((resource[key] for key in _HOSTS if key in resource), ""))
    for scope in message.scope_spans:
        for span in scope.spans:
            yield _record(span, service, host)


def _record(span: Span, service: str, host: str) -> Record:
    kind = _KINDS.get(span.kind, INTERNAL)
    pairs = list(_pairs(span.attributes))
    request, response = sizes(pair for pair in pairs if pair[0] in SIZES)
    if span.events and min(request, response) < 0:
        sent = message_sizes((dict(_pairs(event.attributes)) for event in span.events), kind)
        request, response = (request if request >= 0 else sent[0]), (response if response >= 0 else sent[1])
    return Record(
        trace=span.trace_id,
        span=span.span_id,
        parent=span.parent_span_id.strip(b"\0") and span.parent_span_id,
        service=service,
        host=host,
        facts=interpret((pair for pair in pairs if pair[0] in CATEGORICAL), kind),
        operation=span.name,
        start_ns=span.start_time_unix_nano,
        duration_ns=span.end_time_unix_nano - span.start_time_unix_nano,
        sizes=(request, response),
    )


def _pairs(attributes: Iterable[KeyValue]) -> Iterator[tuple[str, Any]]:
    return ((attribute.key, _plain(attribute.value)) for attribute in attributes)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind in ("string_value", "int_value", "double_value", "bool_value") else None
