"""A fitted model as figures: what a request costs in each configuration, with the smallest messages and with larger.

Coefficients per byte depend on where a model's knots are, so costs are compared and not coefficients.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from meshinsight.comparing.document import NS, Document
from predictor.models.types import FEATURES, Configuration, Cost, FittedModel, Floats
from profiler.attribution.intervals import TWO_RUNS
from profiler.comparison.compare import Figures
from profiler.comparison.figures import CPU, LATENCY, P50, PER_REQUEST, TOTAL, Key
from profiler.comparison.significance import KNOWN, Error, Measured

_STATISTICS: Final = ((LATENCY, P50), (CPU, PER_REQUEST))


def documents_of(old: FittedModel, new: FittedModel) -> tuple[Document, Document]:
    """Both at the sizes that both were measured at."""
    ours, theirs = ({item.name: item for item in model.configurations} for model in (old, new))
    points = {name: _points(ours[name], theirs[name]) for name in ours if name in theirs}
    return _document(old, points), _document(new, points)


_Points = dict[str, dict[str, float]]
"""Sizes by what is added to the configuration's name."""


def _points(one: Configuration, two: Configuration) -> _Points:
    """The smallest sizes of both, and each feature at its largest where both measured several.

    Empty where they have no size in common.
    """
    lowest = {name: max(one.ranges[name][0], two.ranges[name][0]) for name in FEATURES}
    highest = {name: min(one.ranges[name][1], two.ranges[name][1]) for name in FEATURES}
    if any(highest[name] < lowest[name] for name in FEATURES):
        return {}
    return {"": lowest} | {
        f" {name} {highest[name]:g}": lowest | {name: highest[name]}
        for name in FEATURES
        if highest[name] > lowest[name]
    }


def _named(lowest: dict[str, float]) -> _Points:
    """The smallest sizes in words, for a configuration that the other model has at other sizes only."""
    return {" " + " ".join(f"{name} {size:g}" for name, size in lowest.items() if size): lowest}


def _document(model: FittedModel, points: dict[str, _Points]) -> Document:
    figures: dict[str, Figures] = {}
    for item in model.configurations:
        lowest = {name: span[0] for name, span in item.ranges.items()}
        for addition, sizes in (points.get(item.name, {"": lowest}) or _named(lowest)).items():
            figures[item.name + addition] = dict(_figures(item, sizes, model.machine_error))
    return Document(
        figures,
        tuple(name for name, found in points.items() if found),
        NS,
        facts={"profile": model.run_id, "configurations": len(model.configurations)},
        environment={"cpu_model": model.cpu_model, "kernel": model.kernel},
    )


def _figures(item: Configuration, sizes: dict[str, float], machine_error: float) -> Iterator[tuple[Key, Measured]]:
    features = np.array([[sizes[name] for name in FEATURES]])
    drift = Error(machine_error**2, KNOWN)
    for currency, statistic in _STATISTICS:
        cost = item.cost(currency)
        if cost is None:
            continue
        values, draws = _at(cost, features)
        yield Key(currency, TOTAL, statistic), _measured(float(values.sum()), draws.sum(axis=1), drift)
        for column, name in enumerate(cost.components):
            yield Key(currency, name, statistic), _measured(float(values[column]), draws[:, column], drift)


def _at(cost: Cost, features: Floats) -> tuple[Floats, Floats]:
    """Components of one request, and draws × components."""
    (row,) = cost.rows(features)
    return row @ cost.coefficients, np.einsum("t,dtc->dc", row, cost.draws)


def _measured(value: float, draws: Floats, drift: Error) -> Measured:
    """The draws are of the difference of two runs and have the machine's drift in them, which all figures share."""
    variance = float(np.var(draws)) / TWO_RUNS**2
    return Measured(value, (Error(max(0.0, variance - drift.variance * value**2), KNOWN),), drift)
