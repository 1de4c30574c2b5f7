"""Traces that a call graph would leave, as Jaeger, OTLP and Zipkin have them. Pure; `traces_of` is the same by seed.

Each call is a client and a server span, one that nobody waits for a producer and a consumer span. Times are whole µs,
which every format can hold, own time is divided evenly before, between and after a service's stages, and a message
takes `NETWORK_US` each way.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from predictor.graph.types import Call, CallGraph, Ingress, Service

NETWORK_US: Final = 20
_BEGIN_US: Final = 1_700_000_000_000_000
_BETWEEN_US: Final = 10_000
_HANDED_OVER_US: Final = 10
_BLOCK: Final = 4
_KINDS: Final = {"server": 2, "client": 3, "producer": 4, "consumer": 5}
_PROTOCOL_TAGS: Final[dict[str, dict[str, str]]] = {
    "http1": {"http.request.method": "GET", "network.protocol.version": "1.1"},
    "http2": {"http.request.method": "GET", "network.protocol.version": "2"},
    "grpc": {"rpc.system": "grpc"},
    "tcp": {"db.system": "other_sql"},
}


@dataclass(frozen=True, slots=True)
class SyntheticSpan:
    """A span; ids are hexadecimal, times µs, `parent` is empty for the first one of a trace."""

    trace: str
    id: str
    parent: str
    service: str
    kind: str
    start_us: int
    duration_us: int
    tags: dict[str, str | int]


@dataclass(slots=True)
class _Run:
    """The graph at work: what it calls how often, and what it has recorded of the current trace."""

    calls: dict[str, list[list[Call]]]
    services: dict[str, Service]
    rng: random.Random
    numbers: dict[str, list[int]] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    spans: list[SyntheticSpan] = field(default_factory=list)
    trace: str = ""


def traces_of(graph: CallGraph, count: int, seed: int = 0) -> list[list[SyntheticSpan]]:
    """`count` traces that begin at the entries of the graph in turn."""
    rng = random.Random(seed)  # noqa: S311 (the same traces each time)
    calls: dict[str, dict[int, list[Call]]] = {service.name: {} for service in graph.services}
    for call in graph.calls:
        calls[call.caller].setdefault(call.stage, []).append(call)
    ordered = {name: [stages[number] for number in sorted(stages)] for name, stages in calls.items()}
    run = _Run(ordered, {service.name: service for service in graph.services}, rng)
    traces = []
    for number in range(count):
        run.spans, run.trace = [], f"{rng.getrandbits(128):032x}"
        entry = graph.ingress[number % len(graph.ingress)]
        _handle(run, entry.service, "", "server", _BEGIN_US + number * _BETWEEN_US, _tags(entry))
        traces.append(run.spans)
    return traces


def _handle(run: _Run, service: str, parent: str, kind: str, start_us: int, tags: dict[str, str | int]) -> int:
    """Record one request and all below it; its end."""
    span = f"{run.rng.getrandbits(63) + 1:016x}"
    place = len(run.spans)
    stages = run.calls[service]
    time = run.services[service].service_time
    own_us = max(round(time.quantile_ns(run.rng.uniform(0.001, 0.999)) / 1000), 1)
    parts = [own_us * (number + 1) // (len(stages) + 1) for number in range(len(stages) + 1)]
    now = start_us + parts[0]
    for number, stage in enumerate(stages):
        now = max([now, *(_call(run, call, span, now) for call in stage)]) + parts[number + 1] - parts[number]
    run.spans.insert(place, SyntheticSpan(run.trace, span, parent, service, kind, start_us, now - start_us, tags))
    return now


def _call(run: _Run, call: Call, parent: str, start_us: int) -> int:
    """Record all calls of an edge in one request; when the caller can go on."""
    now = done = start_us
    for _ in range(_number(run, call)):
        end = _one_call(run, call, parent, now)
        done = max(done, end)
        now = now if call.repeat == "parallel" else end
    return start_us if call.asynchronous else done


def _one_call(run: _Run, call: Call, parent: str, start_us: int) -> int:
    span = f"{run.rng.getrandbits(63) + 1:016x}"
    place = len(run.spans)
    kinds = ("producer", "consumer") if call.asynchronous else ("client", "server")
    end = _handle(run, call.callee, span, kinds[1], start_us + NETWORK_US, _tags(call)) + NETWORK_US
    end = start_us + _HANDED_OVER_US if call.asynchronous else end
    tags = {**_tags(call), "peer.service": call.callee}
    run.spans.insert(
        place, SyntheticSpan(run.trace, span, parent, call.caller, kinds[0], start_us, end - start_us, tags)
    )
    return end


def _number(run: _Run, call: Call) -> int:
    """How often this request makes the call: by chance, but in every four requests as often as it should."""
    waiting = run.numbers.setdefault(call.id, [])
    if not waiting:
        begin = run.requests.get(call.id, 0)
        run.requests[call.id] = begin + _BLOCK
        marks = [int((begin + each) * call.calls_per_request) for each in range(_BLOCK + 1)]
        waiting += [after - before for before, after in pairwise(marks)]
        run.rng.shuffle(waiting)
    return waiting.pop()


def _tags(edge: Call | Ingress) -> dict[str, str | int]:
    return {
        **_PROTOCOL_TAGS[edge.protocol],
        "http.request.body.size": int(edge.request_bytes),
        "http.response.body.size": int(edge.response_bytes),
    }


def as_jaeger(traces: Sequence[Sequence[SyntheticSpan]]) -> dict[str, Any]:
    """As Jaeger's API answers."""
    return {"data": [_jaeger_trace(spans) for spans in traces]}


def _jaeger_trace(spans: Sequence[SyntheticSpan]) -> dict[str, Any]:
    services = sorted({span.service for span in spans})
    return {
        "traceID": spans[0].trace,
        "spans": [
            {
                "traceID": span.trace,
                "spanID": span.id,
                "operationName": span.kind,
                "references": [{"refType": "CHILD_OF", "traceID": span.trace, "spanID": span.parent}]
                if span.parent
                else [],
                "startTime": span.start_us,
                "duration": span.duration_us,
                "tags": [{"key": key, "value": value} for key, value in {**span.tags, "span.kind": span.kind}.items()],
                "logs": [],
                "processID": span.service,
            }
            for span in spans
        ],
        "processes": {
            name: {"serviceName": name, "tags": [{"key": "hostname", "value": f"{name}-0"}]} for name in services
        },
    }


def as_zipkin(traces: Sequence[Sequence[SyntheticSpan]]) -> list[dict[str, Any]]:
    """As Zipkin's version 2."""
    return [
        {
            "traceId": span.trace,
            "id": span.id,
            **({"parentId": span.parent} if span.parent else {}),
            "kind": span.kind.upper(),
            "name": span.kind,
            "timestamp": span.start_us,
            "duration": span.duration_us,
            "localEndpoint": {"serviceName": span.service},
            "tags": {key: str(value) for key, value in span.tags.items()},
        }
        for spans in traces
        for span in spans
    ]


def as_otlp(traces: Sequence[Sequence[SyntheticSpan]]) -> dict[str, Any]:
    """As the specification's JSON, the spans of one service after those of another."""
    by_service: dict[str, list[SyntheticSpan]] = {}
    for spans in traces:
        for span in spans:
            by_service.setdefault(span.service, []).append(span)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": list(_pairs({"service.name": service, "host.name": f"{service}-0"}))},
                "scopeSpans": [{"scope": {}, "spans": [_otlp_span(span) for span in spans]}],
            }
            for service, spans in by_service.items()
        ]
    }


def _otlp_span(span: SyntheticSpan) -> dict[str, Any]:
    return {
        "traceId": span.trace,
        "spanId": span.id,
        "parentSpanId": span.parent,
        "name": span.kind,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start_us * 1000),
        "endTimeUnixNano": str((span.start_us + span.duration_us) * 1000),
        "attributes": list(_pairs(span.tags)),
    }


def _pairs(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in values.items():
        yield {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
