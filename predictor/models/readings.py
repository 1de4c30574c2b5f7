"""What one cell says: components in ns with their rounds, and where a component was spent. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictor.models.types import CONFIGURATION_KEY, UNEXPLAINED, Floats
from profiler.attribution.intervals import FEWEST_ROUNDS, student
from profiler.profile.intervals import Figure, component_figures, overhead_figure
from profiler.profile.types import Cell, Latency
from profiler.vocabulary.components import CLIENT_APP, CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR
from profiler.vocabulary.hop import NONE


def configuration_key(cell: Cell) -> tuple[Any, ...]:
    """Which configuration a cell belongs to, as `Configuration.key`."""
    values = (getattr(cell, name) for name in CONFIGURATION_KEY)
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def feature_row(cell: Cell) -> list[float]:
    """The features of a cell in the order of `types.FEATURES`."""
    return [
        float(cell.request_bytes),
        float(cell.response_bytes * cell.messages),
        float(cell.headers),
        cell.messages - 1.0,
        float(cell.new_connections),
    ]


def usable(cell: Cell) -> bool:
    """Whether a cell tells about costs alone: one request in flight, closed loop, sidecars there, no error.

    Those of a variant do not: they are there to be compared, and a graph cannot choose one.
    """
    alone = cell.connections == 1 and cell.rate_rps is None and cell.topology != NONE
    return alone and not cell.variant and not cell.errors


@dataclass(frozen=True, slots=True)
class Reading:
    """One cell in one currency: `values` by component in ns, `rounds` the same for each round (empty: not kept).

    `errors` are standard errors by component that the rounds do not show, `total_error` that of the sum. `student` is
    by how much few rounds widen what they show.
    """

    features: tuple[float, ...]
    values: Mapping[str, float]
    rounds: Mapping[str, Sequence[float]]
    errors: Mapping[str, float]
    total_error: float
    student: float

    @property
    def total(self) -> float:
        """The measured overhead in ns."""
        return sum(self.values.values())

    def error(self) -> float:
        """Standard error of the total over the rounds, 0 where it is not known."""
        if not self.rounds:
            return self.total_error
        totals = np.sum([list(rounds) for rounds in self.rounds.values()], axis=0)
        return float(np.hypot(np.std(totals, ddof=1) / np.sqrt(len(totals)), self.total_error))


def reading(cell: Cell, currency: str, follows: float = 0.0) -> Reading | None:
    """The reading of a cell, None where it was not measured. Components add up to the measured overhead.

    `follows` is how much of the machine's drift, which the anchor cell tells, the cell goes along with: 0 takes it as
    measured, 1 takes all of it off.
    """
    part = cell.part(currency)
    if part is None:
        return None
    if isinstance(part, Latency):
        values, total = {name: entry.median_ns for name, entry in part.components.items()}, part.overhead_p50_ns
    else:
        values, total = {name: entry.cpu_ns_per_request for name, entry in part.components.items()}, part.overhead_ns
    values[UNEXPLAINED] = total - sum(values.values())
    factor = (cell.anchor_factor or 1.0) ** follows
    whole, figures = overhead_figure(part), component_figures(part)
    rounds = _rounds(whole, figures)
    return Reading(
        tuple(feature_row(cell)),
        {name: value * factor for name, value in values.items()},
        {name: [value * factor for value in entries] for name, entries in rounds.items()},
        {name: figure.unseen_ns * factor for name, figure in figures.items()},
        whole.unseen_ns * factor,
        student(len(whole.rounds_ns), whole.lent_ns) if rounds else 1.0,
    )


@dataclass(frozen=True, slots=True)
class Added:
    """Hand-overs that sidecars add to an exchange, means; `rounds_crossed` where both counted every round."""

    count: float
    crossed: float
    rounds_crossed: tuple[float, ...]


def added_hand_overs(cell: Cell) -> Added | None:
    """Those of a cell, None where they were not counted."""
    with_, without = (cell.latency.hand_overs, cell.latency.baseline_hand_overs) if cell.latency else (None, None)
    if with_ is None or without is None:
        return None
    rounds = with_.rounds_crossed, without.rounds_crossed
    both = zip(*rounds, strict=True) if len(rounds[0]) == len(rounds[1]) else ()
    return Added(
        with_.count - without.count, with_.crossed - without.crossed, tuple(above - below for above, below in both)
    )


def hand_overs(cells: Iterable[Cell]) -> tuple[float | None, float | None]:
    """How many hand-overs sidecars add to an exchange, and how many of them cross: medians; None where not counted."""
    found = [added for cell in cells if (added := added_hand_overs(cell)) is not None]
    if not found:
        return None, None
    return float(np.median([one.count for one in found])), float(np.median([one.crossed for one in found]))


def _rounds(whole: Figure, figures: Mapping[str, Figure]) -> dict[str, Sequence[float]]:
    """Components in each round, and the overhead that they leave unexplained there; empty where they were not kept."""
    kept: dict[str, Sequence[float]] = {name: figure.rounds_ns for name, figure in figures.items() if figure.rounds_ns}
    lengths = {len(entries) for entries in kept.values()}
    if len(lengths) != 1 or min(lengths) < FEWEST_ROUNDS:
        return {}
    if len(whole.rounds_ns) in lengths:
        kept[UNEXPLAINED] = (np.array(whole.rounds_ns) - np.sum(list(kept.values()), axis=0)).tolist()
    return kept


def mean_ratio(cells: Iterable[Cell]) -> float:
    """Mean overhead over median overhead of the exchanges, all cells together, at least 1."""
    parts = [cell.latency for cell in cells if cell.latency is not None]
    ratios = []
    for part in parts:
        mean = sum(component.mean_ns for component in part.components.values())
        median = sum(component.median_ns for component in part.components.values())
        if median > 0:
            ratios.append(mean / median)
    return max(1.0, float(np.median(ratios))) if ratios else 1.0


def client_shares(cells: Iterable[Cell]) -> dict[str, float]:
    """By component, the share on the client's side, 0 to 1.

    Of a component that is negative somewhere, which then has no shares, half; so too of one that no place has.
    """
    sums: dict[str, Floats] = {}
    for cell in cells:
        for place in cell.latency.by_place if cell.latency else ():
            inside = [place.place in side for side in ((CLIENT_APP, CLIENT_SIDECAR), (SERVER_APP, SERVER_SIDECAR))]
            for name, value in place.components.items():
                sums.setdefault(name, np.zeros(2))[:] += value * np.array(inside)
    return {name: _share(*pair) for name, pair in sums.items()}


def _share(first: float, second: float) -> float:
    if min(first, second) < 0.0 or first + second <= 0.0:
        return 0.5
    return float(first / (first + second))


def memory(cells: Iterable[Cell]) -> tuple[float | None, float | None]:
    """Resident bytes of one proxy before load, and bytes that a connection adds to it; None where not measured."""
    found = [(cell.memory, cell.proxies) for cell in cells if cell.memory and cell.proxies]
    if not found:
        return None, None
    rss = float(np.median([entry.rss_bytes / proxies for entry, proxies in found]))
    return rss, float(np.median([entry.per_connection_bytes / proxies for entry, proxies in found]))
