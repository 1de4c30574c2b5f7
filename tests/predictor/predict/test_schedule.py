"""The time of calls at the same time, against simulated schedules."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from predictor.graph.plan import execution_plan
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Cluster, Ingress, Service
from predictor.predict.latency import Hops, answer
from predictor.predict.schedule import uneven, usable
from tests.predictor.predict.simulated_schedule import makespan


@dataclass(frozen=True)
class Branch:
    """One of the calls at the same time: the times of both sidecars and of the callee."""

    client: float
    server: float
    own: float


def made(random: np.random.Generator) -> Branch:
    own = math.exp(random.uniform(math.log(20.0), math.log(2000.0)))
    return Branch(random.uniform(20.0, 150.0), random.uniform(20.0, 150.0), own)


def simulated(branches: Sequence[Branch], cpus: int) -> float:
    calls = []
    for number, one in enumerate(branches):
        server = (f"sidecar{number}", one.server / 2)
        client = ("caller's sidecar", one.client / 2)
        calls.append([client, server, (f"service{number}", one.own), server, client])
    return makespan(calls, cpus)


def cpus_for(usable_cpus: float) -> float:
    """How many CPUs count as so many."""
    return 1.0 + (usable_cpus - 1.0) / (usable(2.0) - 1.0)


def modelled(branches: Sequence[Branch], cpus: float) -> float:
    services = [Service("caller", service_time=ServiceTime.constant(0.0))]
    services += [Service(f"s{n}", service_time=ServiceTime.constant(one.own)) for n, one in enumerate(branches)]
    calls = tuple(Call(f"c{n}", "caller", f"s{n}") for n in range(len(branches)))
    cluster = Cluster(nodes=1, cpus_per_node=cpus)
    graph = CallGraph(tuple(services), calls, (Ingress("caller", 1.0),), cluster=cluster)
    hops = {f"c{n}": one.client + one.server for n, one in enumerate(branches)} | {graph.ingress[0].id: 0.0}
    shares = {f"c{n}": one.client / (one.client + one.server) for n, one in enumerate(branches)}
    own = {service.name: service.service_time.mean_ns for service in services}
    found = answer(execution_plan(graph), graph.ingress, own, Hops(hops, client_shares=shares))
    weighted = sum(own[name] * weight for name, weight in found.service_weights.items())
    weighted += sum(hops[name] * weight for name, weight in found.edge_weights.items())
    assert weighted == pytest.approx(found.mean_ns, rel=1e-9)
    return found.mean_ns


@pytest.mark.parametrize("cpus", [1, 2, 4, 8, 64])
@pytest.mark.parametrize("number", [2, 3, 5, 8])
def test_the_time_of_a_stage_is_that_of_a_schedule(number: int, cpus: int) -> None:
    random = np.random.default_rng((number, cpus))
    errors = []
    for _ in range(60):
        branches = [made(random) for _ in range(number)]
        errors.append(modelled(branches, cpus_for(cpus)) / simulated(branches, cpus) - 1.0)
    assert abs(sum(errors) / len(errors)) <= (1e-9 if cpus == 1 else 0.07)
    assert sum(map(abs, errors)) / len(errors) <= (1e-9 if cpus == 1 else 0.1)


def test_more_cpus_never_make_it_slower() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        branches = [made(random) for _ in range(5)]
        times = [modelled(branches, cpus) for cpus in (1.0, 2.0, 3.0, 4.0, 8.0, math.inf)]
        assert times == sorted(times, reverse=True)


def test_a_process_runs_one_segment_at_a_time() -> None:
    assert makespan([[("a", 1.0)], [("a", 1.0)]], 4) == 2.0
    assert makespan([[("a", 1.0)], [("b", 1.0)]], 4) == 1.0
    assert makespan([[("a", 1.0)], [("b", 1.0)]], 1) == 2.0
    assert uneven(1.0) == 0.0


def test_one_cpu_counts_as_one_and_each_further_one_in_part() -> None:
    assert usable(1.0) == 1.0
    assert 1.0 < usable(2.0) < 2.0
    assert usable(math.inf) == math.inf
