"""Validation results in the HTML report: predicted against measured, with intervals, and the errors in a table."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from meshinsight import numbers
from meshinsight.reports.figures import Point, Scatter
from meshinsight.reports.page import part
from meshinsight.reports.report import Report, Section
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


_ABOUT: Final = (
    "Call graphs that were deployed for real, without sidecars and with them. Anchored figures are the predictions "
    "times how much slower the machine was than when the profile was made, by the anchor cell; the plots show these."
)
_COLUMNS: Final = (
    "number",
    "graph",
    "predicted",
    "anchored",
    "measured",
    "error",
    "anchored error",
    "inside",
    "anchor",
)


def part_of(documents: Sequence[ValidationDocument]) -> Report:
    """Validations as a part of a page."""
    variants: list[Shown] = [shown for document in documents for shown in _variants(document)]
    savings: list[Shown] = [
        (f"{document.graph}: {name}", item.saving, document)
        for document in documents
        for name, item in document.what_if.items()
    ]
    return part(
        "Predicted against measured",
        Section("", about=_ABOUT, lines=_summary(variants), figures=lambda: [_figure("Overhead", variants)]),
        *_tables("Overhead", variants),
        *_saved(savings),
        Section("How they were measured", lines=[_run(document) for document in documents], folded=True),
    )


def _saved(savings: Sequence[Shown]) -> Iterator[Section]:
    if savings:
        about = "What each what-if saves against the graph as it is."
        yield Section("What-ifs: saved", about=about, figures=lambda: [_figure("Saving", savings)])
        yield from _tables("Saving", savings)


def _tables(kind: str, variants: Sequence[Shown]) -> Iterator[Section]:
    names: tuple[tuple[Currency, str, Callable[[float], str]], ...] = (
        ("latency", "latency at the median, µs", numbers.micros),
        ("cpu", "CPU, vCPU", numbers.vcpus),
    )
    for currency, name, shown in names:
        rows = [
            (str(number), printable(label), *_figures(item.score(currency), shown, _factor(document)))
            for number, (label, item, document) in enumerate(variants, 1)
        ]
        yield Section(f"{kind} of {name}", _COLUMNS, rows, left=(0, 1))


def _factor(document: ValidationDocument) -> float:
    """How much slower the machine was; results of before CPU was measured have a factor of latency."""
    anchor = document.anchor
    return anchor.factor if anchor.cpu_factor is None else anchor.cpu_factor


def _variants(document: ValidationDocument) -> list[Shown]:
    what_ifs = ((f"{document.graph}: {name}", item, document) for name, item in document.what_if.items())
    return [(document.graph, document, document), *what_ifs]


def _figures(score: Score, shown: Callable[[float], str], anchor_factor: float) -> tuple[str, ...]:
    return (
        *(shown(value) for value in (score.predicted.value, score.anchored.value, score.measured.value)),
        *(numbers.signed_percent(ratio, 1) for ratio in (score.error_ratio, score.anchored_error_ratio)),
        "yes" if score.inside_interval else "no",
        f"{anchor_factor:.2f}",
    )


def _figure(kind: str, variants: Sequence[Shown]) -> Scatter:
    panels = {
        title: [_point(number, item.score(currency), unit) for number, (_, item, _) in enumerate(variants, 1)]
        for currency, unit, title in _PANELS
    }
    return Scatter(kind.lower(), f"{kind} predicted against measured", panels)


def _point(number: int, score: Score, unit: float) -> Point:
    measured, predicted = score.measured.scaled(unit), score.anchored.scaled(unit)
    return Point(str(number), measured.value, measured.interval, predicted.value, predicted.interval)


def _summary(variants: Sequence[Shown]) -> list[str]:
    """Mean and worst error of all graphs and what-ifs, and how often the truth was inside."""
    lines = []
    names: tuple[tuple[Currency, str], ...] = (("latency", "latency at the median"), ("cpu", "CPU"))
    for currency, name in names:
        scores = [item.score(currency) for _, item, _ in variants]
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
