"""A prediction as titled tables of text, which terminals and Markdown show alike. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meshinsight import numbers
from meshinsight.reports.subjects.summaries import ordered
from predictor.predict.types import Estimate, Prediction
from profiler.text import printable

LISTED: Final = 12
"""So many services and edges are shown, those with most overhead first; JSON and CSV have them all."""

HOURS_PER_MONTH: Final = 730.0
_GIB: Final = float(1 << 30)


@dataclass(frozen=True, slots=True)
class Section:
    """A title, the names of columns, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per vCPU and hour, and per GiB and hour; None where it is not wanted."""

    vcpu_hour: float | None = None
    gib_hour: float | None = None


def sections(found: Prediction, prices: Prices) -> list[Section]:
    """All tables of a prediction, in order."""
    tables = [_summary(found), _resources(found, prices), _components(found), _services(found), _edges(found)]
    return [table for table in tables if table.rows]


def notes(found: Prediction) -> list[tuple[str, Sequence[str]]]:
    """Titled lists: the critical path, and everything that makes the figures less certain."""
    moved = found.path_before != found.path_after
    paths = [("Critical path" + (" before" if moved else ""), [" · ".join(found.path_before)])]
    if moved:
        paths.append(("Critical path with sidecars", [" · ".join(found.path_after)]))
    lists = (
        ("Warnings", found.warnings),
        ("Outside what was measured (widens the intervals)", found.extrapolations),
        ("Assumed", found.assumptions),
    )
    return [*paths, *((title, lines) for title, lines in lists if lines)]


def money_per_month(found: Prediction, prices: Prices) -> dict[str, float]:
    """Price of the sidecars in a month of 730 hours: `cpu`, `memory`, as far as prices and figures are known."""
    money = {}
    if prices.vcpu_hour is not None:
        money["cpu"] = found.vcpu.value * prices.vcpu_hour * HOURS_PER_MONTH
    if prices.gib_hour is not None and found.memory_bytes is not None:
        money["memory"] = found.memory_bytes / _GIB * prices.gib_hour * HOURS_PER_MONTH
    return money


def _summary(found: Prediction) -> Section:
    rows = tuple(
        (
            name,
            _millis(part.without_ns),
            _millis(part.shown_with_ns),
            *_figure(part.shown_overhead_ns, 1e-6, 3),
            numbers.signed_percent(part.overhead_share, 1),
        )
        for name, part in found.latency.items()
    )
    return Section(
        "Latency of a request from outside, ms", ("", "without", "with", "overhead", "95 % interval", "change"), rows
    )


def _resources(found: Prediction, prices: Prices) -> Section:
    share = found.vcpu.value / found.baseline_vcpu if found.baseline_vcpu > 0 else None
    rows = [
        ("CPU, vCPU", f"{found.baseline_vcpu:.3f}", numbers.vcpus(found.vcpu.value), _interval(found.vcpu, 1.0, 4),
         numbers.signed_percent(share, 1)),
    ]  # fmt: skip
    if found.memory_bytes is not None:
        rows.append(
            ("memory, MiB", numbers.UNKNOWN, f"{found.memory_bytes / (1 << 20):,.0f}", numbers.UNKNOWN, numbers.UNKNOWN)
        )
    for name, value in money_per_month(found, prices).items():
        rows.append((f"{name}, money per month", numbers.UNKNOWN, f"{value:,.2f}", numbers.UNKNOWN, numbers.UNKNOWN))
    return Section("Resources of the sidecars", ("", "without", "overhead", "95 % interval", "change"), tuple(rows))


def _components(found: Prediction) -> Section:
    latency, cpu = found.latency_by_component_ns, found.vcpu_by_component
    rows = [
        (name, *_figure(latency.get(name), 1e-3, 1), *_figure(cpu.get(name), 1.0, 4)) for name in _ordered(latency, cpu)
    ]
    if found.hidden_ns < 0.0:
        rows.append(("beside a longer branch", f"{found.hidden_ns * 1e-3:,.1f}", "", "", ""))
    return Section("By component", ("component", "latency µs", "95 % interval", "vCPU", "95 % interval"), tuple(rows))


def _ordered(*tables: Mapping[str, Estimate]) -> list[str]:
    return ordered(name for table in tables for name in table)


def _services(found: Prediction) -> Section:
    chosen = sorted(found.services, key=lambda item: -item.vcpu.value)[:LISTED]
    rows = tuple(
        (
            printable(item.name),
            *_figure(item.latency_ns, 1e-3, 1),
            *_figure(item.vcpu, 1.0, 4),
            numbers.percent(item.utilisation, 1),
            f"{item.cold_weight:.2f}",
        )
        for item in chosen
    )
    columns = ("service", "latency µs", "95 % interval", "vCPU", "95 % interval", "worker busy", "cold")
    return Section(_counted("By service", len(chosen), len(found.services)), columns, rows)


def _edges(found: Prediction) -> Section:
    chosen = sorted(found.edges, key=lambda item: -item.vcpu.value)[:LISTED]
    rows = tuple(
        (
            printable(item.id),
            numbers.rate(item.rate_rps),
            *_figure(item.latency_ns, 1e-3, 1),
            *_figure(item.vcpu, 1.0, 4),
            f"{item.path_weight_before:.3g}",
            f"{item.path_weight:.3g}",
        )
        for item in chosen
    )
    columns = ("edge", "calls/s", "µs per call", "95 % interval", "vCPU", "95 % interval", "waited for before", "with")
    return Section(_counted("By edge", len(chosen), len(found.edges)), columns, rows)


def _counted(title: str, shown: int, all_: int) -> str:
    return title if shown == all_ else f"{title}, {shown} of {all_}"


def _figure(value: Estimate | None, factor: float, decimals: int) -> tuple[str, str]:
    if value is None:
        return numbers.UNKNOWN, numbers.UNKNOWN
    return f"{value.value * factor:,.{decimals}f}", _interval(value, factor, decimals)


def _interval(value: Estimate, factor: float, decimals: int = 3) -> str:
    return f"{value.low * factor:,.{decimals}f} … {value.high * factor:,.{decimals}f}"


def _millis(value_ns: float | None) -> str:
    return numbers.UNKNOWN if value_ns is None else f"{value_ns * 1e-6:,.3f}"
