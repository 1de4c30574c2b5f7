"""What is shown of advice: its limits and changes, and in words what they bring and give up. Pure: no I/O."""

from dataclasses import asdict
from typing import Final

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from predictor.advise.changes import KINDS
from predictor.advise.types import Advice, Outcome, Step
from predictor.predict.types import Estimate, Prediction
from profiler.text import first_of

FORMAT: Final = "meshinsight-advice"
VERSION: Final = 1

LISTED: Final = 40
"""So many changes are shown; JSON has them all."""

NAMED: Final = 5
"""So many places of one kind of change are named."""

_UNITS: Final = {
    "latency": (1e-6, "ms", 3),
    "overhead": (1e-6, "ms", 3),
    "cpu": (1.0, "vCPU", 4),
    "memory": (2**-20, "MiB", 0),
}
_SURE_NOTE: Final = "the interval reaches beyond the limit"


def report(found: Advice, check: str) -> Report:
    """What is shown of advice; `check` is the command that predicts the outcome, empty if there is none."""
    unsure = [str(step.change) for step in found.steps if _holds_zero(step)]
    return Report(
        _title(found),
        [_limits(found), _changes(found)],
        [
            ("What this says", _told(found)),
            ("What it gives up", _given_up(found)),
            ("Inconclusive (intervals of what it saves hold zero)", unsure[:LISTED]),
            ("To check it", _checks(found, check)),
            ("Not considered", found.not_considered),
            (
                "Outside what was measured (widens the intervals)",
                found.after.extrapolations or found.before.extrapolations,
            ),
            ("Warnings", tuple(dict.fromkeys((*found.before.warnings, *found.after.warnings)))),
        ],
        document=lambda: document(found, check),
    )


def document(found: Advice, check: str) -> dict[str, object]:
    """Advice as plain JSON values; times in ns, CPU in vCPU, memory in bytes."""
    from predictor.graph.writer import graph_document

    return {
        "format": FORMAT,
        "version": VERSION,
        "graph": found.before.graph,
        "met": found.met,
        "impossible": found.impossible,
        "exact": found.exact,
        "at_least": found.at_least,
        "limits": [_limit(item) for item in found.outcomes],
        "changes": [{**asdict(step.change), **_without_change(step)} for step in found.steps],
        "before": _figures(found.before),
        "after": _figures(found.after),
        "set": list(found.settings),
        "transport": found.transport,
        "check": check,
        "not_considered": list(found.not_considered),
        "further": found.further,
        "changed_graph": graph_document(found.graph),
    }


def _title(found: Advice) -> str:
    name = found.before.graph or "the call graph"
    if not found.met:
        return f"Limits of {name}: cannot be met" if found.impossible else f"Limits of {name}: no way found"
    count = len(found.steps)
    return f"Limits of {name}: met by {_changes_text(count)}" if count else f"Limits of {name}: met as it is"


def _told(found: Advice) -> list[str]:
    lines = [_margin(item) for item in found.outcomes]
    if loop := found.before.closed_loop:
        lines.append(
            f"{loop.entry}: all choices are compared at {numbers.rate(loop.with_rps)} requests/s, the rate of its "
            f"{loop.connections} connections as it is; with fewer costs the connections send more"
        )
    if found.steps:
        lines.append(_smallest(found))
    if found.further:
        lines.append(found.further)
    return lines


def _smallest(found: Advice) -> str:
    count = len(found.steps)
    if not found.met:
        none = "no choice" if found.impossible else "no choice that was found"
        return f"{none} of the changes that were considered meets all limits; {_changes_text(count)} come nearest"
    if found.exact:
        better = f"no other {count} do" if count > 1 else "no other single one does"
        return f"fewer than {_changes_text(count)} cannot do it, and {better} it better"
    if found.at_least >= count:
        return f"fewer than {_changes_text(count)} cannot do it"
    if found.at_least <= 1:
        return "found step by step; that no fewer changes do it is not proven"
    return f"found step by step; fewer than {_changes_text(found.at_least)} cannot do it, more is not proven"


def _given_up(found: Advice) -> list[str]:
    """What is given up, with the places."""
    places: dict[str, list[str]] = {}
    for step in found.steps:
        places.setdefault(step.gives_up, []).append(step.change.target or "all")
    return [f"{text} ({first_of(names, NAMED)})" for text, names in places.items()]


def _margin(item: Outcome) -> str:
    factor, unit, decimals = _UNITS[item.limit.figure]
    if not item.finite_after:
        return f"{item.limit.text}: missed, since sidecars have more work than time and latency is not finite"
    bound, value = item.limit.bound, item.after.value
    far = f"{abs(bound - value) * factor:,.{decimals}f} {unit}, {abs(bound - value) / bound:.0%}"
    line = f"{item.limit.text}: {'met' if item.met else 'missed'} by {far}"
    if item.met and item.after.high > bound:
        line += f"; {_SURE_NOTE}"
    if item.own_ns is not None:
        line += f"; services take {item.own_ns * factor:,.{decimals}f} {unit} themselves"
        line += ", which no sidecar changes" if item.own_ns > bound else f", {item.own_ns / bound:.0%} of the limit"
    return line


def _checks(found: Advice, check: str) -> list[str]:
    if check:
        return [check]
    if found.sidecars:
        return ["services change: --out FILE writes the changed graph, and meshinsight predict PROFILE FILE checks it"]
    return []


def _limits(found: Advice) -> Section:
    rows = []
    for item in found.outcomes:
        factor, unit, decimals = _UNITS[item.limit.figure]
        name = f"{item.limit.figure} {item.limit.statistic}".strip()
        figures = [part for value in (item.shown_before, item.shown_after) for part in _figure(value, factor, decimals)]
        limit = f"{item.limit.bound * factor:,.{decimals}f}"
        rows.append((f"{name}, {unit}", limit, *figures, "yes" if item.met else "no"))
    columns = ("limit", "at most", "now", "95 % interval", "then", "95 % interval", "met")
    return Section("Limits", columns, rows)


def _changes(found: Advice) -> Section:
    names = list(dict.fromkeys(name for step in found.steps for name in step.percentiles_ns))
    memory = any(item.limit.figure == "memory" for item in found.outcomes)
    rows = []
    for number, step in enumerate(found.steps[:LISTED], start=1):
        row = [f"{number}. {step.change}"]
        row += [numbers.scaled(step.percentiles_ns.get(name), 1e-6, 3) for name in names]
        row += [numbers.scaled(step.mean_ns, 1e-6, 3), numbers.span(step.mean_interval_ns, 1e-6, 3)]
        row += [f"{step.vcpu:,.4f}", numbers.span(step.vcpu_interval, 1.0, 4)]
        row += [numbers.scaled(step.memory_bytes, 2**-20, 0)] if memory else []
        rows.append(row)
    columns = ("change", *(f"{name} ms" for name in names), "mean ms", "95 % interval", "vCPU", "95 % interval")
    columns += ("MiB",) if memory else ()
    shown, count = len(rows), len(found.steps)
    title = "Changes, and what each saves after those before it"
    return Section(title if shown == count else f"{title}, {shown} of {count}", columns, rows)


def _changes_text(count: int) -> str:
    return "one change" if count == 1 else f"{count} changes"


def _figure(value: Estimate | None, factor: float, decimals: int) -> tuple[str, str]:
    figure, interval = numbers.estimated(value, factor, decimals)
    return figure, numbers.UNKNOWN if value is not None and value.low == value.high else interval


def _holds_zero(step: Step) -> bool:
    spans = [span for span in (step.mean_interval_ns, step.vcpu_interval) if span is not None]
    return bool(spans) and all(low <= 0.0 <= high for low, high in spans)


def _limit(item: Outcome) -> dict[str, object]:
    return {
        "option": item.limit.text,
        "figure": item.limit.figure,
        "statistic": item.limit.statistic,
        "bound": item.limit.bound,
        "before": None if item.shown_before is None else asdict(item.shown_before),
        "after": None if item.shown_after is None else asdict(item.shown_after),
        "met": item.met,
        "own_ns": item.own_ns,
    }


def _without_change(step: Step) -> dict[str, object]:
    return {
        "describes": KINDS[step.change.kind],
        "gives_up": step.gives_up,
        "saves": {
            "mean_ns": step.mean_ns,
            "mean_interval_ns": step.mean_interval_ns,
            "vcpu": step.vcpu,
            "vcpu_interval": step.vcpu_interval,
            "memory_bytes": step.memory_bytes,
            "percentiles_ns": dict(step.percentiles_ns),
        },
    }


def _figures(found: Prediction) -> dict[str, object]:
    latency = {name: part.document() for name, part in found.latency.items()}
    return {"latency": latency, "vcpu": asdict(found.vcpu), "memory_bytes": found.memory_bytes}
