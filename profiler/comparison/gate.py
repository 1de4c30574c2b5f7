"""Whether limits hold, by the 95 % interval of each figure. Pure.

A limit passes where the interval of every cell is below it. It fails where a cell's figure is above it and that is not
chance, by Holm's correction over all figures that are checked. All else is inconclusive. A figure without an interval
decides by its value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from profiler.comparison.compare import ALPHA, Compared, Pair, known_figures, mean_sides, shared_cells
from profiler.comparison.figures import Key, figures_of
from profiler.comparison.limits import Limit, require_known
from profiler.comparison.significance import Difference, Measured, difference, distance, drift_of, holm
from profiler.comparison.variants import cell_figure, has_variants, mean_figure, pairs_of, require_variants
from profiler.errors import UsageError
from profiler.profile.types import Cell, Profile
from profiler.vocabulary.hop import NONE

State = Literal["pass", "fail", "inconclusive"]
PASS: Final[State] = "pass"  # noqa: S105 (no password)
FAIL: Final[State] = "fail"
INCONCLUSIVE: Final[State] = "inconclusive"
_NO_SHARE: Final = "the baseline's figure is not above zero, so it has no share"


@dataclass(frozen=True, slots=True)
class Checked:
    """One figure against its limit, in the limit's unit; the cell of the empty name is the mean over cells.

    `above` is how far it is above the bound, in ns or as a fraction. `note` says why nothing can be decided.
    """

    cell: str
    value: float | None
    interval: tuple[float, float] | None
    above: Difference | None
    note: str = ""
    state: State = INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Outcome:
    """A limit with all that was checked of it."""

    limit: Limit
    checked: Sequence[Checked]

    @property
    def state(self) -> State:
        """Fails with any figure, and passes with all."""
        states = {entry.state for entry in self.checked}
        return FAIL if FAIL in states else PASS if states == {PASS} else INCONCLUSIVE


def check(limits: Sequence[Limit], new: Profile, baseline: Profile | None) -> list[Outcome]:
    """Check limits. Raises `UsageError` where one needs a baseline, or a component that no cell has."""
    found = [list(_checked(limit, new, baseline)) for limit in limits]
    for limit, entries in zip(limits, found, strict=True):
        if not entries:
            raise UsageError(f"{limit.text}: no cell has this figure; `meshinsight show` lists those of a profile")
    every = [entry for entries in found for entry in entries]
    corrected = iter(holm([_one_sided(entry) for entry in every]))
    return [
        Outcome(limit, [_with_state(entry, next(corrected)) for entry in entries])
        for limit, entries in zip(limits, found, strict=True)
    ]


def overall(outcomes: Sequence[Outcome]) -> State:
    """Of all limits: one that fails decides, then one that is inconclusive."""
    states = {outcome.state for outcome in outcomes}
    return FAIL if FAIL in states else INCONCLUSIVE if INCONCLUSIVE in states else PASS


def _checked(limit: Limit, new: Profile, baseline: Profile | None) -> Iterator[Checked]:
    if limit.key is None:
        yield from _closures(limit, new.cells)
    elif not limit.against:
        yield from _absolute(limit, limit.key, new)
    elif baseline is None and has_variants(new):
        yield from _among_variants(limit, limit.key, new)
    elif baseline is None:
        raise UsageError(f"{limit.text}: is a change; name what to compare with by --baseline")
    else:
        yield from _against(limit, limit.key, baseline, new)


def _closures(limit: Limit, cells: Sequence[Cell]) -> Iterator[Checked]:
    for cell in cells:
        parts = [part.closure_residual for part in (cell.latency, cell.cpu) if part is not None]
        known = [abs(residual) for residual in parts if residual is not None]
        if known and cell.topology != NONE:
            worst = max(known)
            yield Checked(cell.id, worst, None, Difference(worst - limit.bound, None, None))


def _absolute(limit: Limit, key: Key, new: Profile) -> Iterator[Checked]:
    drift = drift_of(new.anchor)
    by_cell = {cell.id: figures_of(cell, drift) for cell in new.cells}
    require_known(limit, (each.component for figures in by_cell.values() for each in figures))
    for name, figures in by_cell.items():
        if key in figures:
            above = distance(figures[key], limit.bound)
            yield Checked(name, figures[key].value, _shifted(above.interval, 1.0, limit.bound), above)


def _against(limit: Limit, key: Key, baseline: Profile, new: Profile) -> Iterator[Checked]:
    shared = shared_cells(baseline, new)
    pairs = {one.id: known_figures(one, two, baseline, new) for one, two in shared}
    require_known(limit, (each.component for pair in pairs.values() for each in pair))
    if limit.mean:
        yield _mean(limit, key, pairs)
        return
    for name, pair in pairs.items():
        if key in pair:
            yield _change(name, limit, *pair[key])


def _among_variants(limit: Limit, key: Key, profile: Profile) -> Iterator[Checked]:
    """Each later variant against the first, paired by round."""
    first, *others = require_variants(profile, "the profile")
    share, beyond = (limit.bound, 0.0) if limit.share else (0.0, limit.bound)
    for name in others:
        pairs = pairs_of(profile, first, name)
        require_known(limit, (each.component for pair in pairs.values() for each in pair))
        if limit.mean:
            yield _paired_change(f"mean@{name}" if len(others) > 1 else "", limit, mean_figure(key, pairs, share))
            continue
        for cell, pair in pairs.items():
            if key in pair:
                yield _paired_change(cell, limit, cell_figure(key, pair, share, beyond))


def _paired_change(cell: str, limit: Limit, found: Compared | None) -> Checked:
    if found is None:
        return Checked(cell, None, None, None, "no cell has an overhead above zero")
    above = found.difference
    if not limit.share:
        return Checked(cell, above.value + limit.bound, _shifted(above.interval, 1.0, limit.bound), above)
    if found.old <= 0.0:
        return Checked(cell, None, None, None, _NO_SHARE)
    value = above.value / found.old + limit.bound
    return Checked(cell, value, _shifted(above.interval, 1 / found.old, limit.bound), above)


def _mean(limit: Limit, key: Key, pairs: dict[str, Pair]) -> Checked:
    sides = mean_sides(key, list(pairs.values()))
    if sides is None:
        return Checked("", None, None, None, "no cell has an overhead that differs from zero in both profiles")
    return _change("", limit, *sides)


def _change(cell: str, limit: Limit, old: Measured, new: Measured) -> Checked:
    if not limit.share:
        above = difference(old, new, limit.bound)
        return Checked(cell, above.value + limit.bound, _shifted(above.interval, 1.0, limit.bound), above)
    if old.value <= 0.0:
        return Checked(cell, None, None, None, _NO_SHARE)
    above = difference(old.scaled(1.0 + limit.bound), new)
    value = new.value / old.value - 1.0
    return Checked(cell, value, _shifted(above.interval, 1 / old.value, limit.bound), above)


def _shifted(interval: tuple[float, float] | None, factor: float, bound: float) -> tuple[float, float] | None:
    return None if interval is None else (interval[0] * factor + bound, interval[1] * factor + bound)


def _one_sided(entry: Checked) -> float:
    """Probability of a figure this far above its bound where the truth is the bound; 1 where that is not known."""
    above = entry.above
    return above.p / 2 if above is not None and above.p is not None and above.value > 0 else 1.0


def _with_state(entry: Checked, p: float) -> Checked:
    if entry.above is None:
        return entry
    interval = entry.above.interval
    if interval is None:
        return replace(entry, state=PASS if entry.above.value < 0 else FAIL, note="by its value; no interval")
    return replace(entry, state=FAIL if p < ALPHA else PASS if interval[1] < 0 else INCONCLUSIVE)
