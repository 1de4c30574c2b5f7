"""A fitted model as tables: coefficients with intervals, and how well each protocol's cells foretell one another."""

import sys
from typing import TextIO

import numpy as np

from meshinsight import numbers
from meshinsight.reports.subjects.prediction import print_sections
from meshinsight.reports.subjects.prediction_sections import Section
from meshinsight.reports.subjects.summaries import protocol_name
from predictor.models.types import CURRENCIES, FittedModel
from profiler.text import printable


def print_model(model: FittedModel, stream: TextIO | None = None) -> None:
    """Print a model to a stream (standard output unless given)."""
    print_sections(
        f"Model of profile {printable(model.run_id)}",
        [section for section in (_totals(model), _components(model), _held_out(model)) if section.rows],
        [("Machine", [f"its speed varied by {model.machine_error:.1%} (standard deviation, from the anchor cell)"])],
        stream or sys.stdout,
    )


def _totals(model: FittedModel) -> Section:
    rows = []
    for item in model.configurations:
        for currency in CURRENCIES:
            cost = item.cost(currency)
            for index, term in enumerate(cost.terms if cost else ()):
                assert cost is not None  # noqa: S101 (for the type checker: no cost, no terms)
                low, high = np.percentile(cost.draws[:, index].sum(axis=1), (2.5, 97.5))
                value = cost.coefficients[index].sum()
                rows.append((item.name, currency, term, _ns(value), f"{_ns(low)} … {_ns(high)}", str(cost.cells)))
    columns = ("configuration", "currency", "term", "ns", "95 % interval", "cells")
    return Section("Coefficients of the overhead, ns per request and byte, header, connection", columns, tuple(rows))


def _components(model: FittedModel) -> Section:
    rows = []
    for item in model.configurations:
        for currency in CURRENCIES:
            cost = item.cost(currency)
            for column, name in enumerate(cost.components if cost else ()):
                assert cost is not None  # noqa: S101 (as above)
                base, *slopes = cost.coefficients[:, column].tolist()
                further = ", ".join(f"{term} {slope:+.4g}" for term, slope in zip(cost.terms[1:], slopes, strict=True))
                low, high = np.percentile(cost.draws[:, 0, column], (2.5, 97.5))
                rows.append((item.name, currency, name, _ns(base), f"{_ns(low)} … {_ns(high)}", further))
    columns = ("configuration", "currency", "component", "base ns", "95 % interval", "slopes, ns per unit")
    return Section("By component", columns, tuple(rows))


def _held_out(model: FittedModel) -> Section:
    rows = tuple(
        (
            protocol_name(entry.protocol),
            entry.currency,
            numbers.percent(entry.median, 1),
            numbers.percent(entry.worst, 1),
            str(entry.tested),
            str(entry.untested),
        )
        for entry in model.held_out
    )
    columns = ("protocol", "currency", "median error", "worst", "cells", "that no others foretell")
    return Section("Error of foretelling a cell from the others", columns, rows)


def _ns(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
