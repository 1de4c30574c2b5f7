"""PeerAuthentication and DestinationRule: port before workload before namespace before mesh."""

from pathlib import Path
from typing import Any

import pytest

from predictor.importers.manifests.reading import read_manifests
from tests.predictor.importers.field import FIELD, remarks
from tests.predictor.importers.manifests.objects import env, front, graph_of, istio, policy, service, workload

PORTS: list[dict[str, Any]] = [{"name": "grpc", "port": 7000}, {"name": "http-stats", "port": 91, "targetPort": 9100}]
STOCK = [service("stock", *PORTS, namespace="shop"), workload("stock", namespace="shop")]

PLAIN = istio("DestinationRule", "stock", "shop", host="stock", trafficPolicy={"tls": {"mode": "DISABLE"}})


def tls_of(directory: Path, *policies: dict[str, Any], **web: Any) -> tuple[str, str]:
    """TLS of the calls to both ports."""
    caller = front(env(A="stock:7000", B="stock:91"), namespace="shop", **web)
    main, stats = graph_of(directory, caller, STOCK, *policies).calls
    return main.tls, stats.tls


def test_strict_for_the_mesh_encrypts() -> None:
    graph = read_manifests([FIELD / "k8s-peerauthentication-strict.yaml"])
    assert {call.id: call.tls for call in graph.calls} == {"shop->stock": "mtls"}
    assert not remarks(graph, "calls.*.tls")


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([policy("default", "istio-system", "STRICT")], ("mtls", "mtls")),
        ([policy("default", "istio-system", "DISABLE")], ("none", "none")),
        ([policy("default", "istio-system", "DISABLE"), policy("default", "shop", "STRICT")], ("mtls", "mtls")),
        ([policy("default", "shop", "STRICT"), policy("p", "shop", "DISABLE", "stock")], ("none", "none")),
        ([policy("default", "shop", "DISABLE"), policy("p", "shop", "UNSET", "stock")], ("none", "none")),
        (
            [policy("default", "shop", "STRICT"), policy("p", "shop", "UNSET", "stock", p9100="DISABLE")],
            ("mtls", "none"),
        ),
        ([policy("p", "shop", "DISABLE", "stock", p7000="STRICT")], ("mtls", "none")),
        ([policy("p", "shop", "STRICT", "stock", p91="DISABLE")], ("mtls", "mtls")),
        ([policy("p", "shop", "STRICT", "stock", p9100="UNSET")], ("mtls", "mtls")),
        ([policy("default", "other", "DISABLE")], ("mtls", "mtls")),
        ([policy("default", "other", "DISABLE"), policy("p", "shop", "DISABLE", "web")], ("mtls", "mtls")),
        (
            [policy("default", "istio-system", "STRICT"), policy("p", "istio-system", "DISABLE", "stock")],
            ("mtls", "mtls"),
        ),
    ],
)
def test_the_nearest_policy_counts(tmp_path: Path, policies: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    assert tls_of(tmp_path, *policies) == expected


@pytest.mark.parametrize(
    ("mode", "inject", "rule", "expected"),
    [
        ("STRICT", "false", [], "STRICT (mesh) refuses a caller without a sidecar; none"),
        ("STRICT", "true", [PLAIN], "STRICT (mesh) refuses a caller whose DestinationRule says DISABLE; none"),
        ("PERMISSIVE", "false", [], ""),
        ("DISABLE", "false", [], ""),
    ],
)
def test_a_caller_that_strict_refuses_is_listed(
    tmp_path: Path, mode: str, inject: str, rule: list[dict[str, Any]], expected: str
) -> None:
    web = front(env(A="stock:7000"), namespace="shop", labels={"sidecar.istio.io/inject": inject})
    graph = graph_of(tmp_path, web, STOCK, policy("default", "istio-system", mode), *rule)
    assert {call.tls for call in graph.calls} == {"none"}
    assert remarks(graph, "calls.web->stock.tls") == expected


def test_the_older_of_two_policies_counts(tmp_path: Path) -> None:
    new, old = policy("a", "shop", "DISABLE"), policy("b", "shop", "STRICT")
    new["metadata"]["creationTimestamp"] = "2024-02-01T00:00:00Z"
    old["metadata"]["creationTimestamp"] = "2023-02-01T00:00:00Z"
    assert tls_of(tmp_path, new, old) == ("mtls", "mtls")


def test_who_has_no_sidecar_does_not_encrypt(tmp_path: Path) -> None:
    strict = policy("default", "istio-system", "STRICT")
    assert tls_of(tmp_path, strict, labels={"sidecar.istio.io/inject": "false"}) == ("none", "none")
    excluded = {"traffic.sidecar.istio.io/excludeOutboundPorts": "91"}
    assert tls_of(tmp_path, strict, annotations=excluded) == ("mtls", "none")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"tls": {"mode": "DISABLE"}}, ("none", "none")),
        ({"tls": {"mode": "ISTIO_MUTUAL"}}, ("mtls", "mtls")),
        ({"portLevelSettings": [{"port": {"number": 91}, "tls": {"mode": "DISABLE"}}]}, ("mtls", "none")),
        ({"tls": {"mode": "SIMPLE"}}, ("none", "none")),
    ],
)
def test_the_callers_rule_counts_too(tmp_path: Path, rule: dict[str, Any], expected: tuple[str, str]) -> None:
    destination = istio("DestinationRule", "stock", "shop", host="stock.shop.svc.cluster.local", trafficPolicy=rule)
    assert tls_of(tmp_path, policy("default", "istio-system", "STRICT"), destination) == expected


def test_without_a_policy_none_is_assumed_and_listed(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, front(env(A="stock.shop:7000")), STOCK)
    assert graph.calls[0].tls == "none"
    assert "no PeerAuthentication in the files" in remarks(graph, "calls.*.tls")


def test_permissive_is_listed(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, front(env(A="stock.shop:7000")), STOCK, policy("default", "shop", "PERMISSIVE"))
    assert graph.calls[0].tls == "mtls"
    assert "PERMISSIVE (namespace)" in remarks(graph, "calls.web->stock.tls")
