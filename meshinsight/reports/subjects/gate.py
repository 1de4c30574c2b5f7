"""What is shown of limits that were checked: a mark each, and the cells that decide. Pure: no I/O."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from meshinsight import numbers
from meshinsight.reports.report import Check, Report, Section
from profiler.comparison.gate import FAIL, INCONCLUSIVE, PASS, Checked, Outcome, State, overall
from profiler.comparison.limits import NS_PER_VCPU, Limit

FORMAT: Final = "meshinsight-gate"
VERSION: Final = 1
SHOWN: Final = 3
"""So many cells of a limit that does not pass are shown; CSV and JSON have all."""
_MARKS: Final[dict[State, str]] = {PASS: "✓", FAIL: "✗", INCONCLUSIVE: "?"}
_MEAN: Final = "mean over cells"
_RANK: Final = (FAIL, INCONCLUSIVE, PASS)


def report(profile: str, baseline: str | None, outcomes: Sequence[Outcome], notes: Sequence[str]) -> Report:
    """What is shown of the limits of a profile."""
    against = "" if baseline is None else f", baseline {baseline}"
    return Report(
        f"{profile}{against}: {overall(outcomes)}",
        [Section("", lines=[line for outcome in outcomes for line in _lines(outcome)])],
        [("What else differs", notes), ("", [_METHOD] if overall(outcomes) != PASS else [])],
        document=lambda: {
            "format": FORMAT,
            "version": VERSION,
            "profile": profile,
            "baseline": baseline,
            "state": overall(outcomes),
            "limits": [_document(outcome) for outcome in outcomes],
        },
        rows=lambda: [row for outcome in outcomes for row in _rows(outcome)],
        checks=lambda: [_check(profile, outcome.limit, entry) for outcome in outcomes for entry in outcome.checked],
    )


_METHOD: Final = (
    "✗: a figure is above its limit and not by chance (5 %, Holm's correction over all figures checked); "
    "✓: the 95 % intervals of all are below; ?: neither"
)


def _lines(outcome: Outcome) -> Iterator[str]:
    counts = Counter(entry.state for entry in outcome.checked)
    cells = len(outcome.checked)
    mean = [entry for entry in outcome.checked if not entry.cell]
    counted = [f"{counts[state]} of {cells} cells {word}" for state, word in _WORDS if counts[state] and not mean]
    yield f"{_MARKS[outcome.state]} {outcome.limit.text}{': ' + ', '.join(counted) if counted else ''}"
    listed = mean or sorted(outcome.checked, key=lambda entry: (_RANK.index(entry.state), -_above(entry)))
    undecided = [entry for entry in listed if entry.state != PASS]
    shown = [entry for entry in undecided if entry.state == outcome.state][:SHOWN] or listed[:1]
    yield from (f"    {entry.cell or _MEAN}: {_text(outcome.limit, entry)}" for entry in shown)


_WORDS: Final[tuple[tuple[State, str], ...]] = ((FAIL, "above"), (INCONCLUSIVE, "inconclusive"), (PASS, "below"))


def _above(entry: Checked) -> float:
    return entry.above.value if entry.above is not None else 0.0


def _text(limit: Limit, entry: Checked) -> str:
    if entry.value is None:
        return entry.note
    interval = "" if entry.interval is None else f" ({' … '.join(_value(limit, end) for end in entry.interval)})"
    note = f", {entry.note}" if entry.note else ""
    return f"{_value(limit, entry.value)}{interval}{_unit(limit)}{note}"


def _value(limit: Limit, value: float) -> str:
    if limit.share:
        return numbers.signed_percent(value, 1) if limit.against else numbers.percent(value, 1)
    return numbers.vcpus(value / NS_PER_VCPU) if limit.vcpu else numbers.micros(value)


def _unit(limit: Limit) -> str:
    return "" if limit.share else " vcpu/1krps" if limit.vcpu else " µs"


def _document(outcome: Outcome) -> dict[str, Any]:
    return {"limit": outcome.limit.text, "state": outcome.state, "cells": list(_rows(outcome))}


def _rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for entry in outcome.checked:
        low, high = entry.interval or (None, None)
        yield {
            "limit": outcome.limit.text,
            "cell": entry.cell or _MEAN,
            "value": entry.value,
            "ci95_low": low,
            "ci95_high": high,
            "bound": outcome.limit.bound,
            "unit": "fraction" if outcome.limit.share else "ns",
            "state": entry.state,
            "note": entry.note,
        }


def _check(group: str, limit: Limit, entry: Checked) -> Check:
    name, text = f"{limit.text}: {entry.cell or _MEAN}", _text(limit, entry)
    return Check(group, name, text if entry.state == FAIL else "", text if entry.state == INCONCLUSIVE else "")
