"""Jaeger's model (jaeger.api_v2) in protobuf's JSON: spans one per line, as read from Kafka, or `{"spans": […]}`."""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from predictor.importers.streams import Source
from predictor.importers.traces.formats.json_elements import ElementReader
from predictor.importers.traces.spans.assemble import Record
from predictor.importers.traces.spans.attributes import CATEGORICAL, SIZES, interpret, message_sizes, sizes
from predictor.importers.traces.spans.names import clean
from predictor.importers.traces.spans.operations import telling
from profiler.errors import UsageError
from profiler.files.units import parse_duration_ns
from profiler.text import error_line

_HEAD_BYTES: Final = 2**14
_MODEL: Final = re.compile(rb'"(?:startTime|start_time)"\s*:\s*"\d{4}-\d\d-\d\dT')
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z")
_HOSTS: Final = ("ip", "hostname", "host.name", "k8s.pod.name", "service.instance.id")
_BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Pair(msgspec.Struct, gc=False, rename="camel"):
    key: str = ""
    v_str: str = ""
    v_bool: bool | None = None
    v_int64: int | str | None = msgspec.field(default=None, name="vInt64")
    v_float64: float | str | None = msgspec.field(default=None, name="vFloat64")

    @property
    def value(self) -> Any:
        """The value of whichever type the pair has."""
        others = (self.v_bool, self.v_int64, self.v_float64)
        return self.v_str or next((each for each in others if each is not None), "")


class _Reference(msgspec.Struct, gc=False, rename="camel"):
    span_id: str = ""
    ref_type: str | int = "CHILD_OF"

    @property
    def waits(self) -> bool:
        """Whether it is a child, not one that follows."""
        return self.ref_type in ("CHILD_OF", 0)


class _Process(msgspec.Struct, gc=False, rename="camel"):
    service_name: str = ""
    tags: list[_Pair] | None = None


class _Log(msgspec.Struct, gc=False):
    fields: list[_Pair] | None = None


class _Element(msgspec.Struct, gc=False, rename="camel"):
    """A span, or an answer with spans in it."""

    trace_id: str = ""
    span_id: str = ""
    operation_name: str = ""
    references: list[_Reference] | None = None
    start_time: str = ""
    duration: str = "0s"
    tags: list[_Pair] | None = None
    logs: list[_Log] | None = None
    process: _Process | None = None
    spans: list["_Element"] | None = None
    result: "_Element | None" = None


def is_model(source: Source) -> bool:
    """Whether a file's times are texts, which only the model has."""
    return bool(_MODEL.search(source.peek(_HEAD_BYTES)))


def model_records(source: Source) -> Iterator[Record]:
    """The spans of a file, times in ns. Raises `UsageError`, one line with file and place."""
    for elements in ElementReader(source, _Element, "spans", "traceId"):
        waiting = elements[::-1]
        while waiting:
            element = waiting.pop()
            inner = [*([element.result] if element.result else ()), *(element.spans or ())]
            if inner:
                waiting += reversed(inner)
            else:
                yield _record(element, source.name)


def _record(span: _Element, origin: str) -> Record:
    try:
        start_ns, duration_ns = _time_ns(span.start_time), round(parse_duration_ns(span.duration))
    except ValueError as error:
        raise UsageError(
            f"{origin}: span {clean(span.span_id)!r}: {error_line(error)}; give Jaeger's JSON, or correct it"
        ) from error
    process = span.process or _Process()
    tags = {pair.key: str(pair.value) for pair in process.tags or ()}
    pairs = [(pair.key, pair.value) for pair in span.tags or ()]
    label = telling(span.operation_name)
    facts = interpret([pair for pair in pairs if pair[0] in CATEGORICAL], operation=label)
    stated = sizes([pair for pair in pairs if pair[0] in SIZES])
    if span.logs and min(stated) < 0:
        sent = message_sizes([{pair.key: pair.value for pair in log.fields or ()} for log in span.logs], facts.kind)
        stated = (stated[0] if stated[0] >= 0 else sent[0]), (stated[1] if stated[1] >= 0 else sent[1])
    references = span.references or []
    causes = [each for each in references if each.waits]
    return Record(
        trace=_id(span.trace_id),
        span=_id(span.span_id),
        parent=_id((causes or references)[0].span_id) if references else "",
        service=clean(process.service_name) or "unnamed",
        host=next((tags[key] for key in _HOSTS if key in tags), ""),
        facts=facts,
        operation=span.operation_name,
        start_ns=start_ns,
        duration_ns=duration_ns,
        sizes=stated,
        follows=bool(references) and not causes,
    )


def _id(text: str) -> str:
    """An id in hexadecimal; protobuf's JSON has base64."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.lower()
    if not decoded.strip(b"\0"):
        return ""
    return decoded.hex() if len(text) in (12, 24) else text.lower()


def _time_ns(text: str) -> int:
    found = _TIME.match(text)
    if not found:
        raise ValueError(f"startTime {text[:40]!r} is no time")
    moment = datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3]))
    return (moment - _BEGIN) // timedelta(seconds=1) * 10**9 + _fraction_ns(found[2])


def _fraction_ns(text: str | None) -> int:
    return int(text[1:].ljust(9, "0")) if text else 0
