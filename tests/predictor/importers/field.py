"""Inputs from the field, in `tests/data/field/` and `tests/data/hostile/`, and what graphs say of them."""

from pathlib import Path

from predictor.graph.plan import call_rates, request_rates
from predictor.graph.types import CallGraph

FIELD = Path(__file__).parents[2] / "data" / "field"
HOSTILE = Path(__file__).parents[2] / "data" / "hostile"


def names(graph: CallGraph) -> list[str]:
    return [service.name for service in graph.services]


def calls(graph: CallGraph) -> dict[str, str]:
    """Protocols by edge."""
    return {call.id: call.protocol for call in graph.calls}


def per_request(graph: CallGraph) -> dict[str, float]:
    return {call.id: call.calls_per_request for call in graph.calls}


def entries(graph: CallGraph) -> dict[str, float]:
    return {entry.service: entry.rate_rps for entry in graph.ingress}


def rates(graph: CallGraph) -> dict[str, float]:
    """Requests per second of services and calls per second of edges."""
    return request_rates(graph) | call_rates(graph)


def remarks(graph: CallGraph, path: str) -> str:
    """What the graph lists for a path."""
    return "; ".join(item.why for item in graph.assumed if item.path == path)
