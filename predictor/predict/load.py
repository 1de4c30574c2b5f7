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
import numpy.typing as npt

from predictor.graph.types import Call, CallGraph
from predictor.models.types import Floats

Indices = npt.NDArray[np.intp]

EVICTION_NS: Final = 200e3
ASSUMED_USE: Final = 0.5
"""Share of CPU that others use, where the graph does not say."""

SATURATED: Final = 0.99
"""Waiting is worked out for no higher utilisation: beyond it there is no steady state."""

_VARIATION: Final = 1.0
_SELDOM_RPS: Final = 1e-9
"""Cold is cold: a sidecar that is never activated is as one that is activated every thirty years."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose sidecars edges pass: deployments by number, −1 for callers from outside. Replicas by deployment."""

    client: Indices
    server: Indices
    replicas: Floats

    @property
    def sides(self) -> tuple[Indices, Indices]:
        """Client side and server side."""
        return self.client, self.server


@dataclass(frozen=True, slots=True)
class Load:
    """Utilisation of a worker of the sidecar, by deployment; mean wait in ns, sides × edges."""

    utilisation: Floats
    waits_ns: Floats


def summed(owners: Owners, values: Sequence[Floats]) -> Floats:
    """Sums by deployment of what edges have at their client and server sides."""
    count = len(owners.replicas)
    by_client = np.bincount(owners.client + 1, values[0], count + 1)[1:]  # the first class is outside
    return np.asarray(by_client + np.bincount(owners.server, values[1], count), dtype=float)


def taken(owners: Indices, values: Floats) -> Floats:
    """The deployment's value for each edge; 0 outside."""
    found = np.asarray(values[owners])
    if owners.min(initial=0) < 0:
        found[owners < 0] = 0.0
    return found


def temperatures(owners: Owners, rates: Floats, use: float | Floats) -> Floats:
    """Temperature of each deployment's sidecars as the rates of edges make it, 0 hot to 1 cold; `use` of their CPUs."""
    visits = summed(owners, (2.0 * rates, 2.0 * rates)) / owners.replicas
    return np.asarray(-np.expm1(-use * 1e9 / (np.maximum(visits, _SELDOM_RPS) * EVICTION_NS)))


def sidecar_load(owners: Owners, rates: Floats, work: Floats, workers: Floats) -> Load:
    """Utilisation and waiting at the sidecars.

    Args:
        owners: whose sidecars they are.
        rates: calls per second, by edge.
        work: CPU ns of a call at the proxy's worker, sides × edges, none negative.
        workers: threads of the proxy, sides × edges.
    """
    each = [
        rates / (np.maximum(taken(side, owners.replicas), 1.0) * workers[number])
        for number, side in enumerate(owners.sides)
    ]
    busy = summed(owners, [each[side] * work[side] * 1e-9 for side in (0, 1)])
    squares = summed(owners, [each[side] * 1e-9 * work[side] ** 2 * (1.0 + _VARIATION) for side in (0, 1)])
    wait = squares / (2.0 * (1.0 - np.minimum(busy, SATURATED)))
    return Load(busy, at_work(owners, wait, work))


def at_work(owners: Owners, values: Floats, work: Floats) -> Floats:
    """What deployments have, at the sides where edges give them work: sides × edges."""
    return np.stack([taken(side, values) * (work[number] > 0.0) for number, side in enumerate(owners.sides)])


def graph_owners(graph: CallGraph, edges: Sequence[Call]) -> tuple[tuple[str, ...], Owners]:
    """The deployments of a graph, in order of their first services, and whose sidecars its edges pass."""
    numbers: dict[str, int] = {}
    of_service = {service.name: numbers.setdefault(service.deployment, len(numbers)) for service in graph.services}
    count = np.ones(len(numbers))
    for service in graph.services:
        number = of_service[service.name]
        count[number] = max(count[number], service.replicas)
    client = np.array([of_service.get(call.caller, -1) for call in edges], dtype=np.intp)
    server = np.array([of_service[call.callee] for call in edges], dtype=np.intp)
    return tuple(numbers), Owners(client, server, count)


def cold_weights(graph: CallGraph, names: Sequence[str], owners: Owners, rates: Floats) -> tuple[Floats, list[str]]:
    """Temperature of each deployment's sidecars, 0 hot to 1 cold, and what was assumed for it."""
    use = ASSUMED_USE if graph.cluster.cpu_use is None else graph.cluster.cpu_use
    worked_out = temperatures(owners, rates, use)
    given: dict[str, float | None] = {}
    asked = False
    for service in graph.services:
        weight = graph.cold_weight if service.cold_weight is None else service.cold_weight
        asked = asked or weight is None
        given.setdefault(service.deployment, weight)
    found = np.array([worked_out[i] if (w := given[name]) is None else w for i, name in enumerate(names)])
    notes = []
    if asked:
        notes.append("cold_weight: from the rates; caches are gone after 200 µs of other work between two messages")
        if graph.cluster.cpu_use is None:
            notes.append(f"cluster.cpu_use: not given; {ASSUMED_USE:g}")
    return found, notes


def overload_warnings(utilisation: Mapping[str, float]) -> tuple[str, ...]:
    """What to say of sidecars that have more work than time."""
    full = [f"{name} ({value:.0%})" for name, value in utilisation.items() if value > SATURATED]
    return (f"sidecars without enough workers: {', '.join(full[:5])}; add replicas or workers",) if full else ()
