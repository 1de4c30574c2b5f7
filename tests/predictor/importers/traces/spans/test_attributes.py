"""Who is called, by which way, and what is no call: from attributes and operations of several instrumentations."""

from pathlib import Path
from typing import Any

import pytest

from predictor.importers.traces.spans.attributes import interpret
from predictor.importers.traces.spans.names import clean, display_names, host_of_url, service_of_host
from predictor.importers.traces.spans.operations import HELPER, INNER_HELPER, proxy_name, telling
from predictor.importers.traces.spans.spans import CLIENT, INTERNAL, SERVER
from tests.predictor.importers.recorded import ROOT, Span, graph_of, rpc, span

CALLEES: dict[str, tuple[dict[str, Any], str]] = {
    "URL": ({"http.url": "https://user@pay.example:8443/v1?q=1"}, "pay.example"),
    "new URL": ({"url.full": "http://geo.example/v2"}, "geo.example"),
    "URL of an address in brackets": ({"url.full": "http://[fd00::1]:80/"}, "[fd00::1]"),
    "host header": ({"http.host": "shop.example:80"}, "shop.example"),
    "peer before URL": ({"peer.service": "pay", "http.url": "http://10.0.0.1/"}, "pay"),
    "server address": ({"server.address": "stock", "server.port": 80}, "stock"),
    "name before address": ({"net.peer.ip": "10.0.0.1", "rpc.service": "shop.Cart"}, "shop.Cart"),
    "URL's name before address": ({"net.peer.ip": "10.0.0.1", "http.url": "http://pay.example/"}, "pay.example"),
    "address alone": ({"net.peer.ip": "10.0.0.1"}, "10.0.0.1"),
    "RPC service": ({"rpc.system": "grpc", "rpc.service": "shop.Cart"}, "shop.Cart"),
    "topic": ({"messaging.destination.name": "orders"}, "orders"),
    "broker": ({"messaging.system": "kafka", "messaging.destination.name": "orders"}, "kafka"),
    "database": ({"db.system": "mysql"}, "mysql"),
    "database by name": ({"db.system": "mysql", "db.name": "orders"}, "mysql/orders"),
    "new database by name": ({"db.system.name": "postgresql", "db.namespace": "users"}, "postgresql/users"),
    "database on the local host": ({"db.system": "redis", "net.peer.name": "localhost"}, "redis"),
    "database at a host": ({"db.system": "redis", "net.peer.name": "cache", "db.name": "0"}, "cache"),
    "cluster's host": ({"net.peer.name": "stock.shop.svc.cluster.local:80"}, "stock"),
    "Envoy's cluster": ({"upstream_cluster": "outbound|80|v1|stock.shop.svc.cluster.local"}, "stock"),
}


@pytest.mark.parametrize(("tags", "callee"), CALLEES.values(), ids=CALLEES)
def test_a_callee_without_span_is_named_by_what_the_client_says(
    tmp_path: Path, tags: dict[str, Any], callee: str
) -> None:
    call = span("q", "front", "client", 1_100, 100, "root")
    call["tags"] += [{"key": key, "value": value} for key, value in tags.items()]
    assert [found.id for found in graph_of(tmp_path, [ROOT, call]).calls] == [f"front->{callee}"]


def test_different_databases_of_one_kind_are_different_callees(tmp_path: Path) -> None:
    calls = [span(name, "front", "client", start, 50, "root", db_system="mysql", db_name=name)
             for name, start in (("orders", 1_100), ("users", 1_300))]  # fmt: skip
    assert [call.callee for call in graph_of(tmp_path, [ROOT, *calls]).calls] == ["mysql/orders", "mysql/users"]


def test_paths_of_urls_do_not_make_facts_of_their_own() -> None:
    facts = {interpret([("http.url", f"http://pay.example/{number}")], CLIENT) for number in range(50)}
    assert len(facts) == 1


def test_a_servers_own_address_is_not_its_peer() -> None:
    assert interpret([("http.url", "http://web.example/"), ("http.host", "web.example")], SERVER).peer == ""


HELPER_NAMES = ["dns.lookup", "DNS lookup", "dns", "tcp.connect", "tls.connect", "TLS handshake", "http.tls",
                "socket connect", "TLS client handshake", "getaddrinfo", "http.dns"]  # fmt: skip


@pytest.mark.parametrize("name", HELPER_NAMES)
def test_look_ups_connects_and_handshakes_are_no_calls(tmp_path: Path, name: str) -> None:
    call = span("x", "front", "client", 1_100, 500, "root", net_peer_name="stock")
    helper = span("h", "front", "client", 1_110, 100, "x", peer_ipv4="10.0.0.9")
    helper["operationName"] = name
    server = span("s", "stock", "server", 1_300, 200, "x")
    for spans in ([call, helper, server], [call, helper], [{**helper, "references": []} | {"parentSpanID": "root"}]):
        callees = [found.callee for found in graph_of(tmp_path, [ROOT, *spans]).calls]
        assert callees == (["stock"] if call in spans else [])


def test_a_word_is_a_helper_only_inside_a_call_and_not_of_a_database(tmp_path: Path) -> None:
    alone = span("c", "front", "client", 1_100, 100, "root", peer_service="chat") | {"operationName": "connect"}
    database = span("d", "front", "client", 1_300, 100, "root", db_system="mysql") | {"operationName": "connect"}
    assert [call.callee for call in graph_of(tmp_path, [ROOT, alone, database]).calls] == ["chat", "mysql"]
    call = span("x", "front", "client", 1_500, 300, "root", peer_service="stock")
    inner = span("y", "front", "client", 1_510, 50, "x", peer_service="stock:443") | {"operationName": "connect"}
    assert [call.id for call in graph_of(tmp_path, [ROOT, call, inner]).calls] == ["front->stock"]


def test_a_nameless_span_below_an_answered_call_is_part_of_it(tmp_path: Path) -> None:
    helper = span("w", "front", "client", 1_105, 20, "x")
    spans = [*rpc("x", "front", "stock", 1_100, 300, "root"), helper]
    assert [call.id for call in graph_of(tmp_path, [ROOT, *spans]).calls] == ["front->stock"]


def test_a_named_call_inside_another_one_is_a_call(tmp_path: Path) -> None:
    cache = span("r", "front", "client", 1_105, 20, "x", db_system="redis", net_peer_ip="10.0.0.1")
    graph = graph_of(tmp_path, [ROOT, *rpc("x", "front", "stock", 1_100, 300, "root"), cache])
    assert {call.callee for call in graph.calls} == {"stock", "10.0.0.1"}


@pytest.mark.parametrize(("operation", "expected"), [
    ("dns.lookup", HELPER), ("connect", INNER_HELPER), ("GET /dns/records", ""), ("dns/Query", ""), ("", ""),
    ("/connect.v1/Dial", ""), ("tlsmanager", ""), ("HTTP CONNECT /", ""),
])  # fmt: skip
def test_which_operations_tell_of_helpers(operation: str, expected: str) -> None:
    assert telling(operation) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("inbound|80|http|web.shop.svc.cluster.local", (True, "web\0shop")),
    ("inbound|8080||", (True, "")),
    ("outbound|80||stock.shop.svc.cluster.local", (False, "stock\0shop")),
    ("outbound_.80_._.stock.shop.svc.cluster.local", (False, "stock\0shop")),
    ("outbound|443||api.example.org", (False, "api.example.org")),
    ("web.shop.svc.cluster.local:80/*", (None, "web\0shop")),
    ("GET /", None), ("", None), ("web.example:80/*", None),
])  # fmt: skip
def test_istios_names_say_direction_and_service(text: str, expected: tuple[bool | None, str] | None) -> None:
    found = proxy_name(text)
    assert (found if expected is None else tuple(found or ())) == expected


def proxy(name: str, service: str, kind: str, start: int, length: int, parent: str, operation: str, node: str) -> Span:
    made = span(name, service, kind, start, length, parent, component="proxy")
    made["tags"].append({"key": "node_id", "value": f"{node}~10.0.0.1~pod.shop~shop.svc.cluster.local"})
    return made | {"operationName": operation}


def test_without_clusters_the_operation_says_the_direction(tmp_path: Path) -> None:
    host = "stock.shop.svc.cluster.local"
    spans = [
        proxy("a", "web.shop", "client", 0, 20_000, "", "inbound|80|http|web.shop.svc.cluster.local", "sidecar"),
        proxy("b", "web.shop", "client", 3_000, 6_000, "a", f"outbound|80||{host}", "sidecar"),
        proxy("c", "stock.shop", "client", 3_400, 5_000, "b", f"inbound|80|http|{host}", "sidecar"),
    ]
    assert [call.id for call in graph_of(tmp_path, spans).calls] == ["web.shop->stock.shop"]


def test_sidecars_that_share_one_name_are_told_apart_by_their_requests(tmp_path: Path) -> None:
    host = "stock.shop.svc.cluster.local"
    spans = [
        proxy("a", "istio-proxy", "server", 0, 20_000, "", "inbound|80|http|web.shop.svc.cluster.local", "sidecar"),
        proxy("b", "istio-proxy", "client", 3_000, 6_000, "a", f"outbound|80||{host}", "sidecar"),
        proxy("c", "istio-proxy", "server", 3_400, 5_000, "b", f"inbound|80|http|{host}", "sidecar"),
    ]
    assert [call.id for call in graph_of(tmp_path, spans).calls] == ["web.shop->stock.shop"]


@pytest.mark.parametrize("node", ["router", "waypoint"])
def test_gateways_and_waypoints_have_no_sidecar_and_are_nobodys(tmp_path: Path, node: str) -> None:
    host = "stock.shop.svc.cluster.local"
    spans = [
        proxy("a", "edge", "client", 0, 20_000, "", f"{host}:80/*", node),
        proxy("c", "stock.shop", "client", 3_400, 5_000, "a", f"outbound|80||other.{host}", "sidecar"),
    ]
    graph = graph_of(tmp_path, spans)
    assert graph.service("edge").sidecar.client == "none"
    assert graph.service("stock.shop").sidecar.client == "http"


def test_a_name_of_two_namespaces_is_two_services_and_of_one_is_short(tmp_path: Path) -> None:
    def graph(*hosts: str) -> list[str]:
        calls = [span(f"q{number}", "front", "client", 1_100 + number * 200, 100, "root", net_peer_name=host)
                 for number, host in enumerate(hosts)]  # fmt: skip
        return [call.callee for call in graph_of(tmp_path, [ROOT, *calls]).calls]

    assert graph("store.blue.svc", "store.green.svc.cluster.local") == ["store.blue", "store.green"]
    assert graph("store.blue.svc", "store.blue.svc.cluster.local") == ["store"]


def test_display_names_join_a_host_with_the_service_that_reports() -> None:
    assert display_names(["web", "web\0shop"]) == ["web", "web"]
    assert display_names(["web.shop", "web\0shop"]) == ["web.shop", "web.shop"]
    assert display_names(["web", "web\0a", "web\0b"]) == ["web", "web.a", "web.b"]


@pytest.mark.parametrize(("name", "expected"), [
    ("a->b", "a-b"), ("a-->b", "a--b"), ("a\x1b[31mb", "a [31mb"), (" a \n b ", "a b"), ("x" * 500, "x" * 200),
    ("\ud800a\u202eb", "a b"),
])  # fmt: skip
def test_names_fit_a_graph_and_a_terminal(name: str, expected: str) -> None:
    assert clean(name) == expected


def test_hosts_of_urls() -> None:
    assert host_of_url("jdbc:mysql://db.example:3306/orders") == "db.example"
    assert host_of_url("pay.example/path") == "pay.example"
    assert service_of_host("db.example:3306") == "db.example"


def test_a_helpers_kind_is_internal() -> None:
    assert interpret([("span.kind", "client")], operation=HELPER).kind == INTERNAL
