"""How warm sidecars are when a message comes. Pure.

A call passes each sidecar twice: on its way there and on its way back. What a pass costs depends on how long ago that
sidecar ran. Two things take its caches away meanwhile: other processes that run on its CPU, up to what the profile's
cold cells cost; and on a shared machine mere time, since other tenants use the same caches, beyond it. A profile
measures the latter, as the overhead of hops at low rates: a curve by the time between two requests, 0 as hot as a
closed loop, 1 as the profile's cold cells. Protocols with each TLS follow the same curve in time, each to an end of its
own (`CoolingEnd`), in latency and in CPU.

A position adds up both passes of a call at one side; it may be beyond 1. Passes within a request follow one another by
the services' own times; the first one of a service waits for its next request. Where a request is handled by few CPUs,
the services it visits and their sidecars run between two passes of one sidecar, and each takes a part of the caches;
those that a profile's single hop has too are in its cells.

Of what idle time takes away, a part is shared by the sidecars of a node (`SHARED`), so a request that visits many
services of one node pays less for each than a single hop with its two sidecars.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from predictor.graph.plan import Plan, sidecar_modes
from predictor.graph.types import PROTOCOLS, TLS_MODES, Call, CallGraph, Protocol, Tls
from predictor.models.types import CURRENCIES, CoolingEnd, FittedModel, Floats
from profiler.vocabulary.hop import PLAIN
from profiler.vocabulary.protocols import HTTP1

Indices = npt.NDArray[np.intp]
Booleans = npt.NDArray[np.bool_]
Curve = Sequence[tuple[float, float]]
"""Gap in ns and position, in ascending order."""

EVICTION_NS: Final = 1e6
"""Time constant of other work that evicts a sidecar's caches: a judgement, see docs/explanation/prediction.md."""

PART: Final = 0.25
"""Part of a CPU's second-level cache that a process takes when it handles a message: 512 KiB of 2 MiB, a judgement."""

ASSUMED_USE: Final = 0.5
"""Share of CPU that others use, where the graph does not say."""

SHARED: Final = 0.5
"""Of what idle time takes from a sidecar, the part that the sidecars of a node share: the program's code, the kernel's.
The first one that a request visits there brings it back for the others. From 42 random graphs on one node, see
experiments/random_graphs."""

UNMEASURED: Final = 0.5
"""Relative error of what idle time adds, where that was measured of another protocol or TLS: a judgement."""

_SELDOM_NS: Final = 1e18
_BLOCK: Final = 8_192
"""So many edges are worked out at once: they fit into a CPU's cache."""

_FOR_ALL: Final = CoolingEnd(HTTP1, PLAIN, "latency", factor=1.0, rise=1.0, error=0.0)
"""The end of a model that knows none."""


@dataclass(frozen=True, slots=True)
class Ends:
    """By currency and edge: times the curve, the cost of cold over that of hot less 1, relative error."""

    factor: Floats
    rise: Floats
    error: Floats

    @property
    def step(self) -> Floats:
        """What a unit of temperature beyond cold adds, as a share of what cold costs."""
        return self.rise / (1.0 + self.rise)


@dataclass(frozen=True, slots=True)
class Cooling:
    """How a model's sidecars cool: the curve, and a table of ends (currencies × protocols × TLS), of those `known`."""

    curve: Curve
    known: Sequence[CoolingEnd]
    table: Ends

    @classmethod
    def of(cls, model: FittedModel) -> "Cooling":
        """That of a model."""
        known = model.cooling_ends or (_FOR_ALL,)
        shape = (len(CURRENCIES), len(PROTOCOLS), len(TLS_MODES))
        values = [
            (end.factor, end.rise, end.error if _same(end, *wanted) else math.hypot(end.error, UNMEASURED))
            for wanted in product(CURRENCIES, PROTOCOLS, TLS_MODES)
            for end in (nearest_end(known, *wanted),)
        ]
        table = Ends(*(np.array(column).reshape(shape) for column in zip(*values, strict=True)))
        return cls(model.cooling, known, table)

    def ends(self, protocol: Indices, tls: Indices) -> Ends:
        """The ends of edges, whose protocols and TLS are numbers in the order of their names."""
        table = self.table
        return Ends(table.factor[:, protocol, tls], table.rise[:, protocol, tls], table.error[:, protocol, tls])


def nearest_end(known: Sequence[CoolingEnd], currency: str, protocol: str, tls: str) -> CoolingEnd:
    """The measured end that is most like what is asked for: its currency comes first, then its protocol, then TLS."""

    def away(end: CoolingEnd) -> tuple[bool, int, bool]:
        protocols = abs(PROTOCOLS.index(end.protocol) - PROTOCOLS.index(protocol))  # in the order of what they do
        return end.currency != currency, protocols, end.tls != tls

    return min(known, key=away)


def _same(end: CoolingEnd, currency: str, protocol: str, tls: str) -> bool:
    return (end.currency, end.protocol, end.tls) == (currency, protocol, tls)


@dataclass(frozen=True, slots=True)
class Temperatures:
    """How cold the sidecars of edges are: `cold` by currency, side and edge, 0 hot, 1 cold.

    `step` is what a unit beyond cold adds to the cost of cold, as a share, by currency and edge; `doubt` the relative
    error of an edge's cost by what is not known of its cooling.
    """

    cold: Floats
    step: Floats
    doubt: Floats

    def sorted(self, order: Callable[[Floats], Floats]) -> "Temperatures":
        """The same in another order of edges."""
        cold = np.stack([np.stack([order(side) for side in sides]) for sides in self.cold])
        return Temperatures(cold, np.stack([order(row) for row in self.step]), order(self.doubt))


@dataclass(frozen=True, slots=True)
class Visits:
    """What sidecars see of requests.

    By service: own time and answer time without sidecars in ns, visits per second of a replica of its deployment, how
    many services one of its requests visits (itself included), how many different ones the largest request of its graph
    visits on one node (NaN: not known), whether it waits for calls, the share of its CPU that others use, the CPUs of
    its graph (infinity: not known). By edge: caller (−1 outside) and callee; calls for one
    request of the caller, at least one, and how many of them are in a row; calls at the same time, whether it is in its
    caller's first stage.
    """

    own_ns: Floats
    answer_ns: Floats
    rates: Floats
    visited: Floats
    on_node: Floats
    calling: Booleans
    use: Floats
    cpus: Floats
    caller: Indices
    callee: Indices
    calls: Floats
    in_a_row: Floats
    at_once: Floats
    first: Booleans


def positions(visits: Visits, curve: Curve, ends: Ends) -> tuple[Floats, Floats]:
    """Where each edge's client and server sidecar are between hot and cold: currencies × sides × edges.

    And where they would be by idle time alone.
    """
    own, answer = visits.own_ns, visits.answer_ns
    each_ns = 1e9 / np.maximum(visits.rates, 1e9 / _SELDOM_NS)
    gaps, reached = np.array(curve or [(0.0, 0.0)]).T
    own_idle, answer_idle = (np.interp(gap, gaps, reached) for gap in (own, answer))
    shape = (len(CURRENCIES), 2, len(visits.caller))
    cold, idle = np.empty(shape), np.empty(shape)
    for start in range(0, len(visits.caller), _BLOCK):
        edges = slice(start, start + _BLOCK)
        caller, callee, factor = np.maximum(visits.caller[edges], 0), visits.callee[edges], ends.factor[:, edges]
        answered, at_once = answer[callee], visits.at_once[edges]
        processes = 2.0 * (visits.visited[callee] - 1.0)
        use, calling_use = visits.use[callee], visits.use[caller]
        # Of several calls for one request the first comes after all of the time between, the others find it warm.
        calls = visits.calls[edges]
        between = np.maximum(calls * each_ns[callee] - answered, 0.0)
        taken = factor * np.interp(between, gaps, reached) * _unshared(visits.on_node[callee])
        arriving = _cooled(taken, between, use)
        answering = _cooled(factor * answer_idle[callee], answered, use)
        leaving = _cooled(factor * own_idle[caller], own[caller], calling_use)
        back = _cooled(factor * answer_idle[callee], answered, calling_use, processes / visits.cpus[caller])
        last, first = ~visits.calling[callee], visits.first[edges] / visits.in_a_row[edges]
        outside = visits.caller[edges] < 0
        for number, found in enumerate((cold, idle)):
            found[:, 0, edges] = np.where(outside, 0.0, (leaving[number] * first + back[number]) / at_once)
            found[:, 1, edges] = arriving[number] / calls + answering[number] * last
    return cold, idle


def _unshared(on_node: Floats) -> Floats:
    """What idle time costs each of so many sidecars of a node, over what it costs each of the two of a single hop."""
    return (1.0 - SHARED + SHARED / np.fmax(on_node, 2.0)) / (1.0 - SHARED / 2.0)


def _cooled(idle: Floats, gap: Floats, use: Floats, processes: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Position of a pass after a gap in ns, others at work for `use` of it and so many processes of the request by CPU.

    First that, then `idle`, that by idle time alone; each by currency and edge.
    """
    evicted = -np.expm1(gap * use * (-1.0 / EVICTION_NS) - PART * processes)
    found = 1.0 - idle
    np.maximum(found, 0.0, out=found)
    found *= evicted
    found += idle
    return found, idle


def with_given(
    cooling: Cooling, ends: Ends, visits: Visits | None, sides: tuple[Indices, Indices], given: Floats
) -> Temperatures:
    """Temperatures of edges with what is given for the services on their sides (NaN: not); no visits: all are given."""
    cold = np.zeros((len(CURRENCIES), 2, len(sides[0])))
    if visits is None:
        return Temperatures(of_owners(cold, sides, given), ends.step, np.zeros(len(sides[0])))
    cold, idle = positions(visits, cooling.curve, ends)
    added = ends.rise[:, None] * of_owners(idle, sides, np.where(np.isnan(given), given, 0.0))
    doubt = (ends.error[:, None] * added / (1.0 + added)).max(axis=(0, 1))
    return Temperatures(of_owners(cold, sides, given), ends.step, doubt)


def of_graph(
    graph: CallGraph, plan: Plan, edges: Sequence[Call], rates: Floats, answer_ns: Mapping[str, float],
    cooling: Cooling,
) -> tuple[Temperatures, list[str]]:  # fmt: skip
    """Temperatures of a graph's edges, and what was assumed for them.

    `rates` are calls per second, `answer_ns` how long each service takes with its calls, without sidecars.
    """
    numbers = {service.name: number for number, service in enumerate(graph.services)}
    caller = np.array([numbers.get(call.caller, -1) for call in edges], dtype=np.intp)
    callee = np.array([numbers[call.callee] for call in edges], dtype=np.intp)
    weights = given_weights(graph)
    known = [weights[service.deployment] for service in graph.services]
    given = np.array([math.nan if weight is None else weight for weight in known])
    treated = _treated(graph, edges)
    ends = cooling.ends(
        np.array([PROTOCOLS.index(protocol) for protocol, _ in treated], dtype=np.intp),
        np.array([TLS_MODES.index(tls) for _, tls in treated], dtype=np.intp),
    )
    if None not in known:
        return with_given(cooling, ends, None, (caller, callee), given), []
    visits = _visits(graph, plan, edges, (caller, callee), rates, answer_ns)
    found = with_given(cooling, ends, visits, (caller, callee), given)
    notes = ["cold_weight: from the times between messages and what else runs between them"]
    if cooling.curve:
        notes += _unmeasured(cooling.known, treated)
    else:
        notes.append("cold_weight: the profile does not tell how fast idle caches cool; taken as not at all")
    if graph.cluster.cpu_use is None:
        notes.append(f"cluster.cpu_use: not given; {ASSUMED_USE:g}")
    return found, notes


def _treated(graph: CallGraph, edges: Sequence[Call]) -> list[tuple[Protocol, Tls]]:
    """What sidecars take each edge's call for."""
    modes = sidecar_modes(graph)
    return [
        (
            "tcp" if "tcp" in modes[call.id] else call.protocol,
            "mtls" if "waypoint" in modes[call.id] else call.tls,  # as its tunnels always are
        )
        for call in edges
    ]


def _unmeasured(known: Sequence[CoolingEnd], treated: Sequence[tuple[str, str]]) -> Iterator[str]:
    for protocol, tls in dict.fromkeys(treated):
        for currency in CURRENCIES:
            end = nearest_end(known, currency, protocol, tls)
            if not _same(end, currency, protocol, tls):
                taken = " ".join((end.protocol, *((end.tls,) if end.tls != PLAIN else ()), end.currency))
                name = " ".join((protocol, *((tls,) if tls != PLAIN else ()), currency))
                yield f"cooling of {name}: not measured; that of {taken}, and the interval is wider"


def given_weights(graph: CallGraph) -> dict[str, float | None]:
    """The temperatures that a graph gives, by deployment: its first service's, else the graph's; None: not given."""
    found: dict[str, float | None] = {}
    for service in graph.services:
        found.setdefault(service.deployment, graph.cold_weight if service.cold_weight is None else service.cold_weight)
    return found


def of_owners(found: Floats, sides: tuple[Indices, Indices], given: Floats) -> Floats:
    """The positions (… × sides × edges) with what is given for the services on their sides; NaN: not given."""
    for side, owners in enumerate(sides):
        of_edges = (owners >= 0) & ~np.isnan(given)[owners]
        found[..., side, of_edges] = given[owners[of_edges]]
    return found


def _visits(
    graph: CallGraph, plan: Plan, edges: Sequence[Call], sides: tuple[Indices, Indices], rates: Floats,
    answer_ns: Mapping[str, float],
) -> Visits:  # fmt: skip
    count = len(graph.services)
    caller, callee = sides
    deployments = [service.deployment for service in graph.services]
    of_deployment, replicas = dict.fromkeys(deployments, 0.0), dict.fromkeys(deployments, 1)
    for service, rate in zip(graph.services, np.bincount(callee, rates, count).tolist(), strict=True):
        of_deployment[service.deployment] += rate
        replicas[service.deployment] = max(replicas[service.deployment], service.replicas)
    use = ASSUMED_USE if graph.cluster.cpu_use is None else graph.cluster.cpu_use
    visited: dict[str, float] = {}
    for name in reversed(plan.order):
        visited[name] = 1.0 + sum(call.calls_per_request * visited[call.callee] for call in plan.handlings[name].calls)
    on_node = min(max(visited.values()), count) / (graph.cluster.nodes or math.nan)
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
        visited=np.array([visited[service.name] for service in graph.services]),
        on_node=np.full(count, on_node),
        calling=np.array([bool(plan.handlings[service.name].stages) for service in graph.services]),
        use=np.full(count, use),
        cpus=np.full(count, plan.cpus),
        caller=caller,
        callee=callee,
        calls=np.array([max(call.calls_per_request, 1.0) for call in edges]),
        in_a_row=np.array([max(call.calls_per_request, 1.0) / _at_once(call) for call in edges]),
        at_once=np.array([at_once.get(call.id, 1.0) for call in edges]),
        first=np.array([first.get(call.id, False) for call in edges]),
    )


def _at_once(call: Call) -> float:
    return max(call.calls_per_request, 1.0) if call.repeat == "parallel" else 1.0
