"""Graphs and models for advice: hops with known costs."""

from typing import Any

from predictor.advise.advise import advise
from predictor.advise.candidates import rules
from predictor.advise.limits import Limit, parse_cpu_limit, parse_memory_limit, parse_time_limit
from predictor.advise.types import Advice
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.models.types import FittedModel
from tests.predictor.models.profiles import LOADS, Coefficients, cell, profile

COSTS: dict[tuple[str, str], Coefficients] = {
    ("http1", "none"): {"ipc": (20e3, 1.0, 1.0, 0.0, 0.0), "parsing": (80e3, 0.5, 0.25, 300.0, 9e3)},
    ("http1", "mtls"): {
        "ipc": (20e3, 1.0, 1.0, 0.0, 0.0),
        "parsing": (80e3, 0.5, 0.25, 300.0, 9e3),
        "tls": (30e3, 1.0, 1.0, 0.0, 0.0),
    },
    ("tcp", "none"): {"ipc": (10e3, 1.0, 1.0, 0.0, 0.0), "proxy_core": (5e3, 0.25, 0.5, 10.0, 8e3)},
    ("tcp", "mtls"): {
        "ipc": (10e3, 1.0, 1.0, 0.0, 0.0),
        "proxy_core": (5e3, 0.25, 0.5, 10.0, 8e3),
        "tls": (30e3, 1.0, 1.0, 0.0, 0.0),
    },
}
HTTP_NS, TCP_NS, TLS_NS = 100e3, 15e3, 30e3
"""A hop without bytes: latency with both sidecars, CPU is twice that."""


def model(**dimensions: Any) -> FittedModel:
    """Hops of HTTP and TCP, with and without mTLS, and HTTP with the filter `lua`."""
    cells = [
        cell(costs, load, protocol=protocol, tls=tls, **dimensions)
        for (protocol, tls), costs in COSTS.items()
        for load in LOADS
    ]
    lua = {**COSTS["http1", "none"], "filter:lua": (40e3, 0.0, 0.0, 0.0, 0.0)}
    cells += [cell(lua, load, filters=["lua"], **dimensions) for load in LOADS]
    return fit_profile(profile(cells))


MODEL = model()
EXACT = Options(samples=0)


def service(name: str, own_ns: float = 1e6, **further: Any) -> Service:
    return Service(name, service_time=ServiceTime.constant(own_ns), **further)


def call(caller: str, callee: str, **further: Any) -> Call:
    return Call(f"{caller}->{callee}", caller, callee, **{"request_bytes": 0.0, "response_bytes": 0.0, **further})


def graph(services: list[Service], calls: list[Call], rate: float = 10.0) -> CallGraph:
    """The entry passes no sidecar, and all are hot."""
    first = services[0]
    opened = Service(first.name, first.replicas, Sidecar(first.sidecar.client, "none"), first.service_time)
    entry = Ingress(first.name, rate, request_bytes=0.0, response_bytes=0.0)
    return CallGraph((opened, *services[1:]), tuple(calls), (entry,), cold_weight=0.0)


def chain(*callees: str, **further: Any) -> CallGraph:
    """`a` calls each of the callees, one after the other."""
    calls = [call("a", name, stage=index, **further) for index, name in enumerate(callees)]
    return graph([service("a"), *(service(name) for name in callees)], calls)


def mean(bound_ns: float) -> Limit:
    return parse_time_limit("--slo", "latency", f"mean={bound_ns}ns")


def overhead(bound_ns: float, statistic: str = "mean") -> Limit:
    return parse_time_limit("--max-overhead", "overhead", f"{statistic}={bound_ns}ns")


def cpu(vcpu: float) -> Limit:
    return parse_cpu_limit("--max-cpu", repr(vcpu))


def memory(size: str) -> Limit:
    return parse_memory_limit("--max-memory", size)


def advice(
    one: CallGraph,
    *limits: Limit,
    allow: str = "",
    keep: tuple[str, ...] = (),
    options: Options = EXACT,
    **further: Any,
) -> Advice:
    chosen = rules(one, [allow] if allow else [], keep)
    return advise(one, further.get("model", MODEL), limits, chosen, options)


def names(found: Advice) -> list[str]:
    """The changes in a word each: `protocol a->b`."""
    return [
        f"{step.change.kind} {step.change.target}{step.change.filter and ' ' + step.change.filter}"
        for step in found.steps
    ]
