"""What a hand-over to another CPU costs more than one on the same CPU, from the cells of a profile. Pure: no I/O.

Cells that are alike but for their placement form a group. Within a group the overhead differs by how many hand-overs
the sidecars add that go to another CPU: overhead = a(group) + x · crossings. One x for all groups of a temperature, by
`HingeRegressor`, and one for those of each protocol where there are cells to spare. Where a cell kept what each round
crossed, its rounds are rows on their own: a free scheduler chooses another placement in each. For latency alone, since
CPU is measured in separate windows, whose crossings are not counted.

Intervals are those of other imagined runs: each round moves by what the fit leaves of it, each cell by the machine's
speed, and by more where cells lie off further than that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from predictor.models.estimator import HingeRegressor
from predictor.models.readings import Reading, added_hand_overs, configuration_key, feature_row, reading
from predictor.models.types import CURRENCIES, Crossing, Floats, but_placement
from profiler.profile.types import Cell
from profiler.vocabulary.components import IPC
from profiler.vocabulary.hop import TOGETHER

ALL: Final = ""
"""The protocol of a cost that is that of all protocols together."""

_LEAST_SPREAD: Final = 0.25
"""Crossings per exchange by which the rows of a group must differ to tell anything."""

_LEAST_RELATIVE_ERROR: Final = 0.01
_FEWEST_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class _Placed:
    """A cell of a group: crossings and overheads in ns, of the cell or of each of its rounds.

    `error_ns` is the standard error of the cell's overhead by its rounds, `machine_ns` that by the machine's speed.
    """

    group: tuple[Any, ...]
    cell: Cell
    entry: Reading
    crossed: Floats
    totals_ns: Floats
    error_ns: float
    machine_ns: float

    @property
    def rows(self) -> int:
        return len(self.crossed)

    @property
    def variance(self) -> float:
        return self.error_ns**2 + self.machine_ns**2


def fit_crossings(
    cells: Iterable[Cell], followed: Mapping[tuple[str, str], float], error: float, machine: Floats,
    random: np.random.Generator,
) -> tuple[Crossing, ...]:  # fmt: skip
    """The costs that the cells determine, by currency and temperature.

    Args:
        cells: usable ones.
        followed: by protocol and currency, how much of the anchor's drift is taken off.
        error: standard deviation of the machine's speed, as a fraction.
        machine: how many of them each imagined run is off.
        random: moves the cells of imagined runs.
    """
    cells = list(cells)
    found = []
    for currency in CURRENCIES:
        placed = [one for cell in cells if (one := _placed(cell, currency, followed, error)) is not None]
        for temperature in dict.fromkeys(one.cell.temperature for one in placed):
            here = _telling([one for one in placed if one.cell.temperature == temperature])
            protocols = dict.fromkeys(one.cell.protocol for one in here)
            for protocol in (ALL, *(protocols if len(protocols) > 1 else ())):
                chosen = [one for one in here if protocol in (ALL, one.cell.protocol)]
                if chosen and (protocol == ALL or _spare(chosen) > 0):
                    cost_ns, draws = _cost(chosen, machine, random)
                    found.append(
                        Crossing(
                            currency=currency,
                            temperature=temperature,
                            protocol=protocol,
                            cost_ns=cost_ns,
                            draws=draws * (1.0 + error * machine),
                            local_ns=_local_ns(chosen, cost_ns),
                            cells=len(chosen),
                        )
                    )
    return tuple(found)


def _placed(cell: Cell, currency: str, followed: Mapping[tuple[str, str], float], error: float) -> _Placed | None:
    added = added_hand_overs(cell)
    entry = reading(cell, currency, followed[cell.protocol, currency])
    if added is None or entry is None:
        return None
    crossed, totals_ns = np.array([added.crossed]), np.array([entry.total])
    if currency == "latency" and len(added.rounds_crossed) > 1 and entry.rounds:
        rounds_ns = np.sum([list(rounds) for rounds in entry.rounds.values()], axis=0)
        if len(rounds_ns) == len(added.rounds_crossed):
            crossed = np.array(added.rounds_crossed)
            totals_ns = rounds_ns + (entry.total - rounds_ns.mean())
    machine_ns = max(error, _LEAST_RELATIVE_ERROR) * max(abs(entry.total), 1.0)
    return _Placed(_group(cell), cell, entry, crossed, totals_ns, entry.error(), machine_ns)


def _group(cell: Cell) -> tuple[Any, ...]:
    """What is the same of cells that differ in placement alone."""
    return (*but_placement(configuration_key(cell)), *feature_row(cell), cell.header_bytes)


def _telling(placed: Sequence[_Placed]) -> list[_Placed]:
    """The cells of those groups within which crossings differ."""
    crossed: dict[tuple[Any, ...], list[float]] = {}
    for one in placed:
        crossed.setdefault(one.group, []).extend(one.crossed.tolist())
    return [one for one in placed if np.ptp(crossed[one.group]) >= _LEAST_SPREAD]


def _spare(placed: Sequence[_Placed]) -> int:
    """Cells beyond those that determine the groups' levels and the cost."""
    return len(placed) - len({one.group for one in placed}) - 1


def _cost(placed: Sequence[_Placed], machine: Floats, random: np.random.Generator) -> tuple[float, Floats]:
    """The cost of a crossing, and draws of it. Rounds vary by their crossings too, so errors are found in two steps."""
    residuals = _residuals(placed, _fitted(placed))
    placed = [
        replace(one, error_ns=float(np.std(left, ddof=1) / np.sqrt(one.rows))) if one.rows >= _FEWEST_ROUNDS else one
        for one, left in zip(placed, residuals, strict=True)
    ]
    fitted = _fitted(placed)
    wider, spare = 1.0, _spare(placed)
    if spare > 0:
        means = [left.mean() for left in _residuals(placed, fitted)]
        excess = sum(mean**2 / one.variance for mean, one in zip(means, placed, strict=True)) / spare
        wider = max(1.0, float(np.sqrt(excess)))
    moved = wider * np.concatenate([_moved(one, len(machine), random) for one in placed], axis=0)
    return float(fitted.coef_[1]), fitted.coef_[1] + fitted.operator_[1] @ moved


def _features(placed: Sequence[_Placed]) -> Floats:
    """Rows × crossings and a column of ones for each group but the first, whose level is the base."""
    groups = list(dict.fromkeys(one.group for one in placed))
    numbers = np.concatenate([np.full(one.rows, groups.index(one.group)) for one in placed])
    crossed = np.concatenate([one.crossed for one in placed])
    return np.column_stack([crossed, numbers[:, None] == np.arange(1, len(groups))])


def _fitted(placed: Sequence[_Placed]) -> HingeRegressor:
    weights = np.concatenate([np.full(one.rows, 1.0 / (one.rows * one.variance)) for one in placed])
    return HingeRegressor().fit(_features(placed), np.concatenate([one.totals_ns for one in placed]), weights)


def _residuals(placed: Sequence[_Placed], fitted: HingeRegressor) -> list[Floats]:
    """What the fit leaves of each row, by cell."""
    left = np.concatenate([one.totals_ns for one in placed]) - fitted.predict(_features(placed))
    return np.split(left, np.cumsum([one.rows for one in placed])[:-1])


def _moved(one: _Placed, draws: int, random: np.random.Generator) -> Floats:
    """By how much the rows of a cell might have come out otherwise: rows × draws, ns; of few rounds by Student's t."""
    by_round = np.sqrt(one.rows) * one.error_ns * random.standard_normal((one.rows, draws))
    if one.rows > 1:
        by_round *= np.sqrt((one.rows - 1) / random.chisquare(one.rows - 1, draws))
    return np.asarray(by_round + one.machine_ns * random.standard_normal(draws))


def _local_ns(placed: Sequence[_Placed], cost_ns: float) -> float | None:
    """What a hand-over on the same CPU costs: `ipc` of cells that ran on one CPU, by hand-over."""
    found = []
    for one in placed:
        added = added_hand_overs(one.cell)
        if one.cell.placement == TOGETHER and added is not None and added.count > 0.0:
            found.append((one.entry.values.get(IPC, 0.0) - cost_ns * added.crossed) / added.count)
    return float(np.median(found)) if found else None
