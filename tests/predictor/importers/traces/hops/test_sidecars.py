"""Traces in which services and their sidecars record spans, in each format: one RPC is one hop between two services."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from predictor.importers.traces.formats.jaeger import read_jaeger
from predictor.importers.traces.formats.otlp import read_otlp
from predictor.importers.traces.formats.zipkin import read_zipkin
from predictor.importers.traces.reading import TraceImport, TraceOptions, import_traces
from predictor.importers.traces.spans.spans import Vocabulary

TRACE = "0" * 31 + "7"


class One(NamedTuple):
    """A span; ids are hexadecimal digits, times µs."""

    id: str
    parent: str
    service: str
    kind: str
    start: int
    duration: int
    tags: dict[str, str]


def envoy(number: str, parent: str, service: str, kind: str, start: int, duration: int, cluster: str) -> One:
    """As Istio's proxies write it; gateways say so in their node's id."""
    node = "router" if "gateway" in service else "sidecar"
    name = service.split(".")[0]
    tags = {"component": "proxy", "node_id": f"{node}~10.0.0.1~{name}-1.default~default.svc.cluster.local",
            "istio.canonical_service": name, "upstream_cluster": cluster, "http.protocol": "HTTP/2",
            "request_size": "100", "response_size": "300"}  # fmt: skip
    return One(number, parent, service, kind, start, duration, tags)


def app(number: str, parent: str, service: str, kind: str, start: int, duration: int) -> One:
    return One(number, parent, service, kind, start, duration, {"http.method": "GET"})


TO_FRONT, TO_CART = (f"outbound|80||{name}.default.svc.cluster.local" for name in ("front", "cart"))
GATEWAY = envoy("1", "", "istio-ingressgateway.istio-system", "client", 0, 2_000, TO_FRONT)
FRONT_IN = envoy("2", "1", "front.default", "server", 100, 1_800, "inbound|8080||")
FRONT = app("3", "2", "front", "server", 150, 1_700)
CALL = app("4", "3", "front", "client", 400, 800)
FRONT_OUT = envoy("5", "4", "front.default", "client", 430, 740, TO_CART)
CART_IN = envoy("6", "5", "cart.default", "server", 500, 600, "inbound|8080||")
CART = app("7", "6", "cart", "server", 540, 520)
MIXED = (GATEWAY, FRONT_IN, FRONT, CALL, FRONT_OUT, CART_IN, CART)


def as_jaeger(spans: tuple[One, ...]) -> Any:
    def one(span: One) -> dict[str, Any]:
        tags = [{"key": key, "value": value} for key, value in {**span.tags, "span.kind": span.kind}.items()]
        return {"traceID": TRACE, "spanID": span.id, "operationName": "x", "startTime": span.start,
                "duration": span.duration, "tags": tags, "process": {"serviceName": span.service},
                "references": [{"refType": "CHILD_OF", "spanID": span.parent}] if span.parent else []}  # fmt: skip

    return {"data": [{"traceID": TRACE, "spans": [one(span) for span in spans]}]}


def as_zipkin(spans: tuple[One, ...]) -> Any:
    return [
        {"traceId": TRACE, "id": span.id, "parentId": span.parent or None, "kind": span.kind.upper(),
         "timestamp": span.start, "duration": span.duration, "localEndpoint": {"serviceName": span.service},
         "tags": span.tags}
        for span in spans
    ]  # fmt: skip


def as_otlp(spans: tuple[One, ...]) -> Any:
    def pairs(values: dict[str, str]) -> list[dict[str, Any]]:
        return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]

    def one(span: One) -> dict[str, Any]:
        return {"traceId": TRACE, "spanId": span.id * 16, "parentSpanId": span.parent * 16, "name": "x",
                "kind": {"server": 2, "client": 3}[span.kind], "startTimeUnixNano": str(span.start * 1000),
                "endTimeUnixNano": (span.start + span.duration) * 1000, "attributes": pairs(span.tags)}  # fmt: skip

    return {"resourceSpans": [
        {"resource": {"attributes": pairs({"service.name": span.service})}, "scopeSpans": [{"spans": [one(span)]}]}
        for span in spans
    ]}  # fmt: skip


FORMATS: dict[str, tuple[Callable[..., Any], Callable[[tuple[One, ...]], Any]]] = {
    "jaeger": (read_jaeger, as_jaeger), "zipkin": (read_zipkin, as_zipkin), "otlp": (read_otlp, as_otlp),
}  # fmt: skip


@pytest.fixture(params=FORMATS)
def imported(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., TraceImport]:
    read, write = FORMATS[request.param]

    def import_(*spans: One) -> TraceImport:
        file, words = tmp_path / "t.json", Vocabulary()
        file.write_text(json.dumps(write(spans)))
        return import_traces(read([file], words), words, str(file), TraceOptions())

    return import_


Import = Callable[..., TraceImport]


def edges(found: TraceImport) -> dict[str, float]:
    return {call.id: call.calls_per_request for call in found.graph.calls}


def test_spans_of_services_and_sidecars_are_one_hop(imported: Import) -> None:
    found = imported(*MIXED)
    assert edges(found) == {"istio-ingressgateway.istio-system->front": 1.0, "front->cart": 1.0}
    call = next(call for call in found.graph.calls if call.callee == "cart")
    assert (call.protocol, call.request_bytes, call.response_bytes) == ("http2", 100, 300)


def test_times_are_those_of_services_and_what_sidecars_take_is_between_them(imported: Import) -> None:
    found = imported(*MIXED)
    times = {service.name: service.service_time.mean_ns for service in found.graph.services}
    assert times["front"] == (1_700 - 800) * 1000
    assert times["cart"] == 520_000
    assert found.way_ns_per_trace == ((2_000 - 1_700) + (800 - 520)) * 1000 - times["istio-ingressgateway.istio-system"]


def test_a_callee_of_which_only_the_sidecar_tells_has_its_own_name(imported: Import) -> None:
    found = imported(*MIXED[:-1])
    assert edges(found) == {"istio-ingressgateway.istio-system->front": 1.0, "front->cart.default": 1.0}
    assert any(item.path == "services.cart.default.service_time" and "sidecar" in item.why
               for item in found.graph.assumed)  # fmt: skip


def test_a_caller_whose_sidecar_records_nothing_is_the_caller(imported: Import) -> None:
    assert edges(imported(FRONT._replace(parent=""), CALL, CART_IN._replace(parent="4"), CART)) == {"front->cart": 1.0}


def test_a_callee_without_sidecar_is_the_callee(imported: Import) -> None:
    assert edges(imported(FRONT._replace(parent=""), CALL, FRONT_OUT, CART._replace(parent="5"))) == {
        "front->cart": 1.0
    }


def test_a_callee_that_records_nothing_is_known_by_the_sidecars_cluster(imported: Import) -> None:
    assert edges(imported(FRONT._replace(parent=""), CALL, FRONT_OUT)) == {"front->cart": 1.0}


def test_sidecars_alone_are_hops_too(imported: Import) -> None:
    outgoing = FRONT_OUT._replace(parent="2")
    found = imported(GATEWAY, FRONT_IN, outgoing, CART_IN)
    assert edges(found) == {"istio-ingressgateway.istio-system->front.default": 1.0, "front.default->cart.default": 1.0}


def test_a_retry_by_the_sidecar_is_a_further_hop(imported: Import) -> None:
    tries = (CART_IN._replace(duration=100), CART_IN._replace(id="8", start=700, duration=300))
    assert edges(imported(FRONT._replace(parent=""), CALL, FRONT_OUT, *tries))["front->cart.default"] == 2.0


def test_two_calls_of_the_sidecar_under_one_span_are_one_after_another(imported: Import) -> None:
    first, second = FRONT_OUT._replace(duration=300), FRONT_OUT._replace(id="8", start=800, duration=300)
    call = imported(FRONT._replace(parent=""), CALL, first, second).graph.calls[0]
    assert (call.calls_per_request, call.repeat) == (2.0, "sequential")


def test_client_and_server_half_with_one_id_are_one_hop(tmp_path: Path) -> None:
    halves = [each._replace(id="5", parent="4") if each is CART_IN else each for each in MIXED[:-1]]
    spans = (*halves, CART._replace(parent="5"))
    for read, write in (FORMATS["zipkin"], FORMATS["jaeger"]):
        file, words = tmp_path / "t.json", Vocabulary()
        file.write_text(json.dumps(write(spans)))
        found = import_traces(read([file], words), words, str(file), TraceOptions())
        assert edges(found) == {"istio-ingressgateway.istio-system->front": 1.0, "front->cart": 1.0}
