"""Validation results in the HTML report: predicted against measured, with intervals, and the errors in a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meshinsight import numbers
from meshinsight.reports.renderers import charts
from meshinsight.reports.renderers.charts import Point
from meshinsight.reports.subjects.validation_document import Currency, Scored, ValidationDocument
from predictor.validation.types import Score
from profiler.text import printable

Shown = tuple[str, Scored, ValidationDocument]
"""The name of a variant, its figures, and the document they are from."""

_PANELS: Final[tuple[tuple[Currency, float, str], ...]] = (
    ("latency", 1e-3, "latency at the median, µs"),
    ("cpu", 1e3, "CPU, thousandths of a vCPU"),
)
"""Currencies, the unit they are plotted in, and the title of their panel."""


@dataclass(frozen=True)
class Row:
    """One variant of one graph in figures, as text, by currency; the last is how much slower the machine was."""

    number: int
    name: str
    latency: tuple[str, ...]
    cpu: tuple[str, ...]


def view(documents: Sequence[ValidationDocument]) -> dict[str, Any]:
    """What the template shows of some validations."""
    variants: list[Shown] = [shown for document in documents for shown in _variants(document)]
    savings: list[Shown] = [
        (f"{document.graph}: {name}", part.saving, document)
        for document in documents
        for name, part in document.what_if.items()
    ]
    return {
        "rows": [_row(number, *variant) for number, variant in enumerate(variants, 1)],
        "chart": _chart("overhead", variants),
        "saving_rows": [_row(number, *saving) for number, saving in enumerate(savings, 1)],
        "saving_chart": _chart("saving", savings) if savings else "",
        "summary": _summary(variants),
        "runs": [_run(document) for document in documents],
    }


def _variants(document: ValidationDocument) -> list[Shown]:
    what_ifs = ((f"{document.graph}: {name}", part, document) for name, part in document.what_if.items())
    return [(document.graph, document, document), *what_ifs]


def _row(number: int, name: str, part: Scored, document: ValidationDocument) -> Row:
    anchor = document.anchor
    cpu_factor = anchor.factor if anchor.cpu_factor is None else anchor.cpu_factor
    return Row(
        number,
        printable(name),
        _figures(part.score("latency"), numbers.micros, anchor.factor),
        _figures(part.score("cpu"), numbers.vcpus, cpu_factor),
    )


def _figures(score: Score, shown: Callable[[float], str], anchor_factor: float) -> tuple[str, ...]:
    return (
        *(shown(value) for value in (score.predicted.value, score.anchored.value, score.measured.value)),
        *(numbers.signed_percent(ratio, 1) for ratio in (score.error_ratio, score.anchored_error_ratio)),
        "yes" if score.inside_interval else "no",
        f"{anchor_factor:.2f}",
    )


def _chart(kind: str, variants: Sequence[Shown]) -> str:
    panels = {
        title: [_point(number, part.score(currency), unit) for number, (_, part, _) in enumerate(variants, 1)]
        for currency, unit, title in _PANELS
    }
    return charts.predicted_against_measured(kind, panels)


def _point(number: int, score: Score, unit: float) -> Point:
    measured, predicted = score.measured.scaled(unit), score.judged.scaled(unit)
    return Point(str(number), measured.value, measured.interval, predicted.value, predicted.interval)


def _summary(variants: Sequence[Shown]) -> list[str]:
    """Mean and worst error of all graphs and what-ifs, and how often the truth was inside."""
    lines = []
    names: tuple[tuple[Currency, str], ...] = (("latency", "latency at the median"), ("cpu", "CPU"))
    for currency, name in names:
        scores = [part.score(currency) for _, part, _ in variants]
        raw = [abs(score.error_ratio) for score in scores if score.error_ratio is not None]
        anchored = [abs(score.anchored_error_ratio) for score in scores if score.anchored_error_ratio is not None]
        if not raw or not anchored:
            continue
        inside = sum(score.inside_interval for score in scores if score.error_ratio is not None)
        lines.append(
            f"{name}: mean error {numbers.percent(sum(anchored) / len(anchored), 1)} anchored "
            f"({numbers.percent(sum(raw) / len(raw), 1)} raw), worst {numbers.percent(max(anchored), 1)} "
            f"({numbers.percent(max(raw), 1)} raw); measured inside the interval {inside} of {len(raw)} times"
        )
    return lines


def _run(document: ValidationDocument) -> str:
    return (
        f"{printable(document.graph)}: {numbers.plural(document.services, 'service')}, "
        f"{numbers.rate(document.rate_rps)} requests/s, "
        f"{printable(document.temperature)}, placement {printable(document.placement)}, "
        f"{numbers.plural(document.rounds, 'round')} of {document.seconds:g} s, "
        f"profile {printable(document.profile_run_id)}"
    )
