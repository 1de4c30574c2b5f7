"""The hops of a run in the pods of a cluster, all on the profiler's node or with their servers on another one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from profiler.cluster.agent.commands.agent import Assistant
from profiler.cluster.agent.containers import container_pids, leave_cpu_group, network_namespace
from profiler.cluster.agent.node import OnNode
from profiler.cluster.agent.proxy_admin import comparable
from profiler.cluster.agent.rpc import Caller
from profiler.cluster.agent.secrets import SECRETS, token_in
from profiler.cluster.objects.mesh import Reading
from profiler.cluster.run.task import ASSISTANT_PORT, HopPlace, SidecarPlace, Task
from profiler.errors import MeshInsightError
from profiler.host.hop_cpus import cpus_for_hops
from profiler.host.netns import Namespace
from profiler.measuring.instruments import Instruments
from profiler.measuring.machines import Machines, Places, SecondMachine
from profiler.measuring.testbeds import DeployedHop, Sidecar
from profiler.planning.cells import Plan
from profiler.proxies.base import ProxyVersion
from profiler.testbed.certificates import certificates_in, make_certificates
from profiler.testbed.deployment import Secrets
from profiler.testbed.run import Run
from profiler.testbed.tokens import make_token
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.components import CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.temperature import Mode
from profiler.workload.base import Target

_UNKNOWN: Final = "unknown"
_ON_SERVERS_NODE: Final = (SERVER_APP, SERVER_SIDECAR)
_CONNECT_WITHIN_S: Final = 30.0
_PINGS: Final = 50


@dataclass(frozen=True)
class FarNode:
    """The profiler on the servers' node, where that is another one."""

    pods: OnNode
    assistant: Assistant
    instruments: Instruments

    @classmethod
    def connect(cls, address: str) -> "FarNode":
        """Raises ProcessError where it does not answer."""
        caller = Caller(address, ASSISTANT_PORT, certificates_in(SECRETS), "the profiler on the server's node")
        caller.connect(_CONNECT_WITHIN_S)
        return cls(
            caller.stub(OnNode, "pods"), caller.stub(Assistant, "assistant"), caller.stub(Instruments, "instruments")
        )

    def clock_offset_ns(self, here: OnNode) -> int:
        """The clock there less the one here, by the fastest of some calls: good to half of its time."""
        found = []
        for _ in range(_PINGS):
            before_ns, there_ns, after_ns = here.clock_ns(), self.pods.clock_ns(), here.clock_ns()
            found.append((after_ns - before_ns, there_ns - (before_ns + after_ns) // 2))
        _, offset_ns = min(found)
        return offset_ns


@dataclass(frozen=True)
class SidecarsOf:
    """The sidecars of a hop on one node."""

    node: OnNode
    hop: Hop

    def run_time_ns(self) -> int:
        """CPU time of all their threads so far."""
        return self.node.run_time_ns(self.hop)

    def rss_bytes(self) -> int:
        """Resident memory."""
        return self.node.rss_bytes(self.hop)


class HopInPods:
    """One hop, whose server may be on another node than its client."""

    def __init__(self, hop: Hop, place: HopPlace, near: OnNode, far: OnNode | None, proxy_version: str) -> None:
        self.hop = hop
        self.proxy_version: Final = proxy_version
        self._cpus = cpus_for_hops()
        self._target = Target(Address(place.address, place.port), hop.application)
        containers = {SERVER_APP: place.server, **{at: found.container for at, found in _sidecars(place).items()}}
        theirs = {at: container for at, container in containers.items() if far and at in _ON_SERVERS_NODE}
        ours = {at: container for at, container in containers.items() if at not in theirs}
        self._nodes = [near, *([far] if far else [])]
        self._places = [node.find(hop, here) for node, here in zip(self._nodes, (ours, theirs), strict=False)]
        self._namespace = network_namespace(container_pids(place.load, near.cgroup_root))

    @property
    def target(self) -> Target:
        return self._target

    @property
    def places(self) -> Places:
        return self._places

    @property
    def sidecars(self) -> Sequence[Sidecar]:
        return [SidecarsOf(node, self.hop) for node in self._nodes] if self.hop.sidecar_places else []

    @property
    def load_namespace(self) -> Namespace:
        return self._namespace

    def cpus_of(self, place: str) -> Sequence[int]:
        """All that the profiler may use: the processes of pods run where the node's scheduler puts them."""
        return self._cpus

    def check(self) -> None:
        """Raise ProcessError if a process of the hop has ended."""
        for node in self._nodes:
            node.check(self.hop)


class InPods:
    """The testbed of a task: nothing is started, what runs is found."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._near = OnNode(task.proxy.process)

    @cached_property
    def _far(self) -> FarNode | None:
        if self._task.assistant is None:
            return None
        far = FarNode.connect(self._task.assistant)
        far.pods.call_proxies(self._task.proxy.process)
        return far

    def proxy(self, name: str) -> ProxyVersion:
        """The mesh's, whatever its name: what the first sidecar says of itself, and its program's checksum."""
        sidecars = [found for place in self._task.places.values() for found in _sidecars(place).items()]
        if not sidecars:
            raise MeshInsightError("the task names no pod with a sidecar")
        at, first = sidecars[0]
        version = self._told(first.version, self._task.proxy.version, at, first, name)
        return ProxyVersion(version or _UNKNOWN, first.image, self._node_of(at).program_sha256(first, name))

    def program_version(self, hop: Hop) -> str:
        """Which version its program has, as the hop's first sidecar says; empty without a sidecar."""
        asked = self._task.proxy.program_version
        for at, sidecar in _sidecars(self._task.places[hop.name]).items():
            return self._told(sidecar.program_version, asked, at, sidecar, f"{hop.name}: {at}")
        return ""

    def configuration(self, hop: Hop) -> str:
        """What each sidecar of the hop says that its configuration is."""
        asked = self._task.proxy.configuration
        found = {
            at: comparable(self._told(sidecar.configuration, asked, at, sidecar, f"{hop.name}: {at}"))
            for at, sidecar in _sidecars(self._task.places[hop.name]).items()
        }
        return "\n".join(f"# {at}\n{said}" for at, said in found.items())

    @property
    def environment(self) -> Mapping[str, Any]:
        """The cluster, as the command line saw it, and the servers' machine where that is another."""
        servers = {"server_machine": self._far.pods.describe()} if self._far else {}
        return {"cluster": {**self._task.cluster, **servers}}

    @property
    def facts(self) -> Mapping[str, str]:
        """Cluster, image, mesh and nodes, as the command line saw them."""
        return self._task.begun

    def secrets(self, run: Run) -> Secrets:
        """Those that the run's own sidecars have; made up where there are none to agree with."""
        if not SECRETS.exists():
            return Secrets(make_certificates(run.add_directory("certificates")), make_token())
        return Secrets(certificates_in(SECRETS), token_in(SECRETS))

    def deploy(self, run: Run, plan: Plan, secrets: Secrets) -> Mapping[Hop, DeployedHop]:
        """The plan's hops, found. Raises MeshInsightError where the task has no place for one."""
        missing = [hop.name for hop in plan.hops if hop.name not in self._task.places]
        if missing:
            raise MeshInsightError(f"the task names no pods for {', '.join(missing)}")
        far = self._far.pods if self._far else None
        return {
            hop: HopInPods(hop, self._task.places[hop.name], self._near, far, self.program_version(hop))
            for hop in plan.hops
        }

    def restart_proxies(self) -> None:
        """Raise MeshInsightError: the mesh starts them."""
        raise MeshInsightError("the proxies of a cluster are started by its mesh, and not restarted in a run")

    @contextmanager
    def machines(self, run: Run, modes: Sequence[Mode]) -> Iterator[Machines]:
        """This node, and the servers' where that is another.

        Neighbours go into the node's root control group of the CPU. In the profiler's they would share the CPU with the
        pods by weight, whatever their priority. They end with the process that started them wherever they are.
        """
        with Instruments(run, modes, lambda pids: leave_cpu_group(pids, self._near.cgroup_root)) as here:
            if self._far is None:
                yield Machines(here)
                return
            same_kernel = self._far.pods.boot_id() == self._near.boot_id()
            self._far.assistant.begin([] if same_kernel else list(modes))
            try:
                offset_ns = self._far.clock_offset_ns(self._near)
                yield Machines(here, SecondMachine(self._far.instruments, offset_ns, same_kernel))
            finally:
                self._far.assistant.end()

    def _node_of(self, place: str) -> OnNode:
        return self._far.pods if self._far and place in _ON_SERVERS_NODE else self._near

    def _told(self, already: str, reading: Reading | None, at: str, sidecar: SidecarPlace, what: str) -> str:
        """What its object told already, else what the proxy answers; empty if neither does."""
        if already or reading is None or not reading.by_http:
            return already
        return self._node_of(at).ask(reading, sidecar, what)


def _sidecars(place: HopPlace) -> dict[str, SidecarPlace]:
    both = {CLIENT_SIDECAR: place.client_sidecar, SERVER_SIDECAR: place.server_sidecar}
    return {at: sidecar for at, sidecar in both.items() if sidecar is not None}
