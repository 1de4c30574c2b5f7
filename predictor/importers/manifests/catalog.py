"""Services and where their addresses lead: names by namespace, pods of StatefulSets, hosts outside. Pure."""

import re
from dataclasses import dataclass, field
from typing import Final

from predictor.graph.names import graph_name
from predictor.graph.types import Assumption, Protocol
from predictor.importers.manifests.objects import (
    DEFAULT_NAMESPACE,
    Body,
    Key,
    Object,
    Objects,
    listing,
    mapping,
    mappings,
    text_of,
    texts,
)
from predictor.importers.manifests.ports import Port, read_port
from predictor.importers.manifests.workloads import (
    ROOT_NAMESPACE,
    SYSTEM_NAMESPACES,
    Selection,
    Workload,
    has_gateway_labels,
    read_workloads,
)

OUTSIDE: Final = ""
"""The namespace of hosts outside of the cluster."""

_POD: Final = re.compile(r"(.+)-\d+\Z")
_API_SERVER: Final = ("default", "kubernetes")
_CONTROL_PLANE: Final = re.compile(
    r"istiod(?:-.*)?\Z|istio-(?:pilot|galley|telemetry|policy|citadel|sidecar-injector|cni-node)\Z|ztunnel\Z"
)
_MESH_PROTOCOLS: Final[dict[str, Protocol]] = {"HTTP": "http1", "HTTP2": "http2", "GRPC": "grpc", "GRPC-WEB": "grpc"}


@dataclass(frozen=True, slots=True)
class ServiceObject:
    """A Service with the workloads behind it; `external` is what a mesh has no sidecar for."""

    key: Key
    ports: tuple[Port, ...]
    selector: dict[str, str]
    owners: tuple[Workload, ...]
    type: str = "ClusterIP"
    external: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    is_placed: bool = True

    @property
    def is_gateway(self) -> bool:
        """Whether a gateway of the mesh is behind it."""
        marked = has_gateway_labels(self.labels) or has_gateway_labels(self.selector)
        return marked or any(owner.is_gateway for owner in self.owners)

    @property
    def is_open(self) -> bool:
        """Whether the cluster lets requests from outside in here."""
        return self.type in ("LoadBalancer", "NodePort")


@dataclass(slots=True)
class Catalog:
    """What the manifests declare. `services` leave out the mesh's own; `namespaces` are labels by name."""

    objects: Objects
    services: dict[Key, ServiceObject] = field(default_factory=dict)
    workloads: list[Workload] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    remarks: list[Assumption] = field(default_factory=list)
    _variables: dict[str, dict[str, str]] = field(default_factory=dict)

    def resolve(self, host: str, namespace: str, loose: bool = True) -> Key | None:
        """The Service that a host name leads to from a namespace; None for one that is not in the files.

        `stock`, `stock.shop`, `stock.shop.svc` and longer; with a pod's name before it, `mongo-0.mongo.shop`. A Service
        whose manifest names no namespace is found in any, unless not `loose`.
        """
        host = host.rstrip(".").lower()
        if (OUTSIDE, host) in self.services:
            return OUTSIDE, host
        labels = host.split(".")
        found = self._service(labels, namespace, loose)
        if found is None and len(labels) > 1 and _POD.match(labels[0]):
            found = self._service(labels[1:], namespace, loose)
        return found

    def _service(self, labels: list[str], namespace: str, loose: bool) -> Key | None:
        if len(labels) > 2 and labels[2] != "svc":
            return None
        key = (labels[1] if len(labels) > 1 else namespace, labels[0])
        if key in self.services:
            return key
        anywhere = self.services.get((DEFAULT_NAMESPACE, labels[0]))
        return anywhere.key if loose and anywhere is not None and not anywhere.is_placed else None

    def variables(self, namespace: str) -> dict[str, str]:
        """The addresses that Kubernetes puts into the environment of a namespace's containers."""
        if namespace not in self._variables:
            self._variables[namespace] = {
                name: value
                for service in self.services.values()
                if service.key[0] == namespace
                for name, value in _variables_of(service)
            }
        return self._variables[namespace]


def _variables_of(service: ServiceObject) -> list[tuple[str, str]]:
    prefix = re.sub(r"[-.]", "_", service.key[1]).upper() + "_SERVICE"
    found = [(f"{prefix}_HOST", service.key[1])]
    for index, port in enumerate(service.ports):
        found += [(f"{prefix}_PORT", port.number)] if index == 0 else []
        found += [(f"{prefix}_PORT_{re.sub('[-.]', '_', port.name).upper()}", port.number)] if port.name else []
    return found


def read_catalog(objects: Objects) -> Catalog:
    """Everything in the objects that a graph may need."""
    catalog = Catalog(objects, remarks=list(objects.remarks))
    catalog.namespaces = {item.name: item.labels for item in objects.of("Namespace")}
    catalog.workloads = read_workloads(objects, catalog.remarks)
    selection = Selection(catalog.workloads)
    for item in objects.of("Service"):
        if item.group:
            catalog.remarks.append(
                Assumption(f"services.{item.name}", f"left out: a Service of {item.group}, not of Kubernetes")
            )
        elif _is_the_meshs_own(item):
            catalog.remarks.append(Assumption(f"services.{item.name}", "left out: the mesh's or the cluster's own"))
        else:
            catalog.services[item.key] = _service(item, selection)
    for item in objects.of("ServiceEntry"):
        for service in _hosts_outside(item):
            catalog.services.setdefault(service.key, service)
    return catalog


def in_system_namespace(namespace: str) -> bool:
    """Whether what runs there serves the cluster or the mesh rather than users."""
    return namespace in (*SYSTEM_NAMESPACES, ROOT_NAMESPACE)


def _is_the_meshs_own(item: Object) -> bool:
    return item.key == _API_SERVER or (item.namespace == ROOT_NAMESPACE and bool(_CONTROL_PLANE.match(item.name)))


def _service(item: Object, selection: Selection) -> ServiceObject:
    selector = texts(mapping(item.spec, "selector"))
    kind = text_of(item.spec, "type") or "ClusterIP"
    return ServiceObject(
        key=item.key,
        ports=tuple(read_port(port) for port in mappings(item.spec, "ports")),
        selector=selector,
        owners=tuple(selection.of(item.namespace, selector)),
        type=kind,
        external=kind == "ExternalName",
        labels=item.labels,
        is_placed=item.is_placed,
    )


def _hosts_outside(item: Object) -> list[ServiceObject]:
    ports = tuple(map(_port_outside, mappings(item.spec, "ports")))
    hosts = [host for host in listing(item.spec, "hosts") if isinstance(host, str) and host and "*" not in host]
    return [
        ServiceObject((OUTSIDE, graph_name(host).lower()), ports, {}, (), "ExternalName", external=True)
        for host in hosts
        if graph_name(host)
    ]


def _port_outside(port: Body) -> Port:
    number = text_of(port, "number")
    protocol = _MESH_PROTOCOLS.get(text_of(port, "protocol").upper(), "tcp")
    return Port(number, text_of(port, "name"), text_of(port, "targetPort") or number, protocol)
