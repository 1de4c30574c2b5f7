"""Metrics as meshes report them: self-calls, cycles, reporters, hosts outside, namespaces, TCP."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from predictor.graph.plan import sidecar_modes
from predictor.graph.reader import parse_graph
from predictor.graph.types import CallGraph, Sidecar
from predictor.graph.writer import graph_text
from predictor.importers.metrics.edges import Metrics, Sample
from predictor.importers.metrics.graph import metric_graph
from predictor.importers.metrics.prometheus import read_prometheus
from profiler.errors import UsageError
from tests.counting import function_calls
from tests.predictor.importers.field import FIELD, entries, names, per_request, rates, remarks
from tests.predictor.importers.metrics.lines import line


def field(name: str) -> CallGraph:
    return read_prometheus([FIELD / f"prom-{name}"])


def graph_of(directory: Path, *lines: str) -> CallGraph:
    (directory / "m.prom").write_text("".join(lines))
    return read_prometheus([directory / "m.prom"])


def request(source: str, destination: str, value: float, reporter: str = "source", **more: str) -> str:
    return line("istio_requests_total", source, destination, value, reporter, **more)


def test_calls_to_itself_do_not_dilute_the_others_and_are_listed() -> None:
    graph = field("calls-itself.prom")
    assert rates(graph)["users"] == 20
    assert "calls to itself (10 requests)" in remarks(graph, "calls.auth->auth")


def test_a_cut_cycle_does_not_dilute_the_others() -> None:
    graph = field("circle-halves-rates.prom")
    assert (rates(graph)["orders->stock"], rates(graph)["orders->audit"]) == (10, 20)
    assert "closes the cycle orders -> stock -> orders (10 requests)" in remarks(graph, "calls.stock->orders")


def test_hosts_outside_keep_their_names_and_have_no_sidecar() -> None:
    graph = field("external-hosts-first-label.prom")
    assert names(graph) == ["edge", "api", "api.pay.example", "hooks.pay.example", "hooks.chat.example"]
    assert list(per_request(graph).values()) == [1, 0.4, 0.2, 0.3]
    assert sidecar_modes(graph)["api->api.pay.example"] == ("http", "none")


def test_one_name_in_two_namespaces_is_two_services() -> None:
    graph = field("same-name-two-namespaces.prom")
    assert names(graph) == ["gw", "store.blue", "store.green", "sql"]
    assert {call.id: call.protocol for call in graph.calls}["gw->store.blue"] == "grpc"
    assert rates(graph)["store.green->sql"] == 30


def test_blackhole_is_no_service_and_passthrough_is_listed() -> None:
    graph = field("blackhole-passthrough.prom")
    assert names(graph) == ["web"]
    assert "4 requests" in remarks(graph, "calls.web->BlackHoleCluster")
    assert "50 requests" in remarks(graph, "calls.web->PassthroughCluster")


def test_bytes_of_old_connections_are_an_edge_whose_requests_are_not_known() -> None:
    graph = field("tcp-pool-opened-long-ago.prom")
    assert (graph.calls[0].id, graph.calls[0].protocol) == ("web->sql", "tcp")
    assert (graph.calls[0].request_bytes, graph.calls[0].response_bytes) == (300, 8000)
    assert "0 connections were opened, which are not requests" in remarks(graph, "calls.web->sql.calls_per_request")


def test_missing_reporters_and_names_are_listed() -> None:
    graph = field("no-reporter-label.json")
    listed = remarks(graph, "calls.*.calls_per_request")
    assert "no label reporter" in listed
    assert "3 samples have no name" in listed


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("no-source-labels.json", "names the source, such as source_workload"),
        ("promtool.txt", "not Prometheus text"),
        ("mixer-old-name.json", "no istio_requests_total in it"),
    ],
)
def test_what_says_too_little_is_refused(file: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        field(file)


def test_requests_that_never_arrived_count_at_their_sender() -> None:
    assert per_request(field("503-never-arrived.prom")) == {"web->stock": 1.0, "stock->sql": 0.6}


def test_a_long_cycle_keeps_every_measured_rate_but_the_cut_one(tmp_path: Path) -> None:
    pairs = [("unknown", "a", 8.0), ("a", "b", 16.0), ("b", "c", 4.0), ("c", "a", 100.0), ("c", "d", 2.0)]
    graph = graph_of(tmp_path, *(request(*pair) for pair in pairs))
    assert {edge: rates(graph)[edge] for edge in per_request(graph)} == {"a->b": 16, "b->c": 4, "c->d": 2}


def test_services_that_only_call_each_other_are_entered_at_the_busiest(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, request("unknown", "web", 5.0), request("a", "b", 3.0), request("b", "a", 7.0))
    assert entries(graph) == {"web": 5.0, "b": 7.0}
    assert "only services that it calls itself call it" in remarks(graph, "ingress.b")


def test_requests_and_connections_of_one_pair_are_two_calls(tmp_path: Path) -> None:
    tcp = line("istio_tcp_connections_opened_total", "web", "sql", 3.0, "source")
    graph = graph_of(tmp_path, request("unknown", "web", 5.0), request("web", "sql", 10.0), tcp)
    assert per_request(graph) == {"web->sql": 2.0, "web->sql:tcp": 1.0}


def test_connections_from_outside_are_listed_as_such(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, line("istio_tcp_connections_opened_total", "unknown", "sql", 3.0))
    assert entries(graph) == {"sql": 3.0}
    assert "3 connections, whose number of requests no metric tells" in remarks(graph, "ingress.sql.rate_rps")


def test_a_gateway_by_its_name_has_no_sidecar(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, request("istio-ingressgateway", "web", 5.0), request("istio-ingressgateway", "api", 3.0))
    assert graph.service("istio-ingressgateway").sidecar == Sidecar("none", "none")
    assert entries(graph) == {"istio-ingressgateway": 8.0}


def test_a_caller_to_which_no_proxy_reports_requests_has_no_sidecar_there(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, request("unknown", "web", 5.0, "destination"), request("mailer", "web", 3.0))
    assert graph.service("mailer").sidecar == Sidecar("http", "none")
    assert "nobody was seen to call it" in remarks(graph, "ingress.mailer")


def test_an_address_of_the_cluster_is_its_service_wherever_the_workload_is_not_known(tmp_path: Path) -> None:
    unknown = {"destination_service": "stock.shop.svc.cluster.local", "destination_service_name": "stock"}
    graph = graph_of(
        tmp_path,
        request("web", "stock", 6.0, destination_workload_namespace="shop"),
        request("web", "unknown", 4.0, **unknown),
    )
    assert names(graph) == ["web", "stock"]
    assert rates(graph)["web->stock"] == 10


def test_samples_without_one_side_are_counted_where_others_have_it(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, request("web", "api", 5.0), 'istio_requests_total{destination_workload="api"} 3\n')
    assert "1 samples without a label for the source" in remarks(graph, "calls.*")


def test_one_service_without_any_source_is_entered_from_outside_and_listed(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, 'istio_requests_total{destination_app="front"} 3\n')
    assert entries(graph) == {"front": 3.0}
    assert "1 samples without a label for the source" in remarks(graph, "ingress.*")


def answer(*results: tuple[dict[str, str], str]) -> str:
    vector = [{"metric": metric, "value": [1, value]} for metric, value in results]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": vector}})


EDGE = {"source_workload": "a", "destination_workload": "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (answer((EDGE | {"le": "5"}, "1")), "histogram buckets"),
        (f"[{answer((EDGE, '1'))}, {answer((EDGE, '512'))}]", "cannot be distinguished"),
        (answer((EDGE, "0")), "counts no requests"),
        (answer((EDGE, "NaN")), "no istio_requests_total"),
        (answer(({"source_workload": "a"}, "1")), "names the destination"),
        (answer((EDGE | {"destination_workload": "BlackHoleCluster"}, "1e999")), "no istio_requests_total"),
    ],
)
def test_answers_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "q.json").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        read_prometheus([tmp_path / "q.json"])
    assert "\n" not in str(caught.value)


def test_rates_far_below_one_per_second_are_kept(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, request("unknown", "web", 1e-6), request("web", "api", 2e-6))
    assert (entries(graph), per_request(graph)) == ({"web": 1e-6}, {"web->api": 2.0})


SIDE = st.sampled_from(
    ["", "unknown", "a", "b", "ingress", "a->b", "x.y.example", "a.shop.svc.cluster.local", "\x1b[2J"]
)
LABEL_NAMES = [f"{side}_{kind}" for side in ("source", "destination")
               for kind in ("workload", "service", "service_name", "workload_namespace", "app")]  # fmt: skip
RESULT = st.tuples(
    st.dictionaries(st.sampled_from(LABEL_NAMES), SIDE, min_size=2, max_size=5),
    st.sampled_from(["istio_requests_total", "istio_tcp_sent_bytes_total", "istio_tcp_connections_opened_total",
                     "istio_request_bytes_sum"]),
    st.sampled_from(["1", "0", "1e17", "1e-300", "5", "NaN", "-1", "7"]),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.lists(RESULT, min_size=2, max_size=12), st.sampled_from([None, 0.0, 1e-6, 1e11]))
def test_whatever_is_imported_can_be_read_back(
    tmp_path: Path, results: list[tuple[dict[str, str], str, str]], rate_rps: float | None
) -> None:
    named = [(labels | {"__name__": metric}, value) for labels, metric, value in results]
    (tmp_path / "q.json").write_text(answer(*named))
    with contextlib.suppress(UsageError):
        graph = read_prometheus([tmp_path / "q.json"], rate_rps)
        again = parse_graph(graph_text(graph), "again.yaml")
        assert {call.id for call in again.calls} == {call.id for call in graph.calls}
        assert again.assumed[: len(graph.assumed)] == graph.assumed


def test_work_grows_linearly_with_services_that_call_each_other() -> None:
    def work(count: int) -> int:
        pairs = [(f"s{one}", f"s{other}") for one in range(count) for other in range(count)]
        metrics = Metrics()
        for one, other in pairs:
            labels = {"source_workload": one, "destination_workload": other, "reporter": "source"}
            metrics.add(Sample("istio_requests_total", labels, 1.0, named=True), "m.prom")
        return function_calls(lambda: metric_graph(metrics, "m.prom", None, None))

    assert work(40) < 4.6 * work(20)
