"""What is shown of scenarios next to the graph as it is; CSV has one row per scenario. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects.prediction import UNCERTAINTIES, Prices, money_per_month
from predictor.predict.types import Estimate
from predictor.what_if.comparison import Comparison, Row

FORMAT: Final = "meshinsight-comparison"
VERSION: Final = 1


def report(found: Comparison, prices: Prices) -> Report:
    """What is shown of a comparison; the graph as it is is the first of its scenarios."""

    def scenarios() -> list[dict[str, Any]]:
        return [_document(row, found.rows[0], prices) for row in found.rows]

    return Report(
        f"Scenarios of {found.graph or 'the call graph'}",
        [_overheads(found, prices), _saved_latency(found), _saved_resources(found, prices)],
        [
            ("Not predicted", [f"{row.name}: {row.lacking}" for row in found.rows if row.lacking]),
            ("Inconclusive (the interval of the saving holds zero)", list(_inconclusive(found))),
            *((title, _uncertainties(found, attribute)) for title, attribute in UNCERTAINTIES),
        ],
        document=lambda: {"format": FORMAT, "version": VERSION, "graph": found.graph, "scenarios": scenarios()},
        rows=lambda: [dict(_columns(document)) for document in scenarios()],
    )


def _uncertainties(found: Comparison, attribute: str) -> list[str]:
    """Lines of the graph as it is, then what scenarios have beyond them, with their names."""
    told: dict[str, list[str]] = {}
    for row in found.rows:
        for line in getattr(row.prediction, attribute, ()):
            told.setdefault(line, []).append(row.name)
    as_it_is = found.rows[0].name
    return [line if names[0] == as_it_is else f"{', '.join(names)}: {line}" for line, names in told.items()]


def _statistics(found: Comparison) -> list[str]:
    return list(dict.fromkeys(name for row in found.rows if row.prediction for name in row.prediction.latency))


def _money(row: Row, prices: Prices) -> float | None:
    """Money per month of all that has a price, None where a figure is not known."""
    total = money_per_month(row.prediction, prices).get("total") if row.prediction else None
    return None if total is None else total.value


def _overheads(found: Comparison, prices: Prices) -> Section:
    names = _statistics(found)
    rows = []
    closed = any(row.prediction and row.prediction.closed_loop for row in found.rows)
    for row in found.rows:
        one = row.prediction
        overheads = [one.latency[name].shown_overhead_ns if one else None for name in names]
        latency = [_scaled(over.value if over else None, 1e-6, 3) for over in overheads]
        memory = None if one is None else one.memory_bytes
        money = [_scaled(_money(row, prices), 1.0, 2)] if prices.wanted else []
        vcpu = numbers.vcpus(one.vcpu.value if one else None)
        loop = one.closed_loop if one else None
        rate = [numbers.rate(loop.with_rps) if loop else numbers.UNKNOWN] if closed else []
        rows.append((row.name, *latency, *rate, vcpu, _scaled(memory, 1 / (1 << 20), 0), *money))
    further = (prices.unit,) if prices.wanted else ()
    rates = ("requests/s",) if closed else ()
    columns = ("scenario", *(f"{name} ms" for name in names), *rates, "vCPU", "MiB", *further)
    return Section("Overhead of the sidecars: latency of a request from outside, CPU, memory", columns, rows)


def _saved_latency(found: Comparison) -> Section:
    names = _statistics(found)
    chosen = [name for name in ("mean", names[-1] if names else "mean") if name in names]
    chosen = list(dict.fromkeys(chosen))  # the mean, and the highest percentile
    base = found.rows[0].prediction
    rows = []
    for row in found.rows[1:]:
        cells = [row.name]
        for name in chosen:
            saved = row.saving.latency_ns.get(name) if row.saving else None
            cells += _figure(saved, base.latency[name].shown_overhead_ns if base else None, 1e-6, 3)
        rows.append(cells)
    headers = [text for name in chosen for text in (f"{name} ms", "95 % interval", "of it")]
    return Section("Saved latency (negative: added)", ("scenario", *headers), rows)


def _saved_resources(found: Comparison, prices: Prices) -> Section:
    base = found.rows[0].prediction
    rows = []
    for row in found.rows[1:]:
        saved = row.saving
        vcpu = _figure(saved.vcpu if saved else None, base.vcpu if base else None, 1.0, 4)
        memory = _scaled(saved.memory_bytes if saved else None, 1 / (1 << 20), 0)
        money = [_scaled(_saved_money(row, found.rows[0], prices), 1.0, 2)] if prices.wanted else []
        rows.append((row.name, *vcpu, memory, *money))
    columns = ("scenario", "vCPU", "95 % interval", "of it", "MiB", *((prices.unit,) if prices.wanted else ()))
    return Section("Saved CPU and memory (negative: added)", columns, rows)


def _saved_money(row: Row, base: Row, prices: Prices) -> float | None:
    before, after = _money(base, prices), _money(row, prices)
    return None if before is None or after is None else before - after


def _inconclusive(found: Comparison) -> Iterator[str]:
    for row in found.rows:
        if row.saving is not None:
            figures = (("mean latency", row.saving.latency_ns.get("mean")), ("vCPU", row.saving.vcpu))
            unsure = [name for name, figure in figures if figure and figure.low <= 0.0 <= figure.high != figure.low]
            if unsure:
                yield f"{row.name}: {', '.join(unsure)}"


def _scaled(value: float | None, factor: float, decimals: int) -> str:
    return numbers.UNKNOWN if value is None else f"{round(value * factor, decimals) + 0.0:,.{decimals}f}"  # no -0


def _figure(value: Estimate | None, whole: Estimate | None, factor: float, decimals: int) -> tuple[str, str, str]:
    """A saving, its interval, and its share of the whole overhead."""
    if value is None:
        return numbers.UNKNOWN, numbers.UNKNOWN, numbers.UNKNOWN
    low, high = (_scaled(end, factor, decimals) for end in (value.low, value.high))
    share = value.value / whole.value if whole is not None and whole.value > 0 else None
    return _scaled(value.value, factor, decimals), f"{low} … {high}", numbers.percent(share)


def _document(row: Row, base: Row, prices: Prices) -> dict[str, Any]:
    one, saved = row.prediction, row.saving
    document: dict[str, Any] = {"name": row.name, "lacking": row.lacking or None}
    if one is None:
        return document
    document |= {
        "latency": {name: part.document() for name, part in one.latency.items()},
        "carried_rps": one.carried_rps,
        "closed_loop": asdict(one.closed_loop) if one.closed_loop else None,
        "vcpu": asdict(one.vcpu),
        "baseline_vcpu": one.baseline_vcpu,
        "memory_bytes": one.memory_bytes,
        "money_per_month": _money(row, prices),
        "currency": prices.currency or None,
    }
    if saved is not None:
        document["saving"] = {
            "latency_ns": {name: asdict(part) for name, part in saved.latency_ns.items()},
            "vcpu": asdict(saved.vcpu),
            "memory_bytes": saved.memory_bytes,
            "money_per_month": _saved_money(row, base, prices),
        }
    return {**document, **{attribute: list(getattr(one, attribute)) for _, attribute in UNCERTAINTIES}}


def _columns(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The document of a row as columns; texts of more than a line's worth are left to JSON."""
    yield "scenario", document["name"]
    for name, part in document.get("latency", {}).items():
        if part["overhead_ns"] is not None:
            yield from _spread(f"latency_{name}_ns", part["overhead_ns"])
    if document.get("closed_loop"):
        yield "rate_without_rps", document["closed_loop"]["without_rps"]
        yield "rate_with_rps", document["closed_loop"]["with_rps"]
    if "vcpu" in document:
        yield from _spread("vcpu", document["vcpu"])
        yield "memory_bytes", document["memory_bytes"]
        yield "money_per_month", document["money_per_month"]
    saved = document.get("saving", {})
    for name, part in saved.get("latency_ns", {}).items():
        yield from _spread(f"saved_latency_{name}_ns", part)
    if saved:
        yield from _spread("saved_vcpu", saved["vcpu"])
        yield "saved_memory_bytes", saved["memory_bytes"]
        yield "saved_money_per_month", saved["money_per_month"]
    yield "lacking", document["lacking"]


def _spread(name: str, figure: dict[str, float]) -> Iterator[tuple[str, float]]:
    yield name, figure["value"]
    yield f"{name}_low", figure["low"]
    yield f"{name}_high", figure["high"]
