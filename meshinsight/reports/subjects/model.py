"""What is shown of a fitted model: coefficients with intervals, and the leave-one-out errors of its cells."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from msgspec.structs import replace

from meshinsight import numbers
from meshinsight.reports.report import INTERVAL, Report, Section
from meshinsight.reports.subjects.summaries import MEANING, protocol_name
from predictor.hop_costs.crossing import REMEDY
from predictor.models.readings import configuration_key
from predictor.models.types import Configuration, Cost, Crossing, FittedModel, Floats
from profiler.attribution.intervals import Z95
from profiler.profile.types import Coefficient, Currency, ModelError, Profile

COEFFICIENTS_TITLE: Final = "Coefficients of the overhead, ns per request and byte, header, connection"
COEFFICIENTS_COLUMNS: Final = ("configuration", "currency", "term", "ns", INTERVAL, "cells")
COEFFICIENTS_LEFT: Final = (0, 1, 2)
"""Those of words."""

_DECIMALS: Final = 4
"""Of a nanosecond, at most: coefficients per byte are small."""

_CURRENCY: Final = {"latency": "latency", "cpu": "CPU"}


def report(model: FittedModel) -> Report:
    """What is shown of a model."""
    return Report(
        f"Model of profile {model.run_id}",
        [_totals(model), _components(model), *_crossings(model), errors_section(errors(model))],
        [
            ("Machine", [f"its speed varied by {model.machine_error:.1%} (standard deviation, from the anchor cell)"]),
            ("Hand-overs", _hand_overs(model)),
            ("Overheads", _taken(model)),
            ("95 % interval", [MEANING]),
        ],
        document=model.to_json,
        indent=None,
    )


def with_model(profile: Profile, model: FittedModel) -> Profile:
    """A profile with the coefficients and errors of its model, for whatever prints or draws it.

    Only those of the profile's cells, which may be some of those measured. They replace what a profile of an earlier
    version holds.
    """
    keys = {configuration_key(cell) for cell in profile.cells}
    own = dataclasses.replace(model, configurations=tuple(item for item in model.configurations if item.key in keys))
    protocols = {cell.protocol for cell in profile.cells}
    found = [entry for entry in errors(model) if entry.protocol in protocols]
    return replace(profile, coefficients=coefficients(own), model_error=found)


def errors(model: FittedModel) -> list[ModelError]:
    """The leave-one-out errors of a model as a profile has them."""
    return [ModelError(**dataclasses.asdict(entry)) for entry in model.held_out]


def coefficients(model: FittedModel) -> list[Coefficient]:
    """One entry per term of every configuration and currency: ns per request and unit."""
    found = []
    for item, currency, cost in _costs(model):
        for index, term in enumerate(cost.terms):
            value = float(cost.coefficients[index].sum())
            low, high = _interval(value, cost.draws[:, index].sum(axis=1))
            found.append(
                Coefficient(
                    configuration=item.name,
                    temperature=item.temperature,
                    currency=currency,
                    term=term,
                    value=value,
                    low=low,
                    high=high,
                    cells=cost.cells,
                )
            )
    return found


def _costs(model: FittedModel) -> Iterator[tuple[Configuration, Currency, Cost]]:
    """Configuration and currency of each cost."""
    for item in model.configurations:
        if item.latency is not None:
            yield item, "latency", item.latency
        if item.cpu is not None:
            yield item, "cpu", item.cpu


def _totals(model: FittedModel) -> Section:
    rows = [coefficient_row(entry) for entry in coefficients(model)]
    return Section(COEFFICIENTS_TITLE, COEFFICIENTS_COLUMNS, rows, left=COEFFICIENTS_LEFT)


def coefficient_row(entry: Coefficient) -> tuple[str, ...]:
    """An entry of `coefficients` as text, by `COEFFICIENTS_COLUMNS`."""
    value, interval = numbers.figure(entry.value, (entry.low, entry.high), 1.0, _DECIMALS)
    return entry.configuration, entry.currency, entry.term, value, interval, str(entry.cells)


def _components(model: FittedModel) -> Section:
    rows = []
    for item, currency, cost in _costs(model):
        for column, component in enumerate(cost.components):
            base, *slopes = cost.coefficients[:, column].tolist()
            further = ", ".join(
                f"{term} {'+' if slope >= 0 else ''}{numbers.significant(slope)}"
                for term, slope in zip(cost.terms[1:], slopes, strict=True)
            )
            rows.append((item.name, currency, component, *_figure(base, cost.draws[:, 0, column]), further))
    columns = ("configuration", "currency", "component", "base ns", INTERVAL, "slopes, ns per unit")
    return Section("By component", columns, rows, left=(0, 1, 2, 5))


def _crossings(model: FittedModel) -> list[Section]:
    rows = [
        (
            item.temperature,
            protocol_name(item.protocol) if item.protocol else "all",
            item.currency,
            *_figure(item.cost_ns, item.draws),
            numbers.UNKNOWN if item.local_ns is None else numbers.significant(item.local_ns),
            str(item.cells),
        )
        for item in model.crossings
    ]
    columns = (
        "temperature",
        "protocol",
        "currency",
        "to another CPU, ns more",
        INTERVAL,
        "on the same, ns",
        "cells",
    )
    return [Section("What a hand-over costs", columns, rows, left=(0, 1, 2))] if rows else []


def _hand_overs(model: FittedModel) -> list[str]:
    """Each temperature in a sentence, all protocols together."""
    if not model.crossings:
        return [f"the profile does not say what one to another CPU costs; measure that with: {REMEDY}"]
    found: dict[str, dict[str, Crossing]] = {}
    for item in model.crossings:
        if not item.protocol:
            found.setdefault(item.temperature, {})[item.currency] = item
    lines = []
    for temperature, known in found.items():
        more = " and ".join(f"{item.cost_ns * 1e-3:.1f} µs more {_CURRENCY[name]}" for name, item in known.items())
        local = " and ".join(
            f"{item.local_ns * 1e-3:.1f} µs of {_CURRENCY[name]}"
            for name, item in known.items()
            if item.local_ns is not None
        )
        lines.append(
            f"{temperature}: a hand-over to another CPU costs {more} than a local one"
            + (f", which costs {local}" if local else "")
        )
    return lines


def errors_section(errors: Sequence[ModelError]) -> Section:
    """How far a model misses a cell that it is fitted without."""
    rows = [
        (
            protocol_name(entry.protocol),
            entry.currency,
            numbers.percent(entry.median, 1),
            numbers.percent(entry.worst, 1),
            str(entry.tested),
            str(entry.untested),
        )
        for entry in errors
    ]
    columns = ("protocol", "currency", "median", "worst", "cells", "cells that no\nothers predict")
    return Section("Leave-one-out error", columns, rows, left=(0, 1))


def _interval(value: float, draws: Floats) -> tuple[float, float]:
    """Draws of a coefficient are normal, so their standard deviation tells both ends best."""
    half = Z95 * float(np.std(draws))
    return value - half, value + half


def _taken(model: FittedModel) -> list[str]:
    """What is taken of each protocol's cells: the overhead that `show` prints, or the anchored one."""
    words = {0.0: "raw, as `show` prints them", 0.5: "anchored by the root of the factor", 1.0: "anchored"}
    return [
        f"{protocol_name(entry.protocol)} {entry.currency}: {words.get(entry.follows, f'{entry.follows:g} anchored')}"
        for entry in model.held_out
        if entry.follows is not None
    ]


def _figure(value: float, draws: Floats) -> tuple[str, str]:
    return numbers.figure(value, _interval(value, draws), 1.0, _DECIMALS)
