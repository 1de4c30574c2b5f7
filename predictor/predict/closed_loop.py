"""The rate of a closed loop: so many connections, each with one request on its way at any time. Pure.

Little's law: connections = rate × mean latency. Latency grows with the rate, since requests meet one another at the
sidecars, and falls where those keep warm, so the rate is where both agree. What a request meets is the load of the
other connections (`met_rates`); with one connection there is none, and nothing waits.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from predictor.graph.plan import execution_plan
from predictor.graph.types import CallGraph, Ingress
from predictor.hop_costs.load import SATURATED
from predictor.predict.types import ClosedLoop, Prediction
from profiler.errors import UsageError
from profiler.text import one_line

_PRECISION: Final = 1e-9
_MOST_STEPS: Final = 60
_FIRST_RPS: Final = 1.0
_NS: Final = 1e-9

Predict = Callable[[CallGraph], Prediction]


def at_its_rate(graph: CallGraph, predict: Predict) -> CallGraph:
    """The graph with the rate of its closed loop with sidecars; as it is where it has none, or has its rate.

    Raises `UsageError` where no rate follows, since a request takes no time.
    """
    entry = graph.closed_loop
    if entry is None or entry.connections is None or entry.rate_rps > 0.0:
        return graph
    first = predict(_at(graph, entry, _FIRST_RPS))
    if first.latency["mean"].without_ns <= 0.0:
        raise UsageError(
            f"{one_line(entry.id)}: requests take no time without sidecars, so no rate follows from its connections; "
            "give service times, or a rate_rps"
        )
    connections, cpus = float(entry.connections), execution_plan(graph).cpus

    def excess(log_rate: float) -> float:
        """Above zero where the rate is too high: more requests on their way than connections, or too few CPUs."""
        found = predict(_at(graph, entry, math.exp(log_rate)))
        on_their_way = math.exp(log_rate) * found.latency["mean"].with_ns * _NS / connections
        return math.log(max(on_their_way, (found.baseline_vcpu + found.vcpu.value) / cpus))

    unloaded_rps = connections / (first.latency["mean"].with_ns * _NS)
    return _at(graph, entry, math.exp(_root(excess, math.log(unloaded_rps))))


def closed_loop_of(graph: CallGraph, found: Prediction) -> Prediction:
    """The prediction of a graph `at_its_rate`, with its closed loop."""
    entry = graph.closed_loop
    if entry is None or entry.connections is None:
        return found
    each_vcpu = found.baseline_vcpu / entry.rate_rps
    most_rps = execution_plan(graph).cpus / each_vcpu if each_vcpu > 0.0 else math.inf
    without_rps = min(entry.connections / (found.latency["mean"].without_ns * _NS), most_rps)
    loop = ClosedLoop(entry.id, entry.connections, without_rps, entry.rate_rps)
    note = (
        f"{one_line(entry.id)}: the rate is connections over mean latency, without sidecars over service times alone; "
        "services answer all connections at the same time; all figures are at the rate with sidecars"
    )
    return replace(
        found,
        assumptions=(*found.assumptions, note),
        warnings=(*found.warnings, *_warnings(graph, found, entry.connections)),
        closed_loop=loop,
    )


def _at(graph: CallGraph, entry: Ingress, rate_rps: float) -> CallGraph:
    return replace(graph, ingress=(replace(entry, rate_rps=rate_rps),))


def _root(excess: Callable[[float], float], start: float) -> float:
    """Where `excess`, which grows, is zero: a bracket around it from `start`, then false position (Illinois)."""
    here, value, step = start, excess(start), 0.5
    there, other = here, value
    while value * other > 0.0:  # ends, since ever lower rates leave room and ever higher ones do not
        here, value = there, other
        there = here - math.copysign(step, value)
        other, step = excess(there), 2.0 * step
    for _ in range(_MOST_STEPS):
        if value == other or abs(there - here) < _PRECISION:
            break
        between = there - other * (there - here) / (other - value)
        found = excess(between)
        if found * other < 0.0:
            here, value = there, other
        else:
            value /= 2.0  # so that the end that stays comes nearer too
        there, other = between, found
        if abs(found) < _PRECISION:
            break
    return there


def _warnings(graph: CallGraph, found: Prediction, connections: int) -> list[str]:
    warnings = []
    full = [one_line(service.name) for service in found.services if service.utilisation > SATURATED]
    if full:
        warnings.append(
            f"sidecars that are busy all the time: {', '.join(full[:5])}{', …' if len(full) > 5 else ''}; more "
            "connections only wait longer; add replicas or workers"
        )
    if found.baseline_vcpu + found.vcpu.value > SATURATED * execution_plan(graph).cpus:
        warnings.append(
            f"{connections} connections keep all CPUs busy, which bounds the rate; how long services wait for a CPU is "
            "in no latency here; give fewer connections or more CPUs"
        )
    return warnings
