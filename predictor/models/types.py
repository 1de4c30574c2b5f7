"""The fitted model: plain values with a versioned JSON form. Pure: no I/O, no scikit-learn.

A model holds one `Configuration` for everything that has coefficients of its own. Coefficients are in ns per request
(latency, at the median) or CPU ns per request, per unit of their term: bytes, headers, connections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.vocabulary.hop import IP, PLAIN
from profiler.vocabulary.usual import PLACEMENT, PROXY, WORKERS, usual_application

Floats = npt.NDArray[np.float64]

FORMAT: Final = "meshinsight-model"
VERSION: Final = 4
"""The newest version of the stored model that this package reads, and the one it writes."""

BASE: Final = "base"
FEATURES: Final = ("request_bytes", "response_bytes", "headers", "further_messages", "new_connections")
"""What the cost of a hop may depend on. A term is `base`, a feature, or `FEATURE>KNOT`, the part above a knot."""

UNEXPLAINED: Final = "unexplained"
"""Measured overhead minus the sum of the measured components: part of every total, so that totals are the measured."""

CURRENCIES: Final = ("latency", "cpu")

POSITIONS: Final[Mapping[str, float]] = {"hot": 0.0, "cold-25": 0.25, "cold-50": 0.5, "cold-75": 0.75, "cold": 1.0}
"""Where a temperature lies between hot and cold."""

TEMPERATURES: Final = (*POSITIONS, "natural")


@dataclass(frozen=True, slots=True)
class Cost:
    """Coefficients of one configuration in one currency.

    `coefficients` is terms × components, `draws` repeats × terms × components: what another run might have given.
    """

    terms: tuple[str, ...]
    components: tuple[str, ...]
    coefficients: Floats
    draws: Floats
    cells: int

    def times(self, factor: float) -> "Cost":
        """The same at so many times the cost, draws and all."""
        return replace(self, coefficients=self.coefficients * factor, draws=self.draws * factor)

    def rows(self, features: Floats) -> Floats:
        """The terms of hops whose `features` are n × len(FEATURES): n × terms."""
        return np.column_stack([_column(term, features) for term in self.terms])


def _column(term: str, features: Floats) -> Floats:
    if term == BASE:
        return np.ones(len(features))
    name, _, knot = term.partition(">")
    column = features[:, FEATURES.index(name)]
    return np.maximum(column - float(knot), 0.0) if knot else column


CONFIGURATION_KEY: Final = (
    "proxy", "protocol", "topology", "tls", "filters", "transport", "temperature", "application", "extra_headers",
    "workers", "placement",
)  # fmt: skip
"""The fields by which configurations differ: everything that is measured but load."""


def but_temperature(key: Sequence[Any]) -> tuple[Any, ...]:
    """A configuration's key without its temperature."""
    return tuple(value for name, value in zip(CONFIGURATION_KEY, key, strict=True) if name != "temperature")


def but_placement(key: Sequence[Any]) -> tuple[Any, ...]:
    """A configuration's key without its placement."""
    return tuple(value for name, value in zip(CONFIGURATION_KEY, key, strict=True) if name != "placement")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was measured of one hop configuration at one temperature.

    `client_share` is by component: the fraction of its latency on the client's side. `ranges` are the lowest and
    highest measured value by feature. `mean_ratio` is the mean overhead over the median one. Memory is per proxy, in
    bytes, None where not measured. Of the `hand_overs` that sidecars add to an exchange, `crossed` went to another CPU;
    None where they were not counted.
    """

    proxy: str
    protocol: str
    topology: str
    tls: str
    filters: tuple[str, ...]
    transport: str
    temperature: str
    application: str
    extra_headers: tuple[str, ...]
    workers: int
    placement: str
    latency: Cost | None
    cpu: Cost | None
    mean_ratio: float
    client_share: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    headers: float
    rss_bytes: float | None
    per_connection_bytes: float | None
    hand_overs: float | None = None
    crossed: float | None = None

    @property
    def name(self) -> str:
        """The configuration in a word, what is usual left out: `http1-both-mtls-hot`."""
        usual = {PROXY, PLAIN, IP, f"w{WORKERS}", usual_application(self.protocol), PLACEMENT}
        further = (self.proxy, self.tls, *self.filters, self.transport, f"w{self.workers}", self.application)
        further += tuple(f"with.{header}" for header in self.extra_headers)
        further += (self.placement,)
        return "-".join((self.protocol, self.topology, *(p for p in further if p not in usual), self.temperature))

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others, in the order of `CONFIGURATION_KEY`."""
        return tuple(getattr(self, name) for name in CONFIGURATION_KEY)

    def cost(self, currency: str) -> Cost | None:
        """The coefficients in `latency` or `cpu`."""
        return self.latency if currency == "latency" else self.cpu

    def times(self, factor: float) -> "Configuration":
        """The same at so many times the cost, in latency and CPU."""
        return replace(
            self, latency=self.latency and self.latency.times(factor), cpu=self.cpu and self.cpu.times(factor)
        )


@dataclass(frozen=True, slots=True)
class Crossing:
    """What a hand-over to another CPU costs more than one on the same CPU, in ns of one currency.

    It is that of a temperature, and of a protocol or (empty) of all together. `draws` is what another run might have
    given. `local_ns` is what a hand-over on the same CPU costs, None where no cell placed all on one CPU. `cells` is
    how many cells it rests on.
    """

    currency: str
    temperature: str
    protocol: str
    cost_ns: float
    draws: Floats
    local_ns: float | None
    cells: int


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Error of predicting a cell from the others, over the cells of a protocol, as fractions of what was measured.

    `untested` cells are alone with a value of some dimension: without them the others say nothing about them.
    `follows` is how far their figures are anchored: 0 as measured, 1 all of the anchor's drift taken off; None where a
    model does not say.
    """

    protocol: str
    currency: str
    median: float | None
    worst: float | None
    tested: int
    untested: int
    follows: float | None = None


@dataclass(frozen=True, slots=True)
class CoolingEnd:
    """How far idle sidecars of a protocol and TLS cool in one currency.

    The position is `factor` times that of the model's curve. Cold cells cost 1 + `rise` times what hot ones cost.
    `error` is the relative standard error of what idle time adds.
    """

    protocol: str
    tls: str
    currency: str
    factor: float
    rise: float
    error: float


@dataclass(frozen=True, slots=True)
class FittedModel:
    """Everything a prediction needs of a profile. `machine_error` is a standard deviation, as a fraction.

    `cooling` is how far idle sidecars move from hot (0) to cold (1), as pairs of a time in ns and a position, that of
    HTTP/1.1's latency where it was measured; `cooling_ends` are those of other protocols and of CPU, relative to it;
    `natural_cooling` the same where CPUs sleep, from hot to the natural cells, of whose cost hot is `natural_hot`.
    """

    run_id: str
    cpu_model: str
    kernel: str
    machine_error: float
    configurations: tuple[Configuration, ...]
    held_out: tuple[HeldOut, ...]
    warnings: tuple[str, ...] = ()
    cooling: tuple[tuple[float, float], ...] = ()
    cooling_ends: tuple[CoolingEnd, ...] = ()
    natural_cooling: tuple[tuple[float, float], ...] = ()
    natural_hot: float = 1.0
    crossings: tuple[Crossing, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The model as plain JSON values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "run_id": self.run_id,
            "cpu_model": self.cpu_model,
            "kernel": self.kernel,
            "machine_error": self.machine_error,
            "configurations": [_configuration_json(item) for item in self.configurations],
            "held_out": [asdict(item) for item in self.held_out],
            "warnings": list(self.warnings),
            "cooling": [list(point) for point in self.cooling],
            "cooling_ends": [asdict(end) for end in self.cooling_ends],
            "natural_cooling": [list(point) for point in self.natural_cooling],
            "natural_hot": self.natural_hot,
            "crossings": [{**asdict(item), "draws": item.draws.tolist()} for item in self.crossings],
        }


def _configuration_json(item: Configuration) -> dict[str, Any]:
    document = {field.name: getattr(item, field.name) for field in fields(item)}
    for currency in CURRENCIES:
        cost = item.cost(currency)
        if cost is not None:
            document[currency] = {
                "terms": list(cost.terms),
                "components": list(cost.components),
                "coefficients": cost.coefficients.tolist(),
                "draws": cost.draws.tolist(),
                "cells": cost.cells,
            }
    document["ranges"] = {name: list(span) for name, span in item.ranges.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in document.items()}
