"""Traces written by hand: spans in short form, as Jaeger's JSON, and what is worked out from them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from predictor.graph.types import CallGraph
from predictor.importers.traces.calls.merge import Rates
from predictor.importers.traces.formats.jaeger import read_jaeger
from predictor.importers.traces.hops.clean import Tally, whole_traces
from predictor.importers.traces.hops.pairing import Requests, pair_spans
from predictor.importers.traces.reading import TraceImport, TraceOptions, import_traces
from predictor.importers.traces.spans.spans import Vocabulary

Span = dict[str, Any]


def span(
    name: str,
    service: str,
    kind: str,
    start_us: int,
    duration_us: int,
    parent: str = "",
    /,
    host: str = "",
    **tags: Any,
) -> Span:
    """A span of Jaeger; `name` is its id and operation. Hosts are the services' own unless given."""
    tags = {key.replace("_", "."): value for key, value in tags.items()} | ({"span.kind": kind} if kind else {})
    return {
        "spanID": name,
        "operationName": name,
        "startTime": start_us,
        "duration": duration_us,
        "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": parent}] if parent else [],
        "tags": [{"key": key, "type": "string", "value": value} for key, value in tags.items()],
        "process": {"serviceName": service, "tags": [{"key": "hostname", "value": host or f"host-{service}"}]},
    }


def jaeger(*traces: Sequence[Span]) -> dict[str, Any]:
    """A document of Jaeger with these traces."""
    return {"data": [{"traceID": f"t{number}", "spans": list(spans)} for number, spans in enumerate(traces)]}


def written(directory: Path, document: Any) -> Path:
    file = directory / "traces.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def imported(file: Path, **options: Any) -> TraceImport:
    words = Vocabulary()
    return import_traces(read_jaeger([file], words), words, str(file), TraceOptions(**options))


def graph_of(directory: Path, *traces: Sequence[Span], rates: Rates | None = None) -> CallGraph:
    return imported(written(directory, jaeger(*traces)), rates=rates or Rates(1.0)).graph


def requests_of(directory: Path, *traces: Sequence[Span]) -> tuple[Requests, list[str]]:
    """The requests of traces, and the name of each one's service."""
    words = Vocabulary()
    batches = list(read_jaeger([written(directory, jaeger(*traces))], words))
    requests = pair_spans(whole_traces(batches[0], Tally(), False), words)
    return requests, [words.services.values[code] for code in requests.service.tolist()]


def rpc(name: str, caller: str, callee: str, start_us: int, duration_us: int, parent: str, **tags: Any) -> list[Span]:
    """Client and server span of one call, the server's 10 µs inside the client's; ids `name` and `name.s`."""
    return [
        span(name, caller, "client", start_us, duration_us, parent, **tags),
        span(f"{name}.s", callee, "server", start_us + 10, duration_us - 20, name, **tags),
    ]


ROOT = span("root", "front", "server", 1_000, 1_000)
