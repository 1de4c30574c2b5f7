"""Manifests in short form: Services, workloads, and what else a cluster has."""

import json
from pathlib import Path
from typing import Any

from predictor.graph.types import CallGraph
from predictor.importers.manifests.reading import read_manifests

Body = dict[str, Any]


def named(kind: str, name: str, namespace: str = "", api: str = "v1", **metadata: Any) -> Body:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **place, **metadata}}


def service(name: str, *ports: Body, namespace: str = "", app: str = "", **spec: Any) -> Body:
    """A Service for the pods of `app` (its own name unless given)."""
    body = {"selector": {"app": app or name}, "ports": list(ports) or [{"name": "http", "port": 80}], **spec}
    return {**named("Service", name, namespace), "spec": body}


def workload(
    name: str,
    *containers: Body,
    namespace: str = "",
    kind: str = "Deployment",
    labels: Body | None = None,
    annotations: Body | None = None,
    pod: Body | None = None,
    **spec: Any,
) -> Body:
    """A Deployment whose pods have the label `app`, and env, args or more in its containers."""
    template = {
        "metadata": {"labels": {"app": name, **(labels or {})}, "annotations": annotations or {}},
        "spec": {"containers": list(containers) or [{"name": "c"}], **(pod or {})},
    }
    return {**named(kind, name, namespace, "apps/v1"), "spec": {**spec, "template": template}}


def env(**values: str) -> Body:
    """A container with an environment."""
    return {"name": "c", "env": [{"name": key, "value": value} for key, value in values.items()]}


def app(name: str, *containers: Body, namespace: str = "", port: Body | None = None, **more: Any) -> list[Body]:
    """A Service and its Deployment."""
    ports = [port] if port else []
    return [service(name, *ports, namespace=namespace), workload(name, *containers, namespace=namespace, **more)]


def front(*containers: Body, **more: Any) -> list[Body]:
    """The service `web`, open to the outside."""
    return [
        service("web", type="LoadBalancer", namespace=more.get("namespace", "")),
        workload("web", *containers, **more),
    ]


def istio(kind: str, name: str, namespace: str = "", group: str = "networking.istio.io/v1", **spec: Any) -> Body:
    return {**named(kind, name, namespace, group), "spec": spec}


def policy(name: str, namespace: str, mode: str, app: str = "", **ports: str) -> Body:
    """A PeerAuthentication, for the pods of `app` or for all; `ports` as `p9100="DISABLE"`."""
    spec: Body = {"mtls": {"mode": mode}}
    if app:
        spec["selector"] = {"matchLabels": {"app": app}}
    if ports:
        spec["portLevelMtls"] = {port.removeprefix("p"): {"mode": each} for port, each in ports.items()}
    return istio("PeerAuthentication", name, namespace, "security.istio.io/v1", **spec)


def graph_of(directory: Path, *parts: Body | list[Body], rate_rps: float | None = None) -> CallGraph:
    items = [item for part in parts for item in (part if isinstance(part, list) else [part])]
    (directory / "objects.json").write_text(json.dumps({"kind": "List", "items": items}))
    return read_manifests([directory / "objects.json"], rate_rps)
