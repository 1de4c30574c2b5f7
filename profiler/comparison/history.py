"""Profiles over time: the course of each figure on machines of one kind, and where it changed. Pure."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Final

from msgspec.structs import replace

from profiler.comparison.change_points import ChangePoint, chance, change_points, levels
from profiler.comparison.changes import Change, changes
from profiler.comparison.compare import ALPHA, Figures
from profiler.comparison.figures import CPU, LATENCY, TOTALS, Key, figures_of
from profiler.comparison.significance import Error, Measured, benjamini_hochberg, drift_of, mean_of
from profiler.profile.machine import machine_differences
from profiler.profile.types import Cell, Profile

MEAN: Final = ""
"""The name of the mean over cells, as fractions of each cell's overhead over all profiles."""


@dataclass(frozen=True, slots=True)
class Run:
    """A profile of a history; its cells are kept as figures."""

    name: str
    at: datetime
    profile: Profile
    figures: Mapping[str, Figures]
    baselines: Mapping[str, Mapping[str, float]]
    """What each cell took without sidecars, by currency."""
    labels: Mapping[str, str]
    """The names that tables give its cells."""


@dataclass(frozen=True, slots=True)
class Course:
    """One figure over the runs that have it, by their numbers, in ns or as fractions of the overhead.

    `whole` is the mean of the overhead that the figure is part of, which sizes of changes are judged by.
    """

    cell: str
    key: Key
    numbers: Sequence[int]
    runs: Sequence[Measured]
    changes: Sequence[ChangePoint]
    whole: float

    @property
    def values(self) -> list[float]:
        """The figure in each run."""
        return [run.value for run in self.runs]

    @property
    def levels(self) -> list[tuple[int, int, float]]:
        """First and last run of each level, by their place in the course, with their mean."""
        return levels(self.values, self.changes)


@dataclass(frozen=True, slots=True)
class Machine:
    """The history on machines of one kind."""

    runs: Sequence[Run]
    courses: Sequence[Course]

    @property
    def changed(self) -> list[tuple[Course, ChangePoint]]:
        """All change points, the earliest first, then the largest."""
        found = [(course, point) for course in self.courses for point in course.changes]
        return sorted(found, key=lambda pair: (pair[0].numbers[pair[1].at], -abs(share_of(*pair))))

    def differences(self, number: int) -> list[Change]:
        """What else differs between a run and the one before it."""
        return changes(self.runs[number - 1].profile, self.runs[number].profile, ())


def share_of(course: Course, point: ChangePoint) -> float:
    """The size of a change as a fraction of the overhead."""
    return point.difference.value / course.whole if course.whole > 0.0 else 0.0


def run_of(name: str, at: datetime, profile: Profile, labels: Mapping[str, str] | None = None) -> Run:
    """A profile as a part of a history."""
    drift = drift_of(profile.anchor)
    return Run(
        name,
        at,
        replace(profile, cells=[]),
        {cell.id: figures_of(cell, drift) for cell in profile.cells},
        {cell.id: _baseline(cell) for cell in profile.cells},
        labels or {},
    )


def histories(runs: Sequence[Run], cells: Collection[str] | None = None) -> list[Machine]:
    """The runs in the order of time, by kind of machine; the machine of the latest run is the first.

    `cells` are the ids of the cells that count, None all.
    """
    if cells is not None:
        chosen = [{name: entry for name, entry in run.figures.items() if name in cells} for run in runs]
        runs = [dataclasses.replace(run, figures=figures) for run, figures in zip(runs, chosen, strict=True)]
    ordered = sorted(runs, key=lambda run: run.at)
    groups: list[list[Run]] = []
    for run in ordered:
        known = next((group for group in groups if not _differ(group[0], run)), None)
        groups.append([run]) if known is None else known.append(run)
    groups.sort(key=lambda group: group[-1].at, reverse=True)
    return [Machine(group, _courses(group)) for group in groups]


def without_sidecars(machine: Machine, course: Course, point: ChangePoint) -> float | None:
    """By which factor the figure without sidecars changed at a change point: what the machine itself changed."""
    cells = [course.cell] if course.cell else [name for name, _ in _common(machine.runs, course.key.total)]
    ratios = []
    for cell in cells:
        known = [
            (number, machine.runs[number].baselines.get(cell, {}).get(course.key.currency)) for number in course.numbers
        ]
        before = [value for place, (_, value) in enumerate(known) if value and place < point.at]
        after = [value for place, (_, value) in enumerate(known) if value and place >= point.at]
        if before and after:
            ratios.append(fmean(after) / fmean(before))
    return fmean(ratios) if ratios else None


def _baseline(cell: Cell) -> dict[str, float]:
    found: dict[str, float] = {}
    if cell.latency is not None:
        found[LATENCY] = cell.latency.baseline_p50_ns
    if cell.cpu is not None:
        found[CPU] = cell.cpu.baseline_cpu_ns_per_request
    return found


def _differ(one: Run, other: Run) -> bool:
    return bool(machine_differences(one.profile.environment, other.profile.environment))


def _courses(runs: Sequence[Run]) -> list[Course]:
    """All figures with their changes."""
    found = [*_means(runs), *_cells(runs)]
    chances = [chance(course.runs) for course in found]
    most = benjamini_hochberg(chances, ALPHA)
    return [
        dataclasses.replace(course, changes=change_points(course.runs, most)) if p <= most else course
        for course, p in zip(found, chances, strict=True)
    ]


def _cells(runs: Sequence[Run]) -> Iterator[Course]:
    names = dict.fromkeys(cell for run in runs for cell in run.figures)
    for cell in names:
        keys = dict.fromkeys(key for run in runs for key in run.figures.get(cell, {}))
        known = {key: _known(runs, cell, key) for key in keys}
        for key, entries in known.items():
            total = known.get(key.total, {})
            if entries:
                whole = fmean(run.value for run in total.values()) if total else 0.0
                yield Course(cell, key, list(entries), list(entries.values()), (), whole)


def _known(runs: Sequence[Run], cell: str, key: Key) -> dict[int, Measured]:
    """The figure in the runs in which it has an interval, by their numbers."""
    found = {number: _figure(run.figures.get(cell, {}), key) for number, run in enumerate(runs)}
    return {number: figure for number, figure in found.items() if figure is not None and figure.known}


def _figure(figures: Figures, key: Key) -> Measured | None:
    """A figure of a cell; a component that the cell lacks is nothing there. None where it was not measured."""
    total = figures.get(key.total)
    return None if total is None else figures.get(key, Measured(0.0, (Error(0.0, 1),), total.drift))


def _means(runs: Sequence[Run]) -> Iterator[Course]:
    """The mean over the cells that all runs have, of each figure as a fraction of the cell's mean overhead."""
    for total in TOTALS:
        scales = dict(_common(runs, total))
        keys = dict.fromkeys(key for run in runs for cell in scales for key in run.figures[cell] if key.total == total)
        for key in keys:
            found = [_mean(run, key, scales) for run in runs]
            yield Course(MEAN, key, range(len(runs)), found, (), 1.0)


def _common(runs: Sequence[Run], total: Key) -> Iterator[tuple[str, float]]:
    """The cells whose overhead is known and above zero in all runs, with its mean."""
    for cell in runs[0].figures:
        found = [run.figures.get(cell, {}).get(total) for run in runs]
        known = [figure.value for figure in found if figure is not None and figure.known and figure.value > 0.0]
        if len(known) == len(runs):
            yield cell, fmean(known)


def _mean(run: Run, key: Key, scales: Mapping[str, float]) -> Measured:
    figures = [(_figure(run.figures[cell], key), scale) for cell, scale in scales.items()]
    return mean_of([figure.scaled(1 / scale) for figure, scale in figures if figure is not None])
