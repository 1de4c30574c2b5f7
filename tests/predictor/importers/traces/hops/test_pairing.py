"""Spans paired into hops, clocks brought together, stages from overlap: one hand-made trace per rule."""

from pathlib import Path

import numpy as np
import pytest

from predictor.importers.traces.calls.critical_path import critical_path
from predictor.importers.traces.calls.stages import find_stages
from tests.predictor.importers.recorded import ROOT, Span, graph_of, requests_of, rpc, span


def edges(directory: Path, *spans: Span) -> dict[str, float]:
    return {call.id: call.calls_per_request for call in graph_of(directory, spans).calls}


def test_client_and_server_span_of_one_call_are_one_hop(tmp_path: Path) -> None:
    assert edges(tmp_path, ROOT, *rpc("x", "front", "cart", 1_100, 100, "root")) == {"front->cart": 1.0}


def test_internal_spans_are_no_hops(tmp_path: Path) -> None:
    inner = [span("in", "front", "", 1_050, 500, "root"), span("in2", "front", "internal", 1_060, 300, "in")]
    assert edges(tmp_path, ROOT, *inner, *rpc("x", "front", "cart", 1_100, 100, "in2")) == {"front->cart": 1.0}


def test_a_callee_without_span_is_named_by_the_client(tmp_path: Path) -> None:
    query = span("q", "front", "client", 1_100, 100, "root", db_system="mysql", peer_service="orders-db")
    graph = graph_of(tmp_path, [ROOT, query])
    assert [(call.id, call.protocol) for call in graph.calls] == [("front->orders-db", "tcp")]
    assert any("orders-db" in item.path and "left no spans" in item.why for item in graph.assumed)


def test_a_caller_without_client_span_is_a_hop_too(tmp_path: Path) -> None:
    assert edges(tmp_path, ROOT, span("s", "cart", "server", 1_100, 50, "root")) == {"front->cart": 1.0}


def test_spans_without_kind_make_hops_where_the_service_changes(tmp_path: Path) -> None:
    spans = [span("r", "a", "", 0, 100), span("i", "a", "", 10, 50, "r"), span("s", "b", "", 20, 30, "i")]
    assert edges(tmp_path, *spans) == {"a->b": 1.0}


def test_nested_client_spans_are_one_hop(tmp_path: Path) -> None:
    outer = span("outer", "front", "client", 1_100, 200, "root")
    assert edges(tmp_path, ROOT, outer, *rpc("x", "front", "cart", 1_110, 180, "outer")) == {"front->cart": 1.0}


def test_a_callee_whose_server_span_is_missing_is_one_hop_with_its_own_calls(tmp_path: Path) -> None:
    call = span("x", "front", "client", 1_100, 500, "root")
    below = [*rpc("y", "cart", "db", 1_150, 100, "x"), *rpc("z", "cart", "db", 1_300, 100, "x")]
    assert edges(tmp_path, ROOT, call, *below) == {"front->cart": 1.0, "cart->db": 2.0}


def test_a_retry_is_a_further_hop(tmp_path: Path) -> None:
    call = span("x", "front", "client", 1_100, 500, "root")
    tries = [span("t1", "cart", "server", 1_110, 100, "x"), span("t2", "cart", "server", 1_300, 100, "x")]
    assert edges(tmp_path, ROOT, call, *tries) == {"front->cart": 2.0}


def test_a_service_that_asks_itself_again_gets_another_name(tmp_path: Path) -> None:
    spans = [ROOT, *rpc("x", "front", "cart", 1_100, 400, "root"), *rpc("y", "cart", "front", 1_200, 100, "x.s")]
    graph = graph_of(tmp_path, spans)
    assert [call.id for call in graph.calls] == ["front->cart", "cart->front~2"]
    assert graph.service("front~2").deployment == "front"


def test_messages_are_not_waited_for(tmp_path: Path) -> None:
    sent = [span("p", "front", "producer", 1_100, 10, "root"), span("c", "mail", "consumer", 1_150, 10_000, "p")]
    assert [(call.id, call.asynchronous) for call in graph_of(tmp_path, [ROOT, *sent]).calls] == [("front->mail", True)]


def test_a_call_that_outlives_its_caller_is_asynchronous(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [ROOT, *rpc("x", "front", "log", 1_900, 900, "root")])
    assert graph.calls[0].asynchronous


def test_overlap_makes_a_parallel_group_and_sequence_makes_stages(tmp_path: Path) -> None:
    spans = [
        ROOT,
        *rpc("x", "front", "a", 1_100, 200, "root"),
        *rpc("y", "front", "b", 1_150, 200, "root"),
        *rpc("z", "front", "c", 1_400, 200, "root"),
    ]
    stages = {call.callee: call.stage for call in graph_of(tmp_path, spans).calls}
    assert stages == {"a": 0, "b": 0, "c": 1}


def test_calls_to_one_service_at_once_repeat_in_parallel(tmp_path: Path) -> None:
    spans = [ROOT, *rpc("x", "front", "a", 1_100, 200, "root"), *rpc("y", "front", "a", 1_150, 200, "root")]
    call = graph_of(tmp_path, spans).calls[0]
    assert (call.repeat, call.calls_per_request) == ("parallel", 2.0)


def test_own_time_is_what_no_call_covers(tmp_path: Path) -> None:
    spans = [ROOT, *rpc("x", "front", "a", 1_100, 200, "root"), *rpc("y", "front", "b", 1_200, 300, "root")]
    requests, services = requests_of(tmp_path, spans)
    own = dict(zip(services, find_stages(requests).own_ns.tolist(), strict=True))
    assert own == {"front": 600_000, "a": 180_000, "b": 280_000}


@pytest.mark.parametrize("skew_us", [-5_000_000, -400, 0, 700, 5_000_000])
def test_a_clock_that_is_off_changes_nothing(tmp_path: Path, skew_us: int) -> None:
    spans = [ROOT, *rpc("x", "front", "a", 1_100, 600, "root"), *rpc("y", "a", "b", 1_200, 200, "x.s")]
    for each in spans:
        if each["process"]["serviceName"] == "a":
            each["startTime"] += skew_us
    requests, services = requests_of(tmp_path, spans)
    order = [services.index(name) for name in ("front", "a", "b")]
    assert (requests.start_ns[order] - requests.start_ns[order[0]]).tolist() == [0, 110_000, 210_000]
    assert requests.waited.all()


def test_a_clock_is_corrected_once_for_all_calls_between_two_hosts(tmp_path: Path) -> None:
    first, second = rpc("x", "front", "a", 1_100, 200, "root"), rpc("y", "front", "a", 1_500, 200, "root")
    second[1] |= {"startTime": 1_501, "duration": 198}  # nearly no room: it fixes the clock to a microsecond
    for each in (first[1], second[1]):
        each["startTime"] += 10_000
    requests, _ = requests_of(tmp_path, [ROOT, *first, *second])
    assert np.diff(np.sort(requests.start_ns)).tolist() == [110_000, 391_000]


def test_the_critical_path_goes_back_from_the_end(tmp_path: Path) -> None:
    spans = [
        ROOT,
        *rpc("x", "front", "a", 1_100, 200, "root"),
        *rpc("y", "front", "b", 1_150, 400, "root"),
        *rpc("z", "front", "c", 1_600, 100, "root"),
    ]
    requests, services = requests_of(tmp_path, spans)
    path = critical_path(requests)
    assert {services[row] for row in np.flatnonzero(path.on_path)} == {"front", "b", "c"}
    own = dict(zip(services, path.own_ns.tolist(), strict=True))
    assert own == {"front": 500_000, "a": 0, "b": 380_000, "c": 80_000}
    assert path.own_ns.sum() + path.way_ns.sum() == 1_000_000


def test_what_is_below_a_call_off_the_path_is_off_it_too(tmp_path: Path) -> None:
    spans = [
        ROOT,
        *rpc("x", "front", "a", 1_100, 200, "root"),
        *rpc("x2", "a", "deep", 1_150, 100, "x.s"),
        *rpc("y", "front", "b", 1_050, 800, "root"),
    ]
    requests, services = requests_of(tmp_path, spans)
    assert {services[row] for row in np.flatnonzero(critical_path(requests).on_path)} == {"front", "b"}
