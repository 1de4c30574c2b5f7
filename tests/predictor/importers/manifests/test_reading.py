"""Kubernetes manifests: protocols by port, replicas, injection, calls from settings."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from predictor.graph.types import CallGraph, Sidecar
from predictor.importers.manifests.reading import port_protocol, read_manifests
from profiler.errors import UsageError

SHOP = """apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  type: LoadBalancer
  selector: {app: front}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{name: grpc, port: 7070}, {port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: redis-cart}
spec: {selector: {app: redis}, ports: [{port: 6379}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: front, version: v1}}
    spec: {containers: [{name: x, env: [{name: CART_ADDR, value: "cart:7070"}, {name: SELF, value: front}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: x, args: ["--redis=redis-cart.shop.svc.cluster.local:6379"]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: redis}
spec:
  template:
    metadata: {labels: {app: redis}, annotations: {sidecar.istio.io/inject: "false"}}
"""


def graph_of(directory: Path, text: str, name: str = "shop.yml") -> CallGraph:
    (directory / name).write_text(text)
    return read_manifests([directory])


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"name": "http-web"}, "http1"),
        ({"name": "http2"}, "http2"),
        ({"name": "grpc-web"}, "grpc"),
        ({"name": "GRPC-api"}, "grpc"),
        ({"name": "web", "appProtocol": "kubernetes.io/h2c"}, "http2"),
        ({"name": "http", "appProtocol": "mysql"}, "tcp"),
        ({"name": "https"}, "tcp"),
        ({"name": "web"}, "tcp"),
        ({"name": "httpweb"}, "tcp"),
        ({}, "tcp"),
        ({"name": None}, "tcp"),
    ],
)
def test_ports_are_what_istio_takes_them_for(port: dict[str, Any], protocol: str) -> None:
    assert port_protocol(port) == protocol


def test_calls_come_from_settings_with_the_protocol_of_their_port(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SHOP)
    assert [(call.id, call.protocol) for call in graph.calls] == [("front->cart", "grpc"), ("cart->redis-cart", "tcp")]
    assert [entry.service for entry in graph.ingress] == ["front"]


def test_replicas_and_sidecars_come_from_workloads(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SHOP, "shop.yaml")
    assert graph.service("front").replicas == 3
    assert graph.service("redis-cart").sidecar == Sidecar("none", "none")


def test_lists_are_unfolded(tmp_path: Path) -> None:
    import yaml

    items = list(yaml.safe_load_all(SHOP))
    graph = graph_of(tmp_path, json.dumps({"kind": "List", "items": items}), "list.json")
    assert len(graph.services) == 3


def test_what_nobody_calls_is_left_out_and_said(tmp_path: Path) -> None:
    more = "---\nkind: Service\nmetadata: {name: lonely}\nspec: {ports: [{port: 1}]}\n"
    graph = graph_of(tmp_path, SHOP + more)
    assert "lonely" not in {service.name for service in graph.services}
    assert any(item.path == "services.lonely" for item in graph.assumed)


@pytest.mark.parametrize("text", ["", "a: [", "3", "kind: Pod\n", "- 1\n- 2\n", "\x00", "a: *b", "{{ .Values.x }}"])
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        graph_of(tmp_path, text)
    assert "\n" not in str(caught.value)


KEYS = ["kind", "metadata", "name", "spec", "ports", "port", "selector", "template", "containers", "env", "value",
        "replicas", "labels", "annotations", "items", "args", "appProtocol"]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(st.recursive(
    st.none() | st.integers() | st.sampled_from(["Service", "Deployment", "a", "http"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
))  # fmt: skip
def test_any_document_is_read_or_refused(tmp_path: Path, document: Any) -> None:
    service = {"kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}], "selector": {"a": 1}}}
    for each in (document, [service, document], {"items": [service, {"kind": "Deployment", "spec": document}]}):
        with contextlib.suppress(UsageError):
            graph_of(tmp_path, json.dumps(each))
