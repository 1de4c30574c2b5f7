"""Where Istio injects sidecars, what they capture, and what they take a port for."""

from pathlib import Path
from typing import Any

import pytest

from predictor.graph.plan import sidecar_modes
from predictor.graph.types import Sidecar
from predictor.importers.manifests.reading import read_manifests
from tests.predictor.importers.field import FIELD, calls, remarks
from tests.predictor.importers.manifests.objects import app, env, front, graph_of, named, service, workload

WEB = front(env(A="http://stock:7000"), namespace="shop")
GRPC: dict[str, Any] = {"name": "grpc", "port": 7000, "targetPort": "api"}
NONE, HTTP, WAYPOINT = Sidecar("none", "none"), Sidecar("http", "http"), Sidecar("none", "waypoint")
PORTS = "traffic.sidecar.istio.io/"


def test_excluded_ports_and_namespaces_pass_no_sidecar() -> None:
    graph = read_manifests([FIELD / "k8s-ports-and-namespaces-without-sidecar.yaml"])
    modes = sidecar_modes(graph)
    assert graph.service("sql").sidecar == NONE
    assert modes["web->cache"] == ("none", "none")
    assert modes["web->sql"] == ("tcp", "none")


def test_a_url_says_what_is_detected_on_a_port_without_a_name() -> None:
    graph = read_manifests([FIELD / "k8s-unnamed-http-port.yaml"])
    assert calls(graph) == {"shop->stock": "http1"}
    assert "http1, as http:// says" in remarks(graph, "calls.shop->stock.protocol")


@pytest.mark.parametrize(
    ("port", "address", "protocol", "listed"),
    [
        ({"port": 7000}, "grpc://stock:7000", "grpc", True),
        ({"port": 7000}, "redis://stock:7000", "tcp", True),
        ({"port": 7000}, "stock:7000", "tcp", True),
        ({"port": 7000, "name": "web"}, "http://stock:7000", "http1", True),
        ({"port": 7000, "name": "tcp-x"}, "http://stock:7000", "tcp", False),
        ({"port": 7000, "name": "http-x"}, "redis://stock:7000", "http1", False),
        ({"port": 7000, "appProtocol": "kubernetes.io/h2c"}, "stock:7000", "http2", False),
        ({"port": 7000, "name": "https"}, "https://stock:7000", "tcp", False),
        ({"port": 3306}, "http://stock:3306", "tcp", False),
    ],
)
def test_a_port_is_what_it_declares_else_what_is_detected(
    tmp_path: Path, port: dict[str, Any], address: str, protocol: str, listed: bool
) -> None:
    graph = graph_of(tmp_path, front(env(A=address)), service("stock", port))
    assert calls(graph) == {"web->stock": protocol}
    assert bool(remarks(graph, "calls.web->stock.protocol")) == listed


@pytest.mark.parametrize(
    ("namespace", "labels", "annotations", "expected"),
    [
        ({}, {}, {}, HTTP),
        ({"istio-injection": "enabled"}, {}, {}, HTTP),
        ({"istio-injection": "disabled"}, {}, {}, NONE),
        ({"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, {}, NONE),
        ({"istio.io/rev": "1-22"}, {}, {}, HTTP),
        ({"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, {}, NONE),
        ({}, {}, {"sidecar.istio.io/inject": "false"}, NONE),
        ({}, {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}, HTTP),
        ({"istio.io/dataplane-mode": "ambient"}, {}, {}, NONE),
    ],
)
def test_namespace_and_pod_say_where_sidecars_are_injected(
    tmp_path: Path, namespace: Any, labels: Any, annotations: Any, expected: Sidecar
) -> None:
    stock = app("stock", port=GRPC, namespace="shop", labels=labels, annotations=annotations)
    graph = graph_of(tmp_path, WEB, stock, named("Namespace", "shop", labels=namespace))
    assert graph.service("stock").sidecar == expected


AMBIENT = {"istio.io/dataplane-mode": "ambient"}
BEHIND = {"istio.io/use-waypoint": "shop-waypoint"}


@pytest.mark.parametrize(
    ("namespace", "service", "pod", "expected"),
    [
        (AMBIENT | BEHIND, {}, {}, WAYPOINT),
        (AMBIENT, BEHIND, {}, WAYPOINT),
        (AMBIENT | BEHIND, {"istio.io/use-waypoint": "none"}, {}, NONE),
        (AMBIENT, {}, {}, NONE),
        ({"istio-injection": "disabled"} | BEHIND, {}, {}, NONE),
        (BEHIND | {"istio-injection": "disabled"}, {}, AMBIENT, WAYPOINT),
        (AMBIENT | BEHIND, {}, {"istio.io/dataplane-mode": "none"}, NONE),
        (AMBIENT | BEHIND, {}, {"sidecar.istio.io/inject": "true"}, HTTP),
    ],
)
def test_services_in_ambient_mode_are_behind_the_waypoint_that_a_label_names(
    tmp_path: Path, namespace: Any, service: Any, pod: Any, expected: Sidecar
) -> None:
    stock = app("stock", port=GRPC, namespace="shop", labels=pod)
    for item in stock:
        if item["kind"] == "Service":
            item["metadata"]["labels"] = service
    graph = graph_of(tmp_path, WEB, stock, named("Namespace", "shop", labels=namespace))
    assert graph.service("stock").sidecar == expected
    assert {call.tls for call in graph.calls} <= {"none"}


def test_a_namespace_that_does_not_ask_has_none_where_another_asks(tmp_path: Path) -> None:
    asking = named("Namespace", "shop", labels={"istio-injection": "enabled"})
    web = front(env(A="stock.data:7000"), namespace="shop")
    graph = graph_of(tmp_path, web, app("stock", port=GRPC, namespace="data"), asking, named("Namespace", "data"))
    assert (graph.service("web").sidecar, graph.service("stock").sidecar) == (HTTP, NONE)
    assert "namespace data does not ask for sidecars" in remarks(graph, "services.*.sidecar")


def test_pods_on_the_hosts_network_have_none(tmp_path: Path) -> None:
    stock = app("stock", port=GRPC, namespace="shop", pod={"hostNetwork": True})
    assert graph_of(tmp_path, WEB, stock).service("stock").sidecar == NONE


def test_a_pod_of_a_cluster_has_one_if_the_proxy_is_in_it(tmp_path: Path) -> None:
    def pod(name: str, *containers: dict[str, Any]) -> dict[str, Any]:
        body = named("Pod", name, "shop", labels={"app": name})
        return body | {"spec": {"containers": list(containers)}, "status": {"phase": "Running"}}

    with_proxy = pod("web", env(A="stock:7000"), {"name": "istio-proxy"})
    graph = graph_of(
        tmp_path, with_proxy, pod("stock", {"name": "c"}),
        service("web", namespace="shop", type="NodePort"), service("stock", GRPC, namespace="shop"),
    )  # fmt: skip
    assert (graph.service("web").sidecar, graph.service("stock").sidecar) == (HTTP, NONE)


@pytest.mark.parametrize(
    ("of_web", "of_stock", "expected"),
    [
        ({"excludeOutboundPorts": "7000, 9"}, {}, ("none", "http")),
        ({"excludeOutboundPorts": "700"}, {}, ("http", "http")),
        ({"includeOutboundIPRanges": ""}, {}, ("none", "http")),
        ({"includeOutboundIPRanges": "", "includeOutboundPorts": "7000"}, {}, ("http", "http")),
        ({"excludeOutboundIPRanges": "0.0.0.0/0"}, {}, ("none", "http")),
        ({}, {"excludeInboundPorts": "8080"}, ("http", "none")),
        ({}, {"excludeInboundPorts": "7000"}, ("http", "http")),
        ({}, {"includeInboundPorts": "9000"}, ("http", "none")),
        ({}, {"includeInboundPorts": "8080"}, ("http", "http")),
        ({}, {"includeInboundPorts": ""}, ("http", "none")),
        ({}, {"includeInboundPorts": "*", "excludeInboundPorts": "8080"}, ("http", "none")),
    ],
)
def test_annotations_take_ports_from_the_sidecars(
    tmp_path: Path, of_web: dict[str, str], of_stock: dict[str, str], expected: tuple[str, str]
) -> None:
    container = {"name": "c", "ports": [{"name": "api", "containerPort": 8080}]}
    web = front(env(A="stock:7000"), annotations={PORTS + key: value for key, value in of_web.items()})
    stock = app("stock", container, port=GRPC, annotations={PORTS + key: value for key, value in of_stock.items()})
    assert sidecar_modes(graph_of(tmp_path, web, stock))["web->stock"] == expected


def test_ranges_of_addresses_that_cannot_be_resolved_are_listed(tmp_path: Path) -> None:
    web = front(env(A="stock:7000"), annotations={PORTS + "excludeOutboundIPRanges": "10.1.0.0/16"})
    assert "which Services are in them is not known" in remarks(graph_of(tmp_path, web), "services.web.sidecar")


def test_a_service_without_a_selector_has_no_sidecar(tmp_path: Path) -> None:
    stock = named("Service", "stock") | {"spec": {"ports": [GRPC]}}
    graph = graph_of(tmp_path, front(env(A="stock:7000")), stock)
    assert graph.service("stock").sidecar == NONE
    assert "no selector" in remarks(graph, "services.stock.sidecar")


def test_workloads_with_and_without_behind_one_service_are_listed(tmp_path: Path) -> None:
    without = workload("v2", labels={"app": "stock", "sidecar.istio.io/inject": "false"})
    graph = graph_of(tmp_path, front(env(A="stock:7000")), app("stock", port=GRPC), without)
    assert graph.service("stock").replicas == 2
    assert "some of its workloads have none" in remarks(graph, "services.stock.sidecar")
