"""One hop, deployed: a client pod and a server pod, with or without sidecars, and the application's server."""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Final

from profiler.errors import ProcessError
from profiler.files.folders import hand_over
from profiler.host.hop_cpus import cpus_for_hops
from profiler.host.netns import Namespace
from profiler.host.process import ROOT, Process
from profiler.host.waiting import wait_until
from profiler.proxies.base import (
    INBOUND,
    INBOUND_PORT,
    OUTBOUND,
    OUTBOUND_PORT,
    PROXY_UID,
    TUNNEL_PORT,
    Filter,
    Listener,
    SidecarConfig,
)
from profiler.proxies.filters import load_filter, needs_of
from profiler.proxies.registry import proxy_of
from profiler.testbed.certificates import copy_certificates
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.run import Run
from profiler.testbed.tokens import Token
from profiler.vocabulary.addresses import Address, Certificates
from profiler.vocabulary.components import (
    CLIENT_SIDECAR,
    CLIENT_TUNNEL,
    FILTER_SERVICE,
    SERVER_APP,
    SERVER_SIDECAR,
    SERVER_TUNNEL,
    SHARED_PROXY,
    TUNNELS,
    WAYPOINT_PROXY,
)
from profiler.vocabulary.hop import MTLS, SHARED, UDS, WAYPOINT, Hop, cpus_used
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import TCP
from profiler.workload.base import Answers, Server, Target
from profiler.workload.servers.filter_services import PORTS as FILTER_SERVICE_PORTS
from profiler.workload.servers.filter_services import filter_services_argv

ANY: Final = "0.0.0.0"  # noqa: S104 - inside a namespace of the run
_LISTEN: Final = "0A"
"""State of a listening socket in /proc/net/tcp."""

READY_WITHIN_S: Final = 20.0


@dataclass(frozen=True)
class Secrets:
    """What the run made for its sidecars: certificates, and a token with the key set that verifies it."""

    certificates: Certificates
    token: Token

    def filled(self, load: Load) -> Load:
        """The load with the token in the headers that ask for it."""
        lines = tuple(line.replace("${token}", self.token.token) for line in load.extra_headers)
        return replace(load, extra_headers=lines)


class Deployment:
    """The running pods of one hop.

    Attributes: `client` (the pod that load is sent from), `processes` by place.
    """

    proxy_version: Final = ""
    """Sidecars run the programs that are installed here."""

    def __init__(
        self, run: Run, network: PodNetwork, number: int, hop: Hop, server: Server, answers: Answers, secrets: Secrets
    ) -> None:
        self.hop = hop
        self.processes: dict[str, Process] = {}
        self._run = run
        self._number = number
        self._proxy = proxy_of(hop)
        self._server = server
        self._secrets = secrets
        self._listeners: dict[str, Listener] = {}
        self._directories: dict[str, Path] = {}
        self._commands: dict[str, list[str]] = {}
        self._cpus = cpus_for_hops()
        by_socket = hop.transport == UDS
        captured = CLIENT_SIDECAR in hop.sidecar_places and not by_socket
        self.client = network.add_pod(f"h{number}-c", capture=captured)
        self._server_pod = network.add_pod(f"h{number}-s", capture=SERVER_SIDECAR in hop.sidecar_places)
        self._pods = {CLIENT_SIDECAR: self.client, SERVER_SIDECAR: self._server_pod}
        if hop.topology == SHARED:
            self._pods[SHARED_PROXY] = network.add_pod(f"h{number}-n")
        if hop.topology == WAYPOINT:
            waypoint = network.add_pod(f"h{number}-w")
            self._pods |= {CLIENT_TUNNEL: self.client, WAYPOINT_PROXY: waypoint, SERVER_TUNNEL: self._server_pod}
        self._server_directory = run.add_directory(f"h{number}-server", passable=True)  # to the server's sockets
        argv = server.argv(self._server_directory, answers)
        self._spawn(SERVER_APP, "server", argv, self._server_pod)
        if hop.filter_place and (services := self._filter_services()):
            directory = run.add_directory(f"h{number}-{'-'.join(services)}")
            self._spawn(FILTER_SERVICE, "-".join(services), filter_services_argv(directory), self._filter_pod)
        for place in hop.proxy_places:
            self._start_proxy(place)

    @property
    def target(self) -> Target:
        """Where the client sends its load."""
        server = Address(self._server_pod.address, self._server.port(self.hop.application))
        if self.hop.topology == SHARED:
            server = Address(self._pods[SHARED_PROXY].address, OUTBOUND_PORT)
        elif self.hop.topology == WAYPOINT:
            server = Address(self.client.address, OUTBOUND_PORT)
        elif self.hop.transport == UDS and CLIENT_SIDECAR in self.hop.sidecar_places:
            server = self._listeners[CLIENT_SIDECAR].listen
        return Target(server, self.hop.application)

    @property
    def load_namespace(self) -> Namespace:
        """The network namespace that load is sent from."""
        return self.client.namespace

    @property
    def places(self) -> list[dict[int, str]]:
        """Process id → place, without the load generator: of the one machine."""
        return [{process.pid: place for place, process in self.processes.items()}]

    def cpus_of(self, place: str) -> Sequence[int]:
        """The CPUs that the process at `place` may run on.

        Where the scheduler places it, these are few on a large machine, so that neighbours keep all of them awake.
        """
        pinned = self.hop.cpu_of(place, self._cpus)
        return cpus_used(self._cpus, self.hop.workers) if pinned is None else [pinned]

    @property
    def sidecars(self) -> list[Process]:
        return [self.processes[place] for place in self.hop.sidecar_places]

    @property
    def proxies(self) -> list[Process]:
        """All proxies, those in separate pods too."""
        return [self.processes[place] for place in self._commands]

    def start_proxies_again(self) -> None:
        """Replace the proxies, which have been stopped, by new processes: see `wait_ready`. Raises ProcessError."""
        for place in self._commands:
            self._spawn_proxy(place)

    @property
    def _filter_pod(self) -> Pod:
        return self._pods[self.hop.filter_place or SERVER_SIDECAR]

    def _filter_services(self) -> list[str]:
        needs = [needs_of(self.hop.proxy, name) for name in self.hop.filters]
        return sorted({need.service for need in needs if need.service})

    def _spawn(self, place: str, role: str, argv: list[str], pod: Pod, uid: int | None = None) -> None:
        name = f"{self.hop.name}-{role}".replace("+", "-")
        cwd = Path.cwd() if self.hop.bootstrap and uid is not None else ROOT
        self.processes[place] = self._run.spawn(
            f"h{self._number}-{name}", argv, netns=pod.namespace, uid=uid, cpu=self.cpus_of(place), cwd=cwd
        )

    def _start_proxy(self, place: str) -> None:
        directory = self._run.add_directory(f"h{self._number}-{place.replace('_', '-')}")
        self._directories[place] = directory
        self._listeners[place] = self._listener(place, directory)
        # Copies, since what the proxy's user owns is not trusted any more: those of the run stay root's.
        certificates = copy_certificates(self._secrets.certificates, directory) if self.hop.tls == MTLS else None
        if place in TUNNELS:
            config = SidecarConfig(TCP, (self._listeners[place],), certificates=certificates)
        else:
            config = sidecar_config(self.hop, self._listeners[place], certificates)
        self._commands[place] = self._proxy.argv(config, directory)
        hand_over(directory, PROXY_UID)
        self._spawn_proxy(place)

    def _spawn_proxy(self, place: str) -> None:
        self._spawn(place, place.replace("_", "-"), self._commands[place], self._pods[place], PROXY_UID)

    def _listener(self, place: str, directory: Path) -> Listener:
        """The one listener that the proxy at `place` needs: out of the client's pod, into the server's, or between."""
        hop, server_port = self.hop, self._server.port(self.hop.application)
        server = Address(self._server_pod.address, server_port)
        if hop.topology == WAYPOINT:
            return self._of_waypoint(place, server, directory)
        by_socket = hop.transport == UDS
        filters = self._filters(place, directory)
        if place == SERVER_SIDECAR:
            app = Address(socket=self._server.socket(hop.application, self._server_directory)) if by_socket else None
            return Listener(
                INBOUND,
                Address(ANY, INBOUND_PORT),
                app or Address("127.0.0.1", server_port),
                upstream=app,
                accept_tls=hop.tls == MTLS,
                filters=filters,
            )
        listen = Address(socket=directory / "outbound.sock") if by_socket else Address(ANY, OUTBOUND_PORT)
        fixed = by_socket or place == SHARED_PROXY
        return Listener(
            OUTBOUND,
            listen,
            server,
            upstream=server if fixed else None,
            connect_tls=hop.tls == MTLS,
            filters=filters,
        )

    def _of_waypoint(self, place: str, server: Address, directory: Path) -> Listener:
        """The listener of a waypoint, or of an end of its tunnels: what comes in goes on to the next one."""
        addresses = {
            CLIENT_TUNNEL: (OUTBOUND_PORT, Address(self._pods[WAYPOINT_PROXY].address, TUNNEL_PORT)),
            WAYPOINT_PROXY: (TUNNEL_PORT, Address(self._server_pod.address, TUNNEL_PORT)),
            SERVER_TUNNEL: (TUNNEL_PORT, Address("127.0.0.1", server.port)),
        }
        port, upstream = addresses[place]
        accept, connect = place != CLIENT_TUNNEL, place != SERVER_TUNNEL
        mtls = self.hop.tls == MTLS
        return Listener(
            place.replace("_", "-"),
            Address(ANY, port),
            server,
            upstream=upstream,
            accept_tls=accept and mtls,
            connect_tls=connect and mtls,
            accept_tunnel=accept,
            connect_tunnel=connect,
            filters=self._filters(place, directory),
        )

    def _filters(self, place: str, directory: Path) -> tuple[Filter, ...]:
        if place != self.hop.filter_place:
            return ()
        values = filter_values(directory, self._secrets.token)
        return tuple(load_filter(self.hop.proxy, name, values) for name in self.hop.filters)

    def wait_ready(self) -> None:
        """Wait until the server and every sidecar take connections.

        Raises:
            ProcessError: one ended, or was not ready in time.
        """
        deadline_s = time.monotonic() + READY_WITHIN_S
        port = self._server.port(self.hop.application)
        self._wait_for(SERVER_APP, partial(listens, self._server_pod, Address("127.0.0.1", port)), deadline_s)
        if FILTER_SERVICE in self.processes:
            for service in self._filter_services():
                address = Address("127.0.0.1", FILTER_SERVICE_PORTS[service])
                self._wait_for(FILTER_SERVICE, partial(listens, self._filter_pod, address), deadline_s)
        for place, directory in self._directories.items():
            self._wait_for(place, partial(self._proxy.ready, directory), deadline_s)
            listen = self._listeners[place].listen
            address = listen if listen.socket else Address("127.0.0.1", listen.port)
            self._wait_for(place, partial(listens, self._pods[place], address), deadline_s)

    def _wait_for(self, place: str, ready: Callable[[], bool], deadline_s: float) -> None:
        wait_until_ready(self.processes[place], ready, deadline_s)

    def check(self) -> None:
        """Raise ProcessError, with the end of its log, if a process of the hop has ended."""
        for process in self.processes.values():
            process.check()


def sidecar_config(hop: Hop, listener: Listener, certificates: Certificates | None) -> SidecarConfig:
    """The configuration of a sidecar of the hop with this listener."""
    bootstrap = Path(hop.bootstrap).read_text(encoding="utf-8") if hop.bootstrap else None
    return SidecarConfig(hop.protocol, (listener,), hop.workers, certificates, bootstrap)


def filter_values(directory: Path, token: Token) -> Mapping[str, str]:
    """What the placeholders of filter data stand for."""
    module = resources.files("profiler.proxies").joinpath("envoy_filters", "wasm.wasm").read_bytes()
    wasm = base64.b64encode(module).decode()
    return {"directory": str(directory), "jwks": token.jwks, "token": token.token, "wasm": wasm}


def wait_until_ready(process: Process, ready: Callable[[], bool], deadline_s: float) -> None:
    """Wait until `ready`. Raises ProcessError when the process has ended, or `deadline_s` (monotonic) is past."""
    if not wait_until(ready, deadline_s - time.monotonic(), check=process.check):
        raise ProcessError(
            f"{process.name} (pid {process.pid}) was not ready within {READY_WITHIN_S:g} s{process.last_words()}"
        )
    process.check()


def listens(pod: Pod, address: Address) -> bool:
    """Whether something listens at the address inside the pod.

    Looked up, not tried: a connection to a listener that forwards to the original destination, and was not captured,
    has itself as destination and would go round for ever.
    """
    if address.socket:
        return address.socket.exists()
    return pod.namespace.call(lambda: address.port in _listening_ports())


def _listening_ports() -> set[int]:
    """TCP ports that this thread's network namespace has listeners on."""
    lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return {int(entry[1].rpartition(":")[2], 16) for entry in fields if entry[3] == _LISTEN}
