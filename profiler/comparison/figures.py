"""The figures of a cell that are compared, by currency, component and statistic. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from profiler.comparison.significance import Error, Measured, measured_of
from profiler.profile.intervals import Figure, component_figures, overhead_figure
from profiler.profile.types import Cell, Currency, Latency

LATENCY: Final[Currency] = "latency"
CPU: Final[Currency] = "cpu"
TOTAL: Final = "total"
"""The whole overhead: what the sidecars add. The components add up to it."""
P50: Final = "p50"
P99: Final = "p99"
PER_REQUEST: Final = "per request"
"""The statistic of CPU time."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which figure of a cell."""

    currency: Currency
    component: str
    statistic: str

    @property
    def total(self) -> "Key":
        """The whole that the figure is a part of."""
        return Key(self.currency, TOTAL, self.statistic)


TOTALS: Final = (Key(LATENCY, TOTAL, P50), Key(CPU, TOTAL, PER_REQUEST))
"""What means over cells are made of."""


def figures_of(cell: Cell, drift: Error) -> dict[Key, Measured]:
    """All figures of a cell in ns, totals first. The 99th percentiles of components have no interval."""
    return dict(_figures(cell, drift))


def _figures(cell: Cell, drift: Error) -> Iterator[tuple[Key, Measured]]:
    for currency, part, statistic in ((LATENCY, cell.latency, P50), (CPU, cell.cpu, PER_REQUEST)):
        if part is None:
            continue
        yield Key(currency, TOTAL, statistic), measured_of(overhead_figure(part), drift)
        if isinstance(part, Latency):
            yield from _tails(part, drift)
        for name, figure in component_figures(part).items():
            yield Key(currency, name, statistic), measured_of(figure, drift)


def _tails(latency: Latency, drift: Error) -> Iterator[tuple[Key, Measured]]:
    added = Figure(latency.overhead_p99_ns, latency.overhead_p99_rounds_ns, 0.0)
    yield Key(LATENCY, TOTAL, P99), measured_of(added, drift)
    for name, entry in latency.components.items():
        if entry.p99_ns is not None:
            yield Key(LATENCY, name, P99), Measured(entry.p99_ns, (), drift)
