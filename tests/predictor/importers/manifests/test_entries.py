"""Where requests come in: open Services, routes, gateways, weights; and what is none."""

from pathlib import Path
from typing import Any

import pytest

from predictor.graph.types import CallGraph, Sidecar
from predictor.importers.manifests.reading import read_manifests
from tests.predictor.importers.field import FIELD, entries, names, per_request, remarks
from tests.predictor.importers.manifests.objects import (
    app,
    env,
    front,
    graph_of,
    istio,
    named,
    policy,
    service,
    workload,
)

NONE = Sidecar("none", "none")
GATEWAY = [
    service("istio-ingressgateway", namespace="istio-system", app="istio-ingressgateway", type="LoadBalancer"),
    workload("istio-ingressgateway", namespace="istio-system", labels={"istio": "ingressgateway"}),
    istio("Gateway", "edge", "shop", selector={"istio": "ingressgateway"}),
]
SHOP = [*app("web", env(A="stock:7000"), namespace="shop"), *app("stock", namespace="shop")]


def route(*destinations: tuple[str, int | None], gateways: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """A VirtualService with one rule."""
    rule = [
        {"destination": {"host": host}} | ({} if weight is None else {"weight": weight})
        for host, weight in destinations
    ]
    used = ["edge"] if gateways is None else gateways
    return istio("VirtualService", "r", "shop", hosts=["shop.example"], gateways=used, http=[{"route": rule, **more}])


def ingress(*services: str, **spec: Any) -> dict[str, Any]:
    paths = [{"path": "/", "backend": {"service": {"name": name, "port": {"number": 80}}}} for name in services]
    return named("Ingress", "i", "shop", "networking.k8s.io/v1") | {
        "spec": {"rules": [{"http": {"paths": paths}}], **spec}
    }


def test_a_virtual_service_of_the_mesh_is_no_entry() -> None:
    assert entries(read_manifests([FIELD / "k8s-mesh-gateway-virtualservice.yaml"])) == {"web": 1.0}


def test_requests_through_a_gateway_enter_there_once(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, GATEWAY, SHOP, route(("web", None)), rate_rps=50.0)
    assert entries(graph) == {"istio-ingressgateway": 50.0}
    assert per_request(graph) == {"istio-ingressgateway->web": 1.0, "web->stock": 1.0}
    assert graph.service("istio-ingressgateway").sidecar == NONE
    assert "a gateway" in remarks(graph, "services.istio-ingressgateway.sidecar")


def test_routes_share_what_their_gateway_gets(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, GATEWAY, SHOP, route(("web", 90), ("stock", 10)))
    assert per_request(graph)["istio-ingressgateway->web"] == 0.9
    assert per_request(graph)["istio-ingressgateway->stock"] == 0.1


def test_a_route_without_its_gateway_in_the_files_enters_behind_it(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SHOP, route(("web.shop.svc.cluster.local", None)), rate_rps=10.0)
    assert entries(graph) == {"web": 10.0}


def test_subsets_of_one_service_are_one_backend(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SHOP, route(("web", 80), ("web", 20)))
    assert entries(graph) == {"web": 1.0}


@pytest.mark.parametrize(
    ("gateways", "entered"),
    [(["mesh"], False), ([], False), (["mesh", "edge"], True), (["shop/edge"], True), (["./edge"], True)],
)
def test_only_gateways_of_the_edge_let_requests_in(tmp_path: Path, gateways: list[str], entered: bool) -> None:
    graph = graph_of(tmp_path, GATEWAY, SHOP, route(("stock", None), gateways=gateways))
    assert ("istio-ingressgateway" in names(graph)) == entered


def test_what_routes_do_within_the_mesh_is_listed(tmp_path: Path) -> None:
    inner = istio(
        "VirtualService", "split", "shop", hosts=["stock"],
        http=[{
            "retries": {"attempts": 3},
            "route": [{"destination": {"host": "stock"}}, {"destination": {"host": "web"}}],
        }],
    )  # fmt: skip
    graph = graph_of(tmp_path, SHOP, inner)
    assert "leads calls of stock to web" in remarks(graph, "calls.*->stock")
    assert "attempts 3" in remarks(graph, "calls.*->stock.retry_rate")


def test_a_delegate_is_followed(tmp_path: Path) -> None:
    top = istio("VirtualService", "top", "shop", gateways=["edge"], http=[{"delegate": {"name": "below"}}])
    below = istio("VirtualService", "below", "shop", http=[{"route": [{"destination": {"host": "stock"}}]}])
    assert list(entries(graph_of(tmp_path, SHOP, top, below))) == ["stock"]


def test_a_route_of_the_gateway_api_goes_through_the_gateway_deployed_for_it(tmp_path: Path) -> None:
    labels = {"gateway.networking.k8s.io/gateway-name": "edge"}
    deployed = service("edge-istio", namespace="shop", type="LoadBalancer")
    deployed["metadata"]["labels"] = labels
    http = istio(
        "HTTPRoute", "r", "shop", "gateway.networking.k8s.io/v1",
        parentRefs=[{"name": "edge"}], rules=[{"backendRefs": [{"name": "web", "port": 80}]}],
    )  # fmt: skip
    graph = graph_of(tmp_path, deployed, workload("edge-istio", namespace="shop", labels=labels), SHOP, http)
    assert (list(entries(graph)), graph.service("edge-istio").sidecar) == (["edge-istio"], NONE)


def test_a_route_within_the_mesh_is_no_entry(tmp_path: Path) -> None:
    inner = istio(
        "HTTPRoute", "r", "shop", "gateway.networking.k8s.io/v1",
        parentRefs=[{"kind": "Service", "name": "stock"}], rules=[{"backendRefs": [{"name": "stock"}]}],
    )  # fmt: skip
    assert list(entries(graph_of(tmp_path, SHOP, inner))) == ["web"]


def test_backends_of_an_ingress_share_the_rate_and_speak_http(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path,
        app("web", namespace="shop", port={"port": 1}),
        app("api", namespace="shop"),
        ingress("web", "api", "web"),
    )
    assert entries(graph) == {"web": 0.5, "api": 0.5}
    assert {entry.protocol for entry in graph.ingress} == {"http1"}


def test_an_ingress_goes_through_its_controller_where_the_files_have_it(tmp_path: Path) -> None:
    controller = service("ingress-nginx", namespace="nginx", type="LoadBalancer")
    graph = graph_of(tmp_path, controller, workload("ingress-nginx", namespace="nginx"), SHOP, ingress("web"))
    assert entries(graph) == {"ingress-nginx": 1.0}
    assert per_request(graph)["ingress-nginx->web"] == 1.0


def test_a_backend_that_is_not_in_the_files_is_listed(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SHOP, ingress("web", "lost"))
    assert "which is no Service in the files" in remarks(graph, "ingress.lost")


def test_behind_a_gateway_calls_are_encrypted_as_policies_say(tmp_path: Path) -> None:
    strict = policy("default", "istio-system", "STRICT")
    tls = {call.id: call.tls for call in graph_of(tmp_path, GATEWAY, SHOP, route(("web", None)), strict).calls}
    assert tls == {"istio-ingressgateway->web": "mtls", "web->stock": "mtls"}
    assert graph_of(tmp_path, front(), strict).ingress[0].tls == "none"


def test_an_excluded_port_of_an_entry_passes_no_sidecar(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, front(annotations={"traffic.sidecar.istio.io/excludeInboundPorts": "80"}))
    assert graph.service("web").sidecar.server == "none"


def workers() -> CallGraph:
    return read_manifests([FIELD / "k8s-worker-without-service.yaml"], 100.0)


def test_a_worker_that_no_service_selects_is_a_service_without_server_side() -> None:
    graph = workers()
    assert (graph.service("mailer").replicas, graph.service("mailer").sidecar) == (4, Sidecar("http", "none"))
    assert {"mailer->queue", "mailer->billing"} <= set(per_request(graph))


def test_a_worker_takes_nothing_of_the_rate_and_its_own_is_listed_as_unknown() -> None:
    assert entries(workers()) == {"web": 100.0, "mailer": 0.0}
    assert "how often it works is not known" in remarks(workers(), "ingress.mailer.rate_rps")


def test_a_worker_without_known_calls_is_listed(tmp_path: Path) -> None:
    assert "left out" in remarks(graph_of(tmp_path, front(), workload("idle")), "services.idle")


def test_without_any_entry_those_that_nobody_calls_are_entered(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SHOP, app("other", env(A="stock:80"), namespace="shop"))
    assert list(entries(graph)) == ["web", "other"]
    assert "no Ingress or route" in remarks(graph, "ingress")
