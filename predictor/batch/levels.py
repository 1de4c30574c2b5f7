"""Which calls wait for which, in many graphs at once, and how long requests take. Pure numpy.

Edges are in the order in which requests reach them: level after level from the entries, within a level by caller and
stage. The arithmetic is that of `predictor.predict.latency`, which says what it means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from predictor.batch.decode import Booleans, Indices
from predictor.models.types import Floats


@dataclass(frozen=True, slots=True)
class Levels:
    """`order` sorts calls by level, `bounds` are the levels' places in it; `stuck` are nodes on or behind circles.

    `rates` are requests per second, by node.
    """

    order: Indices
    bounds: tuple[tuple[int, int], ...]
    rates: Floats
    stuck: Indices


def find_levels(caller: Indices, callee: Indices, stage: Floats, times: Floats, entered: Floats) -> Levels:
    """Levels and rates of calls; `times` are calls per request, `entered` the rates from outside by node."""
    by_caller = _sorted(caller, stage)
    callees, factors = callee[by_caller], times[by_caller]
    count = np.bincount(caller, minlength=len(entered))
    start = np.cumsum(count) - count
    waiting = np.bincount(callee, minlength=len(entered))
    place = np.empty(len(entered), dtype=np.intp)
    rates = entered.copy()
    chosen: list[Indices] = []
    frontier = np.flatnonzero(waiting == 0)
    while True:
        frontier = frontier[count[frontier] > 0]
        if not frontier.size:
            break
        number = count[frontier]
        edges = np.repeat(start[frontier] - (np.cumsum(number) - number), number) + np.arange(number.sum())
        reached = callees[edges]
        np.add.at(rates, reached, np.repeat(rates[frontier], number) * factors[edges])
        np.subtract.at(waiting, reached, 1)
        chosen.append(edges)
        frontier = _once(reached[waiting[reached] == 0], place)
    sizes = np.cumsum([0, *(len(edges) for edges in chosen)]).tolist()
    order = by_caller[np.concatenate(chosen)] if chosen else np.zeros(0, dtype=np.intp)
    return Levels(order, tuple(pairwise(sizes)), rates, np.flatnonzero(waiting > 0))


def _once(values: Indices, place: Indices) -> Indices:
    """Values, each once. `place` is room for them, left as it may be."""
    numbers = np.arange(len(values))
    place[values] = numbers
    return np.asarray(values[place[values] == numbers])


def _sorted(caller: Indices, stage: Floats) -> Indices:
    """Rows by caller, stage and place, as `np.lexsort` would sort them, but by one number."""
    if not len(caller):
        return np.zeros(0, dtype=np.intp)
    bits = max(len(caller) - 1, 1).bit_length()
    stages, count = _dense(stage)
    key = ((caller * count + stages) << bits) | np.arange(len(caller))
    return np.asarray(np.sort(key) & ((1 << bits) - 1))


def _dense(stage: Floats) -> tuple[Indices, int]:
    low, high = float(stage.min()), float(stage.max())
    if high - low < 1024.0:
        return (stage - low).astype(np.intp), int(high - low) + 1
    values, numbers = np.unique(stage, return_inverse=True)
    return numbers, len(values)


@dataclass(frozen=True, slots=True)
class _Level:
    """A level's place, callers and callees, and the edges that share a stage: rows of equally many."""

    edges: slice
    caller: Indices
    callee: Indices
    shared: tuple[Indices, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """By graph: mean ns without and with hops. By edge and by node: how often a request waits for it, hops in it."""

    before_ns: Floats
    after_ns: Floats
    edge_weights: Floats
    service_weights: Floats


class Requests:
    """Requests through many graphs; `share` is the part of their graph's requests that come in at `entries`.

    `cpus` is by call, infinity where it is not known how many there are (None: nowhere).
    """

    def __init__(
        self,
        bounds: Sequence[tuple[int, int]],
        caller: Indices,
        callee: Indices,
        stage: Floats,
        times: Floats,
        parallel: Booleans,
        asynchronous: Booleans | None,
        cpus: Floats | None,
    ) -> None:
        waited = times if asynchronous is None else np.where(asynchronous, 0.0, times)  # else nobody waits for it
        self._often = np.minimum(waited, 1.0)
        self._times = np.where(parallel, 1.0, np.maximum(times, 1.0))
        self._least = None if cpus is None else waited / (self._times * cpus)
        self._levels = [
            _Level(slice(*span), caller[slice(*span)], callee[slice(*span)], _shared(span, caller, stage))
            for span in bounds
        ]

    def answers(
        self, own_ns: Floats, hop_ns: Floats, entries: Indices, share: Floats, entry_graph: Indices, graphs: int
    ) -> Answers:
        """The answers; `hop_ns` has the entries behind the calls."""
        calls = len(hop_ns) - len(entries)
        response, factors = self._answered(own_ns, np.stack([np.zeros(calls), hop_ns[:calls]]))
        reached = np.zeros(len(own_ns))
        np.add.at(reached, entries, share)
        weights = np.empty(len(hop_ns))
        weights[calls:] = share
        for level in self._levels:
            found = reached[level.caller] * factors[level.edges]
            weights[level.edges] = found
            np.add.at(reached, level.callee, found)
        before = np.bincount(entry_graph, share * response[0, entries], graphs)
        after = np.bincount(entry_graph, share * (hop_ns[calls:] + response[1, entries]), graphs)
        return Answers(np.asarray(before), np.asarray(after), weights, reached)

    def without_hops(self, own_ns: Floats) -> Floats:
        """How long each node takes with its calls but without hops, in ns."""
        response, _ = self._answered(own_ns, np.zeros((1, len(self._often))))
        return np.asarray(response[0])

    def _answered(self, own_ns: Floats, hops: Floats) -> tuple[Floats, Floats]:
        """How long nodes take with their calls, one row for each of `hops`; how often calls count in the last."""
        response, factors = np.tile(own_ns, (len(hops), 1)), np.empty(len(self._often))
        for level in reversed(self._levels):
            self._answer(level, response, hops, factors)
        return response, factors

    def _answer(self, level: _Level, response: Floats, hops: Floats, factors: Floats) -> None:
        times, often = self._times[level.edges], self._often[level.edges]
        taken = times * (hops[:, level.edges] + np.take(response, level.callee, axis=1))
        least = None if self._least is None else self._least[level.edges]
        decides = np.tile(often, (len(taken), 1))
        if least is not None:
            np.maximum(decides, least, out=decides)
        for rows in level.shared:
            _longest(taken, often, rows, decides)
            if least is not None:
                _no_less(taken, least, rows, decides)
        factors[level.edges] = decides[-1] * times
        taken *= decides
        for side in range(len(taken)):
            np.add.at(response[side], level.caller, taken[side])


def _longest(taken: Floats, often: Floats, rows: Indices, decides: Floats) -> None:
    """Of calls at the same time t₁ ≥ t₂ ≥ …, each decides with pᵢ Πⱼ﹤ᵢ (1 − pⱼ); row by row."""
    for side in range(len(taken)):
        order = np.argsort(-taken[side, rows], axis=1, kind="stable")
        ranked = np.take_along_axis(rows, order, axis=1)
        likely = often[ranked]
        left = np.cumprod(1.0 - likely[:, :-1], axis=1)
        likely[:, 1:] *= left
        decides[side, ranked] = likely


def _no_less(taken: Floats, least: Floats, rows: Indices, decides: Floats) -> None:
    """No less than the work of calls at the same time over the CPUs: `least` are the shares of their times in it."""
    for side in range(len(taken)):
        times, decided = taken[side, rows], decides[side, rows]
        bound = ((least[rows] * times).sum(axis=1) > (decided * times).sum(axis=1))[:, None]
        decides[side, rows] = np.where(bound, least[rows], decided)


def stage_begins(caller: Indices, stage: Floats) -> Booleans:
    """Where another stage than that of the edge before begins."""
    found = np.ones(len(caller), dtype=np.bool_)
    found[1:] = (caller[1:] != caller[:-1]) | (stage[1:] != stage[:-1])
    return found


def _shared(span: tuple[int, int], caller: Indices, stage: Floats) -> tuple[Indices, ...]:
    """Edges of a level (by place in it) that share caller and stage with others, by how many they are."""
    low, high = span
    starts = np.flatnonzero(stage_begins(caller[low:high], stage[low:high]))
    if len(starts) == high - low:
        return ()
    sizes = np.diff(np.append(starts, high - low))
    return tuple(starts[sizes == size][:, None] + np.arange(size) for size in np.unique(sizes[sizes > 1]).tolist())
