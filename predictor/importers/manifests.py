"""Kubernetes manifests: services, replicas and what the sidecars make of each port. Several documents, lists, folders.

Istio's rule for a port: `appProtocol`, else the name up to its first dash; what neither names is TCP. Manifests do not
say who calls whom; a value in a container's environment, arguments or command that names a Service is taken as a call.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from predictor.graph.fields import shown
from predictor.graph.types import Assumption, Call, CallGraph, Ingress, Protocol, Service, Sidecar, edge_id
from predictor.importers.flat import flat_graph
from predictor.importers.streams import input_files, read_text
from profiler.errors import UsageError
from profiler.files.yaml_text import parse_documents

ENDINGS: Final = (".yaml", ".yml", ".json")
REMEDY: Final = "give Kubernetes manifests, with Services and Deployments"
WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Pod")
_PORTS: Final[dict[str, Protocol]] = {
    "http": "http1", "http1": "http1", "http2": "http2", "h2c": "http2", "grpc": "grpc", "grpc-web": "grpc",
    "kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http1", "ws": "http1",
}  # fmt: skip
_MOST_OBJECTS: Final = 200_000

Object = dict[str, Any]


@dataclass(slots=True)
class _Found:
    """What the manifests declare: port protocols by Service, and the workload behind each."""

    ports: dict[str, dict[str, Protocol]] = field(default_factory=dict)
    selectors: dict[str, dict[str, str]] = field(default_factory=dict)
    workloads: list[Object] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)


def read_manifests(inputs: Sequence[Path], rate_rps: float | None = None) -> CallGraph:
    """The call graph that manifests let guess. Raises `UsageError`, one line with file and line."""
    found = _Found()
    files = input_files(inputs, ENDINGS)
    for path in files:
        for item in _objects(path):
            _note(found, item)
    if not found.ports:
        raise UsageError(f"{files[0]}: no Service in it; {REMEDY}")
    return _graph(found, str(files[0]), rate_rps)


def port_protocol(port: Object) -> Protocol:
    """What a sidecar takes a Service's port for. Unknown and unnamed ones are TCP, UDP included."""
    given = port.get("appProtocol")
    if isinstance(given, str) and given:
        return _PORTS.get(given.lower(), "tcp")
    name = str(port.get("name") or "").lower()
    prefix = "grpc-web" if name.startswith("grpc-web") else name.split("-")[0]
    return _PORTS.get(prefix, "tcp")


def _objects(path: Path) -> Iterator[Object]:
    """The objects of a file, those in lists too."""
    for document in parse_documents(read_text(path, REMEDY), str(path)):
        if document.value is not None and not isinstance(document.value, dict | list):
            raise UsageError(
                f"{document.at(())}: expected a Kubernetes object, found {shown(document.value)}; {REMEDY}"
            )
        yield from _unfolded(document.value, path)


def _unfolded(document: Any, path: Path) -> Iterator[Object]:
    waiting, seen = [document], 0
    while waiting:
        item = waiting.pop(0)
        seen += 1
        if seen > _MOST_OBJECTS:
            raise UsageError(f"{path}: more than {_MOST_OBJECTS} objects in one document; split it")
        if isinstance(item, list):
            waiting[:0] = item
        elif isinstance(item, dict):
            if isinstance(item.get("items"), list):
                waiting[:0] = item["items"]
            else:
                yield item


def _note(found: _Found, item: Object) -> None:
    kind, name, spec = item.get("kind"), _map(item, "metadata").get("name"), _map(item, "spec")
    if not isinstance(name, str) or not name:
        return
    if kind == "Service" and spec.get("type") != "ExternalName":
        ports = [port for port in _list(spec, "ports") if isinstance(port, dict)]
        found.ports[name] = {str(port.get("port")): port_protocol(port) for port in ports}
        found.selectors[name] = {str(key): str(value) for key, value in _map(spec, "selector").items()}
        if spec.get("type") in ("LoadBalancer", "NodePort"):
            found.entries.append(name)
    elif kind in WORKLOADS:
        found.workloads.append(item)
    elif kind in ("Ingress", "VirtualService", "HTTPRoute"):
        found.entries += _backends(spec) if kind != "VirtualService" or spec.get("gateways") else []


def _backends(spec: Any) -> list[str]:
    """Names of services in an Ingress, HTTPRoute or VirtualService: under `service.name`, `backendRefs` or `host`."""
    names: list[str] = []
    waiting: list[tuple[str, Any]] = [("", spec)]
    while waiting and len(names) < _MOST_OBJECTS:
        key, value = waiting.pop()
        if isinstance(value, dict):
            if key in ("service", "backendRefs") and isinstance(value.get("name"), str):
                names.append(value["name"])
            waiting += [(str(inner), below) for inner, below in value.items()]
        elif isinstance(value, list):
            waiting += [(key, below) for below in value]
        elif key in ("host", "serviceName") and isinstance(value, str):
            names.append(value.split(".")[0])
    return names


def _map(item: Object, key: str) -> Object:
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def _list(item: Object, key: str) -> list[Any]:
    value = item.get(key)
    return value if isinstance(value, list) else []


def _graph(found: _Found, origin: str, rate_rps: float | None) -> CallGraph:
    owners = {name: _owners(found, name) for name in found.ports}
    assumed = [
        Assumption("calls", "taken from the environment, arguments and commands of containers"),
        *(Assumption(f"calls.*.{field}", why) for field, why in _CALL_DEFAULTS),
        Assumption("services.*.service_time", "manifests do not say; 1 ms"),
    ]
    calls = _calls(found, owners)
    called = {call.callee for call in calls}
    entries = [name for name in dict.fromkeys(found.entries) if name in found.ports]
    if not entries:
        callers = {call.caller for call in calls}
        entries = [name for name in found.ports if name not in called and (name in callers or not calls)]
        entries = entries or list(found.ports)[:1]
        assumed.append(Assumption("ingress", "no Ingress or route; services that are not called"))
    if rate_rps is None:
        assumed.append(Assumption("ingress.*.rate_rps", "manifests do not say; 1 in all (see --rate)"))
    rate = (1.0 if rate_rps is None else rate_rps) / len(entries)
    graph = CallGraph(
        services=tuple(_service(name, found, owners[name]) for name in found.ports),
        calls=tuple(calls),
        ingress=tuple(Ingress(name, rate, _main_protocol(found.ports[name])) for name in entries),
        assumed=tuple(assumed),
    )
    return flat_graph(graph, origin)


_CALL_DEFAULTS: Final = (
    ("calls_per_request", "manifests do not say; 1"),
    ("request_bytes", "manifests do not say; 1024"),
    ("response_bytes", "manifests do not say; 1024"),
    ("tls", "manifests do not say; none"),
    ("stage", "manifests do not say; one after another"),
)


def _owners(found: _Found, name: str) -> list[Object]:
    """The workloads that a Service selects."""
    wanted = found.selectors[name].items()
    return [item for item in found.workloads if wanted and wanted <= _labels(item).items()]


def _labels(workload: Object) -> dict[str, str]:
    template = _map(_map(workload, "spec"), "template")
    labels = _map(_map(template or workload, "metadata"), "labels")
    return {str(key): str(value) for key, value in labels.items()}


def _service(name: str, found: _Found, owners: list[Object]) -> Service:
    replicas = 0
    for owner in owners:
        count = _map(owner, "spec").get("replicas", 1)
        replicas += count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10**6 else 1
    if owners and not any(_injected(owner) for owner in owners):
        return Service(name, max(replicas, 1), Sidecar("none", "none"))
    http = any(protocol != "tcp" for protocol in found.ports[name].values())
    return Service(name, max(replicas, 1), Sidecar("http", "http" if http else "tcp"))


def _injected(workload: Object) -> bool:
    metadata = _map(_map(_map(workload, "spec"), "template") or workload, "metadata")
    marks = {**_map(metadata, "annotations"), **_map(metadata, "labels")}
    return str(marks.get("sidecar.istio.io/inject", "true")).lower() != "false"


def _calls(found: _Found, owners: dict[str, list[Object]]) -> list[Call]:
    """A call for each Service that a container's settings name, by the port they name."""
    names = sorted(found.ports, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, names))})(?:\.[\w.-]+)?(?::(\d+))?(?![\w-])")
    calls: dict[tuple[str, str], Call] = {}
    for caller in found.ports:
        for text in (text for owner in owners[caller] for text in _settings(owner)):
            for callee, port in pattern.findall(text):
                if callee != caller and (caller, callee) not in calls:
                    ports = found.ports[callee]
                    protocol = ports.get(port) or _main_protocol(ports)
                    calls[caller, callee] = Call(edge_id(caller, callee), caller, callee, protocol)
    return list(calls.values())


def _settings(workload: Object) -> Iterator[str]:
    spec = _map(workload, "spec")
    pod = _map(_map(spec, "template"), "spec") or spec
    for container in _list(pod, "containers"):
        if isinstance(container, dict):
            listed = [*_list(container, "args"), *_list(container, "command")]
            values = [entry.get("value") for entry in _list(container, "env") if isinstance(entry, dict)]
            yield from (str(value)[:4096] for value in (*listed, *values) if isinstance(value, str))


def _main_protocol(ports: dict[str, Protocol]) -> Protocol:
    """The first port that is HTTP, else TCP."""
    return next((protocol for protocol in ports.values() if protocol != "tcp"), "tcp")
