"""What is shown of a fitted model: coefficients with intervals, and how well cells foretell one another."""

from collections.abc import Iterator

import numpy as np

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects.summaries import protocol_name
from predictor.models.types import CURRENCIES, Cost, FittedModel, Floats


def report(model: FittedModel) -> Report:
    """What is shown of a model."""
    return Report(
        f"Model of profile {model.run_id}",
        [_totals(model), _components(model), _held_out(model)],
        [("Machine", [f"its speed varied by {model.machine_error:.1%} (standard deviation, from the anchor cell)"])],
        document=model.to_json,
        indent=None,
    )


def _costs(model: FittedModel) -> Iterator[tuple[str, str, Cost]]:
    """Configuration and currency of each cost."""
    for item in model.configurations:
        for currency in CURRENCIES:
            if (cost := item.cost(currency)) is not None:
                yield item.name, currency, cost


def _totals(model: FittedModel) -> Section:
    rows = [
        (
            name,
            currency,
            term,
            *_figure(cost.coefficients[index].sum(), cost.draws[:, index].sum(axis=1)),
            str(cost.cells),
        )
        for name, currency, cost in _costs(model)
        for index, term in enumerate(cost.terms)
    ]
    columns = ("configuration", "currency", "term", "ns", "95 % interval", "cells")
    return Section("Coefficients of the overhead, ns per request and byte, header, connection", columns, rows)


def _components(model: FittedModel) -> Section:
    rows = []
    for name, currency, cost in _costs(model):
        for column, component in enumerate(cost.components):
            base, *slopes = cost.coefficients[:, column].tolist()
            further = ", ".join(f"{term} {slope:+.4g}" for term, slope in zip(cost.terms[1:], slopes, strict=True))
            rows.append((name, currency, component, *_figure(base, cost.draws[:, 0, column]), further))
    columns = ("configuration", "currency", "component", "base ns", "95 % interval", "slopes, ns per unit")
    return Section("By component", columns, rows)


def _held_out(model: FittedModel) -> Section:
    rows = [
        (
            protocol_name(entry.protocol),
            entry.currency,
            numbers.percent(entry.median, 1),
            numbers.percent(entry.worst, 1),
            str(entry.tested),
            str(entry.untested),
        )
        for entry in model.held_out
    ]
    columns = ("protocol", "currency", "median error", "worst", "cells", "that no others foretell")
    return Section("Error of foretelling a cell from the others", columns, rows)


def _figure(value: float, draws: Floats) -> tuple[str, str]:
    low, high = np.percentile(draws, (2.5, 97.5))
    return _ns(value), f"{_ns(low)} … {_ns(high)}"


def _ns(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
