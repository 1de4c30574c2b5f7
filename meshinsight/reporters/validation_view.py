"""Validation results in the HTML report: predicted against measured, with intervals, and the errors in a table."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meshinsight.reporters import charts, formats
from meshinsight.reporters.charts import Point
from meshinsight.reporters.validation import FORMAT, VERSION
from profiler.errors import UsageError

Scored = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""The name of a variant, its part of the document, and the document."""


@dataclass(frozen=True)
class Keys:
    """Where the figures of a currency are in the document, and in which unit they are plotted."""

    currency: str
    predicted: str
    anchored: str
    anchored_interval: str
    measured: str
    measured_interval: str
    unit: float
    title: str


_LATENCY: Final = Keys(
    "latency", "predicted_p50_ns", "anchored_p50_ns", "anchored_p50_ci95_ns", "measured_p50_ns",
    "measured_p50_ci95_ns", 1e-3, "latency at the median, µs",
)  # fmt: skip
_CPU: Final = Keys(
    "cpu", "predicted_vcpu", "anchored_vcpu", "anchored_ci95_vcpu", "measured_vcpu", "measured_ci95_vcpu", 1e3,
    "CPU, thousandths of a vCPU",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One variant of one graph in figures, as text, by currency; the last is how much slower the machine was."""

    number: int
    name: str
    latency: tuple[str, ...]
    cpu: tuple[str, ...]


def read_validation(file: Path) -> dict[str, Any]:
    """A result of `meshinsight validate --out`. Raises `UsageError`, one line."""
    remedy = "give a file that `meshinsight validate --out` wrote"
    try:
        document: Any = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--validation {file}: cannot be read: {error.strerror}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--validation {file}: not JSON; {remedy}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f'--validation {file}: not a validation (no "format": "{FORMAT}"); {remedy}')
    if document["version"] > VERSION:
        raise UsageError(f"--validation {file}: version {document['version']} is newer than this meshinsight reads")
    return document


def view(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the template shows of some validations."""
    variants = [(name, part, document) for document in documents for name, part in _variants(document)]
    savings = [
        (f"{document['graph']}: {name}", part["saving"], document)
        for document in documents
        for name, part in document["what_if"].items()
    ]
    return {
        "rows": [_row(number, *variant) for number, variant in enumerate(variants, 1)],
        "chart": _chart("overhead", variants),
        "saving_rows": [_row(number, *saving) for number, saving in enumerate(savings, 1)],
        "saving_chart": _chart("saving", savings) if savings else "",
        "summary": _summary(variants),
        "runs": [_run(document) for document in documents],
    }


def _variants(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    graph = document["graph"]
    return [(graph, document), *((f"{graph}: {name}", part) for name, part in document["what_if"].items())]


def _row(number: int, name: str, part: Mapping[str, Any], document: Mapping[str, Any]) -> Row:
    anchor = document["anchor"]
    cpu_factor = anchor.get("cpu_factor", anchor["factor"])  # older results have one for both
    return Row(
        number,
        formats.printable(name),
        _figures(part["latency"], _LATENCY, formats.micros, anchor["factor"]),
        _figures(part["cpu"], _CPU, formats.vcpus, cpu_factor),
    )


def _figures(
    part: Mapping[str, Any], keys: Keys, shown: Callable[[float], str], anchor_factor: float
) -> tuple[str, ...]:
    return (
        *(shown(part[key]) for key in (keys.predicted, keys.anchored, keys.measured)),
        *(formats.signed_percent(part[key], 1) for key in ("error_ratio", "anchored_error_ratio")),
        "yes" if part["inside_interval"] else "no",
        f"{anchor_factor:.2f}",
    )


def _chart(kind: str, variants: Sequence[Scored]) -> str:
    panels = {
        keys.title: [_point(number, part[keys.currency], keys) for number, (_, part, _) in numbered]
        for keys in (_LATENCY, _CPU)
        for numbered in [list(enumerate(variants, 1))]
    }
    return charts.predicted_against_measured(kind, panels)


def _point(number: int, part: Mapping[str, Any], keys: Keys) -> Point:
    return Point(
        str(number),
        measured=part[keys.measured] * keys.unit,
        measured_interval=_scaled(part[keys.measured_interval], keys.unit),
        predicted=part[keys.anchored] * keys.unit,
        predicted_interval=_scaled(part[keys.anchored_interval], keys.unit),
    )


def _scaled(span: Sequence[float], factor: float) -> tuple[float, float]:
    return span[0] * factor, span[1] * factor


def _summary(variants: Sequence[Scored]) -> list[str]:
    """Mean and worst error of all graphs and what-ifs, and how often the truth was inside."""
    lines = []
    for currency, name in (("latency", "latency at the median"), ("cpu", "CPU")):
        parts = [part[currency] for _, part, _ in variants if part[currency]["error_ratio"] is not None]
        if not parts:
            continue
        raw, anchored = ([abs(part[key]) for part in parts] for key in ("error_ratio", "anchored_error_ratio"))
        inside = sum(part["inside_interval"] for part in parts)
        lines.append(
            f"{name}: mean error {formats.percent(sum(anchored) / len(anchored), 1)} anchored "
            f"({formats.percent(sum(raw) / len(raw), 1)} raw), worst {formats.percent(max(anchored), 1)} "
            f"({formats.percent(max(raw), 1)} raw); measured inside the interval {inside} of {len(parts)} times"
        )
    return lines


def _run(document: Mapping[str, Any]) -> str:
    return (
        f"{formats.printable(document['graph'])}: {document['services']} services, {document['rate_rps']:g} "
        f"requests/s, {document['temperature']}, {document['rounds']} rounds of {document['seconds']:g} s, profile "
        f"{document['profile_run_id']}"
    )
