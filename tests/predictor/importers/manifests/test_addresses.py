"""Which texts in a container's settings are addresses of Services, and which are only words."""

import base64
from pathlib import Path
from typing import Any

import pytest

from predictor.importers.manifests.addresses import addresses
from predictor.importers.manifests.reading import read_manifests
from predictor.importers.manifests.settings import LONGEST, Setting
from tests.counting import function_calls
from tests.predictor.importers.field import FIELD, calls, remarks
from tests.predictor.importers.manifests.objects import app, env, front, graph_of, named, service, workload

STOCK = app("stock", port={"name": "grpc", "port": 7000})


def test_addresses_in_a_config_map_taken_as_a_whole_are_calls() -> None:
    assert calls(read_manifests([FIELD / "k8s-configmap-addresses.yaml"])) == {"web->stock": "grpc"}


def test_pods_of_a_stateful_set_are_its_service() -> None:
    graph = read_manifests([FIELD / "k8s-statefulset-pod-address.yaml"])
    assert calls(graph) == {"web->mongo": "tcp"}
    assert graph.service("mongo").replicas == 3


@pytest.mark.parametrize(
    "container",
    [
        env(X="stock:7000"),
        env(X="grpc://stock:7000/a?b=c"),
        env(X="http://user:pa:ss@stock.default.svc.cluster.local:7000"),
        env(X="a=1;server=stock:7000;b=2"),
        env(X="tcp(stock:7000)/db"),
        env(X="jdbc:postgresql://stock:7000/db"),
        env(X="stock.default.svc"),
        env(X="stock-0.stock:7000"),
        env(X="stock-2.stock.default.svc.cluster.local."),
        env(STOCK_HOST="stock"),
        env(stockAddr="stock"),
        env(BROKERS="stock:7000,other:1"),
        env(SERVER_HOSTS="other, stock"),
        env(BASE="stock:7000", X="http://$(BASE)/"),
        env(X="http://$(STOCK_SERVICE_HOST):$(STOCK_SERVICE_PORT)"),
        {"name": "c", "args": ["--stock-addr", "stock"]},
        {"name": "c", "args": ["--stock-addr=stock:7000"]},
        {"name": "c", "command": ["sh", "-c", "curl -s http://stock:7000 && sleep 1"]},
        {"name": "c", "command": ["sh", "-c", "run --to ${STOCK_SERVICE_HOST}:7000"]},
    ],
    ids=lambda container: str(container.get("env", container.get("args", container.get("command")))),
)
def test_an_address_is_a_call_wherever_it_stands(tmp_path: Path, container: dict[str, Any]) -> None:
    assert list(calls(graph_of(tmp_path, front(container), STOCK))) == ["web->stock"]


@pytest.mark.parametrize(
    "text",
    ["stock", "--mode stock", "com.example.stock", "stock/1.2", "image/stock:1.2.3", "stock-7000", "my-stock:7000",
     "stock.other.svc:7000", "stock.example:7000", "x/stock:7000/y", "stock:70000"],
)  # fmt: skip
def test_what_only_contains_a_name_is_no_call(tmp_path: Path, text: str) -> None:
    assert calls(graph_of(tmp_path, front(env(MODE=text), namespace="default"), placed(STOCK))) == {}


def placed(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "metadata": {**item["metadata"], "namespace": "default"}} for item in items]


def test_a_word_that_equals_a_name_is_listed_unless_the_call_is_known(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, front(env(MODE="stock")), STOCK)
    assert "MODE is a word, no address" in remarks(graph, "calls.web->stock")
    assert not remarks(graph_of(tmp_path, front(env(MODE="stock", X="stock:7000")), STOCK), "calls.web->stock")


def test_hosts_that_are_not_in_the_files_are_listed_but_not_from_secrets(tmp_path: Path) -> None:
    secret = named("Secret", "keys") | {"stringData": {"DSN": "amqp://me:secret@mq.pay.example:5672"}}
    container = env(PAY="https://api.pay.example/v1", ME="http://localhost:80") | {
        "envFrom": [{"secretRef": {"name": "keys"}}]
    }
    listed = [item.path for item in graph_of(tmp_path, front(container), STOCK, secret).assumed]
    assert "calls.web->api.pay.example" in listed
    assert not any("mq.pay" in path or "localhost" in path for path in listed)


@pytest.mark.parametrize(
    "source",
    [
        {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "addr"}}}]},
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "addr"}}}]},
        {"envFrom": [{"secretRef": {"name": "keys"}, "prefix": "P_"}]},
        {"volumes": [{"name": "v", "configMap": {"name": "conf"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "conf"}}]}}]},
        {"volumes": [{"name": "v", "secret": {"secretName": "keys"}}]},
    ],
)
def test_addresses_come_from_config_maps_secrets_and_mounted_files(tmp_path: Path, source: dict[str, Any]) -> None:
    conf = named("ConfigMap", "conf") | {"data": {"addr": "stock:7000"}}
    keys = named("Secret", "keys") | {"data": {"addr": base64.b64encode(b"stock:7000").decode()}}
    container = {key: value for key, value in source.items() if key != "volumes"}
    pod = {key: value for key, value in source.items() if key == "volumes"}
    graph = graph_of(tmp_path, front({"name": "c", **container}, pod=pod), STOCK, conf, keys)
    assert list(calls(graph)) == ["web->stock"]


def test_a_config_map_that_is_not_in_the_files_is_listed(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, front({"name": "c", "envFrom": [{"configMapRef": {"name": "lost"}}]}), STOCK)
    assert "ConfigMap lost of namespace default, used by web, is not in the files" in remarks(graph, "calls")


def test_a_service_in_another_namespace_is_another_service(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path,
        front(env(A="http://stock.blue", B="http://stock"), namespace="shop"),
        *(app("stock", namespace=namespace) for namespace in ("blue", "shop", "green")),
    )
    assert list(calls(graph)) == ["web->stock.blue", "web->stock.shop"]
    assert remarks(graph, "services.stock.green") == "left out: no request reaches it"


def test_a_service_without_a_namespace_is_found_in_any(tmp_path: Path) -> None:
    assert list(calls(graph_of(tmp_path, front(env(A="http://stock.shop.svc:7000")), STOCK))) == ["web->stock"]


def test_two_ports_of_one_service_are_two_calls(tmp_path: Path) -> None:
    stock = service("stock", {"name": "grpc", "port": 7000}, {"name": "http-stats", "port": 9100})
    graph = graph_of(tmp_path, front(env(A="stock:7000", B="stock:9100", C="http://stock:7000")), stock)
    assert calls(graph) == {"web->stock": "grpc", "web->stock:port 9100": "http1"}


def test_a_port_next_to_a_host_counts(tmp_path: Path) -> None:
    stock = service("stock", {"name": "grpc", "port": 7000}, {"name": "http", "port": 80})
    assert calls(graph_of(tmp_path, front(env(STOCK_HOST="stock", STOCK_PORT="80")), stock)) == {"web->stock": "http1"}


def test_udp_passes_no_proxy_and_is_listed(tmp_path: Path) -> None:
    statsd = service("statsd", {"name": "udp-in", "port": 8125, "protocol": "UDP"})
    graph = graph_of(tmp_path, front(env(STATSD_ADDR="statsd:8125")), statsd)
    assert calls(graph) == {}
    assert "UDP" in remarks(graph, "calls.web->statsd")


def test_hosts_outside_are_services_where_a_service_entry_has_them(tmp_path: Path) -> None:
    entry = named("ServiceEntry", "pay", api="networking.istio.io/v1") | {
        "spec": {"hosts": ["api.pay.example"], "ports": [{"number": 443, "name": "https", "protocol": "HTTPS"}]}
    }
    graph = graph_of(tmp_path, front(env(PAY="https://api.pay.example/v1")), entry)
    assert calls(graph) == {"web->api.pay.example": "tcp"}
    assert graph.service("api.pay.example").sidecar.server == "none"


def test_the_proxys_own_settings_are_no_calls_and_init_containers_make_none(tmp_path: Path) -> None:
    proxy = env(ZIPKIN="stock:7000") | {"name": "istio-proxy"}
    waiting = {"initContainers": [env(X="stock:7000")]}
    assert calls(graph_of(tmp_path, front({"name": "c"}, proxy, pod=waiting), STOCK)) == {}


def test_a_helper_container_that_lasts_makes_calls(tmp_path: Path) -> None:
    lasting = {"initContainers": [env(X="stock:7000") | {"restartPolicy": "Always"}]}
    assert list(calls(graph_of(tmp_path, front({"name": "c"}, pod=lasting), STOCK))) == ["web->stock"]


@pytest.mark.parametrize("part", ["a", "a.", "a:1", "a://", "a@", "://", ".svc", "a-", "$(A)", "http://a:1,"])
def test_work_on_a_text_is_bounded(part: str) -> None:
    text = (part * LONGEST)[:LONGEST]
    assert function_calls(lambda: [*addresses(Setting("HOST", text), {})]) < 4 * LONGEST


def test_variables_that_name_each_other_do_not_grow(tmp_path: Path) -> None:
    values = {"A0": "x" * 1000} | {f"A{number + 1}": f"$(A{number})" * 50 for number in range(40)}
    assert calls(graph_of(tmp_path, front(env(**values)), workload("other"))) == {}
