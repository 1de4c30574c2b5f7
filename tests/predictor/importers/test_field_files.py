"""Files as people have them, and hostile ones: each gives its right value, or one line that names the reason."""

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from predictor.graph.reader import parse_graph
from predictor.graph.types import CallGraph
from predictor.graph.writer import graph_text
from predictor.importers.traces.formats.jaeger import read_jaeger
from predictor.importers.traces.formats.otlp import read_otlp
from predictor.importers.traces.formats.zipkin import read_zipkin
from predictor.importers.traces.reading import TraceOptions, import_traces
from predictor.importers.traces.spans.spans import Vocabulary
from profiler.errors import UsageError

DATA = Path(__file__).parents[2] / "data"
READERS = {"jaeger": read_jaeger, "otlp": read_otlp, "zipkin": read_zipkin}


def graph_of(file: Path, reader: str = "") -> CallGraph:
    words = Vocabulary()
    read = READERS[reader or file.name.partition("-")[0]]
    return import_traces(read([file], words), words, str(file), TraceOptions(allow_incomplete=True)).graph


def field(name: str) -> CallGraph:
    return graph_of(DATA / "field" / name)


def calls(graph: CallGraph) -> dict[str, float]:
    return {call.id: call.calls_per_request for call in graph.calls}


def times_ms(graph: CallGraph) -> dict[str, float]:
    return {service.name: service.service_time.mean_ns / 1e6 for service in graph.services}


def refused(file: Path, reader: str = "") -> str:
    with pytest.raises(UsageError) as caught:
        graph_of(file, reader)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_istios_inbound_spans_are_inbound_whatever_their_kind() -> None:
    graph = field("jaeger-istio-inbound-spans-of-kind-client.json")
    assert calls(graph) == {"istio-ingressgateway->web.shop": 1.0, "web.shop->stock.shop": 1.0}
    assert times_ms(graph) == {"istio-ingressgateway": 0.0, "web.shop": 13.0, "stock.shop": 5.0}


def test_look_ups_below_a_call_are_part_of_it() -> None:
    graph = field("jaeger-dns-lookup-below-client-span.json")
    assert calls(graph) == {"web->stock": 1.0, "web->loki": 1.0}
    assert times_ms(graph) == {"web": 9.0, "stock": 3.5, "loki": 6.0}


def test_callees_known_by_a_url_are_one_each() -> None:
    graph = field("jaeger-callee-only-in-http-url.json")
    assert calls(graph) == {"web->pay.example": 1.0, "web->geo.example": 1.0}
    assert times_ms(graph) == {"web": 12.0, "pay.example": 3.0, "geo.example": 5.0}


def test_calls_that_touch_at_their_ends_are_stages() -> None:
    graph = field("jaeger-calls-touch-at-their-ends.json")
    assert [call.stage for call in graph.calls] == [0, 1, 2]
    assert sum(times_ms(graph).values()) == 70.0


def test_a_gateway_has_no_sidecar_and_this_is_listed() -> None:
    graph = field("jaeger-gateway-has-no-sidecar.json")
    gateway = graph.service("istio-ingressgateway.istio-system")
    assert (gateway.sidecar.client, gateway.sidecar.server) == ("none", "none")
    assert graph.service("web.shop").sidecar.server == "http"
    assert any(item.path == "services.istio-ingressgateway.istio-system.sidecar" for item in graph.assumed)


@pytest.mark.parametrize("name", ["jaeger-distinct-ip-clock-skew.json", "jaeger-loopback-ip-hides-clock-skew.json"])
def test_a_moved_clock_changes_no_time_and_is_listed(name: str) -> None:
    graph = field(name)
    assert times_ms(graph) == {"web": 6.0, "stock": 3.0}
    assert "clock moved in 1 of 1 requests, by 8ms on average" in [item.why for item in graph.assumed]


def test_other_signals_in_a_file_are_skipped_and_counted() -> None:
    graph = field("otlp-traces-metrics-logs-in-one-file.jsonl")
    assert calls(graph) == {"web->stock": 1.0}
    assert graph.assumed[0].why == "2 elements without traces skipped: 1 with logs, 1 with metrics"


def test_a_last_line_still_being_written_is_named() -> None:
    message = refused(DATA / "field" / "otlp-file-still-being-written.jsonl")
    assert "the last line is incomplete" in message


@pytest.mark.parametrize("name", ["jaeger-dependencies.json", "zipkin-dependencies.json"])
def test_dependency_links_are_named_as_such(name: str) -> None:
    assert "dependency links" in refused(DATA / "field" / name)


def test_jaegers_model_from_kafka_is_read() -> None:
    assert times_ms(field("jaeger-model-json-of-kafka.json")) == {"web": 0.1}


def test_jaegers_model_has_parents_kinds_and_processes(tmp_path: Path) -> None:
    def span(name: str, parent: str, kind: str, service: str, start: str, duration: str) -> dict[str, Any]:
        ids = {key: base64.b64encode(text.rjust(8).encode()).decode() for key, text in (("s", name), ("p", parent))}
        return {"traceId": "AAAAAAAAAAAAAAAAAAAAEQ==", "spanId": ids["s"], "operationName": "op",
                "references": [{"traceId": "AAAAAAAAAAAAAAAAAAAAEQ==", "spanId": ids["p"]}] if parent else [],
                "startTime": f"2024-01-26T16:46:31.{start}Z", "duration": duration,
                "tags": [{"key": "span.kind", "vStr": kind}], "process": {"serviceName": service}}  # fmt: skip

    spans = [
        span("a", "", "server", "web", "100", "0.020s"),
        span("b", "a", "client", "web", "105", "0.010s"),
        span("c", "b", "server", "stock", "106000001", "0.0075s"),
    ]
    for text in ("\n".join(map(json.dumps, spans)), json.dumps({"result": {"spans": spans}})):
        (tmp_path / "t.json").write_text(text)
        assert times_ms(graph_of(tmp_path / "t.json", "jaeger")) == {"web": 10.0, "stock": 7.5}


@pytest.mark.parametrize(
    ("name", "part"), [("jaeger-bad-process2.json", "span 'a'"), ("jaeger-storage-bad-process.json", "span 'a'")]
)
def test_a_bad_process_is_refused_with_its_span(name: str, part: str) -> None:
    message = refused(DATA / "hostile" / name)
    assert part in message
    assert "process" in message


def test_names_do_not_carry_terminal_escapes() -> None:
    graph = graph_of(DATA / "hostile" / "jaeger-escape.json")
    assert all(service.name.isprintable() for service in graph.services)


def test_what_is_written_passes_the_check() -> None:
    graph = graph_of(DATA / "hostile" / "zipkin-too-long.json")
    assert parse_graph(graph_text(graph), "x").services == graph.services
    assert all(service.service_time.mean_ns < 1e12 for service in graph.services)


OTLP = json.loads((DATA / "field" / "otlp-traces-metrics-logs-in-one-file.jsonl").read_text().splitlines()[0])


def message() -> bytes:
    document = json.loads(json.dumps(OTLP))
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for key in ("traceId", "spanId", "parentSpanId"):
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    return bytes(ParseDict(document, TracesData()).SerializeToString())


@pytest.mark.parametrize("frames", [1, 2])
def test_zstd_is_unpacked(tmp_path: Path, frames: int) -> None:
    text = json.dumps(OTLP).encode()
    packed = pa.Codec("zstd")
    parts = [text[: len(text) // frames], text[len(text) // frames :]]
    (tmp_path / "t.json.zst").write_bytes(b"".join(bytes(packed.compress(part)) for part in parts if part))
    assert times_ms(graph_of(tmp_path / "t.json.zst", "otlp")) == {"web": 30.0}


@pytest.mark.parametrize("body", [json.dumps(OTLP).encode(), message()], ids=["json", "protobuf"])
def test_the_collectors_packed_messages_are_unpacked_one_by_one(tmp_path: Path, body: bytes) -> None:
    packed = bytes(pa.Codec("zstd").compress(body))
    (tmp_path / "t.otlp").write_bytes((len(packed).to_bytes(4) + packed) * 2)
    assert times_ms(graph_of(tmp_path / "t.otlp", "otlp")) == {"web": 30.0}


def test_damaged_zstd_is_refused() -> None:
    assert "cannot be read" in refused(DATA / "field" / "otlp-zstd.json")


@pytest.mark.parametrize("file", sorted((DATA / "field").glob("[joz]*.json*")), ids=lambda file: file.name)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_or_refuses_every_file(file: Path, reader: str) -> None:
    graph, message = graph_or_message(file, reader)
    assert "\n" not in message
    assert "fetch it again" not in message
    assert graph is None or parse_graph(graph_text(graph), "x").calls == graph.calls


def graph_or_message(file: Path, reader: str) -> tuple[CallGraph | None, str]:
    try:
        return graph_of(file, reader), ""
    except UsageError as error:
        return None, str(error)
