"""How far the figures of a profile can be trusted: a line per currency, and its problems by cause. Pure: no I/O."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.profile import bounds
from profiler.profile.types import Cell, Cpu, Currency, Latency, Profile
from profiler.vocabulary.components import COMPONENTS
from profiler.vocabulary.hop import NONE

FEWEST_ABOVE_P99: Final = 20
"""A 99th percentile with fewer exchanges above it is made by single events."""

WIDEST_RATIO: Final = 0.5
"""An overhead is quotable up to this half-width of its interval, as a share of the overhead."""

_CURRENCIES: Final[Mapping[Currency, str]] = {"latency": "Latency", "cpu": "CPU"}
_NAMED: Final = 2
"""So many cells of a group are named; of more only the number is shown."""

_IN_LINES: Final = re.compile(r"(latency|cpu): the components add up|probes (left|raised)")
"""Warnings of cells that `lines` sums up."""

_VARYING: Final = re.compile(rf"(?<![\w.])[-+±]?\d[\d,]*(?:\.\d+)?|\b(?:{'|'.join(COMPONENTS)}|filter:[\w.-]+)\b")
"""What differs between two warnings of one cause: figures, and names of components."""


def p99_rests_on_enough(latency: Latency) -> bool:
    """Whether the 99th percentiles have enough exchanges above them, with sidecars and without."""
    fewest = min(latency.baseline.count, latency.with_sidecars.count)
    return fewest / 100 >= FEWEST_ABOVE_P99


def lines(profile: Profile) -> Iterator[str]:
    """A line per currency that was measured: in how many cells its figures are quotable, and why not in the others."""
    for currency, name in _CURRENCIES.items():
        found = [(cell, part) for cell in profile.cells if (part := cell.part(currency)) and cell.topology != NONE]
        if found:
            yield f"{name}: {'; '.join(_verdicts(profile, found, currency))}."


def _verdicts(profile: Profile, found: Sequence[tuple[Cell, Latency | Cpu]], currency: Currency) -> Iterator[str]:
    """Of totals, of components and of the probes, each with the reason against it."""
    noisy = profile.noise.noisy
    good = 0 if noisy else sum(_is_narrow(part) and bounds.rate_reached(cell) for cell, part in found)
    missed = sum(not bounds.rate_reached(cell) for cell, _ in found)
    unknown = sum(part.overhead_ci95_ns is None for _, part in found)
    wide = sum(not _is_narrow(part) for _, part in found) - unknown
    against = [
        (noisy, f"noisy machine: the host took {numbers.percent(profile.noise.steal_ratio, 1)} of the CPU"),
        (missed, f"{numbers.plural(missed, 'cell')} missed the offered rate"),
        (unknown, f"{numbers.plural(unknown, 'interval')} unknown"),
        (wide, f"{numbers.plural(wide, 'interval')} wider than ±{numbers.percent(WIDEST_RATIO)}; use more --rounds"),
    ]
    yield _verdict("totals quotable", good, len(found), [text for holds, text in against if holds])
    residuals = [summaries.closure(cell, currency) for cell, _ in found]
    unclosed = [residual for residual in residuals if residual is not None and not bounds.closes(residual)]
    yield _verdict("components", len(found) - len(unclosed), len(found), [_sums(unclosed)] if unclosed else [])
    yield from _disturbance([cell for cell, _ in found], currency)


def _verdict(what: str, good: int, all_: int, against: Sequence[str]) -> str:
    """In how many cells something is quotable, with what speaks against it in the others."""
    where = _share(good, all_) if good else "no cell"
    return f"{what} in {where}" + (f" ({'; '.join(against)})" if against else "")


def _is_narrow(part: Latency | Cpu) -> bool:
    """Whether the interval of the overhead is known, and narrow enough to quote it."""
    value = part.overhead_p50_ns if isinstance(part, Latency) else part.overhead_ns
    interval = part.overhead_ci95_ns
    return interval is not None and (interval[1] - interval[0]) / 2 <= WIDEST_RATIO * value


def _share(count: int, all_: int) -> str:
    if count < all_:
        return f"{count} of {all_} cells"
    return f"all {all_} cells" if all_ > 1 else "the one cell"


def _sums(residuals: Sequence[float]) -> str:
    found = _percents([1.0 + residual for residual in residuals])
    bound = numbers.percent(bounds.CLOSURE_RATIO)
    return f"{numbers.plural(len(residuals), 'sum')} at {found} of the total, bound ±{bound}"


def _percents(ratios: Sequence[float]) -> str:
    least, most = numbers.percent(min(ratios)), numbers.percent(max(ratios))
    return most if least == most else f"{least.removesuffix(' %')}–{most}"


def _disturbance(cells: Sequence[Cell], currency: Currency) -> Iterator[str]:
    """What the probes changed beyond their bounds: of latency, or of the throughput, which is CPU."""
    if currency == "latency":
        raised = [cell.perturbation.latency_ratio or 1.0 for cell in cells if not bounds.latency_undisturbed(cell)]
        changed = [ratio - 1.0 for ratio in raised]
        what = "added {} to the median"
    else:
        left = [cell.perturbation.throughput_ratio or 1.0 for cell in cells if not bounds.throughput_undisturbed(cell)]
        changed = [1.0 - ratio for ratio in left]
        what = "took {} of the throughput"
    if changed:
        where = _share(len(changed), len(cells))
        yield f"probes {what.format(_percents(changed))} in {where}, totals are measured without them"


@dataclass
class _Group:
    """Problems of one kind and cause."""

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def problem_groups(profile: Profile) -> list[str]:
    """Errors, then warnings, one line per cause with its cells, its figures as ranges and its remedy, frequent first.

    Without those that `lines` sums up.
    """
    errors, warnings = _grouped(profile, _errors), _grouped(profile, _warnings)
    for text in summaries.probe_problems(profile):
        errors.insert(0, text)
    return [*(f"error: {line}" for line in errors), *(f"warning: {line}" for line in [*profile.warnings, *warnings])]


def _errors(cell: Cell) -> list[str]:
    return cell.errors


def _warnings(cell: Cell) -> list[str]:
    return [text for text in cell.warnings if not _IN_LINES.match(text)]


def _grouped(profile: Profile, texts_of: Callable[[Cell], Sequence[str]]) -> list[str]:
    labels = summaries.cell_labels(profile.cells)
    groups: dict[str, _Group] = {}
    for cell in profile.cells:
        for text in texts_of(cell):
            group = groups.setdefault(_VARYING.sub("#", text), _Group())
            group.texts.append(text)
            if labels[cell.id] not in group.labels:
                group.labels.append(labels[cell.id])
    ordered = sorted(groups.values(), key=lambda group: -len(group.labels))
    return [_line(group, len(profile.cells)) for group in ordered]


def _line(group: _Group, count: int) -> str:
    """The text of a group: where, what with ranges, remedy."""
    named = len(group.labels) <= _NAMED
    where = " and ".join(group.labels) if named else _share(len(group.labels), count)
    return f"{where}: {_merged(group.texts)}"


def _merged(texts: Sequence[str]) -> str:
    """Texts that differ only in what varies, as one with ranges and lists."""
    columns = zip(*(_VARYING.findall(text) for text in texts), strict=True)
    values = iter([_range(column) for column in columns])
    return _VARYING.sub(lambda _: next(values), texts[0])


def _range(values: Sequence[str]) -> str:
    """Figures as `74–131`, signed ones as `-15 to +27`, names as a list; one alone as it is."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    try:
        distinct.sort(key=_number)
    except ValueError:
        return ", ".join(distinct)
    least, most = distinct[0], distinct[-1]
    return f"{least} to {most}" if {least[0], most[0]} & {"-", "+"} else f"{least}–{most.lstrip('±')}"


def _number(text: str) -> float:
    return float(text.lstrip("±").replace(",", ""))
