"""How busy and how warm the sidecars are. Pure.

Waiting: each request passes its sidecar twice (there and back), each time with half of its work S. For a worker that
serves one at a time and is busy b of the time, Pollaczek and Khinchine give the wait per pass, λ E[S²] / (2 (1 − b)).
Twice, with half the work at twice the rate, is the same as once with all: W = Σ λᵢ Sᵢ² (1 + c²) / (2 (1 − b)), with
c² = 1 (exponential) assumed.

Temperature: between two activations of a sidecar, T apart, other work runs for u T on its CPU. Caches are gone
exponentially with it: weight = 1 − exp(−u T / τ). τ = 200 µs is what a CPU at 10 GB/s needs to walk 2 MiB of L2, which
agrees with method.md 6a: half a cache walked costs about half of the way from hot to cold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.graph.types import Call, CallGraph
from predictor.models.types import Floats
from predictor.predict.hops import CLIENT, SERVER
from profiler.components import EVENT_WAIT, OTHER

EVICTION_NS: Final = 200e3
ASSUMED_USE: Final = 0.5
"""Share of CPU that others use, where the graph does not say."""

SATURATED: Final = 0.99
"""Waiting is worked out for no higher utilisation: beyond it there is no steady state."""

_VARIATION: Final = 1.0
_NOT_THE_WORKER: Final = (EVENT_WAIT, OTHER, "unexplained")


@dataclass(frozen=True, slots=True)
class Load:
    """By deployment: utilisation of a worker of its sidecar. By edge and side: mean wait in ns, utilisation."""

    utilisation: Mapping[str, float]
    waits_ns: Floats
    busy: Floats
    warnings: tuple[str, ...]


def deployments(graph: CallGraph, edges: Sequence[Call]) -> list[tuple[str | None, str]]:
    """The deployments whose sidecars each edge passes: client side (None: from outside), server side."""
    names = {service.name: service.deployment for service in graph.services}
    return [(names.get(call.caller), names[call.callee]) for call in edges]


def replicas(graph: CallGraph) -> dict[str, int]:
    """Replicas by deployment."""
    found: dict[str, int] = {}
    for service in graph.services:
        found[service.deployment] = max(found.get(service.deployment, 1), service.replicas)
    return found


def cold_weights(
    graph: CallGraph, edges: Sequence[Call], rates: Mapping[str, float]
) -> tuple[dict[str, float], list[str]]:
    """Temperature of each deployment's sidecars, 0 hot to 1 cold, and what was assumed for it."""
    visits: dict[str, float] = {}
    for call, sides in zip(edges, deployments(graph, edges), strict=True):
        for name in sides:
            if name is not None:
                visits[name] = visits.get(name, 0.0) + 2.0 * rates[call.id]
    count = replicas(graph)
    use = ASSUMED_USE if graph.cluster.cpu_use is None else graph.cluster.cpu_use
    found: dict[str, float] = {}
    assumed = False
    for service in graph.services:
        given = graph.cold_weight if service.cold_weight is None else service.cold_weight
        if given is None:
            rate = visits.get(service.deployment, 0.0) / count[service.deployment]
            given = (
                1.0 if rate <= 0 and use > 0 else float(-np.expm1(-use * 1e9 / (rate * EVICTION_NS))) if use else 0.0
            )
            assumed = True
        found.setdefault(service.deployment, given)
    notes = []
    if assumed:
        notes.append("cold_weight: from the rates; caches are gone after 200 µs of other work between two messages")
        if graph.cluster.cpu_use is None:
            notes.append(f"cluster.cpu_use: not given; {ASSUMED_USE:g}")
    return found, notes


def sidecar_load(
    graph: CallGraph,
    edges: Sequence[Call],
    rates: Mapping[str, float],
    components: Sequence[str],
    cpu: Floats,
    workers: Floats,
) -> Load:
    """Utilisation and waiting at the sidecars.

    Args:
        graph: the graph.
        edges: its edges, entries included.
        rates: calls per second by edge id.
        components: names of the last axis of `cpu`.
        cpu: CPU ns per call, edges × sides × components.
        workers: threads of the proxy, edges × sides.
    """
    counted = [not name.endswith(".server") and name not in _NOT_THE_WORKER for name in components]
    work = np.maximum(cpu[:, :, counted].sum(axis=2), 0.0)
    count = replicas(graph)
    owners = deployments(graph, edges)
    busy: dict[str, float] = {}
    squares: dict[str, float] = {}
    for index, (call, sides) in enumerate(zip(edges, owners, strict=True)):
        for side, name in enumerate(sides):
            if name is not None:
                rate = rates[call.id] / (count[name] * workers[index, side])
                busy[name] = busy.get(name, 0.0) + rate * work[index, side] * 1e-9
                squares[name] = squares.get(name, 0.0) + rate * 1e-9 * work[index, side] ** 2 * (1.0 + _VARIATION)
    wait = {name: squares[name] / (2.0 * (1.0 - min(busy[name], SATURATED))) for name in busy}
    waits, used = np.zeros((len(edges), 2)), np.zeros((len(edges), 2))
    for index, sides in enumerate(owners):
        for side in (CLIENT, SERVER):
            name = sides[side]
            if name is not None and work[index, side] > 0.0:
                waits[index, side], used[index, side] = wait[name], min(busy[name], SATURATED)
    full = [f"{name} ({value:.0%})" for name, value in busy.items() if value > SATURATED]
    warnings = [f"sidecars without enough workers: {', '.join(full[:5])}; add replicas or workers"] if full else []
    return Load(busy, waits, used, tuple(warnings))
