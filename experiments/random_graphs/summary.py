"""Errors, coverage and sharpness of predictions over many graphs. Pure: documents of `validate` in, rows out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any, Final

KINDS: Final = {"raw": "predicted", "anchored": "anchored"}
"""How a prediction is named in the documents of `meshinsight validate`, by how it is named here."""

FIGURES: Final = ("p50", "p90", "p99", "cpu")

_NONE: Final = (float("nan"), float("nan"))
"""The 80 % interval in documents of before there was one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One predicted figure with its 95 % and 80 % intervals, and the measured one, in ns or vCPU."""

    predicted: float
    outer: tuple[float, float]
    inner: tuple[float, float]
    measured: float

    @property
    def error_ratio(self) -> float:
        """Predicted over measured, minus one."""
        return self.predicted / self.measured - 1.0

    def inside(self, interval: tuple[float, float]) -> bool:
        """Whether the measured figure is in one of the intervals."""
        low, high = interval
        return low <= self.measured <= high

    def half_width_ratio(self, interval: tuple[float, float]) -> float:
        """Half of an interval over the prediction; infinite where nothing is predicted."""
        low, high = interval
        return (high - low) / 2.0 / self.predicted if self.predicted > 0.0 else float("inf")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one kind of prediction over all graphs that it could be scored for. Ratios."""

    figure: str
    kind: str
    graphs: int
    mean_error: float
    worst_error: float
    worst_graph: str
    coverage: float
    half_width: float
    inner_coverage: float
    inner_half_width: float

    def cells(self) -> tuple[str, ...]:
        """As they are shown."""
        return (
            "CPU" if self.figure == "cpu" else self.figure,
            self.kind,
            str(self.graphs),
            f"{self.mean_error:.1%}",
            f"{self.worst_error:.1%} ({self.worst_graph})",
            f"{self.coverage:.0%}",
            f"{self.half_width:.1%}",
            f"{self.inner_coverage:.0%}",
            f"{self.inner_half_width:.1%}",
        )


HEADER: Final = (
    "figure", "prediction", "graphs", "mean |error|", "worst", "in 95 %", "median half-width", "in 80 %",
    "median half-width",
)  # fmt: skip


def pair_of(document: Mapping[str, Any], figure: str, kind: str) -> Pair | None:
    """A figure of a validation; None where less than nothing was measured, which no error can be a share of."""
    part = document["cpu" if figure == "cpu" else "latency"]
    name, unit = ("", "vcpu") if figure == "cpu" else (f"{figure}_", "ns")
    measured = part[f"measured_{name}{unit}"]
    if measured <= 0.0:
        return None
    start = f"{KINDS[kind]}_{name}"
    outer, inner = (tuple(part.get(f"{start}ci{level}_{unit}", _NONE)) for level in (95, 80))
    return Pair(part[f"{start}{unit}"], outer, inner, measured)


def rows_of(documents: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The summary of validations by the name of their graph."""
    found = []
    for figure in FIGURES:
        for kind in KINDS:
            pairs = {name: pair_of(document, figure, kind) for name, document in documents.items()}
            scored = {name: pair for name, pair in pairs.items() if pair is not None}
            if scored:
                found.append(_row(figure, kind, scored))
    return found


def not_scored(documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is missing in the rows: figures of which less than nothing was measured."""
    return [
        f"{name}: no overhead of {figure} was measured, so it has no error"
        for name, document in documents.items()
        for figure in FIGURES
        if pair_of(document, figure, "raw") is None
    ]


def _row(figure: str, kind: str, pairs: Mapping[str, Pair]) -> Row:
    errors = {name: abs(pair.error_ratio) for name, pair in pairs.items()}
    worst = max(errors, key=errors.__getitem__)
    return Row(
        figure,
        kind,
        len(pairs),
        mean(errors.values()),
        errors[worst],
        worst,
        mean(pair.inside(pair.outer) for pair in pairs.values()),
        median(pair.half_width_ratio(pair.outer) for pair in pairs.values()),
        mean(pair.inside(pair.inner) for pair in pairs.values()),
        median(pair.half_width_ratio(pair.inner) for pair in pairs.values()),
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown, all columns but the first two to the right."""
    lines = [" | ".join(header), "|".join(["---"] * 2 + ["--:"] * (len(header) - 2))]
    return [f"| {lines[0]} |", f"|{lines[1]}|", *(f"| {' | '.join(row)} |" for row in rows)]
