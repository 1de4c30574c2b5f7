"""Random call graphs with everything a prediction looks at, and a model that knows all of it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import (
    PROTOCOLS,
    REPEATS,
    TLS_MODES,
    Call,
    CallGraph,
    Cluster,
    Ingress,
    Service,
    Sidecar,
    SidecarMode,
)
from predictor.models.fitting import fit_profile
from predictor.models.types import CoolingEnd, FittedModel
from tests.predictor.models.profiles import HTTP, LOADS, TCP, Coefficients, cell, profile

ROUNDS = (1.0, 0.9, 1.15, 1.05)
TUNNELLED: Coefficients = {**HTTP, "tunnel": (3e4, 0.2, 0.1, 0.0, 0.0)}
FILTERED: Coefficients = {**HTTP, "filter:lua": (8e3, 0.1, 0.0, 0.0, 0.0)}
MODES: tuple[SidecarMode, ...] = ("http", "http", "tcp", "none", "shared")


def model() -> FittedModel:
    """Hot and cold ends, mTLS, shared proxies, waypoints and a filter; intervals are wide."""
    kinds: list[tuple[Coefficients, dict[str, Any]]] = [(FILTERED, {"topology": "server", "filters": ["lua"]})]
    for tls in TLS_MODES:
        for temperature in ("hot", "cold"):
            ways = {"tls": tls, "temperature": temperature, "client_share": 0.4}
            kinds += [(HTTP, {"protocol": name, **ways}) for name in PROTOCOLS if name != "tcp"]
            kinds.append((TCP, {"protocol": "tcp", **ways}))
            if tls == "mtls":
                kinds += [(TUNNELLED, {"protocol": name, "topology": "waypoint", **ways}) for name in PROTOCOLS]
        kinds += [(HTTP, {"protocol": name, "topology": "shared", "tls": tls}) for name in PROTOCOLS]
    cells = []
    for number, (coefficients, ways) in enumerate(kinds):
        factor = 1.0 + 0.1 * number
        scaled = {name: tuple(factor * value for value in values) for name, values in coefficients.items()}
        cells += [cell(scaled, load, ROUNDS, mean_ratio=1.2, **ways) for load in LOADS]
    ends = (
        CoolingEnd("http1", "none", "latency", factor=1.0, rise=0.5, error=0.1),
        CoolingEnd("http1", "none", "cpu", factor=2.5, rise=0.8, error=0.2),
        CoolingEnd("grpc", "mtls", "latency", factor=4.0, rise=1.5, error=0.05),
        CoolingEnd("tcp", "none", "latency", factor=0.3, rise=0.1, error=0.0),
    )
    curve = ((1e5, 0.0), (2e6, 0.4), (3e7, 1.8))
    return replace(fit_profile(profile(cells, drift=0.02)), cooling=curve, cooling_ends=ends)


def call_graph(rng: random.Random, name: str) -> CallGraph:
    """Up to eleven services, several callers and callees each, one or two entries."""
    count = rng.randrange(1, 12)
    sidecars = {name: Sidecar(rng.choice(MODES), rng.choice(MODES)) for name in ("w1", "w2")}
    services = tuple(_service(rng, f"s{number}", sidecars) for number in range(count))
    calls = [
        _call(rng, f"s{caller}", f"s{callee}")
        for callee in range(1, count)
        for caller in sorted({rng.randrange(callee) for _ in range(rng.randrange(1, 3))})
    ]
    entries = [Ingress("s0", rng.random() * 3000)]
    if count > 2 and rng.random() < 0.4:
        entries.append(Ingress("s2", rng.random() * 300, protocol=rng.choice(PROTOCOLS)))
    nodes, cpus = rng.choice([None, 3]), rng.choice([None, 0.1, 0.5, 1.0])
    cluster = Cluster(nodes=nodes, cpus_per_node=cpus, cpu_use=rng.choice([None, 0.1, 0.0]))
    return CallGraph(services, tuple(calls), tuple(entries), name, cluster, rng.choice([None, None, 0.7]))


def _service(rng: random.Random, name: str, sidecars: Mapping[str, Sidecar]) -> Service:
    """Services of one workload are one deployment, with one kind of sidecar."""
    workload = rng.choice(["", "", *sidecars])
    return Service(
        name,
        replicas=rng.randrange(1, 4),
        sidecar=sidecars.get(workload, Sidecar(rng.choice(MODES), rng.choice(MODES))),
        service_time=ServiceTime.constant(rng.choice([1e6, 2e6, rng.random() * 1e6])),
        workload=workload,
        cold_weight=rng.choice([None, None, 0.3, rng.random()]),
    )


def _call(rng: random.Random, caller: str, callee: str) -> Call:
    protocol = rng.choice(PROTOCOLS)
    return Call(
        f"{caller}->{callee}",
        caller,
        callee,
        protocol=protocol,
        tls=rng.choice(TLS_MODES),
        filters=("lua",) if protocol == "http1" and rng.random() < 0.2 else (),
        request_bytes=rng.choice([1024.0, float(rng.randrange(20_000))]),
        response_bytes=float(rng.randrange(9_000)),
        calls_per_request=rng.choice([1.0, 1.0, 1.0, 0.5, 0.25, 0.0, 3.0, 2.5]),
        stage=rng.randrange(3),
        repeat=rng.choice(REPEATS),
        asynchronous=rng.random() < 0.15,
        headers=rng.choice([None, None, 3.0]),
        new_connections=rng.choice([None, 0.2]),
    )


def call_graphs(seed: int, count: int) -> Sequence[CallGraph]:
    rng = random.Random(seed)  # noqa: S311 (the same graphs each time)
    return [call_graph(rng, f"g{number}") for number in range(count)]
