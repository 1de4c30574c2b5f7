"""Each trace format: real files, the shapes a file may have, and in which words bad ones are refused."""

import base64
import contextlib
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from predictor.graph.reader import parse_graph
from predictor.graph.writer import graph_text
from predictor.importers.traces.formats.jaeger import read_jaeger
from predictor.importers.traces.formats.otlp import read_otlp
from predictor.importers.traces.formats.zipkin import read_zipkin
from predictor.importers.traces.reading import TraceImport, TraceOptions, import_traces
from predictor.importers.traces.spans.assemble import Record, assemble
from predictor.importers.traces.spans.spans import Facts, Vocabulary
from profiler.errors import UsageError
from tests.predictor.importers.recorded import ROOT, jaeger, rpc, span

DATA = Path(__file__).parents[2] / "data" / "traces"
READERS: dict[str, Callable[..., Any]] = {"jaeger": read_jaeger, "zipkin": read_zipkin, "otlp": read_otlp}
TRACE = jaeger([ROOT, *rpc("x", "front", "cart", 1_100, 100, "root")])


def imported(reader: str, *files: Path) -> TraceImport:
    words = Vocabulary()
    return import_traces(READERS[reader](list(files), words), words, str(files[0]), TraceOptions())


def edges(reader: str, *files: Path) -> dict[str, float]:
    return {call.id: call.calls_per_request for call in imported(reader, *files).graph.calls}


def test_zipkin_shared_spans_with_a_clock_an_hour_off() -> None:
    found = imported("zipkin", DATA / "zipkin" / "skew.json")
    assert [call.id for call in found.graph.calls] == ["servicea->serviceb"]
    assert found.way_ns_per_trace == (94_539 - 93_577) * 1000
    assert found.graph.service("servicea").service_time.mean_ns == (99_411 - 94_539) * 1000


def test_zipkin_by_envoy_alone_has_protocol_and_sizes() -> None:
    graph = imported("zipkin", DATA / "zipkin" / "envoy.json").graph
    call = graph.calls[0]
    assert (call.callee, call.protocol, call.request_bytes, call.response_bytes) == (
        "service_google",
        "http1",
        0,
        67342,
    )


def test_zipkin_database_calls_are_hops_to_the_database() -> None:
    assert edges("zipkin", DATA / "zipkin" / "simple-db-p6.json") == {"bootifulmeters->app_db": 4.0}


def test_zipkin_through_kafka_is_asynchronous() -> None:
    graph = imported("zipkin", DATA / "zipkin" / "messaging-kafka.json").graph
    assert graph.calls
    assert all(call.asynchronous and call.protocol == "tcp" for call in graph.calls)


@pytest.mark.parametrize("name", ["ascend", "smartthings-oauth-authorization"])
def test_zipkin_of_real_systems_becomes_a_graph(name: str) -> None:
    found = imported("zipkin", DATA / "zipkin" / f"{name}.json")
    assert len(found.graph.calls) >= 3
    assert found.tally.incomplete == 0


def test_otlp_example_begins_where_its_parent_is_missing() -> None:
    graph = imported("otlp", DATA / "otlp" / "trace.json").graph
    assert [entry.service for entry in graph.ingress] == ["my.service"]
    assert graph.service("my.service").service_time.mean_ns == 1e9


def otlp_document() -> dict[str, Any]:
    def spans(service: str, *spans: dict[str, Any]) -> dict[str, Any]:
        attribute = {"key": "service.name", "value": {"stringValue": service}}
        return {"resource": {"attributes": [attribute]}, "scopeSpans": [{"spans": list(spans)}]}

    def one(number: str, parent: str, kind: int, start: int, end: int, **more: Any) -> dict[str, Any]:
        return {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": number * 16, "parentSpanId": parent * 16,
                "kind": kind, "startTimeUnixNano": str(start), "endTimeUnixNano": str(end), **more}  # fmt: skip

    message = {"name": "message", "attributes": [
        {"key": "message.type", "value": {"stringValue": "SENT"}},
        {"key": "message.uncompressed_size", "value": {"intValue": "77"}},
    ]}  # fmt: skip
    return {"resourceSpans": [
        spans("front", one("A", "", 2, 0, 1000), one("B", "A", 3, 100, 500, events=[message])),
        spans("cart", one("C", "B", 2, 150, 450)),
    ]}  # fmt: skip


def in_base64(document: dict[str, Any]) -> dict[str, Any]:
    """As protobuf's own JSON has it: ids in base64."""
    for resource in document["resourceSpans"]:
        for each in resource["scopeSpans"][0]["spans"]:
            for key in ("traceId", "spanId", "parentSpanId"):
                each[key] = base64.b64encode(bytes.fromhex(each[key])).decode()
    return document


def test_otlp_json_and_protobuf_give_the_same_graph(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(otlp_document()))
    (tmp_path / "t.pb").write_bytes(ParseDict(in_base64(otlp_document()), TracesData()).SerializeToString())
    graphs = [imported("otlp", tmp_path / name).graph for name in ("t.json", "t.pb")]
    assert graphs[0] == graphs[1]
    assert [(call.id, call.request_bytes) for call in graphs[0].calls] == [("front->cart", 77.0)]


def test_otlp_of_one_trace_in_several_lines_and_files(tmp_path: Path) -> None:
    first, second = ({"resourceSpans": [part]} for part in otlp_document()["resourceSpans"])
    (tmp_path / "lines.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    (tmp_path / "a.json").write_text(json.dumps(first))
    (tmp_path / "b.json").write_text(json.dumps(second))
    assert edges("otlp", tmp_path / "lines.jsonl") == {"front->cart": 1.0}
    assert edges("otlp", tmp_path / "a.json", tmp_path / "b.json") == {"front->cart": 1.0}


def test_otlp_in_the_words_of_other_writers(tmp_path: Path) -> None:
    """Snake case, kinds by name, times as numbers, an answer of Jaeger's API, the older name of scopes."""
    text = json.dumps(otlp_document())
    snake = re.sub(r'"([a-z]+[A-Z]\w*)":', lambda key: re.sub("([A-Z])", r"_\1", key[0]).lower(), text)
    assert "parent_span_id" in snake
    kinds = text.replace('"kind": 2', '"kind": "SPAN_KIND_SERVER"').replace('"kind": 3', '"kind": "SPAN_KIND_CLIENT"')
    numbers = re.sub(r'UnixNano": "(\d+)"', r'UnixNano": \1', text)
    answer, scopes = f'{{"result": {text}}}', text.replace("scopeSpans", "instrumentationLibrarySpans")
    expected = imported("otlp", _written(tmp_path, text)).graph
    assert [call.id for call in expected.calls] == ["front->cart"]
    for variant in (
        snake,
        kinds,
        numbers,
        answer,
        scopes,
        f"[{text}]",
        f"\ufeff{text}",
        json.dumps(json.loads(text), indent=1),
    ):
        assert imported("otlp", _written(tmp_path, variant)).graph == expected


def _written(directory: Path, content: str | bytes) -> Path:
    file = directory / "t.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_otlp_messages_after_their_length(tmp_path: Path) -> None:
    """As the collector's file exporter (four bytes) and protobuf's own delimited streams (a varint) have them."""
    message = ParseDict(in_base64(otlp_document()), TracesData()).SerializeToString()
    assert 128 <= len(message) < 16_384
    varint = bytes((len(message) & 0x7F | 0x80, len(message) >> 7))
    for stream in ((len(message).to_bytes(4) + message), varint + message):
        assert edges("otlp", _written(tmp_path, stream * 2)) == {"front->cart": 1.0}
        with pytest.raises(UsageError, match="truncated or damaged OTLP protobuf"):
            imported("otlp", _written(tmp_path, stream * 2 + stream[:-9]))


@pytest.mark.parametrize("content", [b"\0" * 100_000, b"\x0a\x02\x0a\x00" * 100_000], ids=["zeros", "empty messages"])
def test_bytes_that_seem_endless_empty_messages_are_refused_early(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match=r"neither OTLP|without spans"):
        imported("otlp", _written(tmp_path, content))


def test_zipkin_version_1_has_both_halves_of_a_call_in_one_span(tmp_path: Path) -> None:
    def event(value: str, timestamp: int, service: str) -> dict[str, Any]:
        return {"value": value, "timestamp": timestamp, "endpoint": {"serviceName": service}}

    database = {"key": "sa", "value": True, "endpoint": {"serviceName": "mysql"}}
    spans = [
        {"id": "1", "annotations": [event("sr", 1_000, "front"), event("ss", 2_000, "front")]},
        {"id": "2", "parentId": "1", "annotations": [event("cs", 1_100, "front"), event("sr", 1_110, "cart"),
                                                     event("ss", 1_290, "cart"), event("cr", 1_300, "front")]},
        {"id": "3", "parentId": "2", "annotations": [event("cs", 1_150, "cart"), event("cr", 1_200, "cart")],
         "binaryAnnotations": [database]},
    ]  # fmt: skip
    found = imported("zipkin", _written(tmp_path, json.dumps([{"traceId": "a", **span} for span in spans])))
    assert [call.id for call in found.graph.calls] == ["front->cart", "cart->mysql"]
    times = {service.name: service.service_time.mean_ns for service in found.graph.services}
    assert times == {"front": 800_000, "cart": 130_000, "mysql": 50_000}


ONE = TRACE["data"][0]
STORED = [{**span, "traceID": name} for name in "uv" for span in ONE["spans"]]
AS_FIELDS = [{**span, "tags": [], "tag": {"span@kind": span["tags"][0]["value"]}} for span in STORED]
JAEGER_TEXTS = {
    "query": (json.dumps({**TRACE, "total": 0, "errors": None}), 1),
    "pretty": (json.dumps(TRACE, indent=2), 1),
    "array": (json.dumps([ONE] * 3), 3),
    "one trace": (json.dumps(ONE), 1),
    "lines of traces": ("\n".join([json.dumps(ONE)] * 3), 3),
    "lines of queries": ("\n".join([json.dumps(TRACE)] * 3) + "\n", 3),
    "data last": (json.dumps({"total": 0, "data": [ONE]}), 1),
    "spans first": (json.dumps({"data": [dict(reversed(ONE.items()))] * 2}), 2),
    "lines of spans": ("\r\n".join(map(json.dumps, STORED)), 2),
    "spans of Elasticsearch": ("\n".join(json.dumps({"_index": "x", "_source": span}) for span in AS_FIELDS), 2),
    "byte order mark": (f"\ufeff{json.dumps(TRACE)}", 1),
    "many": (json.dumps({"data": [ONE] * 500}), 500),
    "many, pretty": (json.dumps({"data": [ONE] * 500}, indent=1), 500),
    "the word in a string": (json.dumps({"data": [ONE] * 9}).replace('"root"', '"},{\\"a\\":1,\\"spans\\""'), 9),
}


@pytest.mark.parametrize(("text", "count"), JAEGER_TEXTS.values(), ids=JAEGER_TEXTS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_jaeger_in_every_shape(tmp_path: Path, text: str, count: int, packed: bool) -> None:
    file = tmp_path / "t.json"
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = imported("jaeger", file)
    assert [(call.id, call.calls_per_request) for call in found.graph.calls] == [("front->cart", 1.0)]
    assert found.tally.traces == count


def test_jaeger_halves_with_one_id_are_one_hop(tmp_path: Path) -> None:
    """As traces have it that came through Zipkin."""
    client, server = rpc("x", "front", "cart", 1_100, 100, "root")
    server |= {"spanID": "x", "references": client["references"]}
    below = span("q", "cart", "client", 1_120, 30, "x", peer_service="db")
    found = imported("jaeger", _written(tmp_path, json.dumps(jaeger([ROOT, client, server, below]))))
    assert [call.id for call in found.graph.calls] == ["front->cart", "cart->db"]
    assert found.graph.service("cart").service_time.mean_ns == 50_000


def test_a_parent_in_another_trace_is_none(tmp_path: Path) -> None:
    other = span("o", "mail", "server", 5_000, 10, "root")
    found = imported("jaeger", _written(tmp_path, json.dumps(jaeger([ROOT], [other]))))
    assert (found.graph.calls, found.tally.entered_elsewhere) == ((), 1)


def test_a_trace_with_a_negative_duration_is_left_out_and_said(tmp_path: Path) -> None:
    found = imported("jaeger", _written(tmp_path, json.dumps(jaeger([ROOT], [ROOT], [{**ROOT, "duration": -1}]))))
    assert (found.tally.used, found.tally.impossible) == (2, 1)
    assert any("1 of 3 traces have spans of impossible duration" in item.why for item in found.graph.assumed)


def test_directories_are_read_whole(tmp_path: Path) -> None:
    for name in ("a.json", "b.json", "notes.md"):
        (tmp_path / name).write_text(json.dumps(TRACE))
    assert imported("jaeger", tmp_path).tally.traces == 2


BAD = {
    "empty": b"",
    "blank": b" \n ",
    "binary": bytes(range(128, 256)) * 50,
    "brackets": b"[" * 100_000,
    "an endless string": b'{"data": ["' + b"a" * 300_000,
    "number": b"1 2 3",
    "truncated": json.dumps(jaeger(*[[ROOT]] * 400)).encode()[:-40],
    "another document": b'{"a": 1}',
    "no traces": b'{"data": []}',
    "wrong types": b'{"data": [{"spans": [{"spanID": 1, "startTime": "x"}]}]}',
    "negative": b'{"data": [{"spans": [{"spanID": "a", "startTime": 1, "duration": -1}]}]}',
    "endless time": b'{"data": [{"spans": [{"spanID": "a", "startTime": 99999999999999999999, "duration": 1}]}]}',
    "far time": b'{"data": [{"spans": [{"spanID": "a", "startTime": 9223372036854775807, "duration": 1}]}]}',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
@pytest.mark.parametrize("reader", READERS)
def test_bad_files_get_one_line(tmp_path: Path, reader: str, content: bytes) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        imported(reader, file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        imported("jaeger", tmp_path / "none.json")


def test_traces_are_closed_when_too_many_spans_are_held() -> None:
    def record(trace: int, name: str, parent: str = "") -> Record:
        return Record(str(trace), name, parent, "a", "", Facts(), "op", 0, 1)

    records = [record(trace, str(number), "0" if number else "") for trace in range(10) for number in range(3)]
    batches = list(assemble(records, Vocabulary(), "x", most_held=6))
    assert sum(batch.trace.size for batch in batches) == 30


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["data", "spans", "spanID", "startTime", "duration", "tags", "key", "value", "processes", "references",
             "traceId", "id", "parentId", "timestamp", "kind", "localEndpoint", "resourceSpans", "scopeSpans",
             "resource", "attributes", "spanId", "logs", "fields", "process", "serviceName", "refType"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip
SPANS = st.fixed_dictionaries(
    {"spanID": st.sampled_from("abcd"), "startTime": st.integers(0, 100), "duration": st.integers(0, 100)},
    optional={
        "references": st.lists(
            st.fixed_dictionaries(
                {"spanID": st.sampled_from("abcde")},
                optional={"refType": st.sampled_from(["CHILD_OF", "FOLLOWS_FROM"])},
            ),
            max_size=2,
        ),
        "process": st.fixed_dictionaries({"serviceName": st.sampled_from(["x", "y", "ingress", ""])}),
        "tags": st.lists(
            st.fixed_dictionaries(
                {"key": st.just("span.kind"), "value": st.sampled_from(["client", "server", "producer", "consumer", 1])}
            ),
            max_size=1,
        ),
    },
)
RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@RELAXED
@given(document=ANY)
@pytest.mark.parametrize("reader", READERS)
def test_any_json_is_read_or_refused(tmp_path: Path, reader: str, document: Any) -> None:
    file = tmp_path / "any.json"
    file.write_text(json.dumps(document))
    with contextlib.suppress(UsageError):
        imported(reader, file)


@RELAXED
@given(traces=st.lists(st.lists(SPANS, max_size=7), min_size=1, max_size=3))
def test_any_tangle_of_spans_is_a_graph_or_refused(tmp_path: Path, traces: list[Any]) -> None:
    file = tmp_path / "tangle.json"
    file.write_text(json.dumps(jaeger(*traces)))
    words = Vocabulary()
    try:
        found = import_traces(read_jaeger([file], words), words, str(file), TraceOptions(allow_incomplete=True))
    except UsageError:
        return
    assert found.graph.services
    assert all(call.calls_per_request > 0 for call in found.graph.calls)
    assert parse_graph(graph_text(found.graph), "x").services == found.graph.services
