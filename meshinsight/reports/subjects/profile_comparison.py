"""What is shown of documents compared with an older one: the whole by component, every part, what else differs. Pure.

A part is a cell of a profile, a configuration of a model, or a service or call of a prediction or a validation.

`~` stands where no difference is found, as in benchstat. CSV has one row per figure.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshinsight import numbers
from meshinsight.reports.report import INTERVAL, Check, Report, Section
from meshinsight.reports.subjects.summaries import ordered
from profiler.comparison.compare import INCONCLUSIVE, SAME, UNKNOWN, WORSE, Compared, ComparedCell, Comparison, Mean
from profiler.comparison.figures import CPU, LATENCY, P50, P99, PER_REQUEST, TOTAL, Key
from profiler.text import some_of

if TYPE_CHECKING:
    from meshinsight.reports.figures import Changes

FORMAT: Final = "meshinsight-profile-comparison"
VERSION: Final = 1
SHOWN: Final = 20
"""So many rows of a table fit on a screen; CSV and JSON have all."""
MEAN: Final = "mean over cells"

_NONE: Final = "~"
_CPU_UNITS: Final[Mapping[str, tuple[str, Callable[[float | None], str]]]] = {
    "ns": ("µs", numbers.micros),
    "vCPU": ("vCPU", numbers.vcpus),
}
"""What CPU is shown in, by the unit that it is in."""
_COLUMNS: Final = (
    "cell", "unit", "currency", "component", "statistic", "old", "new", "difference", "ci95_low", "ci95_high", "effect",
    "p_holm", "verdict",
)  # fmt: skip
_CURRENCIES: Final = {LATENCY: "latency p50", CPU: "CPU"}


@dataclass(frozen=True, slots=True)
class Shown:
    """How documents of a kind are shown.

    `part` is the word for what figures are of. `whole` is the part that is shown by component; without one the mean
    over parts is. `totals` are the columns of the table of all parts, with their names. CPU is in `cpu_unit`.
    """

    kind: str
    part: str
    totals: Mapping[str, Key]
    cpu_unit: str = "ns"
    whole: str = ""

    def unit(self, key: Key) -> str:
        """The unit that a figure is shown in."""
        return _CPU_UNITS[self.cpu_unit][0] if key.currency == CPU else "µs"

    def text(self, key: Key, value: float) -> str:
        """A figure in that unit."""
        return _CPU_UNITS[self.cpu_unit][1](value) if key.currency == CPU else numbers.micros(value)

    def base_unit(self, key: Key) -> str:
        """The unit that a figure is in."""
        return self.cpu_unit if key.currency == CPU else "ns"


_P50: Final = {"p50": Key(LATENCY, TOTAL, P50)}
_PER_REQUEST: Final = {"CPU": Key(CPU, TOTAL, PER_REQUEST)}
_VCPU: Final = {"vCPU": Key(CPU, TOTAL, "vCPU")}
PROFILES: Final = Shown("profile", "cell", {**_P50, "p99": Key(LATENCY, TOTAL, P99), **_PER_REQUEST})
MODELS: Final = Shown("model", "configuration", {**_P50, **_PER_REQUEST})
PREDICTIONS: Final = Shown(
    "prediction", "part", {"mean": Key(LATENCY, TOTAL, "mean"), **_VCPU}, cpu_unit="vCPU", whole="whole graph"
)
VALIDATIONS: Final = Shown("validation", "part", {**_P50, **_VCPU}, cpu_unit="vCPU", whole="whole graph")

KINDS: Final = {shown.kind: shown for shown in (PROFILES, MODELS, PREDICTIONS, VALIDATIONS)}


def report(
    old: str, compared: Sequence[tuple[str, Comparison]], shown: Shown = PROFILES, method: Sequence[str] = ()
) -> Report:
    """What is shown of comparisons of one old document with new ones, each with its name.

    `method` is how verdicts come about where it is not by Holm's correction over all of a pair.
    """
    several = len(compared) > 1
    sections, notes = [], []
    for number, (name, found) in enumerate(compared):
        prefix = f"{name}: " if several else ""
        made = _sections(found, shown, f"changes-{number}")
        sections += [dataclasses.replace(section, title=section.title and prefix + section.title) for section in made]
        notes += [(f"{prefix}{title}", lines) for title, lines in _notes(found, shown)]
    delta = compared[0][1].delta
    return Report(
        f"{old} → {', '.join(name for name, _ in compared)}",
        sections,
        [*notes, ("Verdicts", method or _method(delta, [found for _, found in compared], shown))],
        document=lambda: _document(old, compared, shown),
        rows=lambda: [row for name, found in compared for row in _rows(name if several else "", found, shown)],
        columns=[*([shown.kind] if several else []), *_COLUMNS],
        checks=lambda: [check for name, found in compared for check in _checks(f"{old} → {name}", found, shown)],
    )


def _sections(found: Comparison, shown: Shown, name: str) -> Iterator[Section]:
    counts = Counter(entry.verdict for _, entry in found.figures())
    counted = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("worse", "better", SAME, INCONCLUSIVE))
    if shown.whole:
        entries = next((cell.figures for cell in found.cells if cell.id == shown.whole), {})
        section = _whole(entries, shown)
        yield dataclasses.replace(section, detail=f" ({counted})")
    else:
        yield Section(
            f"Overhead, geometric mean over {shown.part}s",
            ("", "new / old", INTERVAL, f"{shown.part}s", "verdict"),
            [_mean_row(mean) for mean in found.means],
            detail=f" ({counted})",
        )
    if found.means:
        yield dataclasses.replace(_components(found.means, shown), figures=lambda: _mean_pictures(found, shown, name))
    yield _decided(found, shown)
    first = sorted(found.cells, key=lambda cell: not any(entry.decided for entry in cell.figures.values()))[:SHOWN]
    further = len(found.cells) - len(first)
    columns = [text for title in shown.totals for text in (f"{title} old", "new", "change %")]
    unit = "µs" if shown.cpu_unit == "ns" else "latency in µs"
    yield Section(
        f"Overhead of each {shown.part}, {unit}",
        (shown.part, *columns),
        [_cell_row(cell, shown) for cell in first],
        lines=[f"{further} further {shown.part}s: see -o csv"] if further else [],
    )
    yield Section("", figures=lambda: _pictures(found, shown, name))


def _whole(entries: Mapping[Key, Compared], shown: Shown) -> Section:
    """Both currencies of the whole below each other, totals first."""
    names = [TOTAL, *ordered({key.component for key in entries} - {TOTAL})]
    rows = [
        (f"{key.currency}.{name}{f' {key.statistic}' if currency == LATENCY else ''}", *_figures_text(entry, shown))
        for currency in (LATENCY, CPU)
        for name in names
        for key, entry in entries.items()
        if (key.currency, key.component) == (currency, name)
    ]
    return Section(f"Overhead of the {shown.whole}", ("", *_FIGURE_COLUMNS), rows)


def _mean_pictures(found: Comparison, shown: Shown, name: str) -> "Sequence[Changes]":
    from meshinsight.reports.subjects.comparison_figures import mean_pictures  # loads numpy, which tables do not need

    return mean_pictures(found, shown.part, name)


def _pictures(found: Comparison, shown: Shown, name: str) -> "Sequence[Changes]":
    from meshinsight.reports.subjects.comparison_figures import component_pictures

    return component_pictures(found, shown.part, name)


_FIGURE_COLUMNS: Final = ("unit", "old", "new", "difference", INTERVAL, "of the overhead", "verdict")


def _figures_text(entry: Compared, shown: Shown) -> tuple[str, ...]:
    """By `_FIGURE_COLUMNS`."""
    key, interval = entry.key, entry.difference.interval
    ends = numbers.UNKNOWN if interval is None else " … ".join(shown.text(key, end) for end in interval)
    old, new, difference = (shown.text(key, value) for value in (entry.old, entry.new, entry.difference.value))
    return shown.unit(key), old, new, difference, ends, numbers.signed_percent(entry.effect, 1), entry.verdict


def _mean_row(mean: Mean) -> tuple[str, ...]:
    low, high = mean.interval
    total = next(entry for key, entry in mean.figures.items() if key.component == TOTAL)
    interval = f"{low:.3f} … {high:.3f}"
    return _CURRENCIES[mean.currency], f"{mean.ratio:.3f}", interval, str(len(mean.cells)), total.verdict


def _components(means: Sequence[Mean], shown: Shown) -> Section:
    """Both currencies next to each other."""
    by_name = [{key.component: entry for key, entry in mean.figures.items()} for mean in means]
    names = [TOTAL, *ordered({name for entries in by_name for name in entries} - {TOTAL})]
    rows = [(name, *(text for entries in by_name for text in _points(entries.get(name)))) for name in names]
    columns = [text for mean in means for text in (f"{_CURRENCIES[mean.currency]} old", "new", "change", "verdict")]
    return Section(f"By component, mean over {shown.part}s, % of the overhead", ("component", *columns), rows)


def _points(entry: Compared | None) -> tuple[str, ...]:
    if entry is None:
        return (numbers.UNKNOWN,) * 4
    half = "" if entry.difference.half is None else f" ± {entry.difference.half * 100:.1f}"
    change = f"{entry.difference.value * 100:+.1f}" if entry.decided else _NONE
    return f"{entry.old * 100:.1f}", f"{entry.new * 100:.1f}", f"{change}{half}", entry.verdict


def _decided(found: Comparison, shown: Shown) -> Section:
    """Components of parts that are better or worse; the totals are in the table of the parts."""
    changed = [
        (cell, entry)
        for cell, entry in found.figures()
        if cell not in ("", shown.whole) and entry.decided and entry.key.component != TOTAL
    ]
    changed.sort(key=lambda pair: -abs(pair[1].effect or 0.0))
    rows = [
        (cell, f"{entry.key.currency}.{entry.key.component}", *_figures_text(entry, shown))
        for cell, entry in changed[: SHOWN // 2]
    ]
    further = len(changed) - len(rows)
    return Section(
        f"Components of {shown.part}s that are better or worse",
        (shown.part, "component", *_FIGURE_COLUMNS),
        rows,
        lines=[f"{further} further figures: see -o csv"] if further else [],
    )


def _cell_row(cell: ComparedCell, shown: Shown) -> tuple[str, ...]:
    entries = [cell.figures.get(key) for key in shown.totals.values()]
    return cell.id, *(text for entry in entries for text in _values(entry, shown))


def _values(entry: Compared | None, shown: Shown) -> tuple[str, str, str]:
    if entry is None:
        return (numbers.UNKNOWN,) * 3
    return shown.text(entry.key, entry.old), shown.text(entry.key, entry.new), _change(entry)


def _change(entry: Compared) -> str:
    """`+5.1 ± 2.0` percent; the sign of no difference where none is found."""
    if entry.verdict == UNKNOWN:
        return numbers.UNKNOWN
    if entry.effect is None:
        return entry.verdict if entry.decided else _NONE
    half = (entry.difference.half or 0.0) * 100 / entry.whole
    return f"{f'{entry.effect * 100:+.1f}' if entry.decided else _NONE} ± {half:.1f}"


def _notes(found: Comparison, shown: Shown) -> Iterator[tuple[str, Sequence[str]]]:
    yield "What else differs", [f"{'! ' if change.refused else ''}{change}" for change in found.changes]
    only = (("old", found.only_old), ("new", found.only_new))
    yield (
        f"{shown.part.capitalize()}s of one {shown.kind} only",
        [f"{side}: {len(cells)}: {some_of(cells, 4)}" for side, cells in only if cells],
    )
    varying = [f"{name} ({some_of(values)})" for name, values in found.varying.items()]
    ids = [cell.id for cell in found.cells]
    left_out = [
        f"{_CURRENCIES[mean.currency]}: without {some_of(missing, 4)}, whose overhead does not differ from zero"
        for mean in found.means
        if (missing := [name for name in ids if name not in mean.cells])
    ]
    yield f"Means over {shown.part}s", [*([f"cells vary in {', '.join(varying)}"] if varying else []), *left_out]
    yield "Intervals" if shown.whole else "Machine", found.notes


def _method(delta: float, compared: Sequence[Comparison], shown: Shown) -> list[str]:
    judged = sum(entry.p is not None for found in compared for _, entry in found.figures())
    per_pair = " of each pair" if len(compared) > 1 else ""
    return [
        f"worse, better: not by chance (5 %, Holm's correction over all {judged} verdicts{per_pair}), and at least "
        f"{numbers.percent(delta, 1)} of the {shown.part}'s overhead",
        f"same: the whole 95 % interval of the difference is within {numbers.percent(delta, 1)} of the overhead",
        f"{_NONE}: no difference found (same or inconclusive)",
        *_BASIS[shown.kind],
    ]


_BASIS: Final[Mapping[str, Sequence[str]]] = {
    "profile": (
        "±: half of the 95 % interval of the difference, with the drift of both runs",
        "99th percentiles of components have no interval, hence no verdict",
    ),
    "model": ("±: half of the 95 % interval of the difference, with the drift of both runs",),
    "prediction": ("components of services and calls have no interval, hence no verdict",),
    "validation": (),
}


def _document(old: str, compared: Sequence[tuple[str, Comparison]], shown: Shown) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": shown.kind,
        "units": {LATENCY: "ns", CPU: shown.cpu_unit},
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


def _rows(name: str, found: Comparison, shown: Shown) -> Iterator[dict[str, Any]]:
    for cell, entry in found.figures():
        row = _figure(entry)
        low, high = row.pop("ci95") or (None, None)
        yield {
            **({shown.kind: name} if name else {}),
            "cell": cell or MEAN,
            "unit": shown.base_unit(entry.key) if cell else "overhead",
            **row,
            "ci95_low": low,
            "ci95_high": high,
        }


def _checks(group: str, found: Comparison, shown: Shown) -> Iterator[Check]:
    for cell, entry in found.figures():
        key = entry.key
        name = f"{cell or MEAN}: {key.currency}.{key.component} {key.statistic}"
        text = f"{entry.verdict}: {_text(entry, shown if cell else None)}"
        if entry.verdict != UNKNOWN:
            skipped = text if entry.verdict == INCONCLUSIVE else ""
            yield Check(group, name, text if entry.verdict == WORSE else "", skipped)


def _text(entry: Compared, shown: Shown | None) -> str:
    """Both values; without `shown` they are fractions of the overhead."""
    if shown is not None:
        effect = "" if entry.effect is None else f" ({numbers.signed_percent(entry.effect, 1)} of the overhead)"
        old, new = (shown.text(entry.key, value) for value in (entry.old, entry.new))
        return f"{old} → {new} {shown.unit(entry.key)}{effect}"
    return f"{numbers.percent(entry.old, 1)} → {numbers.percent(entry.new, 1)} of the overhead"
