"""How warm sidecars are when a message comes. Pure.

A call passes each sidecar twice: on its way there and on its way back. What a pass costs depends on what the sidecar
finds in the caches: on how long ago it ran (`own` gap) and, since sidecars of one node run the same program from the
same pages, on how long ago any of them ran there (`any` gap). Two things take caches away: other work on the CPU, and
on a shared machine mere time, since other tenants use the same caches. A profile measures the latter, as the overhead
of the anchor hop at low rates: its `cooling` curve, by the time between two requests, 0 as hot as a closed loop, 1 as
the profile's cold cells.

A position adds up both passes of a call at one side; it may be beyond 1. Passes within a request follow one another by
the services' own times; the first one of a service waits for its next request.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from predictor.graph.plan import Plan
from predictor.graph.types import Call, CallGraph
from predictor.models.types import Floats
from predictor.predict.forms import MOST

Indices = npt.NDArray[np.intp]
Booleans = npt.NDArray[np.bool_]
Curve = Sequence[tuple[float, float]]
"""Gap in ns and position, in ascending order."""

COMMON: Final = 0.45
"""Share of what a sidecar finds cold that another sidecar's run would have warmed (experiments/temperature)."""

EVICTION_NS: Final = 1e6
"""Other work that takes a sidecar's caches away, as a time constant: a judgement, see docs/prediction.md."""

PACE_NS: Final = 2e6
"""Time between two requests in the profile's cold cells."""

ASSUMED_USE: Final = 0.5
"""Share of CPU that others use, where the graph does not say."""

_SELDOM_NS: Final = 1e18


@dataclass(frozen=True, slots=True)
class Visits:
    """What sidecars see of requests.

    By service: own time and answer time without sidecars in ns, visits per second of
    a replica of its deployment, whether it waits for calls, other work's share of its CPU between requests (`use`) and
    within one (`during`), whether all services are on one node (`together`). By edge: caller (−1 outside) and callee;
    calls in a row, calls at the same time, whether it is in its caller's first stage.
    """

    own_ns: Floats
    answer_ns: Floats
    rates: Floats
    calling: Booleans
    use: Floats
    during: Floats
    together: Booleans
    caller: Indices
    callee: Indices
    in_a_row: Floats
    at_once: Floats
    first: Booleans


def positions(visits: Visits, cooling: Curve) -> Floats:
    """Where each edge's client and server sidecar are between hot and cold: sides × edges."""
    own, answer = visits.own_ns, visits.answer_ns
    between = np.maximum(1e9 / np.maximum(visits.rates, 1e9 / _SELDOM_NS) - answer, 0.0)
    caller, callee = np.maximum(visits.caller, 0), visits.callee
    outside = visits.caller < 0
    nearby = np.where(outside, np.inf, own[caller])

    def pass_of(gap: Floats, nearest: Floats, service: Indices, use: Floats) -> Floats:
        """Position of one pass: of what is its own, and of what all sidecars of the node share."""
        shared = np.where(visits.together[service], np.minimum(nearest, gap), gap)
        return COMMON * _cooled(shared, use[service], cooling) + (1.0 - COMMON) * _cooled(gap, use[service], cooling)

    arriving = pass_of(between[callee], nearby, callee, visits.use)
    answering = np.where(visits.calling[callee], 0.0, pass_of(answer[callee], own[callee], callee, visits.during))
    leaving = np.where(visits.first, pass_of(own[caller], own[caller], caller, visits.during), 0.0)
    back = pass_of(answer[callee], own[callee], caller, visits.during)
    client = leaving / (visits.at_once * visits.in_a_row) + back / visits.at_once
    found = np.stack([np.where(outside, 0.0, client), arriving + answering])
    return np.asarray(np.minimum(found, MOST))


def _cooled(gap: Floats, use: Floats, cooling: Curve) -> Floats:
    """Position of a pass after a gap in ns, with others at work for `use` of it."""
    gaps, reached = np.array(cooling or [(0.0, 0.0)]).T
    idle = np.interp(gap, gaps, reached)
    at_pace = float(np.interp(PACE_NS, gaps, reached))
    walked = np.maximum(1.0, idle / max(at_pace, 0.1))
    return np.asarray(idle + -np.expm1(-use * gap / EVICTION_NS) * np.maximum(walked - idle, 0.0))


def of_graph(
    graph: CallGraph, plan: Plan, edges: Sequence[Call], rates: Floats, answer_ns: Mapping[str, float], cooling: Curve
) -> tuple[Floats, list[str]]:
    """Positions of a graph's edges, sides × edges, and what was assumed for them.

    `rates` are calls per second, `answer_ns` how long each service takes with its calls, without sidecars.
    """
    numbers = {service.name: number for number, service in enumerate(graph.services)}
    found = positions(_visits(graph, plan, edges, rates, answer_ns), cooling)
    weights: dict[str, float | None] = {}
    for service in graph.services:
        own = graph.cold_weight if service.cold_weight is None else service.cold_weight
        weights.setdefault(service.deployment, own)
    known = [weights[service.deployment] for service in graph.services]
    given = np.array([math.nan if weight is None else weight for weight in known])
    for side, owners in enumerate(_owners(edges, numbers)):
        of_edges = np.where(owners < 0, math.nan, given[np.maximum(owners, 0)])
        found[side] = np.where(np.isnan(of_edges), found[side], of_edges)
    if not np.isnan(given).any():
        return found, []
    notes = ["cold_weight: from the times between messages and what else runs between them"]
    if not cooling:
        notes.append("cold_weight: the profile does not tell how fast idle caches cool; taken as not at all")
    if graph.cluster.cpu_use is None:
        notes.append(f"cluster.cpu_use: not given; {ASSUMED_USE:g}")
    return found, notes


def _owners(edges: Sequence[Call], numbers: dict[str, int]) -> tuple[Indices, Indices]:
    caller = np.array([numbers.get(call.caller, -1) for call in edges], dtype=np.intp)
    return caller, np.array([numbers[call.callee] for call in edges], dtype=np.intp)


def _visits(
    graph: CallGraph, plan: Plan, edges: Sequence[Call], rates: Floats, answer_ns: Mapping[str, float]
) -> Visits:
    count = len(graph.services)
    caller, callee = _owners(edges, {service.name: number for number, service in enumerate(graph.services)})
    deployments = [service.deployment for service in graph.services]
    of_deployment, replicas = dict.fromkeys(deployments, 0.0), dict.fromkeys(deployments, 1)
    for service, rate in zip(graph.services, np.bincount(callee, rates, count).tolist(), strict=True):
        of_deployment[service.deployment] += rate
        replicas[service.deployment] = max(replicas[service.deployment], service.replicas)
    use = ASSUMED_USE if graph.cluster.cpu_use is None else graph.cluster.cpu_use
    first: dict[str, bool] = {}
    at_once: dict[str, float] = {}
    for handling in plan.handlings.values():
        for number, stage in enumerate(handling.stages):
            together = sum(_at_once(call) for call in stage.calls)
            for call in stage.calls:
                first[call.id], at_once[call.id] = number == 0, together
    return Visits(
        own_ns=np.array([service.service_time.mean_ns for service in graph.services]),
        answer_ns=np.array([answer_ns[service.name] for service in graph.services]),
        rates=np.array([of_deployment[name] / replicas[name] for name in deployments]),
        calling=np.array([bool(plan.handlings[service.name].stages) for service in graph.services]),
        use=np.full(count, use),
        during=np.full(count, max(use, 1.0 / plan.cpus)),
        together=np.full(count, graph.cluster.nodes == 1),
        caller=caller,
        callee=callee,
        in_a_row=np.array([max(call.calls_per_request, 1.0) / _at_once(call) for call in edges]),
        at_once=np.array([at_once.get(call.id, 1.0) for call in edges]),
        first=np.array([first.get(call.id, False) for call in edges]),
    )


def _at_once(call: Call) -> float:
    return max(call.calls_per_request, 1.0) if call.repeat == "parallel" else 1.0
