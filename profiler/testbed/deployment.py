"""One hop, deployed: a client pod and a server pod, each with or without a sidecar, and an echo server."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from profiler.components import CLIENT_APP, CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR
from profiler.errors import ProcessError
from profiler.proxies.base import PROXY_UID, Proxy, SidecarConfig
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.process import Process
from profiler.testbed.run import Run
from profiler.workload.base import Server

NONE, CLIENT, SERVER, BOTH = "none", "client", "server", "both"
TOPOLOGIES: Final = (NONE, CLIENT, SERVER, BOTH)
"""On which side of the hop there is a sidecar."""

_READY_WITHIN_S: Final = 20.0


@dataclass(frozen=True)
class Hop:
    """What is deployed: the protocol the sidecars speak and the sides that have one."""

    protocol: str
    topology: str

    @property
    def name(self) -> str:
        return "direct" if self.topology == NONE else f"{self.protocol}-{self.topology}"

    @property
    def sidecar_places(self) -> tuple[str, ...]:
        """The places of its sidecars, in the order a request meets them."""
        places = {CLIENT: (CLIENT_SIDECAR,), SERVER: (SERVER_SIDECAR,), BOTH: (CLIENT_SIDECAR, SERVER_SIDECAR)}
        return places.get(self.topology, ())

    def cpu_of(self, place: str, cpus: Sequence[int]) -> int:
        """The CPU of a place: each process of the chain runs on the one after its predecessor's.

        So every hand-over goes to another CPU, as the kernel chooses by itself while one is free (tried: unpinned, the
        median of single rounds spread over a factor of two, as processes happened to share a CPU or not).
        """
        chain = (CLIENT_APP, *self.sidecar_places, SERVER_APP)
        return cpus[chain.index(place) % len(cpus)]


DIRECT: Final = Hop("none", NONE)
"""The baseline: no sidecar on either side."""


@dataclass(frozen=True)
class Sizes:
    """All sizes of the run: the server is set up for every one of them."""

    response_bytes: tuple[int, ...]
    largest_request_bytes: int


class Deployment:
    """The running pods of one hop.

    Attributes: `client` (the pod that load is sent from), `processes` by place.
    """

    def __init__(self, run: Run, network: PodNetwork, hop: Hop, proxy: Proxy, server: Server, sizes: Sizes) -> None:
        self.hop = hop
        self.port = server.port
        self.processes: dict[str, Process] = {}
        self._run = run
        self._proxy = proxy
        self._directories: dict[str, Path] = {}
        self._cpus = sorted(os.sched_getaffinity(0))
        self.client = network.add_pod(f"{hop.name}-c", capture=CLIENT_SIDECAR in hop.sidecar_places)
        self._server_pod = network.add_pod(f"{hop.name}-s", capture=SERVER_SIDECAR in hop.sidecar_places)
        directory = run.add_directory(f"{hop.name}-server")
        argv = server.argv(directory, sizes.response_bytes, sizes.largest_request_bytes)
        self.processes[SERVER_APP] = run.spawn(
            f"{hop.name}-server", argv, netns=self._server_pod.namespace, cpu=self.cpu_of(SERVER_APP)
        )
        for place in hop.sidecar_places:
            self._start_sidecar(place, self.client if place == CLIENT_SIDECAR else self._server_pod)

    @property
    def address(self) -> str:
        """Where the client reaches the server."""
        return self._server_pod.address

    @property
    def places(self) -> dict[int, str]:
        """Process id → place, without the load generator."""
        return {process.pid: place for place, process in self.processes.items()}

    def cpu_of(self, place: str) -> int:
        """The CPU that the process at `place` is pinned to."""
        return self.hop.cpu_of(place, self._cpus)

    @property
    def sidecars(self) -> list[Process]:
        return [self.processes[place] for place in self.hop.sidecar_places]

    def _start_sidecar(self, place: str, pod: Pod) -> None:
        name = f"{self.hop.name}-{place.replace('_', '-')}"
        directory = self._run.add_directory(name, uid=PROXY_UID)
        argv = self._proxy.argv(SidecarConfig(self.hop.protocol), directory)
        self.processes[place] = self._run.spawn(name, argv, netns=pod.namespace, uid=PROXY_UID, cpu=self.cpu_of(place))
        self._directories[place] = directory

    def wait_ready(self) -> None:
        """Wait until the server and every sidecar take connections.

        Raises:
            ProcessError: one ended, or was not ready in time.
        """
        deadline_s = time.monotonic() + _READY_WITHIN_S
        self._wait_for(SERVER_APP, lambda: self._server_pod.namespace.call(self._server_listens), deadline_s)
        for place, directory in self._directories.items():
            self._wait_for(place, partial(self._proxy.ready, directory), deadline_s)

    def _server_listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _wait_for(self, place: str, ready: Callable[[], bool], deadline_s: float) -> None:
        process = self.processes[place]
        while not ready():
            process.check()
            if time.monotonic() > deadline_s:
                raise ProcessError(
                    f"{process.name} was not ready within {_READY_WITHIN_S:g} s; its log is {process.log_path}"
                )
            time.sleep(0.02)
        process.check()

    def check(self) -> None:
        """Raise ProcessError, with the end of its log, if a process of the hop has ended."""
        for process in self.processes.values():
            process.check()
