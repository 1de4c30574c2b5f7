"""Mesh metrics: each request counted once, sizes and TLS from labels, both forms of file."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from predictor.importers.metrics.prometheus import read_prometheus
from profiler.errors import UsageError
from tests.predictor.importers.metrics.lines import line

TEXT = "".join(
    [
        "# TYPE istio_requests_total counter\n",
        line("istio_requests_total", "unknown", "front", 600, request_protocol="http", response_code="200"),
        line("istio_requests_total", "unknown", "front", 400, request_protocol="http", response_code="500"),
        line("istio_requests_total", "front", "cart", 2000, "source", request_protocol="grpc"),
        line("istio_requests_total", "front", "cart", 1999, request_protocol="grpc",
             connection_security_policy="mutual_tls"),
        line("istio_request_bytes_sum", "front", "cart", 400_000, "source"),
        line("istio_request_bytes_count", "front", "cart", 2000, "source"),
        line("istio_response_bytes_sum", "front", "cart", 1_000_000, "source"),
        line("istio_response_bytes_count", "front", "cart", 2000, "source"),
        line("istio_response_bytes_bucket", "front", "cart", 2000, "source", le="+Inf"),
        "other_metric 3\n",
    ]
)  # fmt: skip


def test_each_request_counts_once_whichever_sides_report(tmp_path: Path) -> None:
    (tmp_path / "m.prom").write_text(TEXT)
    graph = read_prometheus([tmp_path / "m.prom"], over_s=10.0)
    call = graph.calls[0]
    assert (call.id, call.calls_per_request, call.protocol, call.tls) == ("front->cart", 2.0, "grpc", "mtls")
    assert (call.request_bytes, call.response_bytes) == (200.0, 500.0)
    assert (graph.ingress[0].service, graph.ingress[0].rate_rps) == ("front", 100.0)


def test_the_answer_of_a_query_is_read_too(tmp_path: Path) -> None:
    result = [
        {"metric": {"__name__": "istio_requests_total", "source_app": "unknown", "destination_app": "front"},
         "value": [1.0, "5"]},
        {"metric": {"source_app": "front", "destination_app": "cart"}, "value": [1.0, "10"]},
        {"metric": {"source_app": "front", "destination_app": "cart"}, "value": [1.0, "NaN"]},
    ]  # fmt: skip
    (tmp_path / "q.json").write_text(json.dumps({"status": "success", "data": {"result": result}}))
    graph = read_prometheus([tmp_path / "q.json"])
    assert (graph.ingress[0].rate_rps, graph.calls[0].calls_per_request) == (5.0, 2.0)
    assert any(item.path == "calls.front->cart.tls" for item in graph.assumed)


def test_services_that_call_each_other_lose_one_call_and_it_is_said(tmp_path: Path) -> None:
    pairs = (("unknown", "a", 1), ("a", "b", 1), ("b", "a", 1))
    (tmp_path / "m.txt").write_text("".join(line("istio_requests_total", *pair) for pair in pairs))
    graph = read_prometheus([tmp_path / "m.txt"])
    assert [call.id for call in graph.calls] == ["a->b"]
    assert any("closes the cycle a -> b -> a" in item.why for item in graph.assumed)


@pytest.mark.parametrize(
    "text", ["", "up 1\n", "{", "istio_requests_total{", "[1]", '{"data": 3}', "\x00\x01", "istio"]
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.txt").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_prometheus([tmp_path / "m.txt"])
    assert "\n" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.recursive(
    st.none() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["data", "result", "metric", "value", "values", "reporter"]), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_any_json_is_read_or_refused(tmp_path: Path, document: Any) -> None:
    (tmp_path / "any.json").write_text(json.dumps(document))
    with contextlib.suppress(UsageError):
        read_prometheus([tmp_path / "any.json"])
