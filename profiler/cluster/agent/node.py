"""What a profiler sees of the run's pods on its own node: their processes, by container."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from profiler.cluster.agent import proxy_admin
from profiler.cluster.agent.containers import container_pids, named
from profiler.cluster.objects.mesh import Reading
from profiler.cluster.run.task import SidecarPlace
from profiler.errors import MeshInsightError, ProcessError
from profiler.host.accounting import run_time_ns
from profiler.host.environment import describe_environment
from profiler.host.process import read_stat, resident_bytes
from profiler.vocabulary.components import SIDECARS
from profiler.vocabulary.hop import Hop

_CGROUPS: Final = "MESHINSIGHT_CGROUPS"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class ForeignProcess:
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

    def check(self) -> None:
        """Raise ProcessError if it has ended."""
        now = read_stat(self.pid)
        if now is None or self._stat is None or now.start_time_ticks != self._stat.start_time_ticks:
            raise ProcessError(f"{self._what} (pid {self.pid} on the node) has ended")


class OnNode:
    """The hops of a run, as far as their processes are on this node. Pods may be those of several hops.

    The sidecars' processes are called `proxy_process`. Methods take and return plain values, so that the profiler of
    another node can call them.
    """

    def __init__(self, proxy_process: str = "") -> None:
        self.cgroup_root = Path(os.environ.get(_CGROUPS, "/sys/fs/cgroup"))
        self._proxy_process = proxy_process
        self._processes: dict[str, dict[str, list[ForeignProcess]]] = {}

    def call_proxies(self, name: str) -> None:
        """Set the name of the sidecars' processes."""
        self._proxy_process = name

    def find(self, hop: Hop, containers: Mapping[str, str]) -> dict[int, str]:
        """Find the hop's processes on this node, by place → container id. Returns process id → place.

        Raises:
            MeshInsightError: a container is not here, or has no process of that name.
        """
        found = {place: self._found(hop, place, container) for place, container in containers.items()}
        self._processes[hop.name] = found
        return {process.pid: place for place, processes in found.items() for process in processes}

    def check(self, hop: Hop) -> None:
        """Raise ProcessError if a process of the hop has ended."""
        for processes in self._processes[hop.name].values():
            for process in processes:
                process.check()

    def run_time_ns(self, hop: Hop) -> int:
        """CPU time of the hop's sidecars here so far."""
        return sum(sidecar.run_time_ns() for sidecar in self._sidecars(hop))

    def rss_bytes(self, hop: Hop) -> int:
        """Resident memory of the hop's sidecars here."""
        return sum(sidecar.rss_bytes() for sidecar in self._sidecars(hop))

    def ask(self, reading: Reading, sidecar: SidecarPlace, what: str) -> str:
        """What a sidecar's proxy answers. Raises MeshInsightError."""
        return proxy_admin.ask(reading, self._proxies(sidecar.container, what)[0], what)

    def program_sha256(self, sidecar: SidecarPlace, what: str) -> str:
        """SHA-256 of a sidecar's program. Raises MeshInsightError."""
        return proxy_admin.program_sha256(self._proxies(sidecar.container, what)[0])

    def boot_id(self) -> str:
        """Names the running kernel; nodes that are containers of one machine share it."""
        return _BOOT_ID.read_text().strip()

    def clock_ns(self) -> int:
        """The monotonic clock now."""
        return time.monotonic_ns()

    def describe(self) -> dict[str, Any]:
        """The machine, as a profile's environment has it."""
        return describe_environment()

    def _sidecars(self, hop: Hop) -> list[ForeignProcess]:
        found = self._processes[hop.name]
        return [process for place, processes in found.items() if place in SIDECARS for process in processes]

    def _found(self, hop: Hop, place: str, container: str) -> list[ForeignProcess]:
        what = f"{hop.name}: {place}"
        pids = self._proxies(container, what) if place in SIDECARS else container_pids(container, self.cgroup_root)
        return [ForeignProcess(pid, what) for pid in pids]

    def _proxies(self, container: str, what: str) -> list[int]:
        pids = named(container_pids(container, self.cgroup_root), self._proxy_process)
        if not pids:
            raise MeshInsightError(
                f"{what}: its container has no process called {self._proxy_process}; see the mesh's file"
            )
        return pids
