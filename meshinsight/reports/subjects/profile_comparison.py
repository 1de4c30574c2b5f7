"""What is shown of profiles compared with an older one: means over cells, every cell, and what else differs. Pure.

`~` stands where no difference is found, as in benchstat. CSV has one row per figure.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from meshinsight import numbers
from meshinsight.reports.report import INTERVAL, Check, Report, Section
from meshinsight.reports.subjects.summaries import ordered
from profiler.comparison.compare import INCONCLUSIVE, SAME, UNKNOWN, WORSE, Compared, ComparedCell, Comparison, Mean
from profiler.comparison.figures import CPU, LATENCY, P50, P99, PER_REQUEST, TOTAL, Key
from profiler.text import some_of

FORMAT: Final = "meshinsight-profile-comparison"
VERSION: Final = 1
SHOWN: Final = 20
"""So many rows of a table fit on a screen; CSV and JSON have all."""
MEAN: Final = "mean over cells"

_NONE: Final = "~"
_LATENCY: Final = Key(LATENCY, TOTAL, P50)
_TAIL: Final = Key(LATENCY, TOTAL, P99)
_CPU: Final = Key(CPU, TOTAL, PER_REQUEST)
_COLUMNS: Final = (
    "cell", "unit", "currency", "component", "statistic", "old", "new", "difference", "ci95_low", "ci95_high", "effect",
    "p_holm", "verdict",
)  # fmt: skip
_CURRENCIES: Final = {LATENCY: "latency p50", CPU: "CPU"}


def report(old: str, compared: Sequence[tuple[str, Comparison]], method: Sequence[str] = ()) -> Report:
    """What is shown of comparisons of one old profile with new ones, each with its name.

    `method` is how verdicts come about where it is not by Holm's correction over all of a pair.
    """
    several = len(compared) > 1
    sections, notes = [], []
    for name, found in compared:
        prefix = f"{name}: " if several else ""
        sections += [dataclasses.replace(section, title=prefix + section.title) for section in _sections(found)]
        notes += [(f"{prefix}{title}", lines) for title, lines in _notes(found)]
    delta = compared[0][1].delta
    return Report(
        f"{old} → {', '.join(name for name, _ in compared)}",
        sections,
        [*notes, ("Verdicts", method or _method(delta, [found for _, found in compared]))],
        document=lambda: _document(old, compared),
        rows=lambda: [row for name, found in compared for row in _rows(name if several else "", found)],
        columns=[*(["profile"] if several else []), *_COLUMNS],
        checks=lambda: [check for name, found in compared for check in _checks(f"{old} → {name}", found)],
    )


def _sections(found: Comparison) -> Iterator[Section]:
    counts = Counter(entry.verdict for _, entry in found.figures())
    counted = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("worse", "better", SAME, INCONCLUSIVE))
    yield Section(
        "Overhead, geometric mean over cells",
        ("", "new / old", INTERVAL, "cells", "verdict"),
        [_mean_row(mean) for mean in found.means],
        detail=f" ({counted})",
    )
    if found.means:
        yield _components(found.means)
    yield _decided(found)
    shown = sorted(found.cells, key=lambda cell: not any(entry.decided for entry in cell.figures.values()))[:SHOWN]
    further = len(found.cells) - len(shown)
    yield Section(
        "Overhead of each cell, µs",
        ("cell", "p50 old", "new", "change %", "p99 old", "new", "change %", "CPU old", "new", "change %"),
        [_cell_row(cell) for cell in shown],
        lines=[f"{further} further cells: see -o csv"] if further else [],
    )


def _mean_row(mean: Mean) -> tuple[str, ...]:
    low, high = mean.interval
    total = next(entry for key, entry in mean.figures.items() if key.component == TOTAL)
    interval = f"{low:.3f} … {high:.3f}"
    return _CURRENCIES[mean.currency], f"{mean.ratio:.3f}", interval, str(len(mean.cells)), total.verdict


def _components(means: Sequence[Mean]) -> Section:
    """Both currencies next to each other."""
    by_name = [{key.component: entry for key, entry in mean.figures.items()} for mean in means]
    names = [TOTAL, *ordered({name for entries in by_name for name in entries} - {TOTAL})]
    rows = [(name, *(text for entries in by_name for text in _points(entries.get(name)))) for name in names]
    columns = [text for mean in means for text in (f"{_CURRENCIES[mean.currency]} old", "new", "change", "verdict")]
    return Section("By component, mean over cells, % of the overhead", ("component", *columns), rows)


def _points(entry: Compared | None) -> tuple[str, ...]:
    if entry is None:
        return (numbers.UNKNOWN,) * 4
    half = "" if entry.difference.half is None else f" ± {entry.difference.half * 100:.1f}"
    change = f"{entry.difference.value * 100:+.1f}" if entry.decided else _NONE
    return f"{entry.old * 100:.1f}", f"{entry.new * 100:.1f}", f"{change}{half}", entry.verdict


def _decided(found: Comparison) -> Section:
    """Components of cells that are better or worse; the totals are in the table of the cells."""
    changed = [
        (cell, entry) for cell, entry in found.figures() if cell and entry.decided and entry.key.component != TOTAL
    ]
    changed.sort(key=lambda pair: -abs(pair[1].effect or 0.0))
    rows = [
        (
            cell,
            f"{entry.key.currency}.{entry.key.component}",
            numbers.micros(entry.old),
            numbers.micros(entry.new),
            numbers.micros(entry.difference.value),
            numbers.micros_interval(entry.difference.interval),
            numbers.signed_percent(entry.effect, 1),
            entry.verdict,
        )
        for cell, entry in changed[: SHOWN // 2]
    ]
    further = len(changed) - len(rows)
    columns = ("cell", "component", "old µs", "new µs", "difference µs", INTERVAL, "of the overhead", "verdict")
    return Section(
        "Components of cells that are better or worse",
        columns,
        rows,
        lines=[f"{further} further figures: see -o csv"] if further else [],
    )


def _cell_row(cell: ComparedCell) -> tuple[str, ...]:
    entries = [cell.figures.get(key) for key in (_LATENCY, _TAIL, _CPU)]
    return cell.id, *(text for entry in entries for text in _values(entry))


def _values(entry: Compared | None) -> tuple[str, str, str]:
    if entry is None:
        return (numbers.UNKNOWN,) * 3
    return numbers.micros(entry.old), numbers.micros(entry.new), _change(entry)


def _change(entry: Compared) -> str:
    """`+5.1 ± 2.0` percent; the sign of no difference where none is found."""
    if entry.verdict == UNKNOWN:
        return numbers.UNKNOWN
    if entry.effect is None:
        return entry.verdict if entry.decided else _NONE
    half = (entry.difference.half or 0.0) * 100 / entry.whole
    return f"{f'{entry.effect * 100:+.1f}' if entry.decided else _NONE} ± {half:.1f}"


def _notes(found: Comparison) -> Iterator[tuple[str, Sequence[str]]]:
    yield "What else differs", [f"{'! ' if change.refused else ''}{change}" for change in found.changes]
    only = (("old", found.only_old), ("new", found.only_new))
    yield (
        "Cells of one profile only",
        [f"{side}: {len(cells)}: {some_of(cells, 4)}" for side, cells in only if cells],
    )
    varying = [f"{name} ({some_of(values)})" for name, values in found.varying.items()]
    ids = [cell.id for cell in found.cells]
    left_out = [
        f"{_CURRENCIES[mean.currency]}: without {some_of(missing, 4)}, whose overhead does not differ from zero"
        for mean in found.means
        if (missing := [name for name in ids if name not in mean.cells])
    ]
    yield "Means over cells", [*([f"cells vary in {', '.join(varying)}"] if varying else []), *left_out]
    yield "Machine", found.notes


def _method(delta: float, compared: Sequence[Comparison]) -> list[str]:
    judged = sum(entry.p is not None for found in compared for _, entry in found.figures())
    per_pair = " of each pair" if len(compared) > 1 else ""
    return [
        f"worse, better: not by chance (5 %, Holm's correction over all {judged} verdicts{per_pair}), and at least "
        f"{numbers.percent(delta, 1)} of the cell's overhead",
        f"same: the whole 95 % interval of the difference is within {numbers.percent(delta, 1)} of the overhead",
        f"{_NONE}: no difference found (same or inconclusive)",
        "±: half of the 95 % interval of the difference, with the drift of both runs",
        "99th percentiles of components have no interval, hence no verdict",
    ]


def _document(old: str, compared: Sequence[tuple[str, Comparison]]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "old": old,
        "delta": compared[0][1].delta,
        "correction": "holm",
        "comparisons": [_one_document(name, found) for name, found in compared],
    }


def _one_document(name: str, found: Comparison) -> dict[str, Any]:
    return {
        "new": name,
        "means": [
            {
                "currency": mean.currency,
                "cells": list(mean.cells),
                "ratio": mean.ratio,
                "ratio_ci95": list(mean.interval),
                "components": [_figure(entry) for entry in mean.figures.values()],
            }
            for mean in found.means
        ],
        "cells": [
            {"id": cell.id, "figures": [_figure(entry) for entry in cell.figures.values()]} for cell in found.cells
        ],
        "only_old": list(found.only_old),
        "only_new": list(found.only_new),
        "changes": [
            {"subject": change.subject, "old": change.old, "new": change.new, "comparable": not change.refused}
            for change in found.changes
        ],
        "varying": {dimension: list(values) for dimension, values in found.varying.items()},
        "notes": list(found.notes),
    }


def _figure(entry: Compared) -> dict[str, Any]:
    interval = entry.difference.interval
    return {
        "currency": entry.key.currency,
        "component": entry.key.component,
        "statistic": entry.key.statistic,
        "old": entry.old,
        "new": entry.new,
        "difference": entry.difference.value,
        "ci95": None if interval is None else list(interval),
        "effect": entry.effect,
        "p_holm": entry.p,
        "verdict": entry.verdict,
    }


def _rows(name: str, found: Comparison) -> Iterator[dict[str, Any]]:
    for cell, entry in found.figures():
        row = _figure(entry)
        low, high = row.pop("ci95") or (None, None)
        yield {
            **({"profile": name} if name else {}),
            "cell": cell or MEAN,
            "unit": "ns" if cell else "overhead",
            **row,
            "ci95_low": low,
            "ci95_high": high,
        }


def _checks(group: str, found: Comparison) -> Iterator[Check]:
    for cell, entry in found.figures():
        key = entry.key
        name = f"{cell or MEAN}: {key.currency}.{key.component} {key.statistic}"
        text = f"{entry.verdict}: {_text(entry, bool(cell))}"
        if entry.verdict != UNKNOWN:
            skipped = text if entry.verdict == INCONCLUSIVE else ""
            yield Check(group, name, text if entry.verdict == WORSE else "", skipped)


def _text(entry: Compared, in_ns: bool) -> str:
    if in_ns:
        effect = "" if entry.effect is None else f" ({numbers.signed_percent(entry.effect, 1)} of the overhead)"
        return f"{numbers.micros(entry.old)} → {numbers.micros(entry.new)} µs{effect}"
    return f"{numbers.percent(entry.old, 1)} → {numbers.percent(entry.new, 1)} of the overhead"
