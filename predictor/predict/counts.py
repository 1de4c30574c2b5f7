"""How often a request from outside leads to each call, and whether that can be predicted at all. Pure."""

from collections.abc import Iterator
from typing import Final

from predictor.graph.plan import Plan
from predictor.graph.types import CallGraph
from predictor.predict.types import Prediction
from profiler.errors import UsageError
from profiler.text import one_line

MOST_CALLS: Final = 1e30
"""More calls per request, or per second, than anything handles; products with sizes stay far from overflow."""

LARGEST_FIGURE: Final = 1e200
"""Sums and prices of smaller figures stay finite."""


def check_counts(graph: CallGraph, plan: Plan) -> None:
    """Raise `UsageError` where calls multiply along a path until no figure has a meaning."""
    reached = dict.fromkeys(plan.order, 0.0)
    for entry in graph.ingress:
        reached[entry.service] += max(entry.rate_rps, 1.0)
    for name in plan.order:
        for call in plan.handlings[name].calls:
            times = reached[name] * call.calls_per_request
            if not times <= MOST_CALLS:  # NaN too
                raise UsageError(
                    f"{one_line(graph.name) or 'the graph'}: {one_line(call.id)}: calls multiply to more than "
                    f"{MOST_CALLS:g}; give fewer calls_per_request on the way to it"
                )
            reached[call.callee] += times


def check_figures(found: Prediction) -> None:
    """Raise `UsageError` where a figure is not finite or too large to be one."""
    for kind, name, values in _figures(found):
        for value in values:
            if not abs(value) <= LARGEST_FIGURE:  # NaN and infinity too
                figure = f"{kind} {one_line(name)}".strip()
                raise UsageError(
                    f"{one_line(found.graph) or 'the graph'}: {figure} is beyond what can be predicted; "
                    "check times, sizes, rates and calls_per_request for values that are far too large"
                )


def _figures(found: Prediction) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Figures by kind and name."""
    for name, part in found.latency.items():
        over = part.overhead_ns
        yield "latency", name, (part.without_ns, part.with_ns, over.low, over.high)
    for name, value in (("CPU", found.vcpu), *found.vcpu_by_component.items(), *found.latency_by_component_ns.items()):
        yield name, "", (value.value, value.low, value.high)
    yield "CPU of the services", "", (found.baseline_vcpu,)
    yield "hidden latency", "", (found.hidden_ns,)
    yield "memory", "", (found.memory_bytes or 0.0,)
    for service in found.services:
        latency, vcpu = service.latency_ns, service.vcpu
        yield "service", service.name, (latency.value, latency.high, vcpu.value, vcpu.high, service.utilisation)
    for edge in found.edges:
        latency, vcpu = edge.latency_ns, edge.vcpu
        figures = (latency.value, latency.high, vcpu.value, vcpu.high, edge.rate_rps, edge.path_weight)
        yield "call", edge.id, figures
