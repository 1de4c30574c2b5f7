"""What runs pods is counted once; what serves the mesh or the cluster is not the application."""

from pathlib import Path
from typing import Any

import pytest

from predictor.importers.manifests.reading import read_manifests
from tests.predictor.importers.field import FIELD, entries, names, remarks
from tests.predictor.importers.manifests.objects import app, env, front, graph_of, named, service, workload


def owned(body: dict[str, Any], kind: str, owner: str) -> dict[str, Any]:
    body["metadata"]["ownerReferences"] = [{"kind": kind, "name": owner, "controller": True}]
    return body


def pod(name: str, owner: str, phase: str = "Running") -> dict[str, Any]:
    body = named("Pod", name, labels={"app": "stock"}) | {"spec": {"containers": [{"name": "istio-proxy"}]}}
    return owned(body | {"status": {"phase": phase}}, "ReplicaSet", owner)


WEB = front(env(A="http://stock"))


def test_two_services_of_one_deployment_share_its_pods() -> None:
    graph = read_manifests([FIELD / "k8s-two-services-one-deployment.yaml"])
    assert {service.name: service.deployment for service in graph.services} == {
        "shop": "shop", "shop-public": "shop", "stock": "stock",
    }  # fmt: skip
    assert {service.replicas for service in graph.services if service.deployment == "shop"} == {3}


def test_a_shared_workload_is_not_taken_for_another_service_of_its_name(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path, front(env(A="http://a", B="http://b", C="http://pods")),
        service("a", app="pods"), service("b", app="pods"), workload("pods"), app("other"),
        service("pods", app="other"),
    )  # fmt: skip
    deployments = {service.name: service.deployment for service in graph.services}
    assert deployments["a"] == deployments["b"] != deployments["pods"]


def test_services_of_one_workload_have_one_kind_of_sidecar(tmp_path: Path) -> None:
    one, other = service("a", app="pods"), service("b", {"name": "tcp", "port": 1}, app="pods")
    graph = graph_of(tmp_path, front(env(A="http://a", B="b:1")), one, other, workload("pods"))
    assert graph.service("a").sidecar == graph.service("b").sidecar


def test_services_that_share_some_pods_are_listed(tmp_path: Path) -> None:
    every = service("stock") | {"spec": {"selector": {"tier": "x"}, "ports": [{"port": 80}]}}
    one = service("stock-v1", app="v1")
    pods = [workload("v1", labels={"tier": "x"}), workload("v2", labels={"tier": "x"})]
    graph = graph_of(tmp_path, front(env(A="http://stock", B="http://stock-v1")), every, one, pods)
    assert "together with another Service" in remarks(graph, "services.stock.replicas")


def test_what_a_cluster_shows_of_one_deployment_counts_once(tmp_path: Path) -> None:
    deployment = workload("stock", replicas=2)
    current = owned(workload("stock-5d", kind="ReplicaSet", replicas=2, labels={"app": "stock"}), "Deployment", "stock")
    earlier = owned(workload("stock-4c", kind="ReplicaSet", replicas=0, labels={"app": "stock"}), "Deployment", "stock")
    pods = [pod("stock-5d-x", "stock-5d"), pod("stock-5d-y", "stock-5d")]
    graph = graph_of(tmp_path, WEB, service("stock"), deployment, current, earlier, pods)
    assert graph.service("stock").replicas == 2


def test_pods_alone_are_counted_and_finished_ones_are_not(tmp_path: Path) -> None:
    pods = [pod("stock-5d-x", "stock-5d"), pod("stock-5d-y", "stock-5d"), pod("stock-5d-z", "stock-5d", "Succeeded")]
    graph = graph_of(tmp_path, WEB, service("stock"), pods)
    assert graph.service("stock").replicas == 2


@pytest.mark.parametrize(
    ("kind", "spec", "replicas", "listed"),
    [
        ("Deployment", {"replicas": 5}, 5, ""),
        ("Deployment", {}, 1, ""),
        ("Deployment", {"replicas": 0}, 1, "scaled to 0"),
        ("Deployment", {"replicas": "many"}, 1, "no whole number"),
        ("DaemonSet", {}, 1, "one per node"),
        ("Rollout", {"replicas": 4}, 4, ""),
    ],
)
def test_replicas_are_those_of_the_manifest(
    tmp_path: Path, kind: str, spec: dict[str, Any], replicas: int, listed: str
) -> None:
    graph = graph_of(tmp_path, WEB, service("stock"), workload("stock", kind=kind, **spec))
    assert graph.service("stock").replicas == replicas
    assert listed in remarks(graph, "services.stock.replicas")


def test_an_autoscaled_deployment_has_its_least_number(tmp_path: Path) -> None:
    scaler = named("HorizontalPodAutoscaler", "s", api="autoscaling/v2") | {
        "spec": {"minReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "stock"}}
    }
    graph = graph_of(tmp_path, WEB, app("stock"), scaler)
    assert graph.service("stock").replicas == 3
    assert "autoscaled" in remarks(graph, "services.stock.replicas")


def test_a_selector_finds_pods_of_its_own_namespace_only(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path, front(env(A="http://stock"), namespace="shop"), app("stock", namespace="shop"),
        workload("stock", namespace="other", replicas=9),
    )  # fmt: skip
    assert graph.service("stock").replicas == 1


def test_the_meshs_own_is_not_the_application(tmp_path: Path) -> None:
    own = app("istiod", env(A="http://web.default"), namespace="istio-system", labels={"istio": "pilot"})
    agent = workload("ztunnel", namespace="istio-system", kind="DaemonSet")
    board = app("kiali", namespace="istio-system", port={"name": "http", "port": 20001})
    board[0]["spec"]["type"] = "LoadBalancer"
    graph = graph_of(tmp_path, front(), own, agent, board)
    assert (names(graph), entries(graph)) == (["web"], {"web": 1.0})
    assert "the mesh's" in remarks(graph, "services.istiod")
    assert "serve the mesh" in remarks(graph, "services.*")
    assert remarks(graph, "services.kiali") == "left out: no request reaches it"


def test_a_service_of_another_kind_and_jobs_are_listed(tmp_path: Path) -> None:
    other = named("Service", "fn", api="serving.knative.dev/v1") | {"spec": {"template": {}}}
    graph = graph_of(tmp_path, front(), other, named("CronJob", "report", api="batch/v1"))
    assert "serving.knative.dev" in remarks(graph, "services.fn")
    assert "runs to its end" in remarks(graph, "services.report")
