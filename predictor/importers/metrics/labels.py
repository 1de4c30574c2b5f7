"""Whom labels of Istio's metrics name: a service of the mesh, a host outside, or one of Envoy's catch-alls. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from predictor.graph.names import graph_name

PASSTHROUGH: Final = ("PassthroughCluster", "InboundPassthroughCluster", "InboundPassthroughClusterIpv4",
                      "InboundPassthroughClusterIpv6")  # fmt: skip
BLACKHOLE: Final = "BlackHoleCluster"

_WORKLOADS: Final = ("canonical_service", "workload", "app")
_SERVICES: Final = ("service_name", "service")
_NOBODY: Final = ("", "unknown")

Sort = Literal["service", "host", "passthrough", "blackhole", "unknown"]


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a request. A `service` runs in the cluster; a `host` is outside of the mesh, by its whole name."""

    name: str
    namespace: str = ""
    sort: Sort = "service"


UNKNOWN: Final = Party("", "", "unknown")


def party(labels: Mapping[str, str], side: str) -> Party | None:
    """Who is on one side (`source` or `destination`); None where no label of that side names anybody.

    The workload comes first, since an address may stand for several. Only addresses of the cluster are cut to their
    first label; a host outside keeps its name.
    """
    given = {kind: labels[f"{side}_{kind}"] for kind in (*_WORKLOADS, *_SERVICES) if f"{side}_{kind}" in labels}
    if not given:
        return None
    namespace = _known(labels.get(f"{side}_workload_namespace", "")) or _known(
        labels.get(f"{side}_service_namespace", "")
    )
    for kind in _WORKLOADS:
        if given.get(kind, "") not in _NOBODY:
            return _service(given[kind], namespace)
    for kind in _SERVICES:
        if given.get(kind, "") not in _NOBODY:
            return _addressed(given[kind], _known(given.get("service", "")), namespace)
    return UNKNOWN


def _addressed(name: str, host: str, namespace: str) -> Party:
    if name == BLACKHOLE:
        return Party(name, sort="blackhole")
    if name in PASSTHROUGH:
        return Party(name, sort="passthrough")
    for address in (name, host):
        labels = address.rstrip(".").split(".")
        if len(labels) > 2 and labels[2] == "svc":
            return _service(labels[0], namespace or labels[1])
    if "." in name or ":" in name:
        return Party(graph_name(name), sort="host") if graph_name(name) else UNKNOWN
    return _service(name, namespace)


def _service(name: str, namespace: str) -> Party:
    plain = graph_name(name)
    return Party(plain, graph_name(namespace)) if plain else UNKNOWN


def _known(value: str) -> str:
    return "" if value in _NOBODY else value
