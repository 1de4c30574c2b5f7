"""Manifest files: documents, lists, JSON, templates; whatever they hold, what is written can be read back."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from predictor.graph.reader import parse_graph
from predictor.graph.writer import graph_text
from predictor.importers.manifests.reading import read_manifests
from profiler.errors import UsageError
from tests.predictor.importers.field import FIELD, HOSTILE, names, remarks
from tests.predictor.importers.manifests.objects import app, env, front, graph_of, named, service

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"


def refusal(directory: Path, text: str) -> str:
    (directory / "m.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_manifests([directory / "m.yaml"])
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_helm_template_is_named_with_the_command_that_renders_it() -> None:
    with pytest.raises(UsageError, match=r"helm-template.yaml:4: this is a Helm template; run `helm template`"):
        read_manifests([FIELD / "k8s-helm-template.yaml"])


@pytest.mark.parametrize(
    "text",
    [
        "{{- if .Values.on }}\n" + SERVICE + "{{- end }}\n",
        SERVICE.replace("web", '"{{ .Release.Name }}-web"'),
        SERVICE.replace("{name: web}", '\n  {{- include "x.labels" . | nindent 2 }}'),
    ],
)
def test_templates_are_named_however_they_break(tmp_path: Path, text: str) -> None:
    assert "this is a Helm template" in refusal(tmp_path, text)


def test_templates_inside_a_config_map_are_its_own(tmp_path: Path) -> None:
    conf = named("ConfigMap", "alerts") | {"data": {"a.tmpl": "{{ range .Alerts }}{{ .Values }}{{ end }}"}}
    assert names(graph_of(tmp_path, front(), conf)) == ["web"]


@pytest.mark.parametrize("file", ["manifest-alias-bomb-selector.yaml", "manifest-alias-bomb-ingress.yaml"])
def test_alias_bombs_are_refused_at_once(file: str) -> None:
    with pytest.raises(UsageError, match="alias"):
        read_manifests([HOSTILE / file])


@pytest.mark.parametrize("name", ["a->b", "${NAME}", "a b", "x\x1b[31m", "-a", "a" * 300])
def test_what_is_no_name_of_kubernetes_is_refused(tmp_path: Path, name: str) -> None:
    assert "no name of Kubernetes" in refusal(tmp_path, json.dumps(service(name)))


def test_documents_of_other_kinds_are_counted(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(SERVICE + "---\nservices: {web: {image: x}}\n---\n---\nreplicas: 3\n")
    assert "2 documents without kind and name" in remarks(read_manifests([tmp_path]), "services.*")


def test_of_two_objects_of_one_name_the_later_counts_and_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE)
    (tmp_path / "b.yaml").write_text(SERVICE)
    graph = read_manifests([tmp_path])
    assert names(graph) == ["web"]
    assert "the later one counts" in remarks(graph, "services.web")


def test_a_service_may_be_called_ingress(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, front(env(A="http://ingress")), app("ingress"))
    assert [call.id for call in graph.calls] == ["web->ingress-service"]


def test_eighty_services_that_call_each_other_are_cut_in_one_pass(tmp_path: Path) -> None:
    everyone = {f"A{number}": f"http://s{number}" for number in range(80)}
    graph = graph_of(tmp_path, *(app(f"s{number}", env(**everyone)) for number in range(80)))
    assert len(graph.calls) == 80 * 79 / 2
    assert sum("closes the cycle" in item.why for item in graph.assumed) == 80 * 79 / 2


NAMES = st.sampled_from(["a", "b", "web", "istiod", "ingress", "a.b", "x-0"])
NAMESPACES = st.sampled_from(["", "default", "shop", "istio-system", "kube-system"])
TEXTS = st.sampled_from(
    ["http://a", "b:80", "a.shop.svc:1", "web", "x-0.a:80", "true", "http://api.pay.example", "$(A)", "\x1b[2J", "a->b"]
)
VALUES: Any = st.recursive(
    TEXTS | st.none() | st.integers(-1, 10**12) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
PORT = st.fixed_dictionaries(
    {"port": st.integers(0, 70000)},
    optional={"name": st.sampled_from(["http", "grpc-x", "udp", ""]), "appProtocol": VALUES, "targetPort": VALUES},
)
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["LoadBalancer", "NodePort", "ExternalName", "ClusterIP"]),
        "ports": st.lists(PORT, max_size=3) | VALUES,
        "selector": st.dictionaries(st.just("app"), NAMES, max_size=1) | VALUES,
        "replicas": VALUES,
        "template": st.fixed_dictionaries(
            {
                "metadata": st.fixed_dictionaries({"labels": st.dictionaries(st.just("app"), NAMES)}),
                "spec": st.fixed_dictionaries(
                    {"containers": st.lists(st.fixed_dictionaries({"env": st.lists(st.fixed_dictionaries(
                        {"name": st.sampled_from(["A", "DB_HOST"]), "value": TEXTS}), max_size=3)}), max_size=2)}
                ),
            }
        ) | VALUES,
        "gateways": st.lists(NAMES, max_size=2),
        "hosts": st.lists(NAMES, max_size=2),
        "http": st.lists(st.fixed_dictionaries({"route": st.lists(st.fixed_dictionaries(
            {"destination": st.fixed_dictionaries({"host": NAMES})}, optional={"weight": VALUES}), max_size=2)})),
        "rules": VALUES,
        "mtls": VALUES,
        "trafficPolicy": VALUES,
        "host": NAMES,
    },
)  # fmt: skip
OBJECT = st.builds(
    lambda kind, name, namespace, spec, labels: named(kind, name, namespace, labels=labels) | {"spec": spec},
    st.sampled_from(
        ["Service", "Service", "Deployment", "Deployment", "VirtualService", "Gateway", "Ingress", "HTTPRoute", "Pod",
         "PeerAuthentication", "DestinationRule", "Namespace", "ServiceEntry", "StatefulSet", "CronJob"]
    ),
    NAMES, NAMESPACES, SPEC, VALUES,
)  # fmt: skip


APPS = st.lists(
    st.builds(
        lambda name, text, namespace, kind: [
            {**item, "spec": {**item["spec"], "type": kind}} if item["kind"] == "Service" else item
            for item in app(name, env(A=text), namespace=namespace)
        ],
        st.sampled_from(["a", "b", "web"]), st.sampled_from(["http://a", "b:80", "http://web", "a.shop:80"]),
        st.sampled_from(["", "", "shop"]), st.sampled_from(["LoadBalancer", "ClusterIP"]),
    ),
    max_size=5,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(APPS, st.lists(OBJECT, min_size=1, max_size=8), st.floats(0, 1e11))
def test_whatever_is_imported_can_be_read_back(
    tmp_path: Path, apps: list[list[dict[str, Any]]], items: list[dict[str, Any]], rate_rps: float
) -> None:
    with contextlib.suppress(UsageError):
        graph = graph_of(tmp_path, *apps, items, rate_rps=rate_rps)
        again = parse_graph(graph_text(graph), "again.yaml")
        assert {call.id for call in again.calls} == {call.id for call in graph.calls}
        assert again.assumed[: len(graph.assumed)] == graph.assumed
