"""What one cell says: components in ns with their rounds, and where a component was spent. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from predictor.models.types import CONFIGURATION_KEY, UNEXPLAINED, Floats
from profiler.profile.types import Cell, CpuComponent, Latency, LatencyComponent
from profiler.vocabulary.components import CLIENT_APP, CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR
from profiler.vocabulary.hop import NONE

_Z95: Final = 1.96


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
    """Whether a cell tells about costs alone: one request in flight, closed loop, sidecars there, no error."""
    alone = cell.connections == 1 and cell.rate_rps is None and cell.topology != NONE
    return alone and not cell.errors


@dataclass(frozen=True, slots=True)
class Reading:
    """One cell in one currency: `values` by component in ns, `rounds` the same for each round (empty: not kept).

    `errors` are standard errors by component from the profile's intervals, for profiles that did not keep the rounds.
    """

    features: tuple[float, ...]
    values: Mapping[str, float]
    rounds: Mapping[str, Sequence[float]]
    errors: Mapping[str, float]

    @property
    def total(self) -> float:
        """The measured overhead in ns."""
        return sum(self.values.values())

    def error(self) -> float:
        """Standard error of the total over the rounds, 0 where it is not known."""
        if not self.rounds:
            return float(np.sqrt(sum(error**2 for error in self.errors.values())))
        totals = np.sum([list(rounds) for rounds in self.rounds.values()], axis=0)
        return float(np.std(totals, ddof=1) / np.sqrt(len(totals))) if len(totals) > 1 else 0.0


def reading(cell: Cell, currency: str, follows: float = 0.0) -> Reading | None:
    """The reading of a cell, None where it was not measured. Components add up to the measured overhead.

    `follows` is how much of the machine's drift, which the anchor cell tells, the cell goes along with: 0 takes it as
    measured, 1 takes all of it off.
    """
    part = cell.latency if currency == "latency" else cell.cpu
    if part is None:
        return None
    if isinstance(part, Latency):
        values, total = {name: entry.median_ns for name, entry in part.components.items()}, part.overhead_p50_ns
    else:
        values, total = {name: entry.cpu_ns_per_request for name, entry in part.components.items()}, part.overhead_ns
    values[UNEXPLAINED] = total - sum(values.values())
    factor = (cell.anchor_factor or 1.0) ** follows
    components: Mapping[str, LatencyComponent | CpuComponent] = part.components
    rounds = {name: entry.rounds_ns for name, entry in components.items() if entry.rounds_ns}
    lengths = {len(entries) for entries in rounds.values()}
    kept = rounds if len(lengths) == 1 and min(lengths) > 1 else {}
    spans = {name: entry.ci95_ns for name, entry in components.items() if entry.ci95_ns}
    return Reading(
        tuple(feature_row(cell)),
        {name: value * factor for name, value in values.items()},
        {name: [value * factor for value in entries] for name, entries in kept.items()},
        {name: abs(span[1] - span[0]) / (2 * _Z95) * factor for name, span in spans.items()},
    )


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
