"""The smallest choice of changes that meets all goals: greedy for any size, proven by search where it is small. Pure.

The objective: fewest changes; among equally many the one with the least sum of figure over bound. Where no choice meets
the goals, the one that comes nearest: the least sum of what is too much, as shares of the bounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from predictor.advise.bounds import Bounds
from predictor.advise.figures import CPU, MEAN, MEMORY, Figures, State
from predictor.advise.tail import Indices
from predictor.models.types import Floats

LARGE: Final = 64
"""From so many possible changes on, several are taken between two looks at the whole."""

EXACT_AT_MOST: Final = 24
"""With more changes that save anything, no proof is tried."""

_EVALUATIONS: Final = 70_000
_SAMPLED_EVALUATIONS: Final = 6000
_LOOKED_AT: Final = 8
_LOOKED_AT_AGAIN: Final = 60
_TOLERANCE: Final = 1e-9


@dataclass(slots=True)
class Goal:
    """A figure and its bound. The search takes `slope` × figure + `offset`, which sets percentiles right."""

    name: str
    bound: float
    slope: float = 1.0
    offset: float = 0.0

    @property
    def sampled(self) -> bool:
        """Whether it is a percentile."""
        return self.name not in (MEAN, CPU, MEMORY)


@dataclass(frozen=True, slots=True)
class Found:
    """What the search found. `at_least`: fewer changes than this cannot meet the goals. `exact`: none is better.

    `impossible`: no choice at all meets the goals.
    """

    state: State
    met: bool
    exact: bool
    at_least: int
    impossible: bool


class Search:
    """Searches among the changes of `figures`."""

    def __init__(self, figures: Figures, goals: Sequence[Goal]) -> None:
        self._figures = figures
        self._goals = goals
        self._names = list(dict.fromkeys(goal.name for goal in goals))

    def run(self, start: State, prove: bool) -> Found:
        """Search from `start`, where nothing is changed; `prove` tries to find what is smallest."""
        greedy = self.greedy(start)
        met = self.excess(self.ratios(greedy)) <= _TOLERANCE
        bounds = Bounds.of(self._figures, start, self._names) if prove else None
        if bounds is None:
            return Found(greedy, met, False, 1, False)
        if self.excess(self._ratios(bounds.least)) > _TOLERANCE:
            return Found(greedy, False, False, 1, True)
        return self._proven(start, greedy, met, bounds)

    # -- figures over bounds -----------------------------------------------------------------------------------------

    def ratios(self, state: State) -> Floats:
        """Each goal's figure over its bound."""
        if not state.possible:
            return np.full(len(self._goals), np.inf)
        return self._ratios(self._figures.values(state.rows, self._names))

    def _ratios(self, values: Mapping[str, float]) -> Floats:
        return np.array([(goal.slope * values[goal.name] + goal.offset) / goal.bound for goal in self._goals])

    @staticmethod
    def excess(ratios: Floats) -> float:
        """By how much the goals are missed, together, as shares of their bounds."""
        return float(np.maximum(ratios - 1.0, 0.0).sum())

    # -- greedy ------------------------------------------------------------------------------------------------------

    def greedy(self, start: State) -> State:
        """Take what saves most, look again, until all are met or nothing helps; then leave out what is not needed."""
        state, ratios = start, self.ratios(start)
        neighbours = self._figures.neighbours(state)
        useless: set[int] = set()
        best, least = state, self.excess(ratios)
        while self.excess(ratios) > _TOLERANCE:
            gains = self._gains(state, neighbours, ratios)
            gains[[*state.chosen, *useless]] = -np.inf
            batch = self._batch(state, gains, int((ratios > 1.0).sum()))
            if not batch:
                break
            after = state
            for number in batch:
                after = self._figures.with_(after, number)
            if not after.possible:
                useless.update(batch)
                continue
            touched = {edge for number in batch for edge in self._figures.touched_by(number)}
            state, ratios = after, self.ratios(after)
            neighbours = self._figures.renewed(neighbours, state, touched)
            useless.update(batch)  # what was replaced later is not taken again, so this ends
            if self.excess(ratios) < least - _TOLERANCE:
                best, least = state, self.excess(ratios)
        return self._pruned(best)

    def _gains(self, state: State, neighbours: Indices, ratios: Floats) -> Floats:
        """What each change would save, as shares of what the unmet goals still need; below 0 where it breaks others."""
        total = np.zeros(len(self._figures.changes))
        for goal, ratio in zip(self._goals, ratios.tolist(), strict=True):
            saved = goal.slope * self._figures.savings(state, neighbours, goal.name) / goal.bound
            lacking = ratio - 1.0
            total += np.minimum(saved, lacking) / lacking if lacking > 0.0 else np.minimum(saved - lacking, 0.0)
        return total

    def worth(self, state: State) -> Floats:
        """What each further change would save, as shares of the bounds, by the path as it is now."""
        neighbours = self._figures.neighbours(state)
        total = np.zeros(len(self._figures.changes))
        for goal in self._goals:
            total += goal.slope * self._figures.savings(state, neighbours, goal.name) / goal.bound
        return total

    def _batch(self, state: State, gains: Floats, unmet: int) -> list[int]:
        """The changes to take next: one, or on large graphs as many as bring half of what is needed."""
        order = np.argsort(-gains, kind="stable").tolist()
        order = [number for number in order[:2000] if gains[number] > 0.0]
        if len(gains) < LARGE:
            return self._best_of(state, order[:_LOOKED_AT])
        batch: list[int] = []
        edges: set[int] = set()
        gained = 0.0
        for number in order:
            touched = set(self._figures.touched_by(number))
            if not touched & edges:
                batch.append(number)
                edges |= touched
                gained += float(gains[number])
                if gained >= 0.5 * unmet:
                    break
        return batch

    def _best_of(self, state: State, order: list[int]) -> list[int]:
        """Of the changes that promise most, the one that keeps its promise best; the first where none does."""
        tried = [
            (self.excess(self.ratios(self._figures.with_(state, number))), place) for place, number in enumerate(order)
        ]
        return [order[min(tried)[1]]] if tried else []

    def _pruned(self, state: State) -> State:
        """Without the changes that are not needed, those that save least first."""
        most = max(self.excess(self.ratios(state)), _TOLERANCE)
        last = reversed(state.chosen)  # the last ones taken found least left to save
        for number in islice(last, None if len(self._figures.changes) < LARGE else _LOOKED_AT_AGAIN):
            less = self._figures.without(state, number)
            if self.excess(self.ratios(less)) <= most:
                state = less
        return state

    # -- proof -------------------------------------------------------------------------------------------------------

    def _proven(self, start: State, greedy: State, met: bool, bounds: Bounds) -> Found:
        needed = [self._needed(start, goal) for goal in self._goals]
        usable = bounds.usable(self._names).tolist()
        most = [goal.slope * bounds.most[goal.name] for goal in self._goals]
        low = max(1, *(_fewest(need, saved[usable]) for need, saved in zip(needed, most, strict=True)))
        if len(usable) > EXACT_AT_MOST:
            return Found(greedy, met, False, min(low, len(usable)), False)
        sampled = any(goal.sampled for goal in self._goals)
        left = _Level(self, start, usable, needed, most, _SAMPLED_EVALUATIONS if sampled else _EVALUATIONS)
        last = len(greedy.chosen) if met else len(usable)
        for size in range(low, last + 1):
            best = left.best(size)
            if best is not None:
                if met and size == last and self._sum(greedy) <= self._sum(best):
                    best = greedy
                return Found(best, True, True, size, False)
            if left.spent:
                return Found(greedy, met, met and size == last, size, False)
        if met:  # the greedy choice replaces one change by another in a way that no plain set has
            return Found(greedy, True, True, last, False)
        return Found(greedy, False, True, last, True)

    def _needed(self, start: State, goal: Goal) -> float:
        value = self._figures.values(start.rows, [goal.name])[goal.name]
        return goal.slope * value + goal.offset - goal.bound

    def _sum(self, state: State) -> float:
        return float(self.ratios(state).sum())


class _Level:
    """All sets of a size, as far as they can meet the goals; `spent` once too many were looked at."""

    def __init__(
        self,
        search: Search,
        start: State,
        usable: Sequence[int],
        needed: Sequence[float],
        most: Sequence[Floats],
        evaluations: int,
    ) -> None:
        self._search, self._start, self._left = search, start, evaluations
        promise = sum(np.minimum(saved, max(need, 0.0)) for saved, need in zip(most, needed, strict=True))
        self._order = sorted(usable, key=lambda number: -float(np.asarray(promise)[number]))
        self._needed = [need - _TOLERANCE * abs(need) for need in needed]
        self._most = [[float(saved[number]) for number in self._order] for saved in most]
        self._tops = [_tops(saved) for saved in self._most]
        self._found: list[tuple[float, State]] = []
        self.spent = False

    def best(self, size: int) -> State | None:
        """The best set of this size that meets all goals."""
        self._found.clear()
        self._walk(0, size, [0.0] * len(self._needed), self._start)
        return self._found[0][1] if self._found else None

    def _walk(self, first: int, left: int, saved: list[float], state: State) -> None:
        if left == 0:
            self._look(state)
            return
        for place in range(first, len(self._order) - left + 1):
            if self.spent:
                return
            now = [total + most[place] for total, most in zip(saved, self._most, strict=True)]
            hopes = (total + top[place + 1][left - 1] for total, top in zip(now, self._tops, strict=True))
            if all(hope >= need for hope, need in zip(hopes, self._needed, strict=True)):
                after = self._search._figures.with_(state, self._order[place])
                if len(after.chosen) == len(state.chosen) + 1:
                    self._walk(place + 1, left - 1, now, after)

    def _look(self, state: State) -> None:
        self._left -= 1
        self.spent = self._left <= 0
        ratios = self._search.ratios(state)
        if Search.excess(ratios) <= _TOLERANCE:
            total = float(ratios.sum())
            if not self._found or total < self._found[0][0]:
                self._found[:] = [(total, state)]


def _tops(saved: Sequence[float]) -> list[list[float]]:
    """By place and number: the most that so many from this place on could save."""
    found = []
    for place in range(len(saved) + 1):
        best = sorted((max(value, 0.0) for value in saved[place:]), reverse=True)
        found.append([0.0, *np.cumsum(best).tolist()])
        found[-1] += [found[-1][-1]] * (len(saved) + 1 - len(found[-1]))
    return found


def _fewest(need: float, saved: Floats) -> int:
    """So many changes are needed if each saves the most it could."""
    if need <= 0.0:
        return 0
    total = np.cumsum(np.sort(saved)[::-1])
    return int(np.searchsorted(total, need * (1.0 - _TOLERANCE)) + 1)
