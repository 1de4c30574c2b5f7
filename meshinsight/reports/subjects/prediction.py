"""What is shown of a prediction: tables and notes, the whole as JSON, and CSV in long form. Pure: no I/O.

CSV has one row per scope, name, quantity and component.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Final

from meshinsight import numbers
from meshinsight.reports.report import INTERVAL, Report, Section
from meshinsight.reports.subjects.summaries import ordered
from predictor.predict.types import Estimate, Prediction
from profiler.text import printable

FORMAT: Final = "meshinsight-prediction"
VERSION: Final = 1

COLUMNS: Final = ("scope", "name", "quantity", "component", "unit", "without", "with", "overhead", "low", "high")
"""`scope` is graph, service or edge; an edge's latency is that of one call. Sum one scope and quantity at a time."""

LISTED: Final = 12
"""So many services and edges are shown, those with most overhead first; JSON and CSV have them all."""

UNCERTAINTIES: Final = (
    ("Warnings", "warnings"),
    ("Extrapolated, which widens the intervals", "extrapolations"),
    ("Assumed", "assumptions"),
)
"""Titles of what makes figures less certain, and its attributes."""

HOURS_PER_MONTH: Final = 730.0
_GIB: Final = float(1 << 30)


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per vCPU and hour, and per GiB and hour; None where it is not wanted. `currency` is its name, or empty."""

    vcpu_hour: float | None = None
    gib_hour: float | None = None
    currency: str = ""

    @property
    def wanted(self) -> bool:
        """Whether there is a price."""
        return self.vcpu_hour is not None or self.gib_hour is not None

    @property
    def unit(self) -> str:
        """The unit of money per month."""
        return f"{printable(self.currency) or 'money'}/month"


def report(found: Prediction, prices: Prices) -> Report:
    """What is shown of a prediction."""
    title = f"Predicted overhead of {printable(found.graph) or 'the call graph'}"
    return Report(
        title,
        sections(found, prices),
        _notes(found),
        partial(document, found, prices),
        partial(_rows, found, prices),
        COLUMNS,
    )


def sections(found: Prediction, prices: Prices) -> list[Section]:
    """All tables of a prediction, in order."""
    return [*totals(found, prices), *breakdowns(found)]


def totals(found: Prediction, prices: Prices) -> list[Section]:
    """The tables of the whole graph."""
    return [table for table in (_summary(found), _load(found), _resources(found, prices)) if table.rows]


def breakdowns(found: Prediction, listed: int = LISTED) -> list[Section]:
    """The overhead by component, service and edge; of these so many."""
    tables = (_components(found), _services(found, listed), _edges(found, listed))
    return [table for table in tables if table.rows]


def document(found: Prediction, prices: Prices) -> dict[str, object]:
    """The prediction as plain JSON values."""
    values = asdict(replace(found, draws={}))
    del values["draws"], values["own_errors"]  # what intervals are made of
    values["latency"] = {name: part.document() for name, part in found.latency.items()}
    for service, part in zip(values["services"], found.services, strict=True):
        service["answer"] = part.answer.document()
    money = money_per_month(found, prices)
    return {
        "format": FORMAT,
        "version": VERSION,
        **values,
        "money_per_month": {name: part.value for name, part in money.items()},
        "money_per_month_interval": {name: part.interval for name, part in money.items()},
        "currency": prices.currency or None,
    }


def _notes(found: Prediction) -> list[tuple[str, Sequence[str]]]:
    """Titled lists: the critical path, and everything that makes the figures less certain."""
    moved = found.path_before != found.path_after
    paths = [("Critical path" + (" before" if moved else ""), [" · ".join(found.path_before)])]
    if moved:
        paths.append(("Critical path with sidecars", [" · ".join(found.path_after)]))
    return [*paths, *((title, getattr(found, attribute)) for title, attribute in UNCERTAINTIES)]


def money_per_month(found: Prediction, prices: Prices) -> dict[str, Estimate]:
    """Price of the sidecars in a month of 730 hours: `cpu`, `memory`, as far as prices and figures are known; `total`.

    There is a total where all that has a price is known. Memory has no interval: its price is added to both ends.
    """
    money = {}
    if prices.vcpu_hour is not None:
        money["cpu"] = found.vcpu.scaled(prices.vcpu_hour * HOURS_PER_MONTH)
    if prices.gib_hour is not None and found.memory_bytes is not None:
        memory = found.memory_bytes / _GIB * prices.gib_hour * HOURS_PER_MONTH
        money["memory"] = Estimate(memory, memory, memory)
    if len(money) == (prices.vcpu_hour is not None) + (prices.gib_hour is not None) > 0:
        parts = list(money.values())
        ends = (sum(part.low for part in parts), sum(part.high for part in parts))
        money["total"] = Estimate(sum(part.value for part in parts), *ends)
    return money


def _summary(found: Prediction) -> Section:
    rows = [
        (
            name,
            numbers.scaled(part.without_ns, 1e-6, 3),
            numbers.scaled(part.shown_with_ns, 1e-6, 3),
            *(("not known", numbers.UNKNOWN) if part.not_known else numbers.estimated(part.shown_overhead_ns, 1e-6, 3)),
            numbers.signed_percent(part.overhead_share, 1),
        )
        for name, part in found.latency.items()
    ]
    return Section(
        "Latency of a request from outside, ms", ("", "without", "with", "overhead", INTERVAL, "change"), rows
    )


def _load(found: Prediction) -> Section:
    """The rates of a closed loop; no rows where the load has a rate."""
    loop = found.closed_loop
    rows = []
    if loop is not None:
        change = numbers.signed_percent(loop.with_rps / loop.without_rps - 1.0, 1)
        rates = (numbers.rate(rate) for rate in (loop.without_rps, loop.with_rps))
        rows.append((printable(loop.entry), str(loop.connections), *rates, change))
    return Section("Closed loop, requests/s", ("", "connections", "without", "with", "change"), rows)


def _resources(found: Prediction, prices: Prices) -> Section:
    share = found.vcpu.value / found.baseline_vcpu if found.baseline_vcpu > 0 else None
    cpu = *numbers.estimated(found.vcpu, 1.0, 4), numbers.signed_percent(share, 1)
    rows = [("CPU, vCPU", f"{found.baseline_vcpu:.3f}", *cpu)]
    known = {"memory, MiB": numbers.scaled(found.memory_bytes, 2**-20, 0)} if found.memory_bytes is not None else {}
    rows += [(name, numbers.UNKNOWN, text, numbers.UNKNOWN, numbers.UNKNOWN) for name, text in known.items()]
    for name, value in money_per_month(found, prices).items():
        interval = numbers.UNKNOWN if name == "memory" else numbers.span(value.interval, 1.0, 2)
        label = f"{'total' if name == 'total' else f'price of {name}'}, {prices.unit}"
        rows.append((label, numbers.UNKNOWN, f"{value.value:,.2f}", interval, numbers.UNKNOWN))
    return Section("Resources of the sidecars", ("", "without", "overhead", INTERVAL, "change"), rows)


def _components(found: Prediction) -> Section:
    latency, cpu = found.latency_by_component_ns, found.vcpu_by_component
    rows = [
        (name, *numbers.estimated(latency.get(name), 1e-3, 1), *numbers.estimated(cpu.get(name), 1.0, 4))
        for name in ordered((*latency, *cpu))
    ]
    if found.hidden_ns < 0.0:
        rows.append(("hidden by a longer branch", f"{found.hidden_ns * 1e-3:,.1f}", "", "", ""))
    return Section("By component", ("component", "latency µs", INTERVAL, "vCPU", INTERVAL), rows)


def _services(found: Prediction, listed: int) -> Section:
    chosen = sorted(found.services, key=lambda item: -item.vcpu.value)[:listed]
    rows = [
        (
            printable(item.name),
            *numbers.estimated(item.latency_ns, 1e-3, 1),
            *numbers.estimated(item.vcpu, 1.0, 4),
            numbers.percent(item.utilisation, 1),
            f"{item.cold_weight:.2f}",
        )
        for item in chosen
    ]
    columns = ("service", "latency µs", INTERVAL, "vCPU", INTERVAL, "worker busy", "cold")
    return Section(_counted("By service", len(chosen), len(found.services)), columns, rows)


def _edges(found: Prediction, listed: int) -> Section:
    chosen = sorted(found.edges, key=lambda item: -item.vcpu.value)[:listed]
    rows = [
        (
            printable(item.id),
            numbers.rate(item.rate_rps),
            *numbers.estimated(item.latency_ns, 1e-3, 1),
            *numbers.estimated(item.vcpu, 1.0, 4),
            numbers.significant(item.path_weight_before, 2),
            numbers.significant(item.path_weight, 2),
        )
        for item in chosen
    ]
    columns = ("edge", "calls/s", "µs per call", INTERVAL, "vCPU", INTERVAL, "waited for\nbefore", "waited for\nwith")
    return Section(_counted("By edge", len(chosen), len(found.edges)), columns, rows)


def _counted(title: str, shown: int, all_: int) -> str:
    return title if shown == all_ else f"{title}, {shown} of {all_}"


def _rows(found: Prediction, prices: Prices) -> Iterator[dict[str, object]]:
    graph = {"scope": "graph", "name": found.graph}
    for name, part in found.latency.items():
        over = part.shown_overhead_ns
        row: dict[str, object] = {**graph, "quantity": f"latency_{name}", "unit": "ns"}
        row |= {} if over is None else _row(graph, f"latency_{name}", "ns", over)
        yield {**row, "without": part.without_ns, "with": part.shown_with_ns}
    for name, value in found.latency_by_component_ns.items():
        yield {**_row(graph, "latency_mean", "ns", value), "component": name}
    yield {**graph, "quantity": "latency_mean", "component": "hidden", "unit": "ns", "overhead": found.hidden_ns}
    if found.closed_loop is not None:
        rates = {"without": found.closed_loop.without_rps, "with": found.closed_loop.with_rps}
        yield {**graph, "quantity": "rate", "unit": "requests/s", **rates}
    yield {**_row(graph, "cpu", "vCPU", found.vcpu), "without": found.baseline_vcpu}
    for name, value in found.vcpu_by_component.items():
        yield {**_row(graph, "cpu", "vCPU", value), "component": name}
    if found.memory_bytes is not None:
        yield {**graph, "quantity": "memory", "unit": "bytes", "overhead": found.memory_bytes}
    for name, money in money_per_month(found, prices).items():
        yield _row(graph, f"money_per_month_{name}", prices.unit, money)
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


def _row(whose: dict[str, str], quantity: str, unit: str, value: Estimate) -> dict[str, object]:
    return {**whose, "quantity": quantity, "unit": unit, "overhead": value.value, "low": value.low, "high": value.high}
