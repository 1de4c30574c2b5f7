"""A prediction as JSON, whole, and as CSV in long form: one row per scope, name, currency and component."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Final, TextIO

from meshinsight.console import write_json_document
from meshinsight.reports.renderers import csv_document
from meshinsight.reports.subjects.prediction_sections import Prices, money_per_month
from predictor.predict.types import Estimate, Prediction

FORMAT: Final = "meshinsight-prediction"
VERSION: Final = 1

COLUMNS: Final = ("scope", "name", "quantity", "component", "unit", "without", "with", "overhead", "low", "high")
"""`scope` is graph, service or edge; an edge's latency is that of one call. Sum one scope and quantity at a time."""


def document(found: Prediction, prices: Prices) -> dict[str, Any]:
    """The prediction as plain JSON values."""
    values = asdict(replace(found, draws={}))
    del values["draws"]  # as many numbers again as all others
    values["latency"] = {name: part.document() for name, part in found.latency.items()}
    for service, part in zip(values["services"], found.services, strict=True):
        service["answer"] = part.answer.document()
    return {"format": FORMAT, "version": VERSION, **values, "money_per_month": money_per_month(found, prices)}


def write_json(found: Prediction, prices: Prices, stream: TextIO) -> None:
    """Write the document, indented."""
    write_json_document(document(found, prices), stream)


def write_csv(found: Prediction, prices: Prices, stream: TextIO) -> None:
    """Write header and rows."""
    csv_document.write(COLUMNS, _rows(found, prices), stream)


def _rows(found: Prediction, prices: Prices) -> Iterator[dict[str, Any]]:
    graph = {"scope": "graph", "name": found.graph}
    for name, part in found.latency.items():
        over = part.shown_overhead_ns
        row = {**graph, "quantity": f"latency_{name}", "unit": "ns"}
        row |= {} if over is None else _row(graph, f"latency_{name}", "ns", over)
        yield {**row, "without": part.without_ns, "with": part.shown_with_ns}
    for name, value in found.latency_by_component_ns.items():
        yield {**_row(graph, "latency_mean", "ns", value), "component": name}
    yield {**graph, "quantity": "latency_mean", "component": "hidden", "unit": "ns", "overhead": found.hidden_ns}
    yield {**_row(graph, "cpu", "vCPU", found.vcpu), "without": found.baseline_vcpu}
    for name, value in found.vcpu_by_component.items():
        yield {**_row(graph, "cpu", "vCPU", value), "component": name}
    if found.memory_bytes is not None:
        yield {**graph, "quantity": "memory", "unit": "bytes", "overhead": found.memory_bytes}
    for name, money in money_per_month(found, prices).items():
        yield {**graph, "quantity": f"money_per_month_{name}", "overhead": money}
    for service in found.services:
        whose = {"scope": "service", "name": service.name}
        yield _row(whose, "latency_mean", "ns", service.latency_ns)
        yield {**_row(whose, "cpu", "vCPU", service.vcpu), "without": service.baseline_vcpu}
    for edge in found.edges:
        whose = {"scope": "edge", "name": edge.id}
        yield _row(whose, "latency_per_call", "ns", edge.latency_ns)
        yield _row(whose, "cpu", "vCPU", edge.vcpu)
        for name, ns in edge.by_component_ns.items():
            yield {**whose, "quantity": "latency_per_call", "component": name, "unit": "ns", "overhead": ns}


def _row(whose: dict[str, str], quantity: str, unit: str, value: Estimate) -> dict[str, Any]:
    return {**whose, "quantity": quantity, "unit": unit, "overhead": value.value, "low": value.low, "high": value.high}
