"""A prediction's JSON read back, and its figures: the whole graph, each service and each call."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from meshinsight.comparing.document import VCPU, Document, measured_by
from meshinsight.reports.subjects.prediction import FORMAT, VERSION
from predictor.models.document import Figure, Text
from profiler.comparison.compare import Figures
from profiler.comparison.figures import CPU, LATENCY, TOTAL, Key
from profiler.comparison.significance import Measured
from profiler.errors import UsageError
from profiler.files.typed import typed
from profiler.profile.types import Currency

REMEDY: Final = "give a file with the output of `meshinsight predict -o json`"
GRAPH: Final = "whole graph"
MEAN: Final = "mean"
"""The statistic of components' latency."""


class EstimateDocument(msgspec.Struct):
    """A figure with its 95 % interval."""

    value: Figure
    low: Figure
    high: Figure


class LatencyDocument(msgspec.Struct):
    """One statistic of a request from outside; None where it is not known."""

    overhead_ns: EstimateDocument | None


class ServiceDocument(msgspec.Struct):
    """What the sidecars of a service add."""

    name: Text
    latency_ns: EstimateDocument
    vcpu: EstimateDocument
    by_component_ns: dict[Text, Figure]
    vcpu_by_component: dict[Text, Figure]


class CallDocument(msgspec.Struct):
    """What the sidecars add to one call: latency of one, CPU of all."""

    id: Text
    rate_rps: Annotated[float, Meta(ge=0.0, le=1e12)]
    latency_ns: EstimateDocument
    vcpu: EstimateDocument
    by_component_ns: dict[Text, Figure]


class PredictionDocument(msgspec.Struct):
    """The parts of a prediction that are compared."""

    format: str
    version: Annotated[int, Meta(ge=1)]
    graph: Text
    latency: dict[Text, LatencyDocument]
    latency_by_component_ns: dict[Text, EstimateDocument]
    vcpu: EstimateDocument
    vcpu_by_component: dict[Text, EstimateDocument]
    services: list[ServiceDocument]
    edges: list[CallDocument]
    placements: list[Text] = []
    crossing_share: Figure | None = None


def document_of(values: object, origin: str) -> Document:
    """The figures in a prediction's JSON values. Raises `UsageError`, one line."""
    found = typed(values, PredictionDocument, origin, REMEDY)
    if found.format != FORMAT or found.version > VERSION:
        raise UsageError(f"{origin}: expected {FORMAT} up to version {VERSION}; {REMEDY}")
    figures: dict[str, Figures] = {GRAPH: dict(_graph(found))}
    figures |= {f"service {service.name}": dict(_service(service)) for service in found.services}
    figures |= {f"call {call.id}": dict(_call(call)) for call in found.edges}
    return Document(
        figures,
        (GRAPH,),
        VCPU,
        subject=found.graph,
        facts={
            "calls per second": f"{sum(call.rate_rps for call in found.edges):.6g}",
            "placements": found.placements,
            "crossing share": None if found.crossing_share is None else f"{found.crossing_share:.3f}",
        },
    )


def _graph(found: PredictionDocument) -> Iterator[tuple[Key, Measured]]:
    for statistic, part in found.latency.items():
        if part.overhead_ns is not None:
            yield Key(LATENCY, TOTAL, statistic), _measured(part.overhead_ns)
    yield from _components(LATENCY, MEAN, found.latency_by_component_ns)
    yield Key(CPU, TOTAL, VCPU), _measured(found.vcpu)
    yield from _components(CPU, VCPU, found.vcpu_by_component)


def _service(service: ServiceDocument) -> Iterator[tuple[Key, Measured]]:
    yield Key(LATENCY, TOTAL, MEAN), _measured(service.latency_ns)
    yield from _components(LATENCY, MEAN, service.by_component_ns)
    yield Key(CPU, TOTAL, VCPU), _measured(service.vcpu)
    yield from _components(CPU, VCPU, service.vcpu_by_component)


def _call(call: CallDocument) -> Iterator[tuple[Key, Measured]]:
    yield Key(LATENCY, TOTAL, MEAN), _measured(call.latency_ns)
    yield from _components(LATENCY, MEAN, call.by_component_ns)
    yield Key(CPU, TOTAL, VCPU), _measured(call.vcpu)


def _components(
    currency: Currency, statistic: str, parts: Mapping[str, EstimateDocument] | Mapping[str, float]
) -> Iterator[tuple[Key, Measured]]:
    """Figures without interval are those of services and calls by component."""
    for name, part in parts.items():
        measured = _measured(part) if isinstance(part, EstimateDocument) else Measured(part)
        yield Key(currency, name, statistic), measured


def _measured(estimate: EstimateDocument) -> Measured:
    return measured_by(estimate.value, (estimate.low, estimate.high))
