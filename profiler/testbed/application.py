"""A whole application, deployed: a pod for every service, with or without sidecars, and one that load is sent from.

What an edge passes follows from the two sidecar modes it names; every edge has a port of its own at its callee, by
which sidecars tell the edges apart. Processes run where the scheduler puts them; or each request goes round the CPUs as
in `Hop.cpu_of`: whoever takes over from another process runs on the next CPU.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.errors import UsageError
from profiler.files.folders import hand_over, write_private
from profiler.host.hop_cpus import cpus_for_hops
from profiler.host.interpreter import module_command
from profiler.host.process import Process
from profiler.proxies.base import INBOUND, INBOUND_PORT, OUTBOUND, OUTBOUND_PORT, PROXY_UID, Listener
from profiler.proxies.base import SidecarConfig as Config
from profiler.proxies.filters import load_filter, needs_of
from profiler.proxies.registry import find_proxy
from profiler.testbed.certificates import copy_certificates
from profiler.testbed.deployment import ANY, READY_WITHIN_S, Secrets, filter_values, listens, wait_until_ready
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.run import Run
from profiler.vocabulary import usual
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.hop import FREE, IP, MTLS, UDS
from profiler.vocabulary.load import Load
from profiler.workload.base import Target
from profiler.workload.servers.filter_services import filter_services_argv
from profiler.workload.service.answer_times import answer_times

SHARED: Final = "shared"
NO_SIDECAR: Final = ""
INGRESS: Final = "ingress"
_FIRST_PORT: Final = 9000
_FIRST_SHARED_PORT: Final = 20_000


@dataclass(frozen=True)
class Edge:
    """Calls from a service, or from outside, to another service.

    `client` and `server` are what the sidecars on the two sides proxy the edge as: a protocol, `shared` for the node's
    proxy, or nothing where there is none. `application` is what the two services speak, `shared` what a shared proxy
    takes it for (empty: the same).
    """

    id: str
    callee: str
    application: str
    client: str
    server: str
    tls: str = "none"
    filters: tuple[str, ...] = ()
    request_bytes: int = 1024
    response_bytes: int = 1024
    calls_per_request: float = 1.0
    stage: int = 0
    repeat: str = "sequential"
    asynchronous: bool = False
    shared: str = ""

    @property
    def protocol(self) -> str:
        """What its proxies take it for; of two that differ, the client's."""
        sides = (mode for mode in (self.client, self.server) if mode not in (SHARED, NO_SIDECAR))
        return next(sides, self.shared or self.application)

    @property
    def client_sidecar(self) -> bool:
        """Whether it passes a sidecar of the caller's own."""
        return self.client not in (NO_SIDECAR, SHARED)

    @property
    def server_sidecar(self) -> bool:
        """Whether it passes a sidecar of the callee's own."""
        return self.server not in (NO_SIDECAR, SHARED)

    @property
    def passes_shared(self) -> bool:
        """Whether the node's proxy is on its way."""
        return SHARED in (self.client, self.server)

    @property
    def load(self) -> Load:
        """One request of it."""
        return Load(1, None, self.request_bytes, self.response_bytes)


@dataclass(frozen=True)
class Microservice:
    """A service: how long it takes for one request after another, in ns, and what it calls."""

    name: str
    service_times_ns: tuple[int, ...]
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True)
class Application:
    """Services, callers before callees, and the edges that come in from outside.

    `placement` is `free` or `apart`, as of a hop.
    """

    services: tuple[Microservice, ...]
    entries: tuple[Edge, ...]
    proxy: str = usual.PROXY
    transport: str = IP
    placement: str = usual.PLACEMENT

    @property
    def edges(self) -> list[tuple[str, Edge]]:
        """All edges with their callers."""
        own = [(service.name, edge) for service in self.services for edge in service.edges]
        return [*((INGRESS, entry) for entry in self.entries), *own]

    @property
    def meshed(self) -> bool:
        """Whether any edge passes a proxy."""
        return any(edge.client or edge.server for _, edge in self.edges)


class ApplicationDeployment:
    """The running pods of an application.

    Attributes: `client` (the pod that load is sent from), `services` and `sidecars` (processes by service; the shared
    proxy's name is `shared`), `targets` (where the load of each entry goes, by its id).
    """

    def __init__(self, run: Run, network: PodNetwork, name: str, application: Application, secrets: Secrets) -> None:
        self.application = application
        self.services: dict[str, Process] = {}
        self.sidecars: dict[str, Process] = {}
        self.others: list[Process] = []
        self.targets: dict[str, Target] = {}
        self._run = run
        self._name = name
        self._secrets = secrets
        self._proxy = find_proxy(application.proxy)
        if not self._proxy.by_destination and application.meshed:
            raise UsageError(f"--proxy {application.proxy}: it cannot treat edges differently; graphs need envoy")
        self._ready: list[tuple[Process, Callable[[], bool]]] = []
        self._ports = {edge.id: _FIRST_PORT + number for number, (_, edge) in enumerate(application.edges)}
        self._shared_ports = {edge.id: _FIRST_SHARED_PORT + n for n, (_, edge) in enumerate(application.edges)}
        self._positions = positions(application)
        self.client = network.add_pod(f"{name}-load")
        self._pods = {service.name: self._add_pod(network, service) for service in application.services}
        if any(edge.passes_shared for _, edge in application.edges):
            self._pods[SHARED] = network.add_pod(f"{name}-node")
        self._directories = {
            name: run.add_directory(f"{self._name}-{number}-sidecar") for number, name in enumerate(self._pods)
        }
        self._app_directories = {
            service.name: run.add_directory(f"{self._name}-{number}-service", passable=True)  # to its sockets
            for number, service in enumerate(application.services)
        }
        for service in application.services:
            self._start_service(service)
        for pod in self._pods:
            self._start_sidecar(pod)
        for entry in application.entries:
            self.targets[entry.id] = Target(self._address_for(INGRESS, entry), entry.application)

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.services.values(), *self.sidecars.values(), *self.others]

    def sidecar_directory(self, name: str) -> Path:
        """Where the sidecar of a service (or `shared`) keeps its files."""
        return self._directories[name]

    def wait_ready(self) -> None:
        """Wait until everything takes connections. Raises ProcessError."""
        deadline_s = time.monotonic() + READY_WITHIN_S
        for process, ready in self._ready:
            wait_until_ready(process, ready, deadline_s)

    def check(self) -> None:
        """Raise ProcessError, with the end of its log, if a process has ended."""
        for process in self.processes:
            process.check()

    def _incoming(self, name: str) -> list[Edge]:
        return [edge for _, edge in self.application.edges if edge.callee == name]

    def _outgoing(self, name: str) -> list[Edge]:
        return [edge for caller, edge in self.application.edges if caller == name]

    def _add_pod(self, network: PodNetwork, service: Microservice) -> Pod:
        by_socket = self.application.transport == UDS
        out = any(edge.client_sidecar for edge in service.edges) and not by_socket
        into = any(edge.server_sidecar for edge in self._incoming(service.name))
        name = f"{self._name}-{[one.name for one in self.application.services].index(service.name)}"
        only = "" if out == into else OUTBOUND if out else INBOUND
        return network.add_pod(name, capture=out or into, only=only)

    def _start_service(self, service: Microservice) -> None:
        directory = self._app_directories[service.name]
        order = directory / "order.json"
        waited = [edge for edge in service.edges if not edge.asynchronous]
        stages = sorted({edge.stage for edge in waited})
        document = {
            "listen": [self._listening(edge) for edge in self._incoming(service.name)],
            "service_times_ns": service.service_times_ns,
            "stages": [[self._call(service.name, edge) for edge in waited if edge.stage == stage] for stage in stages],
            "background": [self._call(service.name, edge) for edge in service.edges if edge.asynchronous],
            "answer_times": str(self._answer_times(service.name)),
        }
        write_private(order, json.dumps(document))
        argv = module_command("profiler.workload.service.process", str(order))
        pod = self._pods[service.name]
        process = self._spawn(f"service-{service.name}", argv, pod, self._cpu(service.name, sidecar=False))
        self.services[service.name] = process
        for edge in self._incoming(service.name):
            self._ready.append((process, partial(listens, pod, Address("127.0.0.1", self._ports[edge.id]))))

    def _answer_times(self, name: str) -> Path:
        return self._app_directories[name] / "answer-times"

    def answer_times_ns(self, start_ns: int, end_ns: int) -> dict[str, npt.NDArray[np.int64]]:
        """By service, how long the requests that began in that time took with their calls, in ns."""
        return {
            one.name: answer_times(self._answer_times(one.name), start_ns, end_ns) for one in self.application.services
        }

    def _listening(self, edge: Edge) -> dict[str, Any]:
        socket = self._app_socket(edge)
        entry = {"application": edge.application, "host": ANY, "port": self._ports[edge.id]}
        return entry if socket is None else {**entry, "socket": str(socket)}

    def _app_socket(self, edge: Edge) -> Path | None:
        by_socket = self.application.transport == UDS and edge.server_sidecar
        return self._app_directories[edge.callee] / f"{self._ports[edge.id]}.sock" if by_socket else None

    def _call(self, caller: str, edge: Edge) -> dict[str, Any]:
        address = self._address_for(caller, edge)
        target = Target(address, edge.application)
        return {
            "address": str(address.socket) if address.socket else [address.host, address.port],
            "application": edge.application,
            "path": target.path(edge.load),
            "headers": [*target.header_lines(edge.load), *self._filter_headers(edge)],
            "request_bytes": edge.request_bytes,
            "calls_per_request": edge.calls_per_request,
            "repeat": edge.repeat,
        }

    def headers_for(self, edge: Edge) -> tuple[str, ...]:
        """Header lines that the filters of an edge need of a request."""
        return tuple(f"{name}: {value}" for name, value in self._filter_headers(edge))

    def _filter_headers(self, edge: Edge) -> list[tuple[str, str]]:
        if edge.client == edge.server == NO_SIDECAR:
            return []
        lines = [line for name in edge.filters for line in needs_of(self.application.proxy, name).request_headers]
        filled = (line.replace("${token}", self._secrets.token.token).partition(":") for line in lines)
        return [(name.strip(), value.strip()) for name, _, value in filled]

    def _address_for(self, caller: str, edge: Edge) -> Address:
        """Where the caller sends the calls of an edge."""
        if edge.passes_shared:
            return Address(self._pods[SHARED].address, self._shared_ports[edge.id])
        if edge.client != NO_SIDECAR and self.application.transport == UDS:
            return self._client_socket(caller, edge)
        return self._server_address(edge)

    def _server_address(self, edge: Edge) -> Address:
        return Address(self._pods[edge.callee].address, self._ports[edge.id])

    def _client_socket(self, caller: str, edge: Edge) -> Address:
        return Address(socket=self._directories[caller] / f"{self._ports[edge.id]}.sock")

    def _start_sidecar(self, name: str) -> None:
        listeners = self._listeners(name)
        if not listeners:
            return
        directory = self._directories[name]
        mtls = any(listener.accept_tls or listener.connect_tls for listener in listeners)
        certificates = copy_certificates(self._secrets.certificates, directory) if mtls else None
        argv = self._proxy.argv(Config(listeners[0].protocol, tuple(listeners), certificates=certificates), directory)
        hand_over(directory, PROXY_UID)
        pod = self._pods[name]
        cpu = self._cpu(name, sidecar=True)
        process = self._spawn(f"sidecar-{name}", argv, pod, cpu, uid=PROXY_UID)
        self.sidecars[name] = process
        self._ready.append((process, partial(self._proxy.ready, directory)))
        for listener in listeners:
            address = listener.listen if listener.listen.socket else Address("127.0.0.1", listener.listen.port)
            self._ready.append((process, partial(listens, pod, address)))

    def _listeners(self, name: str) -> list[Listener]:
        if name == SHARED:
            passing = [edge for _, edge in self.application.edges if edge.passes_shared]
            return [self._shared_listener(edge) for edge in passing]
        into = [self._inbound(edge) for edge in self._incoming(name) if edge.server_sidecar]
        out = [self._outbound(name, edge) for edge in self._outgoing(name) if edge.client_sidecar]
        found = [*into, *out]
        if any(listener.filters for listener in found):
            self._start_filter_services(name)
        return found

    def _inbound(self, edge: Edge) -> Listener:
        socket = self._app_socket(edge)
        return Listener(
            f"{INBOUND}-{self._ports[edge.id]}",
            Address(ANY, INBOUND_PORT),
            self._server_address(edge),
            upstream=Address(socket=socket) if socket else None,
            accept_tls=edge.tls == MTLS,
            filters=self._filters(edge, edge.callee),
            protocol=edge.server,
            by_destination=True,
        )

    def _outbound(self, caller: str, edge: Edge) -> Listener:
        by_socket = self.application.transport == UDS
        destination = self._server_address(edge)
        return Listener(
            f"{OUTBOUND}-{self._ports[edge.id]}",
            self._client_socket(caller, edge) if by_socket else Address(ANY, OUTBOUND_PORT),
            destination,
            upstream=destination if by_socket else None,
            connect_tls=edge.tls == MTLS,
            filters=() if edge.server_sidecar else self._filters(edge, caller),
            protocol=edge.client,
            by_destination=not by_socket,
        )

    def _shared_listener(self, edge: Edge) -> Listener:
        destination = self._server_address(edge)
        return Listener(
            f"{OUTBOUND}-{self._ports[edge.id]}",
            Address(ANY, self._shared_ports[edge.id]),
            destination,
            upstream=destination,
            filters=self._filters(edge, SHARED),
            protocol=edge.protocol,
        )

    def _filters(self, edge: Edge, holder: str) -> tuple[Any, ...]:
        if edge.protocol == "tcp":
            return ()
        values = filter_values(self._directories[holder], self._secrets.token)
        return tuple(load_filter(self.application.proxy, name, values) for name in edge.filters)

    def _start_filter_services(self, name: str) -> None:
        """The servers that the filters of a sidecar ask, if any do."""
        edges = [*self._incoming(name), *self._outgoing(name)]
        filters = {filter_ for edge in edges for filter_ in edge.filters}
        if any(needs_of(self.application.proxy, filter_).service for filter_ in filters):
            directory = self._run.add_directory(f"{self._directories[name].name}-filter-services")
            argv = filter_services_argv(directory)
            cpu = self._cpu(name, sidecar=False)
            self.others.append(self._spawn(f"filter-services-{name}", argv, self._pods[name], cpu))

    @property
    def load_cpu(self) -> int | Sequence[int]:
        """The CPU that what sends load is pinned to, or those that it may use."""
        cpus = cpus_for_hops()
        return cpus if self.application.placement == FREE else cpus[0]

    def _cpu(self, name: str, *, sidecar: bool) -> int | Sequence[int]:
        """The CPU of a service or its sidecar, or those that it may use where the scheduler places it.

        Pinned, a service at depth d follows d others; its sidecar takes over before it does.
        """
        cpus = cpus_for_hops()
        if self.application.placement == FREE:
            return cpus
        position = self._positions.get(name, 0)
        if not self.application.meshed or sidecar:
            return cpus[(position + 1) % len(cpus)]
        return cpus[(position + 2) % len(cpus)]

    def _spawn(self, role: str, argv: list[str], pod: Pod, cpu: int | Sequence[int], uid: int | None = None) -> Process:
        name = f"{self._name}-{role}"[:60]
        return self._run.spawn(name, argv, netns=pod.namespace, uid=uid, cpu=cpu)


def positions(application: Application) -> dict[str, int]:
    """How far each service is from outside, in hops; those that are called at the same time follow one another."""
    found: dict[str, int] = {entry.callee: 0 for entry in application.entries}
    for service in application.services:
        beside: dict[int, int] = {}
        for edge in service.edges:
            number = beside.get(edge.stage, 0)
            beside[edge.stage] = number + 1
            found.setdefault(edge.callee, found.get(service.name, 0) + 1 + number)
    return found
