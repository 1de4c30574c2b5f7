"""What a call graph is. Pure values: no I/O, nothing measured.

A graph is services, the calls between them, and where requests come in. Each service handles one request as its own
service time plus its calls: stage after stage, the calls of one stage at the same time, asynchronous calls beside them.
"""

from dataclasses import dataclass
from typing import Final, Literal

from predictor.graph.service_time import ServiceTime

SidecarMode = Literal["none", "tcp", "http", "shared", "waypoint"]
Protocol = Literal["tcp", "http1", "http2", "grpc"]
Tls = Literal["none", "mtls"]
EdgeTls = Literal["none", "simple", "mtls"]
Repeat = Literal["sequential", "parallel"]
Side = Literal["client", "server"]

CLIENT_MODES: Final[tuple[SidecarMode, ...]] = ("none", "tcp", "http", "shared")
SIDECAR_MODES: Final[tuple[SidecarMode, ...]] = (*CLIENT_MODES, "waypoint")
PROTOCOLS: Final[tuple[Protocol, ...]] = ("tcp", "http1", "http2", "grpc")
TLS_MODES: Final[tuple[Tls, ...]] = ("none", "mtls")
EDGE_TLS_MODES: Final[tuple[EdgeTls, ...]] = ("none", "simple", "mtls")
REPEATS: Final[tuple[Repeat, ...]] = ("sequential", "parallel")
SIDES: Final[tuple[Side, ...]] = ("client", "server")

SIZE_BYTES: Final = 1024.0
"""Of a request or a response whose size nobody knows."""

MOST_REPLICAS: Final = 10**9
MOST_CALLS_PER_REQUEST: Final = 1e9
MOST_RETRY_RATE: Final = 1000.0
MOST_BYTES: Final = 2.0**50
MOST_RPS: Final = 1e12
MOST_CONNECTIONS: Final = 1000
"""The largest values that a graph may hold, wherever it comes from."""

ONE_MILLISECOND: Final = ServiceTime.constant(1e6)

INGRESS: Final = "ingress"
"""The caller of requests from outside, in edge ids such as `ingress->frontend`. No service has this name."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The proxy beside each replica of a service, by the side of the call it is on.

    `client` handles the calls the service makes, `server` those it receives: `none` there is no proxy, `tcp` it moves
    bytes, `http` it parses requests (of calls that are HTTP), `shared` one proxy per node serves all its services,
    `waypoint` a proxy in a separate pod, which the calls it receives pass between two tunnels (of `server` only).
    """

    client: SidecarMode = "http"
    server: SidecarMode = "http"


@dataclass(frozen=True, slots=True)
class Service:
    """A service; `name` is unique in its graph.

    `service_time` is what one request costs in the service itself, without its calls. `workload` is the deployment
    behind it: services that are one deployment at different depths of the graph share it (default: the name).
    `replicas_per_node` and `cold_weight` (0 hot to 1 cold) are None where not known.
    """

    name: str
    replicas: int = 1
    sidecar: Sidecar = Sidecar()
    service_time: ServiceTime = ONE_MILLISECOND
    workload: str = ""
    replicas_per_node: float | None = None
    cold_weight: float | None = None

    @property
    def deployment(self) -> str:
        """The deployment that runs this service."""
        return self.workload or self.name


@dataclass(frozen=True, slots=True)
class Call:
    """One edge of the graph: what `caller` asks of `callee` while it handles one request.

    `calls_per_request` is the mean number per request that the caller handles, a probability where below one. Calls of
    one caller with equal `stage` run at the same time, stages in ascending order; `repeat` says how the calls of this
    edge run when there are several. An `asynchronous` call costs CPU but nobody waits for it. `headers` is the number
    of request headers and `new_connections` the share of calls that open a connection (None: as profiled).
    `required` holds what a change may not take away: `mtls`, or names of filters. `bypass` names the sides whose
    sidecar this call does not pass, as on a port that is excluded from capture. `retry_rate` is the mean number
    of further attempts per call; they are in `calls_per_request`, since each costs as much as a call.
    """

    id: str
    caller: str
    callee: str
    protocol: Protocol = "http1"
    tls: Tls = "none"
    filters: tuple[str, ...] = ()
    request_bytes: float = SIZE_BYTES
    response_bytes: float = SIZE_BYTES
    calls_per_request: float = 1.0
    stage: int = 0
    repeat: Repeat = "sequential"
    asynchronous: bool = False
    headers: float | None = None
    new_connections: float | None = None
    required: tuple[str, ...] = ()
    bypass: tuple[Side, ...] = ()
    retry_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Ingress:
    """Requests from outside to `service`, `rate_rps` per second; the rest as in `Call`.

    With `connections` the load is a closed loop: each of them sends a request as soon as the one before is answered,
    so the rate follows from the latency, and `rate_rps` is 0 until a prediction has worked it out. Such an entry is the
    only one of its graph.
    `tls` may be `simple`: only the server has a certificate. Its costs are taken for those of mTLS on that side.
    """

    service: str
    rate_rps: float = 0.0
    protocol: Protocol = "http1"
    tls: EdgeTls = "none"
    filters: tuple[str, ...] = ()
    request_bytes: float = SIZE_BYTES
    response_bytes: float = SIZE_BYTES
    bypass: tuple[Side, ...] = ()
    connections: int | None = None

    @property
    def id(self) -> str:
        """The edge id, `ingress->SERVICE`."""
        return edge_id(INGRESS, self.service)

    def as_call(self) -> Call:
        """The entry as an edge from `ingress`, for code that treats all edges alike. Its caller has no sidecar."""
        return Call(
            id=self.id,
            caller=INGRESS,
            callee=self.service,
            protocol=self.protocol,
            tls="none" if self.tls == "none" else "mtls",
            filters=self.filters,
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            bypass=self.bypass,
        )


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the services run, as far as known: nodes, CPUs of each, and the share of CPU in use (0 to 1)."""

    nodes: int | None = None
    cpus_per_node: float | None = None
    cpu_use: float | None = None


@dataclass(frozen=True, slots=True)
class Assumption:
    """A value nobody gave: its place, such as `calls.a->b.tls` or `services.*.replicas`, and why it is what it is."""

    path: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.why}" if self.why else self.path


@dataclass(frozen=True, slots=True)
class CallGraph:
    """A call graph. `check_graph` says whether its parts fit together; the file reader has done that.

    `cold_weight` overrides the temperature of all services (0 hot to 1 cold); None lets the model work it out.
    """

    services: tuple[Service, ...]
    calls: tuple[Call, ...]
    ingress: tuple[Ingress, ...]
    name: str = ""
    cluster: Cluster = Cluster()
    cold_weight: float | None = None
    assumed: tuple[Assumption, ...] = ()

    @property
    def closed_loop(self) -> Ingress | None:
        """The entry whose load is a closed loop; None where load has a rate."""
        return next((entry for entry in self.ingress if entry.connections is not None), None)

    def service(self, name: str) -> Service:
        """The service of that name; raises `KeyError`."""
        found = next((service for service in self.services if service.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def call(self, identifier: str) -> Call:
        """The call with that id; raises `KeyError`."""
        found = next((call for call in self.calls if call.id == identifier), None)
        if found is None:
            raise KeyError(identifier)
        return found


def edge_id(caller: str, callee: str, name: str = "") -> str:
    """How an edge is addressed: `caller->callee`, or `caller->callee:name` where a pair has several."""
    return f"{caller}->{callee}:{name}" if name else f"{caller}->{callee}"
