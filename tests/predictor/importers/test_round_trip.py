"""A graph written as traces and imported again is the same graph, over many random graphs and every trace format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predictor.graph.types import CallGraph
from predictor.importers.traces.calls.merge import Rates
from predictor.importers.traces.formats.jaeger import read_jaeger
from predictor.importers.traces.formats.otlp import read_otlp
from predictor.importers.traces.formats.zipkin import read_zipkin
from predictor.importers.traces.reading import TraceOptions, import_traces
from predictor.importers.traces.spans.spans import Vocabulary
from tests.predictor.graph.random_graphs import random_graph
from tests.predictor.importers.traces.synthetic import SyntheticSpan, as_jaeger, as_otlp, as_zipkin, traces_of

TRACES = 48
FORMATS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "jaeger": (read_jaeger, as_jaeger),
    "otlp": (read_otlp, as_otlp),
    "zipkin": (read_zipkin, as_zipkin),
}


def imported(name: str, traces: list[list[SyntheticSpan]], directory: Path) -> CallGraph:
    read, write = FORMATS[name]
    file, words = directory / f"{name}.json", Vocabulary()
    file.write_text(json.dumps(write(traces)))
    return import_traces(read([file], words), words, str(file), TraceOptions(Rates(100.0))).graph


def stages(graph: CallGraph) -> dict[str, list[set[str]]]:
    """By caller, the sets of calls that run at the same time, in order; without those that nobody waits for."""
    found: dict[str, dict[int, set[str]]] = {}
    for call in graph.calls:
        if not call.asynchronous:
            found.setdefault(call.caller, {}).setdefault(call.stage, set()).add(call.callee)
    return {caller: [groups[number] for number in sorted(groups)] for caller, groups in found.items()}


def facts(graph: CallGraph) -> dict[str, tuple[Any, ...]]:
    return {
        f"{call.caller}->{call.callee}": (
            call.protocol, call.asynchronous, call.repeat, call.request_bytes, call.response_bytes
        )
        for call in graph.calls
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(200))
def test_a_graph_written_as_traces_is_read_as_the_same_graph(tmp_path: Path, seed: int) -> None:
    graph = random_graph(seed)
    traces = traces_of(graph, TRACES, seed)
    handled = {service.name: sum(span.service == service.name and span.kind in ("server", "consumer")
                                 for spans in traces for span in spans) for service in graph.services}  # fmt: skip
    for name in FORMATS:
        found = imported(name, traces, tmp_path)
        assert {service.name for service in found.services} == {service.name for service in graph.services}
        assert facts(found) == facts(graph)
        assert stages(found) == stages(graph)
        for service in graph.services:
            assert found.service(service.name).service_time.mean_ns == pytest.approx(service.service_time.mean_ns, 0.01)
        numbers = {(call.caller, call.callee): call.calls_per_request for call in found.calls}
        for call in graph.calls:
            number = numbers[call.caller, call.callee]
            assert number == pytest.approx(call.calls_per_request, abs=3 / handled[call.caller])
