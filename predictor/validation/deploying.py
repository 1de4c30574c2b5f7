"""From a call graph to an application that the testbed can run, and to the graph that is predicted for it. Pure.

The testbed is one node: each service runs once, whatever the graph says of replicas. A service is on the CPU for its
service time, whose values follow a fixed sequence that fills its distribution evenly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from predictor.graph.plan import execution_plan, request_rates, sidecar_modes
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Cluster
from profiler.errors import UsageError
from profiler.testbed.application import NO_SIDECAR, SHARED, Application, Edge, Microservice
from profiler.vocabulary.protocols import TCP
from profiler.vocabulary.temperature import COLD
from profiler.vocabulary.usual import PLACEMENT, usual_application

_GOLDEN: Final = 0.6180339887498949
"""Multiples of it, modulo one, fill the unit interval evenly however many are taken."""

_TIMES: Final = 987
_LARGEST_BYTES: Final = 16 << 20

NEIGHBOURS_USE: Final = 5.0
"""How fast the neighbours of cold cells evict, next to programs that use all CPUs: see `EVICTION_NS`, a judgement."""


def applications_of(graph: CallGraph) -> dict[str, str]:
    """What the services on the two ends of each edge speak, by edge id. A TCP edge carries HTTP/1.1, as in profiles."""
    edges = (*graph.calls, *(entry.as_call() for entry in graph.ingress))
    return {call.id: usual_application(call.protocol) for call in edges}


def plain_entries(graph: CallGraph) -> CallGraph:
    """The graph with what comes in from outside without TLS: load is sent in plain text, by who has no sidecar."""
    return replace(graph, ingress=tuple(replace(entry, tls="none") for entry in graph.ingress))


def application(
    graph: CallGraph, spoken: Mapping[str, str], proxy: str, transport: str = "ip", placement: str = PLACEMENT
) -> Application:
    """The graph as it is deployed.

    `spoken` is as `applications_of` gives it for the graph without any what-if: a change of what sidecars proxy an
    edge as does not change the services. Raises `UsageError`, one line, for what the testbed cannot build.
    """
    modes = sidecar_modes(graph)
    plan = execution_plan(graph)
    times = {service.name: service.service_time for service in graph.services}
    services = tuple(
        Microservice(
            name,
            _times_ns(times[name], number),
            tuple(_edge(call, modes[call.id], spoken[call.id]) for call in plan.handlings[name].calls),
        )
        for number, name in enumerate(plan.order)
    )
    entries = tuple(_edge(entry.as_call(), modes[entry.id], spoken[entry.id]) for entry in graph.ingress)
    return Application(services, entries, proxy, transport, placement)


def without_mesh(deployed: Application) -> Application:
    """The same services without any sidecar: the baseline."""

    def bare(edge: Edge) -> Edge:
        return replace(edge, client=NO_SIDECAR, server=NO_SIDECAR, tls="none", filters=(), shared="")

    services = tuple(replace(one, edges=tuple(map(bare, one.edges))) for one in deployed.services)
    return Application(services, tuple(map(bare, deployed.entries)), deployed.proxy, placement=deployed.placement)


def as_deployed(
    graph: CallGraph, rate_rps: float, cpus: int, cpu_use: float | None, handling_ns: Mapping[str, float]
) -> CallGraph:
    """The graph with what the testbed makes of it: one node, one replica of each, and the rate of the load.

    `cpu_use` is that of the node without sidecars (`node_use`), and `handling_ns` what each service needs for a
    request on top of its service time (`handling_ns_of`), nothing where it is not named. The temperature is left to
    the model.
    """
    factor = rate_rps / sum(entry.rate_rps for entry in graph.ingress)
    return replace(
        graph,
        services=tuple(
            replace(
                service,
                replicas=1,
                workload="",
                replicas_per_node=None,
                cold_weight=None,
                service_time=service.service_time.longer(handling_ns.get(service.name, 0.0)),
            )
            for service in graph.services
        ),
        ingress=tuple(replace(entry, rate_rps=entry.rate_rps * factor) for entry in graph.ingress),
        cluster=Cluster(nodes=1, cpus_per_node=float(cpus), cpu_use=cpu_use),
        cold_weight=None,
        assumed=(),
    )


def node_use(temperature: str, baseline_vcpu: float, cpus: int) -> float:
    """How much others use the CPUs of the node: its services, or the neighbours that walk the caches in cold cells."""
    return NEIGHBOURS_USE if temperature == COLD else min(1.0, baseline_vcpu / cpus)


def handling_ns_of(
    graph: CallGraph, rate_rps: float, baseline_vcpu: float, by_service_vcpu: Mapping[str, float]
) -> dict[str, float]:
    """By service, the CPU time to receive, pass on and answer a request, on top of its service time; at least 0.

    It is what was measured without sidecars: of the service's process, which depends on protocols and on how many calls
    it makes, and of the kernel outside of the processes, the same for each request that any service handles.
    `rate_rps` is of requests from outside. A service of which nothing was measured has the latter alone.
    """
    factor = rate_rps / sum(entry.rate_rps for entry in graph.ingress)
    rates = {name: factor * rate for name, rate in request_rates(graph).items()}
    times = {service.name: service.service_time.mean_ns for service in graph.services}
    known = {name: by_service_vcpu[name] * 1e9 for name, rate in rates.items() if by_service_vcpu.get(name) and rate}
    spent_ns = sum(known.values()) + sum(rates[name] * times[name] for name in rates if name not in known)
    outside_ns = max(0.0, baseline_vcpu * 1e9 - spent_ns) / sum(rates.values())
    return {
        name: outside_ns + max(0.0, known[name] / rates[name] - times[name] if name in known else 0.0) for name in rates
    }


def _times_ns(time: ServiceTime, number: int) -> tuple[int, ...]:
    if time.kind == "constant" or time.mean_ns <= 0.0:
        return (round(time.mean_ns),)
    shares = (((index + 0.5 + 17 * number) * _GOLDEN) % 1.0 for index in range(_TIMES))
    return tuple(round(time.quantile_ns(min(max(share, 1e-4), 1.0 - 1e-4))) for share in shares)


def _edge(call: Call, modes: Sequence[str], spoken: str) -> Edge:
    if "waypoint" in modes:
        raise UsageError(f"{call.id}: a waypoint is not deployed here; give {call.callee} another sidecar to validate")
    client, server = (_proxied(mode, call.protocol) for mode in modes)
    _refuse(call, client, server)
    return Edge(
        id=call.id,
        callee=call.callee,
        application=spoken,
        client=client,
        server=server,
        tls=call.tls if client or server else "none",
        filters=call.filters if client or server else (),
        request_bytes=round(call.request_bytes),
        response_bytes=round(call.response_bytes),
        calls_per_request=call.calls_per_request,
        stage=call.stage,
        repeat=call.repeat,
        asynchronous=call.asynchronous,
        shared=call.protocol,
    )


def _proxied(mode: str, protocol: str) -> str:
    if mode == "none":
        return NO_SIDECAR
    return SHARED if mode == "shared" else TCP if mode == "tcp" else protocol


def _refuse(call: Call, client: str, server: str) -> None:
    """Raise `UsageError` for an edge that cannot be built."""
    alone = client in (NO_SIDECAR, SHARED) or server in (NO_SIDECAR, SHARED)
    if call.tls != "none" and (client or server) and alone:
        raise UsageError(
            f"{call.id}: mTLS needs a sidecar on both sides here, which this edge lacks; validate with "
            f"--set '{call.id}.tls=none', or give both services a sidecar"
        )
    if max(call.request_bytes, call.response_bytes) > _LARGEST_BYTES:
        raise UsageError(f"{call.id}: more than 16 MiB in a message is not deployed here")
    if call.new_connections:
        raise UsageError(f"{call.id}: new_connections is not deployed here; leave it out to validate the rest")
