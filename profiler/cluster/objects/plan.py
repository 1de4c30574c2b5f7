"""What a run on a cluster is to create, decided before anything is asked of the cluster. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from profiler.cluster.names import ECHO, IN_POD, LOAD, PROFILER
from profiler.cluster.objects.mesh import OWN, Mesh
from profiler.errors import UsageError
from profiler.proxies.filters import needs_of
from profiler.vocabulary.components import CLIENT_SIDECAR, SERVER_SIDECAR
from profiler.vocabulary.hop import BOTH, CLIENT, FREE, MTLS, NONE, PLAIN, SERVER, UDS, Hop, is_file
from profiler.vocabulary.variant import USUAL
from profiler.workload.base import Answers

LONGEST_RUN_S: Final = 3600
BESIDE_S: Final = 600
"""What a run may take beside its measuring: starting, fetching, cleaning up."""
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}")
_LONGEST_NAME: Final = 40
_TOPOLOGIES: Final = (NONE, CLIENT, SERVER, BOTH)


@dataclass(frozen=True)
class Memory:
    """Memory limits of the containers, as Kubernetes writes them."""

    profiler: str = "2Gi"
    load: str = "512Mi"
    server: str = "256Mi"
    sidecar: str = "512Mi"


@dataclass(frozen=True)
class RunPod:
    """An echo or load pod. Hops whose sidecar on that side is the same share it.

    `hop` is what its sidecar is configured for, None for a pod without one. `applications` are what its servers speak.
    """

    role: str
    name: str
    hop: Hop | None
    applications: tuple[str, ...] = ()
    node: str = ""


@dataclass(frozen=True)
class ClusterPlan:
    """Everything that `render` needs to know.

    Attributes: `deadline_s` (Unix time) is when what is left of the run removes itself. `own_namespace` is False for a
    namespace that was there before, `prepared` True for one that an administrator made for runs. `client_node` and
    `server_node` are names of nodes; without them all pods go to one node of the scheduler's choice. `profiler_argv` is
    the command of the profiler's container. `started_by` names the process that the run belongs to
    (profiler/cluster/run/leftovers.py).
    """

    run_id: str
    image: str
    mesh: Mesh
    hops: tuple[Hop, ...]
    answers: Answers
    deadline_s: int
    now_s: int
    namespace: str = ""
    own_namespace: bool = True
    prepared: bool = False
    client_node: str = ""
    server_node: str = ""
    profiler_argv: tuple[str, ...] = (*IN_POD, "idle")
    started_by: str = ""
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        if not _RUN_ID.fullmatch(self.run_id):
            raise ValueError(f"run id {self.run_id!r} is not 8 hexadecimal digits")
        if not 0 < self.seconds_left <= LONGEST_RUN_S:
            raise UsageError(
                f"a run on a cluster takes {LONGEST_RUN_S // 60} minutes at most, cleaning up included; "
                f"{self.seconds_left} s were asked"
            )
        if not self.own_namespace and not self.namespace:
            raise ValueError("a namespace that was there before has a name")
        if not self.image:
            raise UsageError("--image: give the image of MeshInsight that the cluster's nodes can get")
        for hop in self.hops:
            self._check(hop)

    def _check(self, hop: Hop) -> None:
        self.mesh.check(hop)
        if hop.topology not in _TOPOLOGIES:
            raise UsageError(f"--topology {hop.topology}: not on a cluster; use {', '.join(_TOPOLOGIES)}")
        if hop.transport == UDS:
            raise UsageError("--transport uds: pods reach their sidecar over IP; leave it out on a cluster")
        if hop.topology != NONE and hop.proxy != "envoy":
            raise UsageError(f"--proxy {hop.proxy}: on a cluster the mesh brings the proxy; leave --proxy out")
        if hop.placement != FREE:
            raise UsageError(
                f"--placement {hop.placement}: not on a cluster, whose nodes place the processes of pods; leave it out"
            )
        if hop.variant != USUAL:
            raise UsageError(
                "variants: not on a cluster, whose mesh brings the proxies; leave --proxy-binary, --proxy-version and "
                "lists of files out"
            )
        if hop.bootstrap:
            raise UsageError("--proxy-config: not on a cluster, whose pods do not have the file; leave it out")
        for name in hop.filters:
            if is_file(name):
                raise UsageError(
                    f"--filter-file {name}: not on a cluster, whose pods do not have the file; leave it out"
                )
            if needs_of(hop.proxy, name).service:
                raise UsageError(
                    f"--filter {name}: needs a service beside the proxy, which there is none of on a cluster"
                )

    @property
    def prefix(self) -> str:
        """What the names of all its objects begin with."""
        return f"mi-{self.run_id}"

    @property
    def namespace_name(self) -> str:
        """The namespace that everything is in."""
        return self.namespace or f"meshinsight-{self.run_id}"

    def account(self, role: str) -> str:
        """The service account of a role's pods: the run's own, or that of the prepared namespace."""
        return f"meshinsight-{role}" if self.prepared else f"{self.prefix}-{role}"

    def secret_name(self, role: str) -> str:
        """The secret that only the pods of a role mount."""
        return f"{self.prefix}-{role}"

    @property
    def attaches(self) -> bool:
        """Whether the run only looks at what runs already."""
        return not self.hops

    @property
    def seconds_left(self) -> int:
        """Time until the deadline."""
        return self.deadline_s - self.now_s

    @property
    def needs_certificates(self) -> bool:
        """Whether sidecars of our own speak mutual TLS."""
        return self.mesh.sidecar == OWN and any(hop.tls == MTLS for hop in self.hops)

    def pods(self) -> list[RunPod]:
        """The echo and load pods, each once."""
        found: dict[str, RunPod] = {}
        for hop in self.hops:
            for pod in (self.echo_pod(hop), self.load_pod(hop)):
                there = found.get(pod.name)
                known = there.applications if there else ()
                found[pod.name] = RunPod(
                    pod.role, pod.name, pod.hop, tuple(dict.fromkeys([*known, *pod.applications])), pod.node
                )
        return list(found.values())

    def echo_pod(self, hop: Hop) -> RunPod:
        """The pod with the server of a hop."""
        meshed = SERVER_SIDECAR in hop.sidecar_places
        name = self._pod_name(ECHO, hop, meshed)
        return RunPod(ECHO, name, hop if meshed else None, (hop.application,), self.server_node)

    def load_pod(self, hop: Hop) -> RunPod:
        """The pod that a hop's load is sent from."""
        meshed = CLIENT_SIDECAR in hop.sidecar_places
        name = self._pod_name(LOAD, hop, meshed)
        return RunPod(LOAD, name, hop if meshed else None, (), self.client_node)

    def service_name(self, hop: Hop) -> str:
        """The service by which the load of a hop reaches its server."""
        return f"{self.prefix}-{_dns_label(hop.name)}"

    def profiler_nodes(self) -> tuple[str, ...]:
        """The nodes with a profiler, one each; empty names are the scheduler's choice."""
        return tuple(dict.fromkeys([self.client_node, self.server_node]))

    @property
    def across_nodes(self) -> bool:
        """Whether clients and servers are on two nodes."""
        return len(self.profiler_nodes()) > 1

    def profiler_name(self, number: int) -> str:
        """The profiler's pod on the node of that number in `profiler_nodes`."""
        return f"{self.prefix}-{PROFILER}" if number == 0 else f"{self.prefix}-{PROFILER}-{number + 1}"

    def _pod_name(self, role: str, hop: Hop, meshed: bool) -> str:
        if not meshed:
            return f"{self.prefix}-{role}"
        filters = hop.filters if hop.filter_place == (SERVER_SIDECAR if role == ECHO else CLIENT_SIDECAR) else ()
        parts = [
            hop.protocol,
            "" if hop.tls == PLAIN else hop.tls,
            "-".join(filters),
            "" if hop.workers == 1 else f"w{hop.workers}",
        ]
        return f"{self.prefix}-{role}-{_dns_label('-'.join(part for part in parts if part))}"


def distinct_filters(pod: RunPod) -> Sequence[str]:
    """Filters of the pod's own sidecar: those of its hop, if they run on its side."""
    if pod.hop is None:
        return ()
    here = SERVER_SIDECAR if pod.role == ECHO else CLIENT_SIDECAR
    return pod.hop.filters if pod.hop.filter_place == here else ()


def _dns_label(text: str) -> str:
    """Text as part of a DNS label. What is too long is cut and distinguished by a checksum."""
    import hashlib

    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(label) <= _LONGEST_NAME:
        return label
    return f"{label[: _LONGEST_NAME - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
