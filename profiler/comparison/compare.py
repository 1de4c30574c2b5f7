"""Two profiles, or figures of other documents, compared cell by cell and component by component. Pure.

Every figure gets one verdict. `better` and `worse` take two things: the difference cannot be chance, by Holm's
correction over all verdicts of a comparison, and it is at least `delta` of the cell's overhead. `same` takes the whole
95 % interval within `delta`. All else is `inconclusive`; `unknown` has no interval.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, geometric_mean
from typing import Final, Literal

from profiler.comparison.changes import Change, changes
from profiler.comparison.figures import TOTAL, TOTALS, Key, figures_of
from profiler.comparison.significance import Difference, Error, Measured, difference, distance, drift_of, holm, mean_of
from profiler.errors import UsageError
from profiler.profile.types import Cell, Currency, Profile
from profiler.text import some_of

Verdict = Literal["better", "worse", "same", "inconclusive", "unknown"]
BETTER: Final[Verdict] = "better"
WORSE: Final[Verdict] = "worse"
SAME: Final[Verdict] = "same"
INCONCLUSIVE: Final[Verdict] = "inconclusive"
UNKNOWN: Final[Verdict] = "unknown"
ALPHA: Final = 0.05
"""At most so many comparisons of equal profiles have any verdict better or worse."""

Figures = Mapping[Key, Measured]
Pair = dict[Key, tuple[Measured, Measured]]


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure in two profiles, in ns, or as fractions of the overhead where it is a mean over cells.

    `whole` is the old overhead of the cell, which sizes are judged by. `p` is corrected.
    """

    key: Key
    old: float
    new: float
    difference: Difference
    whole: float
    p: float | None = None
    verdict: Verdict = UNKNOWN

    @property
    def effect(self) -> float | None:
        """The difference as a fraction of the cell's overhead; None where there is none."""
        return self.difference.value / self.whole if self.whole > 0.0 else None

    @property
    def decided(self) -> bool:
        """Whether it is better or worse."""
        return self.verdict in (BETTER, WORSE)


@dataclass(frozen=True, slots=True)
class ComparedCell:
    """A cell that both profiles have."""

    id: str
    figures: Mapping[Key, Compared]


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over cells of one currency.

    `ratio` is the geometric mean of the overheads' ratios, with its 95 % interval. `figures` are fractions of each
    cell's overhead, the mean of both profiles'.
    """

    currency: Currency
    cells: Sequence[str]
    ratio: float
    interval: tuple[float, float]
    figures: Mapping[Key, Compared]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A profile compared with an older one."""

    delta: float
    cells: Sequence[ComparedCell]
    means: Sequence[Mean]
    only_old: Sequence[str]
    only_new: Sequence[str]
    changes: Sequence[Change]
    varying: Mapping[str, Sequence[str]]
    """Dimensions in which the compared cells differ from each other, with their values."""
    notes: Sequence[str]

    def figures(self) -> Iterator[tuple[str, Compared]]:
        """Every figure with its cell; the mean over cells is the cell of the empty name."""
        for mean in self.means:
            yield from (("", entry) for entry in mean.figures.values())
        for cell in self.cells:
            yield from ((cell.id, entry) for entry in cell.figures.values())


def compare(old: Profile, new: Profile, delta: float) -> Comparison:
    """Compare the cells that both have. Raises `UsageError` that lists both sides where there is none."""
    shared = shared_cells(old, new)
    known = {one.id: known_figures(one, two, old, new) for one, two in shared}
    return _judged(
        Comparison(
            delta=delta,
            cells=[ComparedCell(name, dict(_compared(pair))) for name, pair in known.items()],
            means=list(_means(known)),
            only_old=[cell.id for cell in old.cells if cell.id not in known],
            only_new=[cell.id for cell in new.cells if cell.id not in known],
            changes=changes(old, new, shared),
            varying=varying_dimensions([one for one, _ in shared]),
            notes=list(_notes(old, new, shared)),
        )
    )


def compare_figures(
    old: Mapping[str, Figures], new: Mapping[str, Figures], delta: float, mean_over: Collection[str] = ()
) -> Comparison:
    """Compare figures by the name of what they are of, such as a service; the mean is that over `mean_over`.

    Figures without a total of their currency and statistic on both sides are left out. Raises `UsageError` that lists
    both sides where they have no name in common.
    """
    known = {name: _paired(old[name], figures) for name, figures in new.items() if name in old}
    if not known:
        sides = [some_of(side, 4) or "nothing" for side in (old, new)]
        raise UsageError(f"they have nothing in common: the old one has {sides[0]}; the new one has {sides[1]}")
    return _judged(
        Comparison(
            delta=delta,
            cells=[ComparedCell(name, dict(_compared(pair))) for name, pair in known.items()],
            means=list(_means({name: pair for name, pair in known.items() if name in mean_over})),
            only_old=[name for name in old if name not in known],
            only_new=[name for name in new if name not in known],
            changes=[],
            varying={},
            notes=[],
        )
    )


def shared_cells(old: Profile, new: Profile) -> list[tuple[Cell, Cell]]:
    """Cells of one id, in the order of the new profile. Raises `UsageError` where there is none."""
    by_id = {cell.id: cell for cell in old.cells}
    found = [(by_id[cell.id], cell) for cell in new.cells if cell.id in by_id]
    if not found:
        sides = [some_of((cell.id for cell in profile.cells), 4) or "no cells" for profile in (old, new)]
        raise UsageError(f"the profiles have no cell in common: the old one has {sides[0]}; the new one has {sides[1]}")
    return found


def known_figures(one: Cell, two: Cell, old: Profile, new: Profile) -> Pair:
    """The figures of a cell in both profiles; a component that one lacks is nothing there."""
    return _paired(figures_of(one, drift_of(old.anchor)), figures_of(two, drift_of(new.anchor)))


def _paired(first: Figures, second: Figures) -> Pair:
    """What both have a total of; a component that one lacks is nothing there."""
    drifts = [next((figure.drift for figure in side.values()), Error(0.0, 1)) for side in (first, second)]
    nothing = [_nothing(drift) for drift in drifts]
    totals = {key for key in first if key.component == TOTAL and key in second}
    return {
        key: (first.get(key, nothing[0]), second.get(key, nothing[1]))
        for key in dict.fromkeys((*first, *second))
        if key.total in totals
    }


def _nothing(drift: Error) -> Measured:
    """A component that a cell does not have."""
    return Measured(0.0, (Error(0.0, 1),), drift)


def _compared(pair: Pair) -> Iterator[tuple[Key, Compared]]:
    for key, (one, two) in pair.items():
        whole = pair[Key(key.currency, TOTAL, key.statistic)][0].value
        yield key, Compared(key, one.value, two.value, difference(one, two), whole)


def mean_sides(key: Key, pairs: Sequence[Pair]) -> tuple[Measured, Measured] | None:
    """The mean over cells of a figure in both profiles, as fractions of each cell's overhead.

    The overhead is the mean of both profiles'. Only cells whose overhead differs from zero in both count; None where
    there is none.
    """
    total = Key(key.currency, TOTAL, key.statistic)
    chosen = [pair for pair in pairs if total in pair and _positive(pair[total])]
    if not chosen:
        return None
    old, new = (mean_of([_part(key, total, pair, index) for pair in chosen]) for index in (0, 1))
    return old, new


def _part(key: Key, total: Key, pair: Pair, index: int) -> Measured:
    """A figure of one profile over the overhead of its cell; a component that the cell lacks is nothing."""
    whole = (pair[total][0].value + pair[total][1].value) / 2
    if key not in pair:
        return _nothing(pair[total][index].drift)
    return pair[key][index].scaled(1 / whole)


def _means(known: Mapping[str, Pair]) -> Iterator[Mean]:
    yield from (mean for total in TOTALS if (mean := _mean(total, known)) is not None)


def _mean(total: Key, known: Mapping[str, Pair]) -> Mean | None:
    chosen = {name: pair for name, pair in known.items() if total in pair and _positive(pair[total])}
    if not chosen:
        return None
    alike = (total.currency, total.statistic)
    names = dict.fromkeys(key for pair in chosen.values() for key in pair if (key.currency, key.statistic) == alike)
    figures = {
        key: Compared(key, sides[0].value, sides[1].value, difference(*sides), 1.0)
        for key in names
        if (sides := mean_sides(key, list(known.values()))) is not None
    }
    logs = [_mean_logarithm([pair[total][index] for pair in chosen.values()]) for index in (0, 1)]
    gap = difference(logs[0], logs[1])
    half = gap.half or 0.0
    interval = (math.exp(gap.value - half), math.exp(gap.value + half))
    return Mean(total.currency, list(chosen), math.exp(gap.value), interval, figures)


def _mean_logarithm(figures: Sequence[Measured]) -> Measured:
    """The errors of a logarithm are those of the figure as fractions, the drift included."""
    mean = mean_of([figure.scaled(1 / figure.value) for figure in figures])
    return Measured(fmean(math.log(figure.value) for figure in figures), mean.all_errors())


def _positive(pair: tuple[Measured, Measured]) -> bool:
    """Whether the 95 % intervals of both are above zero."""
    intervals = [distance(side, 0.0).interval for side in pair]
    return all(interval is not None and interval[0] > 0.0 for interval in intervals)


def _judged(found: Comparison) -> Comparison:
    """With verdicts by Holm's correction over all figures."""
    return with_verdicts(found, corrected(entry for _, entry in found.figures()))


def corrected(entries: Iterable[Compared]) -> dict[int, float]:
    """The probabilities of a family of figures by Holm's correction, by `id`; figures that have none are left out."""
    judged = [entry for entry in entries if entry.difference.p is not None]
    return dict(zip(map(id, judged), holm([entry.difference.p or 0.0 for entry in judged]), strict=True))


def with_verdicts(found: Comparison, known: Mapping[int, float]) -> Comparison:
    """A comparison with verdicts on the figures whose corrected probabilities are known, by `id`."""

    def judge(entry: Compared) -> Compared:
        p = known.get(id(entry))
        return entry if p is None else replace(entry, p=p, verdict=_verdict(entry, p, found.delta))

    means = [replace(mean, figures=_each(mean.figures, judge)) for mean in found.means]
    return replace(
        found, means=means, cells=[replace(cell, figures=_each(cell.figures, judge)) for cell in found.cells]
    )


def _each(figures: Mapping[Key, Compared], judge: Callable[[Compared], Compared]) -> dict[Key, Compared]:
    return {key: judge(entry) for key, entry in figures.items()}


def _verdict(entry: Compared, p: float, delta: float) -> Verdict:
    value, half, least = entry.difference.value, entry.difference.half or 0.0, delta * max(0.0, entry.whole)
    if p < ALPHA and abs(value) >= least:
        return WORSE if value > 0 else BETTER
    return SAME if abs(value) + half <= least else INCONCLUSIVE


def varying_dimensions(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Dimensions in which cells differ, with their values."""
    names = ("protocol", "topology", "temperature", "proxy", "tls", "filters", "placement", "request_bytes",
             "response_bytes", "connections", "rate_rps", "workers")  # fmt: skip
    found = {name: list(dict.fromkeys(_word(getattr(cell, name)) for cell in cells)) for name in names}
    return {name: values for name, values in found.items() if len(values) > 1}


def _word(value: object) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    return "max" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _notes(old: Profile, new: Profile, shared: Sequence[tuple[Cell, Cell]]) -> Iterator[str]:
    for name, profile in (("old", old), ("new", new)):
        if profile.anchor is None:
            yield f"the {name} profile has no anchor: the drift of its machine is not known and counts as none"
        if profile.noise.noisy:
            yield f"the machine of the {name} profile was noisy: other processes took CPU time from it"
    ratios = [
        two.latency.baseline_p50_ns / one.latency.baseline_p50_ns
        for one, two in shared
        if one.latency and two.latency and one.latency.baseline_p50_ns and two.latency.baseline_p50_ns
    ]
    if ratios:
        yield (
            f"latency without sidecars: {geometric_mean(ratios):.3f} of the old, geometric mean over cells: what the "
            "machine and the placement of processes changed"
        )
