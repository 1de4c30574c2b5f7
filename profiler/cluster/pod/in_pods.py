"""The hops of a run in the pods of a cluster, as the profiler on the same node sees them: processes by container."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from profiler.campaign.cells import Plan
from profiler.campaign.testbeds import DeployedHop
from profiler.cluster.containers import container_pids, leave_cpu_group, named, network_namespace
from profiler.cluster.mesh import Reading
from profiler.cluster.pod.asking import ask, comparable, program_sha256
from profiler.cluster.task import HopPlace, SidecarPlace, Task
from profiler.components import CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR
from profiler.errors import MeshInsightError, ProcessError
from profiler.machine import run_time_ns
from profiler.proxies.base import Address, Certificates, ProxyVersion
from profiler.testbed.certificates import make_certificates
from profiler.testbed.deployment import Hop, Secrets
from profiler.testbed.netns import Namespace
from profiler.testbed.process import read_stat, resident_bytes
from profiler.testbed.run import Run
from profiler.testbed.tokens import Token, make_token
from profiler.workload.base import Target

_CGROUPS: Final = "MESHINSIGHT_CGROUPS"
_SECRETS: Final = Path("/etc/meshinsight/secrets")
_UNKNOWN: Final = "unknown"


class Stranger:
    """A process that this run did not start. Pid and start time together name it."""

    def __init__(self, pid: int, what: str) -> None:
        self.pid = pid
        self._what = what
        self._stat = read_stat(pid)

    def run_time_ns(self) -> int:
        """CPU time of all its threads so far."""
        return run_time_ns(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory; 0 if it has ended."""
        return resident_bytes(self.pid)

    def pin(self, cpu: int) -> None:
        """Put all its threads on one CPU; threads that end meanwhile need none."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(ProcessLookupError):
                if os.sched_getaffinity(int(task.name)) != {cpu}:
                    os.sched_setaffinity(int(task.name), {cpu})

    def check(self) -> None:
        """Raise ProcessError if it has ended."""
        now = read_stat(self.pid)
        if now is None or self._stat is None or now.start_time_ticks != self._stat.start_time_ticks:
            raise ProcessError(f"{self._what} (pid {self.pid} on the node) has ended")


class HopInPods:
    """One hop. Its pods may be those of other hops as well."""

    def __init__(self, hop: Hop, place: HopPlace, proxy_process: str, cgroup_root: Path) -> None:
        self.hop = hop
        self._cpus = sorted(os.sched_getaffinity(0))
        self._target = Target(Address(place.address, place.port), hop.application)
        self._processes = {
            SERVER_APP: [Stranger(pid, f"{hop.name}: server") for pid in container_pids(place.server, cgroup_root)]
        }
        for at, sidecar in _sidecars(place).items():
            what = f"{hop.name}: {at}"
            self._processes[at] = [Stranger(pid, what) for pid in _proxies(sidecar, proxy_process, what, cgroup_root)]
        self._namespace = network_namespace(container_pids(place.load, cgroup_root))

    @property
    def target(self) -> Target:
        return self._target

    @property
    def places(self) -> Mapping[int, str]:
        return {process.pid: place for place, processes in self._processes.items() for process in processes}

    @property
    def sidecars(self) -> Sequence[Stranger]:
        return [process for place in self.hop.sidecar_places for process in self._processes[place]]

    @property
    def load_namespace(self) -> Namespace:
        return self._namespace

    def cpu_of(self, place: str) -> int:
        """The CPU that the process at `place` is pinned to."""
        return self.hop.cpu_of(place, self._cpus)

    def arrange(self) -> None:
        """Pin each process to the CPU after its predecessor's; several workers are left to the scheduler."""
        for place, processes in self._processes.items():
            if self.hop.workers == 1 or place == SERVER_APP:
                for process in processes:
                    process.pin(self.cpu_of(place))

    def check(self) -> None:
        """Raise ProcessError if a process of the hop has ended."""
        for processes in self._processes.values():
            for process in processes:
                process.check()


class InPods:
    """The testbed of a task: nothing is started, what runs is found."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._cgroup_root = Path(os.environ.get(_CGROUPS, "/sys/fs/cgroup"))

    def proxy(self, name: str) -> ProxyVersion:
        """The mesh's, whatever its name: what the first sidecar says of itself, and its program's checksum."""
        sidecars = [found for place in self._task.places.values() for found in _sidecars(place).values()]
        if not sidecars:
            raise MeshInsightError("the task names no pod with a sidecar")
        first, process = sidecars[0], self._task.proxy.process
        version = self._told(first.version, self._task.proxy.version, first, process)
        return ProxyVersion(version or _UNKNOWN, first.image, program_sha256(self._pid(first, process)))

    def configuration(self, hop: Hop) -> str:
        """What each sidecar of the hop says that its configuration is."""
        asked = self._task.proxy.configuration
        found = {
            at: comparable(self._told(sidecar.configuration, asked, sidecar, f"{hop.name}: {at}"))
            for at, sidecar in _sidecars(self._task.places[hop.name]).items()
        }
        return "\n".join(f"# {at}\n{said}" for at, said in found.items())

    @property
    def environment(self) -> Mapping[str, Any]:
        """The cluster, as the command line saw it."""
        return {"cluster": dict(self._task.cluster)}

    def _told(self, already: str, reading: Reading | None, sidecar: SidecarPlace, what: str) -> str:
        """What its object told already, else what the proxy answers; empty if neither does."""
        if already or reading is None or not reading.by_http:
            return already
        return ask(reading, self._pid(sidecar, what), what)

    def _pid(self, sidecar: SidecarPlace, what: str) -> int:
        return _proxies(sidecar, self._task.proxy.process, what, self._cgroup_root)[0]

    def secrets(self, run: Run) -> Secrets:
        """Those that the run's own sidecars have; made up where there are none to agree with."""
        if not _SECRETS.exists():
            return Secrets(make_certificates(run.add_directory("certificates")), make_token())
        certificates = Certificates(_SECRETS / "chain.pem", _SECRETS / "key.pem", _SECRETS / "authority.pem")
        return Secrets(certificates, Token((_SECRETS / "token").read_text(), (_SECRETS / "jwks.json").read_text()))

    def deploy(self, run: Run, plan: Plan, secrets: Secrets) -> Mapping[Hop, DeployedHop]:
        """The plan's hops, found. Raises MeshInsightError where the task has no place for one."""
        missing = [hop.name for hop in plan.hops if hop.name not in self._task.places]
        if missing:
            raise MeshInsightError(f"the task names no pods for {', '.join(missing)}")
        places, process = self._task.places, self._task.proxy.process
        return {hop: HopInPods(hop, places[hop.name], process, self._cgroup_root) for hop in plan.hops}

    def place_neighbours(self, pids: Sequence[int]) -> None:
        """Put them in the node's root control group of the CPU.

        In the profiler's they would share the CPU with the pods by weight, whatever their priority. They end with the
        process that started them wherever they are.
        """
        leave_cpu_group(pids, self._cgroup_root)


def _sidecars(place: HopPlace) -> dict[str, SidecarPlace]:
    both = {CLIENT_SIDECAR: place.client_sidecar, SERVER_SIDECAR: place.server_sidecar}
    return {at: sidecar for at, sidecar in both.items() if sidecar is not None}


def _proxies(sidecar: SidecarPlace, process_name: str, what: str, cgroup_root: Path) -> list[int]:
    pids = named(container_pids(sidecar.container, cgroup_root), process_name)
    if not pids:
        raise MeshInsightError(f"{what}: its container has no process called {process_name}; see the mesh's file")
    return pids
