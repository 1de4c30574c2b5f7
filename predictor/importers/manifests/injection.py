"""Which pods have a sidecar, and which ports it captures: Istio's labels, annotations and order of precedence. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from predictor.graph.types import Assumption
from predictor.importers.manifests.objects import mappings, text_of
from predictor.importers.manifests.workloads import ROOT_NAMESPACE, SYSTEM_NAMESPACES, Workload

_INJECT: Final = "sidecar.istio.io/inject"
_MODE: Final = "istio.io/dataplane-mode"
_WAYPOINT: Final = "istio.io/use-waypoint"
_TRAFFIC: Final = "traffic.sidecar.istio.io/"
_YES: Final = ("true", "yes", "y", "on")
_EVERYTHING: Final = ("*", "0.0.0.0/0")


@dataclass(slots=True)
class Injection:
    """The rules of one set of manifests: `namespaces` are labels by name. What had to be assumed is in `remarks`."""

    namespaces: Mapping[str, Mapping[str, str]]
    remarks: dict[str, Assumption] = field(default_factory=dict)

    def has_sidecar(self, workload: Workload) -> bool:
        """Whether a sidecar stands next to the pods.

        A manifest with the proxy in it has one. Otherwise `false` on the pod (its label before its annotation) or
        `disabled` on the namespace keeps it away, and either's `true` brings it.
        """
        namespace = self.namespaces.get(workload.namespace, {})
        mark = workload.labels.get(_INJECT, workload.annotations.get(_INJECT, "")).lower()
        if workload.has_proxy:
            return True
        if workload.is_gateway or workload.is_control_plane or workload.pod.get("hostNetwork") is True:
            return False
        if (mark and mark not in _YES) or namespace.get("istio-injection") == "disabled":
            return False
        if workload.namespace in SYSTEM_NAMESPACES or workload.is_running:
            return False
        if mark or _asks_for_sidecars(namespace):
            return True
        return self._by_default(workload, namespace)

    def has_waypoint(self, labels: Mapping[str, str], workload: Workload) -> bool:
        """Whether calls to a Service with these labels, of pods without a sidecar, pass a waypoint.

        The pods must be in ambient mode, by their label or that of the namespace. The Service's label names a waypoint,
        or says `none`; without it that of the namespace counts.
        """
        namespace = self.namespaces.get(workload.namespace, {})
        mode = workload.labels.get(_MODE, namespace.get(_MODE))
        return mode == "ambient" and labels.get(_WAYPOINT, namespace.get(_WAYPOINT, "none")) != "none"

    def _by_default(self, workload: Workload, namespace: Mapping[str, str]) -> bool:
        name = workload.namespace
        if "ambient" in (namespace.get(_MODE), workload.labels.get(_MODE)):
            self._remark(
                f"{name}\0ambient",
                f"namespace {name} is in ambient mode, whose node proxies a graph lacks; none, or the waypoint that "
                f"{_WAYPOINT} names",
            )
            return False
        if name == ROOT_NAMESPACE:
            return False
        if name in self.namespaces and any(map(_asks_for_sidecars, self.namespaces.values())):
            self._remark(f"{name}\0unlabelled", f"namespace {name} does not ask for sidecars as others do; none")
            return False
        self._remark("", "no label in the files says where sidecars are injected; everywhere, unless listed")
        return True

    def _remark(self, key: str, why: str) -> None:
        self.remarks.setdefault(key, Assumption("services.*.sidecar", why))


def _asks_for_sidecars(namespace: Mapping[str, str]) -> bool:
    return namespace.get("istio-injection") == "enabled" or (
        "istio.io/rev" in namespace and namespace.get("istio-injection") != "disabled"
    )


def captures_inbound(workload: Workload, target: str) -> bool:
    """Whether the sidecar gets what comes in at a container's port, given by number or name."""
    number = container_port(workload, target)
    if number in _ports(workload, "excludeInboundPorts"):
        return False
    included = workload.annotations.get(f"{_TRAFFIC}includeInboundPorts")
    return included is None or "*" in included or number in _ports(workload, "includeInboundPorts")


def captures_outbound(workload: Workload, port: str) -> bool:
    """Whether the sidecar gets what the pods send to a port."""
    if port in _ports(workload, "includeOutboundPorts"):
        return True
    if port in _ports(workload, "excludeOutboundPorts"):
        return False
    included = workload.annotations.get(f"{_TRAFFIC}includeOutboundIPRanges")
    excluded = workload.annotations.get(f"{_TRAFFIC}excludeOutboundIPRanges", "")
    return included != "" and excluded.strip() not in _EVERYTHING


def limits_addresses(workload: Workload) -> bool:
    """Whether some ranges of addresses are captured and others are not, which manifests cannot resolve."""
    ranges = (workload.annotations.get(f"{_TRAFFIC}{kind}OutboundIPRanges", "") for kind in ("include", "exclude"))
    return any(given.strip() not in ("", *_EVERYTHING) for given in ranges)


def _ports(workload: Workload, name: str) -> set[str]:
    return {port.strip() for port in workload.annotations.get(f"{_TRAFFIC}{name}", "").split(",")} - {""}


def container_port(workload: Workload, target: str) -> str:
    """The number of a container's port that may be given by name."""
    if target.isdecimal():
        return target
    for container in workload.containers():
        for port in mappings(container, "ports"):
            if text_of(port, "name") == target:
                return text_of(port, "containerPort")
    return target
