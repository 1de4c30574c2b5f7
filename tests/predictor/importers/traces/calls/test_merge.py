"""Many traces become one graph: means, rates, sizes, operations, what is left out."""

from pathlib import Path

import pytest

from predictor.graph.reader import parse_graph
from predictor.graph.writer import graph_text
from predictor.importers.traces.calls.merge import Rates
from profiler.errors import UsageError
from tests.predictor.importers.recorded import ROOT, graph_of, imported, jaeger, rpc, span, written

CALL = rpc("x", "front", "cart", 1_100, 100, "root")
ORPHAN = span("o", "cart", "server", 1_200, 10, "nobody")


def test_a_call_in_one_of_four_traces_has_a_quarter(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [ROOT, *CALL], [ROOT], [ROOT], [ROOT])
    assert [call.calls_per_request for call in graph.calls] == [0.25]


def test_groups_follow_the_majority(tmp_path: Path) -> None:
    together = [ROOT, *CALL, *rpc("y", "front", "user", 1_150, 100, "root")]
    apart = [ROOT, *CALL, *rpc("y", "front", "user", 1_300, 100, "root")]
    for traces, stages in (([together, together, apart], {0}), ([together, apart, apart], {0, 1})):
        assert {call.stage for call in graph_of(tmp_path, *traces).calls} == stages


def test_sizes_are_means_of_what_spans_say(tmp_path: Path) -> None:
    traces = [
        [ROOT, *rpc("x", "front", "cart", 1_100, 100, "root", request_size=0) , *()]
        for _ in range(2)
    ]  # fmt: skip
    for trace, size in zip(traces, ("100", "300"), strict=True):
        trace[1]["tags"] += [{"key": "request_size", "value": size}, {"key": "http.response.body.size", "value": 50}]
    call = graph_of(tmp_path, *traces).calls[0]
    assert (call.request_bytes, call.response_bytes) == (200.0, 50.0)


def test_protocols_come_from_attributes(tmp_path: Path) -> None:
    traces = [[ROOT, *rpc("x", "front", "cart", 1_100, 100, "root", **{"rpc_system": "grpc"})]]
    assert graph_of(tmp_path, *traces).calls[0].protocol == "grpc"


def test_the_rate_is_given_or_worked_out_or_assumed(tmp_path: Path) -> None:
    later = [{**ROOT, "startTime": 1_000 + 500_000 * number} for number in range(5)]
    file = written(tmp_path, jaeger(*([each] for each in later)))
    assert imported(file, rates=Rates(70.0)).graph.ingress[0].rate_rps == 70.0
    assert imported(file, rates=Rates(from_traces=True)).graph.ingress[0].rate_rps == pytest.approx(2.0)
    assumed = imported(file).graph
    assert assumed.ingress[0].rate_rps == 1.0
    assert any(item.path == "ingress.*.rate_rps" for item in assumed.assumed)


def test_one_operation_can_be_chosen(tmp_path: Path) -> None:
    other = [{**ROOT, "operationName": "other"}, *CALL]
    file = written(tmp_path, jaeger([ROOT], other))
    assert [len(imported(file, operation=name).graph.calls) for name in ("root", "other")] == [0, 1]
    assert any("2 operations are mixed" in item.why for item in imported(file).graph.assumed)
    with pytest.raises(UsageError, match="no trace begins with that operation"):
        imported(file, operation="third")


def test_few_broken_traces_are_left_out_and_said(tmp_path: Path) -> None:
    found = imported(written(tmp_path, jaeger([ROOT, *CALL], [ROOT, *CALL], [ROOT, ORPHAN])))
    assert (found.tally.traces, found.tally.incomplete, found.tally.used) == (3, 1, 2)
    assert any("1 of 3 traces" in item.why for item in found.graph.assumed)


def test_mostly_broken_traces_are_refused_unless_allowed(tmp_path: Path) -> None:
    file = written(tmp_path, jaeger([ROOT, *CALL, ORPHAN]))
    with pytest.raises(UsageError, match="1 of 1 traces have spans without their parent"):
        imported(file)
    assert len(imported(file, allow_incomplete=True).graph.calls) == 1


def test_a_trace_entered_elsewhere_begins_with_its_first_span(tmp_path: Path) -> None:
    spans = [{**ROOT, "references": [{"refType": "CHILD_OF", "spanID": "outside"}]}, *CALL]
    assert [entry.service for entry in graph_of(tmp_path, spans).ingress] == ["front"]


def test_spans_that_are_their_own_ancestors_are_refused(tmp_path: Path) -> None:
    spans = [span("a", "x", "", 0, 1, "b"), span("b", "x", "", 0, 1, "a")]
    with pytest.raises(UsageError, match="spans without their parent"):
        graph_of(tmp_path, spans)


def test_enough_requests_give_percentiles(tmp_path: Path) -> None:
    traces = [[{**ROOT, "duration": 100 * number}] for number in range(1, 101)]
    time = graph_of(tmp_path, *traces).service("front").service_time
    assert time.mean_ns == pytest.approx(5.05e6)
    assert dict(time.percentiles)[90.0] == pytest.approx(9e6, rel=0.02)


def test_percentiles_that_would_have_no_bound_are_left_out_and_listed(tmp_path: Path) -> None:
    traces = [[{**ROOT, "duration": 0 if number < 95 else 50_000_000}] for number in range(100)]
    graph = graph_of(tmp_path, *traces)
    assert parse_graph(graph_text(graph), "x").services == graph.services
    assert any("p99 left out" in item.why for item in graph.assumed)


def test_a_chain_of_hundreds_of_hops_is_no_problem(tmp_path: Path) -> None:
    spans = [span("0", "s0", "server", 0, 100_000)]
    spans += [span(str(n), f"s{n}", "server", n, 100_000 - 2 * n, str(n - 1)) for n in range(1, 900)]
    assert len(graph_of(tmp_path, spans).calls) == 899
