"""What no choice of changes can go below, and the most that a change can save whatever else is changed. Pure.

CPU is a sum over edges, so its bound is that of the linear relaxation. The mean grows with each hop by no more than the
calls of that hop per request from outside. Percentiles have no such bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.advise.figures import CPU, MEAN, MEMORY, Figures, State
from predictor.advise.tail import Indices
from predictor.models.types import Floats

MOST_COMBINATIONS: Final = 20_000
"""With more combinations of changes at the single edges, there are no bounds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`least` by figure, `most` by figure and change (inf where not known)."""

    least: Mapping[str, float]
    most: Mapping[str, Floats]

    def usable(self, names: Sequence[str]) -> Indices:
        """The changes that may save something of a figure."""
        found: Indices = np.nonzero(np.max([self.most[name] for name in names], axis=0) > 0.0)[0]
        return found

    @classmethod
    def of(cls, figures: Figures, start: State, names: Sequence[str]) -> "Bounds | None":
        """The bounds; None where there are too many combinations."""
        edges = range(len(start.masks))
        if sum(1 << len(figures.touching[edge]) for edge in edges) > MOST_COMBINATIONS:
            return None
        figures.price((edge, mask) for edge in edges for mask in figures.all_masks(edge))
        tables = [figures.edge_tables(edge) for edge in edges]
        least = figures.least(tables, names)
        most = {}
        for name in names:
            if name == CPU:
                most[name] = _most(figures, [table["cpu"] for table in tables], figures.rates * 1e-9)
            elif name == MEAN and figures.entry_rate > 0.0:
                weights = figures.rates / figures.entry_rate
                most[name] = _most(figures, [table["latency"] for table in tables], weights)
                waits = float(weights @ figures.waits(start.rows))
                most[name] = np.where(most[name] > 0.0, most[name] + waits, most[name])
            elif name == MEMORY:
                most[name] = np.full(len(figures.changes), np.inf)
            else:
                any_time = _most(figures, [table["latency"] for table in tables], np.ones(len(tables)))
                most[name] = np.where(any_time > 0.0, np.inf, 0.0)
        if MEMORY in names:
            least[MEMORY] = 0.0
        return cls(least, most)


def _most(figures: Figures, tables: Sequence[Floats], weights: Floats) -> Floats:
    """The most that each change saves at all edges it touches; `tables` hold costs by edge and mask."""
    found = np.zeros(len(figures.changes))
    for edge, table in enumerate(tables):
        whole = float(table[0] - table.min())
        own = figures.touching[edge]
        gains = np.zeros(len(own))
        masks = np.arange(len(table))
        for bit in range(len(own)):
            without = masks[masks >> bit & 1 == 0]
            pair = without[np.isfinite(table[without]) & np.isfinite(table[without | 1 << bit])]
            if len(pair):
                gains[bit] = max(0.0, float((table[pair] - table[pair | 1 << bit]).max()))
        if not _connected(table, len(own)):  # some combinations are reached by several changes at once only
            gains[:] = whole
        np.add.at(found, own, weights[edge] * gains)
    return found


def _connected(table: Floats, bits: int) -> bool:
    """Whether every possible mask is reached from 0 by single changes over possible masks."""
    seen, waiting = {0}, [0]
    while waiting:
        mask = waiting.pop()
        for bit in range(bits):
            more = mask | 1 << bit
            if more not in seen and np.isfinite(table[more]):
                seen.add(more)
                waiting.append(more)
    return len(seen) == int(np.isfinite(table).sum())
