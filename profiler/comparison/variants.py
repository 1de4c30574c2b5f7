"""Variants of one profile compared with the first of them, paired by round. Pure.

All variants are measured in every round, within seconds and in random order, so what the machine does to a round is in
both figures and cancels in their difference. Its interval comes from these differences by Student's distribution; the
drift of the machine has no part in it, and neither has the scatter that the rounds share.

Verdicts go from the whole to its parts: first the mean over cells of the overheads, by Holm's correction, then, in a
currency whose mean differs, its components and its cells, each family by Holm's correction. So at most 5 % of
comparisons of equal variants have any verdict better or worse.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from profiler.comparison.changes import Change
from profiler.comparison.compare import (
    ALPHA,
    Compared,
    ComparedCell,
    Comparison,
    Mean,
    corrected,
    varying_dimensions,
    with_verdicts,
)
from profiler.comparison.figures import CPU, LATENCY, P50, P99, PER_REQUEST, TOTAL, TOTALS, Key
from profiler.comparison.significance import Difference, paired
from profiler.errors import UsageError
from profiler.profile.intervals import Figure, component_figures, overhead_figure
from profiler.profile.types import Cell, Latency, Profile
from profiler.vocabulary.hop import NONE
from profiler.vocabulary.variant import WITHOUT, family_id

METHOD: Final = (
    "differences are means over rounds of new − old in the same round, without the largest and the smallest eighth; ±: "
    "half of their 95 % interval (Student, Yuen)",
    "worse, better: not by chance (5 %), and at least --delta of the cell's overhead; the mean over cells is judged "
    "first, its components and cells only where it differs, by Holm's correction in each of these families",
    "same: the whole 95 % interval is within --delta of the overhead; ~: no difference found",
)
"""How verdicts come about, in words."""

_NOTHING: Final = Figure(0.0, [], 0.0)


@dataclass(frozen=True, slots=True)
class Paired:
    """A figure in two variants of one cell; a component that one lacks is nothing there."""

    old: Figure
    new: Figure

    def rounds(self, factor: float = 1.0) -> list[float]:
        """New minus `factor` times old in each round that both have."""
        old, new = self.old.rounds_ns, self.new.rounds_ns
        count = len(new or old) if not (old and new) else min(len(old), len(new))
        return [(new[index] if new else 0.0) - factor * (old[index] if old else 0.0) for index in range(count)]

    @property
    def unseen(self) -> float:
        """Standard error that the rounds do not show."""
        return math.hypot(self.old.error_ns, self.new.error_ns)


Pair = dict[Key, Paired]


def variant_names(profile: Profile) -> list[str]:
    """The variants of a profile in their order, the usual one as `none`; fewer than two: it has none to compare."""
    measured = [cell for cell in profile.cells if cell.topology != NONE and not cell.reference]
    return list(dict.fromkeys(cell.variant or WITHOUT for cell in measured))


def has_variants(profile: Profile) -> bool:
    """Whether there is anything to compare in a profile."""
    return len(variant_names(profile)) > 1


def require_variants(profile: Profile, name: str) -> list[str]:
    """As `variant_names`. Raises UsageError where there are fewer than two."""
    found = variant_names(profile)
    if not has_variants(profile):
        raise UsageError(
            f"{name}: has no variants to compare; name a second profile, or measure variants with "
            "meshinsight profile --proxy-version A,B"
        )
    return found


def pairs_of(profile: Profile, old: str, new: str) -> dict[str, Pair]:
    """The figures of two variants by the id of the new one's cell; cells that were asked for, not their ladders."""
    first, second = (
        {family_id(cell.id, cell.variant): cell for cell in profile.cells if not cell.reference and _is_of(cell, name)}
        for name in (old, new)
    )
    return {cell.id: _pair(first[family], cell) for family, cell in second.items() if family in first}


def _is_of(cell: Cell, variant: str) -> bool:
    return (cell.variant or WITHOUT) == variant


def _pair(one: Cell, two: Cell) -> Pair:
    first, second = dict(_figures(one)), dict(_figures(two))
    parts = {key.currency for key in first} & {key.currency for key in second}
    return {
        key: Paired(first.get(key, _NOTHING), second.get(key, _NOTHING))
        for key in dict.fromkeys((*first, *second))
        if key.currency in parts
    }


def _figures(cell: Cell) -> Iterator[tuple[Key, Figure]]:
    for currency, part, statistic in ((LATENCY, cell.latency, P50), (CPU, cell.cpu, PER_REQUEST)):
        if part is None:
            continue
        yield Key(currency, TOTAL, statistic), overhead_figure(part)
        if isinstance(part, Latency):
            yield Key(LATENCY, TOTAL, P99), Figure(part.overhead_p99_ns, part.overhead_p99_rounds_ns, 0.0)
        for name, figure in component_figures(part).items():
            yield Key(currency, name, statistic), figure


def cell_figure(key: Key, pair: Pair, share: float = 0.0, beyond: float = 0.0) -> Compared:
    """A figure of a cell; the difference is of the new one and (1 + `share`) times the old one, minus `beyond`."""
    entry = pair[key]
    whole = pair[key.total].old.value_ns
    rounds = [value - beyond for value in entry.rounds(1.0 + share)]
    found = paired(rounds, entry.unseen) or Difference(entry.new.value_ns - entry.old.value_ns - beyond, None, None)
    return Compared(key, entry.old.value_ns, entry.new.value_ns, found, whole)


def mean_figure(key: Key, pairs: Mapping[str, Pair], share: float = 0.0) -> Compared | None:
    """As `cell_figure`, the mean over cells as fractions of each cell's overhead; None where no cell has one."""
    wholes = {name: _whole(key.total, pair) for name, pair in pairs.items()}
    chosen = {name: whole for name, whole in wholes.items() if whole > 0.0}
    parts = [(pairs[name][key], whole) for name, whole in chosen.items() if key in pairs[name]]
    if not parts:
        return None
    count = len(chosen)  # a cell that lacks the component counts as nothing
    old = math.fsum(entry.old.value_ns / whole for entry, whole in parts) / count
    new = math.fsum(entry.new.value_ns / whole for entry, whole in parts) / count
    series = [[value / whole for value in entry.rounds(1.0 + share)] for entry, whole in parts]
    rounds = [math.fsum(values) / count for values in zip(*series, strict=False)]
    unseen = math.hypot(*(entry.unseen / whole for entry, whole in parts)) / count
    found = paired(rounds, unseen) or Difference(new - old, None, None)
    return Compared(key, old, new, found, 1.0)


def _whole(total: Key, pair: Pair) -> float:
    """The overhead of a cell that sizes are judged by: the mean of both variants'."""
    return (pair[total].old.value_ns + pair[total].new.value_ns) / 2 if total in pair else 0.0


def compare_variants(profile: Profile, old: str, new: str, delta: float) -> Comparison:
    """Compare two variants of a profile. Raises UsageError where no cell has both."""
    pairs = pairs_of(profile, old, new)
    if not pairs:
        raise UsageError(f"the variants {old} and {new} have no cell in common")
    cells = [ComparedCell(name, {key: cell_figure(key, pair) for key in pair}) for name, pair in pairs.items()]
    means = [mean for total in TOTALS if (mean := _mean(total, pairs)) is not None]
    found = Comparison(
        delta=delta,
        cells=cells,
        means=means,
        only_old=[],
        only_new=[],
        changes=list(_changes(profile, old, new)),
        varying=varying_dimensions([cell for cell in profile.cells if cell.id in pairs]),
        notes=["variants of one run, paired by round: the drift of the machine cancels"],
    )
    return _judged(found)


def _mean(total: Key, pairs: Mapping[str, Pair]) -> Mean | None:
    chosen = {name: pair for name, pair in pairs.items() if _whole(total, pair) > 0.0}
    names = dict.fromkeys(key for pair in chosen.values() for key in pair if key.total == total)
    figures = {key: figure for key in names if (figure := mean_figure(key, chosen)) is not None}
    if total not in figures:
        return None
    gap = figures[total].difference
    half = gap.half or 0.0
    ends = (_ratio(gap.value - half), _ratio(gap.value + half))
    return Mean(total.currency, list(chosen), _ratio(gap.value), ends, figures)


def _ratio(difference: float) -> float:
    """New over old, from their difference as a fraction of the mean of both."""
    most = min(1.99, max(-1.99, difference))
    return (2.0 + most) / (2.0 - most)


def _judged(found: Comparison) -> Comparison:
    """Totals of the means first; what they open is judged next."""
    totals = [entry for mean in found.means for key, entry in mean.figures.items() if key.component == TOTAL]
    first = corrected(totals)
    opened = {entry.key.currency for entry in totals if first.get(id(entry), 1.0) < ALPHA}
    components = [
        entry
        for mean in found.means
        if mean.currency in opened
        for key, entry in mean.figures.items()
        if key.component != TOTAL
    ]
    cells = [entry for cell in found.cells for key, entry in cell.figures.items() if key.currency in opened]
    closed = {id(entry): 1.0 for _, entry in found.figures() if entry.difference.p is not None}
    return with_verdicts(found, {**closed, **first, **corrected(components), **corrected(cells)})


def _changes(profile: Profile, old: str, new: str) -> Iterator[Change]:
    """Version and program of the two variants' proxies."""
    for name, proxy in profile.proxies.items():
        base, _, variant = name.partition("@")
        other = profile.proxies.get(f"{base}@{new}" if new != WITHOUT else base)
        if (variant or WITHOUT) != old or other is None:
            continue
        for field in ("version", "build", "package", "binary_sha256"):
            one, two = getattr(proxy, field), getattr(other, field)
            if one != two:
                yield Change(f"{base} {field}", str(one), str(two))
