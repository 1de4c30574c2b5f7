"""What runs pods: Deployments and their like, each counted once however many objects of a cluster show it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from predictor.graph.types import MOST_REPLICAS, Assumption
from predictor.importers.gateways import is_gateway_name
from predictor.importers.manifests.objects import Body, Key, Object, Objects, mapping, mappings, selects, text_of, texts

KINDS: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Rollout", "Pod")
BATCH: Final = ("Job", "CronJob")
PROXIES: Final = ("istio-proxy", "linkerd-proxy", "envoy-sidecar", "istio-init", "linkerd-init", "istio-validation")
SYSTEM_NAMESPACES: Final = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
ROOT_NAMESPACE: Final = "istio-system"

_GATEWAY_LABELS: Final = ("gateway.networking.k8s.io/gateway-name", "istio.io/gateway-name")
_CONTROL_PLANE: Final = (
    "istiod", "pilot", "istio-pilot", "ztunnel", "istio-cni-node", "galley", "citadel", "mixer", "sidecar-injector",
    "linkerd-destination", "linkerd-identity", "linkerd-proxy-injector",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workload:
    """Pods of one template. `labels` and `annotations` are the pods'; `is_running`: read from a cluster's pods."""

    kind: str
    namespace: str
    name: str
    replicas: int
    labels: dict[str, str]
    annotations: dict[str, str]
    pod: Body
    is_running: bool = False

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    def containers(self) -> list[Body]:
        """Those that run as long as the pod, without the mesh's own."""
        lasting = [item for item in mappings(self.pod, "initContainers") if text_of(item, "restartPolicy") == "Always"]
        return [item for item in (*mappings(self.pod, "containers"), *lasting) if not _is_proxy(item)]

    @property
    def has_proxy(self) -> bool:
        """Whether the mesh's proxy was injected into the manifest already."""
        every = (*mappings(self.pod, "containers"), *mappings(self.pod, "initContainers"))
        return any(text_of(item, "name") in PROXIES[:3] for item in every)

    @property
    def is_gateway(self) -> bool:
        """Whether the pods are a proxy of the mesh that stands alone."""
        return (
            "gateway" in self.annotations.get("inject.istio.io/templates", "")
            or has_gateway_labels(self.labels)
            or is_gateway_name(self.name)
        )

    @property
    def is_control_plane(self) -> bool:
        """Whether the pods run the mesh rather than the application."""
        marks = {
            self.labels.get("app"),
            self.labels.get("istio"),
            self.labels.get("linkerd.io/control-plane-component"),
        }
        return self.name in _CONTROL_PLANE or (self.namespace == ROOT_NAMESPACE and bool(marks & {*_CONTROL_PLANE}))


def has_gateway_labels(labels: dict[str, str]) -> bool:
    """Whether labels are those of a gateway, by Istio's installers or by what it deploys for the Gateway API."""
    named = any(is_gateway_name(labels.get(key, "")) for key in ("istio", "app"))
    return named or any(key in labels for key in _GATEWAY_LABELS)


def _is_proxy(container: Body) -> bool:
    return text_of(container, "name") in PROXIES


def read_workloads(objects: Objects, remarks: list[Assumption]) -> list[Workload]:
    """The workloads of all objects. What another of them owns, such as a Deployment's pods, is not counted again."""
    autoscaled = {
        (item.namespace, text_of(target, "kind"), text_of(target, "name")): item.spec.get("minReplicas", 1)
        for item in objects.of("HorizontalPodAutoscaler")
        for target in (mapping(item.spec, "scaleTargetRef"),)
    }
    known = {(item.kind, *item.key) for item in objects.of(*KINDS, *BATCH)}
    found: dict[tuple[str, str, str], Workload] = {}
    for item in objects.of(*KINDS):
        owner = _owner(item)
        if owner and (owner[0], item.namespace, owner[1]) in known:
            continue
        workload = _workload(item, owner, autoscaled, remarks)
        if workload is None:
            continue
        identity = (workload.kind, *workload.key)
        if identity in found:  # another pod of the same owner
            earlier = found[identity]
            workload = Workload(earlier.kind, earlier.namespace, earlier.name, earlier.replicas + workload.replicas,
                                earlier.labels, earlier.annotations, earlier.pod, earlier.is_running)  # fmt: skip
        found[identity] = workload
    for item in objects.of(*BATCH):
        if not (_owner(item) or ("", ""))[1]:
            why = f"left out: a {item.kind}, which runs to its end; its calls are not in the graph"
            remarks.append(Assumption(f"services.{item.name}", why))
    return list(found.values())


def _owner(item: Object) -> tuple[str, str] | None:
    """Kind and name of the controller that made an object."""
    for reference in mappings(mapping(item.body, "metadata"), "ownerReferences"):
        if reference.get("controller", True):
            return text_of(reference, "kind"), text_of(reference, "name")
    return None


def _workload(
    item: Object, owner: tuple[str, str] | None, autoscaled: dict[tuple[str, str, str], object],
    remarks: list[Assumption],
) -> Workload | None:  # fmt: skip
    running = item.kind == "Pod" and bool(mapping(item.body, "status"))
    if running and text_of(mapping(item.body, "status"), "phase") in ("Succeeded", "Failed"):
        return None
    template = item.body if item.kind == "Pod" else mapping(item.spec, "template")
    replicas = 1 if item.kind == "Pod" else _replicas(item, autoscaled, remarks)
    if owner and item.kind == "ReplicaSet" and item.spec.get("replicas") == 0:
        return None  # what is left of an earlier roll-out
    metadata = mapping(template, "metadata")
    return Workload(
        kind=item.kind,
        namespace=item.namespace,
        name=_owner_name(owner) if owner else item.name,
        replicas=replicas,
        labels=texts(mapping(metadata, "labels")),
        annotations=texts(mapping(metadata, "annotations")),
        pod=mapping(template, "spec"),
        is_running=running,
    )


def _owner_name(owner: tuple[str, str]) -> str:
    """The Deployment's name for what a ReplicaSet owns: its own ends with a hash."""
    kind, name = owner
    return name.rpartition("-")[0] or name if kind == "ReplicaSet" else name


def _replicas(item: Object, autoscaled: dict[tuple[str, str, str], object], remarks: list[Assumption]) -> int:
    place = f"services.{item.name}.replicas"
    given = item.spec.get("replicas")
    if item.kind == "DaemonSet":
        remarks.append(Assumption(place, "a DaemonSet, one per node, of which the number is not known; 1"))
        return 1
    if given is None:
        least = autoscaled.get((item.namespace, item.kind, item.name))
        if least is not None:
            remarks.append(Assumption(place, "autoscaled; the least number"))
            given = least
    if given is None:
        return 1
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= MOST_REPLICAS:
        remarks.append(Assumption(place, "no whole number in the manifest; 1"))
        return 1
    if given == 0:
        remarks.append(Assumption(place, "scaled to 0 in the manifest; 1"))
    return max(given, 1)


class Selection:
    """The workloads by their labels, so that a selector finds its own without a look at all others."""

    def __init__(self, workloads: Iterable[Workload]) -> None:
        self._by_label: dict[tuple[str, str, str], list[Workload]] = {}
        for item in workloads:
            for key, value in item.labels.items():
                self._by_label.setdefault((item.namespace, key, value), []).append(item)

    def of(self, namespace: str, selector: dict[str, str]) -> list[Workload]:
        """The workloads in a namespace whose pods a selector fits; none for an empty one."""
        rarest = min(
            (self._by_label.get((namespace, key, value), []) for key, value in selector.items()), key=len, default=[]
        )
        return [item for item in rarest if selects(selector, item.labels)]
