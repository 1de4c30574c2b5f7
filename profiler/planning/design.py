"""Which cells say most within a budget of time: screening, then refinement where the coefficients are least certain.

Screening measures every configuration at the base load. After that the next block is, again and again, the one that
lowers the uncertainty of the coefficients most per second (Bayesian D-optimality, greedily): with a wide prior a term
that nothing was measured for comes first, then those whose intervals are widest. Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from profiler.errors import UsageError
from profiler.planning.blocks import Block, make_blocks
from profiler.planning.cells import Plan, cells_at
from profiler.planning.design_terms import NOMINAL_ERROR, TERMS, DesignPoint, Floats, planned
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.load import Load

_QUALITIES: Final = ((10, 0.8), (8, 0.6), (6, 0.6), (5, 0.5), (4, 0.5), (3, 0.4), (2, 0.3))
"""Rounds and seconds per window to choose from, best first."""

_ROUNDS_OF_VARIANTS: Final = (100, 80, 60, 50, 40, 30, 25, 20, 16, 12, 10, 8, 6, 4)
_WINDOW_OF_VARIANTS_S: Final = 0.25
"""Where variants are compared by their differences in each round, more rounds are worth more than longer windows."""

_REFINED_FROM: Final = (4, 0.5)
"""At this quality all candidates are worth more than fewer at a better one."""

_PRIOR_STANDARD_DEVIATION: Final = 10.0
"""Of every coefficient's effect, in units of the base cost: wide, so that it only orders what is unknown."""

Seconds = Callable[[Plan, ProfileSettings], float]


@dataclass(frozen=True)
class Candidate:
    """A block that could be measured next, and how long it takes in seconds."""

    block: Block
    expected_s: float


class Design:
    """The sequence of blocks of a run with a budget.

    Attributes: `settings` with the rounds and window length that the budget allows.

    Args:
        settings: what may be measured, and the budget.
        seconds: about how long a plan takes to deploy and measure.

    Raises:
        UsageError: the budget does not even hold the base load; the message says what would.
    """

    def __init__(self, settings: ProfileSettings, seconds: Seconds) -> None:
        self._seconds = seconds
        self._budget_s = settings.budget_s or 0.0
        base, *others = candidate_loads(settings)
        self.settings = _with_quality(settings, base, others, seconds)
        self._screening = self._candidates(base, apart=False)
        self._refinement = [candidate for load in others for candidate in self._candidates(load, apart=True)]

    def _candidates(self, load: Load, *, apart: bool) -> list[Candidate]:
        cells = cells_at(self.settings, load)
        applications = dict.fromkeys(cell.hop.application for cell in cells)
        # Each application on its own, so that what is wanted of one need not wait for room for all.
        groups = (
            [[cell for cell in cells if cell.hop.application == name] for name in applications] if apart else [cells]
        )
        blocks = [block for group in groups for block in make_blocks(group, cooling=not apart)]
        return [Candidate(block, self._seconds(block.plan, self.settings)) for block in blocks]

    @property
    def candidates(self) -> list[Candidate]:
        """Every block that may be measured."""
        return [*self._screening, *self._refinement]

    def next(self, done: Iterable[str], points: Sequence[DesignPoint], left_s: float) -> Block | None:
        """The block to measure next, or None when nothing more fits or is worth it.

        Args:
            done: names of finished blocks.
            points: the cells measured so far.
            left_s: seconds left of the budget.
        """
        finished = set(done)
        screening = [candidate for candidate in self._screening if candidate.block.name not in finished]
        if screening:
            return screening[0].block
        open_ = [entry for entry in self._refinement if entry.block.name not in finished and entry.expected_s <= left_s]
        return max(open_, key=lambda entry: self._gain(entry, points) / entry.expected_s).block if open_ else None

    def rehearse(self) -> list[Candidate]:
        """The plan as it would go if all cells were equally uncertain: what a dry run prints."""
        order = list(self._screening)
        left_s = self._budget_s - sum(entry.expected_s for entry in order)
        by_name = {entry.block.name: entry for entry in self._refinement}
        pretended = [planned(cell) for entry in order for cell in entry.block.plan.asked]
        while block := self.next([entry.block.name for entry in order], pretended, left_s):
            entry = by_name[block.name]
            order.append(entry)
            left_s -= entry.expected_s
            pretended += [planned(cell) for cell in block.plan.asked]
        return order

    def _gain(self, candidate: Candidate, points: Sequence[DesignPoint]) -> float:
        """By how much the block lowers the log volume of the coefficients' uncertainty, over its configurations."""
        gained = 0.0
        new: dict[tuple[Any, ...], list[Floats]] = {}
        for point in map(planned, candidate.block.plan.asked):
            new.setdefault(point.configuration, []).append(point.row)
        for configuration, rows in new.items():
            known = [point for point in points if point.configuration == configuration]
            typical = float(np.median([point.error for point in known])) if known else NOMINAL_ERROR
            information = np.eye(TERMS) / _PRIOR_STANDARD_DEVIATION**2
            for point in known:
                information += np.outer(point.row, point.row) / point.error**2
            after = information + sum(np.outer(row, row) / typical**2 for row in rows)
            gained += float(np.linalg.slogdet(after)[1] - np.linalg.slogdet(information)[1])
        return gained


def candidate_loads(settings: ProfileSettings) -> list[Load]:
    """The base load (the first value of every dimension), then loads that differ from it in one dimension."""
    count, size = settings.headers[0]
    base = Load(
        settings.connections[0],
        settings.rates_rps[0],
        settings.request_bytes[0],
        settings.response_bytes[0],
        count,
        size if count else 0,
        settings.messages[0],
        settings.new_connections[0],
    )
    found = [
        *(replace(base, response_bytes=value) for value in settings.response_bytes[1:]),
        *(replace(base, request_bytes=value) for value in settings.request_bytes[1:]),
        *(replace(base, headers=number, header_bytes=value if number else 0) for number, value in settings.headers[1:]),
        *(replace(base, new_connections=value) for value in settings.new_connections[1:]),
        *(replace(base, messages=value) for value in settings.messages[1:]),
        *(replace(base, connections=value) for value in settings.connections[1:]),
        *(replace(base, rate_rps=value) for value in settings.rates_rps[1:]),
    ]
    return [base, *dict.fromkeys(found)]


def _with_quality(settings: ProfileSettings, base: Load, others: Sequence[Load], seconds: Seconds) -> ProfileSettings:
    """The settings with the best rounds and windows that the budget has room for."""
    budget_s = settings.budget_s or 0.0
    of_variants = tuple((repeats, _WINDOW_OF_VARIANTS_S) for repeats in _ROUNDS_OF_VARIANTS)
    for repeats, duration_s in of_variants if len(settings.variants) > 1 else _QUALITIES:
        tried = replace(settings, repeats=repeats, duration_s=duration_s)
        wanted = [base, *others] if (repeats, duration_s) > _REFINED_FROM else [base]
        blocks = [block for load in wanted for block in make_blocks(cells_at(tried, load), cooling=load == base)]
        needed_s = sum(seconds(block.plan, tried) for block in blocks)
        if needed_s <= budget_s:
            return tried
    raise UsageError(
        f"--budget {budget_s:.0f}s: the base load of all configurations takes {needed_s:.0f} s at least; "
        "give more time or fewer configurations"
    )
