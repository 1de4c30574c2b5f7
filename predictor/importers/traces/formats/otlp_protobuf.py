"""OTLP as protobuf: one message, or many after their lengths.

The messages here have the numbers and wire types of opentelemetry-proto, but a span stays bytes: its first fields are
cut out where they come in the usual order, and the others, attributes and events, are looked at once for all spans that
have the same ones. Taking each apart is what would cost time.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, cast

from predictor.importers.streams import Source
from predictor.importers.traces.formats.otlp_words import KINDS, add_times, process_of, sizes_of
from predictor.importers.traces.spans.assemble import SpanColumns
from predictor.importers.traces.spans.meanings import Meanings, remember
from predictor.importers.traces.spans.spans import INTERNAL, UNKNOWN, Vocabulary
from profiler.errors import UsageError

LARGEST_MESSAGE_BYTES: Final = 2**26
LENGTH_BYTES: Final = 4
_MOST_EMPTY: Final = 10_000
_RESOURCE_SPANS: Final = 0x0A
"""Field 1, length-delimited: the only field of TracesData and of ExportTraceServiceRequest."""
_TRACE_ID_BYTES: Final = 16
_NO_PARENTS: Final = (b"", bytes(8))
_NAME, _KIND, _START, _END, _ATTRIBUTES, _EVENTS = 0x2A, 0x30, 0x39, 0x41, 0x4A, 0x5A
"""The first bytes of a span's fields: its number and its wire type."""
_FURTHER: Final = (_ATTRIBUTES, 0x50, _EVENTS, 0x60, 0x6A, 0x70, 0x7A, 0x85)
"""Those of the fields that may follow the times."""
_ONE_BYTE: Final = 0x80
_TIMES: Final = struct.Struct("<BQBQ")
_SPANS_AT_ONCE: Final = 4_096
_READ_BYTES: Final = 2**18
_LONGEST_HEADER_BYTES: Final = 11


def is_protobuf(head: bytes) -> bool:
    """Whether a file may hold messages, or messages after their lengths."""
    return _is_fixed(head) or head[:1] == bytes((_RESOURCE_SPANS,)) or _delimited(head)


def _is_fixed(head: bytes) -> bool:
    return head[:1] == b"\0" and head[LENGTH_BYTES : LENGTH_BYTES + 1] == bytes((_RESOURCE_SPANS,))


def _delimited(head: bytes) -> bool:
    """Whether a length of seven bits a byte is followed by field 1."""
    width = next((place for place, byte in enumerate(head[:5], 1) if byte < 0x80), 0)
    return width > 0 and head[width : width + 1] == bytes((_RESOURCE_SPANS,))


def read_protobuf(source: Source, head: bytes, words: Vocabulary, columns: SpanColumns) -> Iterator[None]:
    """Read a file into columns, some messages at a time, so it need not fit into memory. Raises `UsageError`."""
    reader, empty = _Reader(words, columns), 0
    try:
        for message in _messages(source, head):
            scopes = [*message.scope_spans, *message.library_spans]
            empty = 0 if scopes else empty + 1
            if empty > _MOST_EMPTY:
                raise UsageError(f"{source.name}: {_MOST_EMPTY} messages without spans; give OTLP traces")
            reader.take(message.resource, [span for scope in scopes for span in scope.spans])
            if len(reader.spans) >= _SPANS_AT_ONCE:
                reader.add()
                yield None
        reader.add()
    except (_decode_error(), UnicodeDecodeError) as error:
        raise UsageError(f"{source.name}: damaged spans in OTLP protobuf; export it again") from error
    yield None


class _Reader:
    """Turns spans into columns, many at once."""

    def __init__(self, words: Vocabulary, columns: SpanColumns) -> None:
        from opentelemetry.proto.resource.v1.resource_pb2 import Resource
        from opentelemetry.proto.trace.v1.trace_pb2 import Span

        self._resource: Any = Resource
        self._span: Any = Span
        self._words = words
        self._columns = columns
        self._meanings = Meanings(words)
        self._processes: dict[bytes, int] = {}
        self.spans: list[_Split] = []
        self._process_codes: list[int] = []

    def take(self, resource: bytes, spans: list[bytes]) -> None:
        """Keep the spans of one resource; those of another signal, whose ids are none of traces, are counted."""
        split = [_split(raw) or self._taken_apart(raw) for raw in spans]
        if split and len(split[0][0]) != _TRACE_ID_BYTES:
            self._words.skipped["other signals"] += 1
            return
        self.spans += split
        self._process_codes += [self._process(resource)] * len(split)

    def _taken_apart(self, raw: bytes) -> "_Split":
        """A span whose fields come in another order, or some of them not at all."""
        span = self._span.FromString(raw)
        rest = self._span(attributes=span.attributes, events=span.events).SerializeToString()
        ids = span.trace_id, span.span_id, span.parent_span_id
        return *ids, span.name.encode(), span.kind, span.start_time_unix_nano, span.end_time_unix_nano, rest

    def add(self) -> None:
        """Add what was kept to the columns."""
        if not self.spans:
            return
        columns = self._columns
        base = len(columns.traces)
        traces, spans, parents, names, kinds, starts, ends, rests = zip(*self.spans, strict=True)
        columns.traces += [trace.hex() for trace in traces]
        columns.spans += [span.hex() for span in spans]
        columns.parents += ["" if parent in _NO_PARENTS else parent.hex() for parent in parents]
        columns.processes += self._process_codes
        operations = [name.decode() for name in names]
        columns.operations += operations
        add_times(columns, list(zip(starts, ends, strict=True)))
        label, known = self._meanings.label, self._meanings.known
        keys = list(zip(rests, kinds, map(label, operations), strict=True))
        codes: list[int | None] = list(map(known, keys))
        for place, code in enumerate(codes):
            if code is None:
                codes[place], stated = self._learn(keys[place])
                if max(stated) >= 0:
                    columns.sizes[base + place] = stated
        columns.facts += cast(list[int], codes)
        self.spans, self._process_codes = [], []

    def _process(self, raw: bytes) -> int:
        process = self._processes.get(raw)
        if process is None:
            process = self._words.processes.code(process_of(_pairs(self._resource.FromString(raw).attributes)))
            remember(self._processes, raw, process)
        return process

    def _learn(self, what: tuple[bytes, int, str]) -> tuple[int, tuple[int, int]]:
        if (code := self._meanings.known(what)) is not None:  # learned since
            return code, (UNKNOWN, UNKNOWN)
        span = self._span.FromString(what[0])
        events = [dict(_pairs(event.attributes)) for event in span.events if b"message" in event.SerializeToString()]
        more = sizes_of(events) if events else None
        return self._meanings.learn(what, _pairs(span.attributes), KINDS.get(what[1], INTERNAL), what[2], more)


_Split = tuple[bytes, bytes, bytes, bytes, int, int, int, bytes]
"""Ids of trace, span and parent, name, kind, start and end in ns, and the bytes of all further fields."""


def _split(raw: bytes) -> _Split | None:
    """A span whose fields come in the order of their numbers, as writers have them; None for any other."""
    if raw[:2] != b"\n\x10" or raw[18:20] != b"\x12\x08":
        return None
    parent, name, kind, place = b"", b"", 0, 28
    try:
        if raw[28:30] == b'"\x08':
            parent, place = raw[30:38], 38
        if raw[place] == _NAME and raw[place + 1] < _ONE_BYTE:
            begin = place + 2
            place = begin + raw[place + 1]
            name = raw[begin:place]
        if raw[place] == _KIND and raw[place + 1] < _ONE_BYTE:
            kind = raw[place + 1]
            place += 2
        first, start, second, end = _TIMES.unpack_from(raw, place)
    except (IndexError, struct.error):
        return None
    place += _TIMES.size
    if first != _START or second != _END or (len(raw) > place and raw[place] not in _FURTHER):
        return None
    return raw[2:18], raw[20:28], parent, name, kind, start, end, raw[place:]


def _pairs(attributes: Any) -> list[tuple[str, Any]]:
    return [(attribute.key, _plain(attribute.value)) for attribute in attributes]


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind in ("string_value", "int_value", "double_value", "bool_value") else None


def _messages(source: Source, head: bytes) -> Iterator[Any]:
    """The messages of field 1 one by one; or a stream of messages, each after its length (a varint, or four bytes)."""
    document, resource_spans = _classes()
    plain = head[0] == _RESOURCE_SPANS and not _is_fixed(head)
    for body, position in _frames(source, _is_fixed(head), plain):
        try:
            if plain:
                yield resource_spans.FromString(body)
            else:
                yield from document.FromString(body).resource_spans
        except _decode_error() as error:
            raise UsageError(f"{source.name}: truncated or damaged OTLP protobuf near byte {position}; "
                             "export it again") from error  # fmt: skip


def _frames(source: Source, fixed: bool, plain: bool) -> Iterator[tuple[bytes, int]]:
    """The bodies of messages and where they end. Raises `UsageError`."""
    buffer, place, passed = source.read(_READ_BYTES), 0, 0
    while place < len(buffer):
        if len(buffer) - place < _LONGEST_HEADER_BYTES:
            buffer, passed, place = buffer[place:] + source.read(_READ_BYTES), passed + place, 0
        length, width = _header(buffer, place, fixed, plain)
        if not 0 < length <= LARGEST_MESSAGE_BYTES:
            where = f"{source.name}: byte {passed + place}"
            raise UsageError(f"{where}: neither OTLP JSON nor OTLP protobuf; give OTLP traces")
        end = place + width + length
        if end > len(buffer):
            more = source.read(max(end - len(buffer), _READ_BYTES))
            buffer, passed, end, place = buffer[place:] + more, passed + place, width + length, 0
        if end > len(buffer):
            raise UsageError(f"{source.name}: truncated or damaged OTLP protobuf near byte {passed + len(buffer)}; "
                             "export it again")  # fmt: skip
        yield buffer[place + width : end], passed + end
        place = end
        if place == len(buffer):
            buffer, passed, place = source.read(_READ_BYTES), passed + place, 0


def _header(buffer: bytes, place: int, fixed: bool, plain: bool) -> tuple[int, int]:
    """The length of a message and the width of what says it; a length of 0 for what is none."""
    if fixed:
        return int.from_bytes(buffer[place : place + LENGTH_BYTES]), LENGTH_BYTES
    if plain and buffer[place] != _RESOURCE_SPANS:
        return 0, 0
    value = 0
    for width, byte in enumerate(buffer[place + plain : place + plain + 10]):
        value |= (byte & 0x7F) << (7 * width)
        if byte < 0x80:
            return value, width + 1 + plain
    return 0, 0


def _decode_error() -> Any:
    from google.protobuf.message import DecodeError

    return DecodeError


@lru_cache(maxsize=1)
def _classes() -> tuple[Any, Any]:
    """Message classes for a document and for the spans of one resource."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="meshinsight/spans.proto", package="meshinsight", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, key, kind, repeated in fields:
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            one = message.field.add(name=key, number=number, label=label)
            if kind.startswith("."):
                one.type, one.type_name = field.TYPE_MESSAGE, kind
            else:
                one.type = getattr(field, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"meshinsight.{name}"))
            for name in ("Document", "ResourceSpans")]  # fmt: skip
    return made[0], made[1]


_MESSAGES: Final[dict[str, tuple[tuple[int, str, str, bool], ...]]] = {
    "Scope": ((2, "spans", "BYTES", True),),
    "ResourceSpans": (
        (1, "resource", "BYTES", False),
        (2, "scope_spans", ".meshinsight.Scope", True),
        (1000, "library_spans", ".meshinsight.Scope", True),
    ),
    "Document": ((1, "resource_spans", ".meshinsight.ResourceSpans", True),),
}
