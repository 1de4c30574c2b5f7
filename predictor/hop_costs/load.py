"""How busy the sidecars are. Pure.

Waiting: each request passes its sidecar twice (there and back), each time with half of its work S. For a worker that
serves one at a time and is busy b of the time, Pollaczek and Khinchine give the wait per pass, λ E[S²] / (2 (1 − b)).
Twice, with half the work at twice the rate, is the same as once with all: W = Σ λᵢ Sᵢ² (1 + c²) / (2 (1 − b)), with
c² = 1 (exponential) assumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from predictor.graph.types import Call, CallGraph
from predictor.models.types import Floats
from profiler.text import first_of

Indices = npt.NDArray[np.intp]

SATURATED: Final = 0.99
"""Waiting is worked out for no higher utilisation: beyond it there is no steady state, so latency is not finite."""

_OVERLOAD: Final = 1000.0
"""How steeply the wait grows beyond: no figure, but searches see that less load is better."""

_VARIATION: Final = 1.0


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
    wait *= 1.0 + _OVERLOAD * np.maximum(busy - SATURATED, 0.0)
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


def carried_rps(asked_rps: float, utilisation: Mapping[str, float]) -> float | None:
    """About the rate from outside at which the busiest sidecar's worker has no time left; None without any work."""
    busiest = max(utilisation.values(), default=0.0)
    return asked_rps / busiest if busiest > 0.0 else None


def overload_warnings(utilisation: Mapping[str, float], asked_rps: float) -> tuple[str, ...]:
    """What to say of sidecars that have more work than time."""
    full = sorted((name for name, value in utilisation.items() if value > SATURATED), key=lambda n: -utilisation[n])
    if not full:
        return ()
    names = first_of([f"{name} ({utilisation[name]:.0%})" for name in full], 5)
    carried = carried_rps(asked_rps, utilisation) or 0.0
    return (
        f"sidecars without enough workers: {names}; they can carry about {_rate(carried)} of {_rate(asked_rps)} "
        "requests/s from outside, above which requests queue without end and latency is not finite; "
        "add replicas or workers",
    )


def _rate(rate_rps: float) -> str:
    return f"{rate_rps:,.0f}" if rate_rps >= 100.0 else f"{rate_rps:.3g}"
