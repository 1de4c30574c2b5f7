"""Percentiles for a search: the same requests for every choice, and how much each edge decides of a percentile. Pure.

All that is random is drawn once. So a change that makes a hop shorter never makes a sampled request longer, and the
difference of two choices is no noise. Hops vary by one lognormal shape, many calls in a row by a few of them, and calls
at the same time do not wait for their caller's sidecar: the search corrects for all three with real predictions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from predictor.advise.changes import edges_of
from predictor.graph.plan import execution_plan
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph
from predictor.models.types import Floats
from predictor.predict.schedule import uneven, usable

_MOST_REPEATS: Final = 8
_WINDOW: Final = 0.01
"""A percentile's weights are those of the requests within so many ranks (as a share) of it."""

_STRIDE: Final = 7919

Indices = npt.NDArray[np.intp]
_Values = TypeVar("_Values", Floats, Indices)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What is random of an edge: whose answers a request gets, the shape of its hop, whether a last call happens.

    `scale` stretches a few calls in a row to all of them.
    """

    places: Indices
    shape: Floats
    last: npt.NDArray[np.bool_]
    repeats: int
    scale: float


class Requests:
    """`count` requests of a graph, drawn once. `sigma` is the lognormal sigma of a hop's overhead."""

    def __init__(self, graph: CallGraph, count: int, sigma: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        self._plan = execution_plan(graph)
        self._cpus = usable(self._plan.cpus)
        self._entries = graph.ingress
        self._count = count
        self._own = {s.name: own_times(s.service_time, count, random) for s in graph.services}
        self._edges = {call.id: index for index, call in enumerate(edges_of(graph))}
        self._drawn = [_drawn(call, count, sigma, random) for call in edges_of(graph)]
        rates = np.array([entry.rate_rps for entry in self._entries])
        shares = rates / rates.sum() if rates.sum() > 0 else None
        self._which = random.choice(len(self._entries), count, p=shares)

    def times(self, hop_ns: Floats) -> Floats:
        """Time of each request for hops of these means (ns, in the order of edges)."""
        return self._forward(hop_ns)[0]

    def weights(self, hop_ns: Floats, percent: float) -> Floats:
        """How much the percentile grows with the mean of each hop: ns per ns."""
        times, calls = self._forward(hop_ns)
        rank = np.argsort(times, kind="stable")
        middle, half = percent / 100.0 * self._count, max(_WINDOW * self._count, 1.0)
        low, high = int(max(middle - half, 0)), int(min(middle + half, self._count))
        waited = {name: np.zeros(self._count) for name in self._plan.order}
        start = np.zeros(self._count)
        start[rank[low:high]] = 1.0 / (high - low)
        found = np.zeros(len(hop_ns))
        for number, entry in enumerate(self._entries):
            mine = np.where(self._which == number, start, 0.0)
            edge = self._edges[entry.id]
            found[edge] = float(mine @ self._drawn[edge].shape)
            waited[entry.service] += mine
        for name in self._plan.order:
            for stage in self._plan.handlings[name].stages:
                longest = np.max([calls[call.id] for call in stage.calls], axis=0)
                full = self._work(stage.calls, calls, longest) > longest
                left = np.where(full, uneven(self._cpus), 1.0) * waited[name]
                each = np.where(full, waited[name] / self._cpus, 0.0)
                for call in stage.calls:
                    edge = self._edges[call.id]
                    mine = np.where(calls[call.id] >= longest, left, 0.0)
                    left -= mine
                    found[edge] = self._back(call, mine, waited[call.callee], calls, hop_ns)
                    if full.any():
                        found[edge] += self._back(call, each, waited[call.callee], calls, hop_ns, whole=True)
        return found

    def _work(self, stage: Sequence[Call], calls: Mapping[str, Floats], longest: Floats) -> Floats:
        """What calls at the same time take on the CPUs; 0 where those are not known, or there is one call."""
        alone = len(stage) == 1 and (stage[0].repeat == "sequential" or stage[0].calls_per_request <= 1.0)
        if self._cpus == np.inf or alone:
            return np.zeros(self._count)
        work = np.sum([calls[f"work {call.id}"] for call in stage], axis=0) / self._cpus
        return np.asarray(work + uneven(self._cpus) * longest)

    def _forward(self, hop_ns: Floats) -> tuple[Floats, dict[str, Floats]]:
        answers: dict[str, Floats] = {}
        calls: dict[str, Floats] = {}
        for name in reversed(self._plan.order):
            total = self._own[name].copy()
            for stage in self._plan.handlings[name].stages:
                for call in stage.calls:
                    found = self._call(call, hop_ns[self._edges[call.id]], answers[call.callee])
                    calls[call.id], calls[f"work {call.id}"] = found
                longest = np.max([calls[call.id] for call in stage.calls], axis=0)
                total += np.maximum(longest, self._work(stage.calls, calls, longest))
            answers[name] = total
            calls[f"answer {name}"] = total
        times = np.zeros(self._count)
        for number, entry in enumerate(self._entries):
            mine = self._which == number
            edge = self._edges[entry.id]
            times[mine] = (answers[entry.service] + hop_ns[edge] * self._drawn[edge].shape)[mine]
        return times, calls

    def _call(self, call: Call, hop_ns: float, answers: Floats) -> tuple[Floats, Floats]:
        """Time of all calls of an edge, and the sum of their times."""
        drawn = self._drawn[self._edges[call.id]]
        longest, work = np.zeros(self._count), np.zeros(self._count)
        for index in range(drawn.repeats):
            one = self._one(drawn, index, hop_ns, answers)
            longest, work = np.maximum(longest, one), work + one
        return (work if call.repeat == "sequential" else longest) * drawn.scale, work * drawn.scale

    @staticmethod
    def _one(drawn: _Drawn, index: int, hop_ns: float, answers: Floats) -> Floats:
        places, shape = _shifted(drawn.places, index), _shifted(drawn.shape, index)
        one = answers[places] + hop_ns * shape
        return np.where(drawn.last, one, 0.0) if index == drawn.repeats - 1 else one

    def _back(
        self, call: Call, mine: Floats, waited: Floats, calls: dict[str, Floats], hop_ns: Floats, whole: bool = False
    ) -> float:
        """Hand on who is waited for to the callee; returns how much the edge's hop counts.

        Of parallel calls the longest is waited for, or with `whole` each.
        """
        edge = self._edges[call.id]
        drawn = self._drawn[edge]
        answers = calls[f"answer {call.callee}"]
        counted = 0.0
        left = mine.copy()
        for index in range(drawn.repeats):
            part = drawn.scale * mine
            if index == drawn.repeats - 1:
                part = np.where(drawn.last, part, 0.0)
            if call.repeat == "parallel" and drawn.repeats > 1 and not whole:
                part = np.where(self._one(drawn, index, float(hop_ns[edge]), answers) >= calls[call.id], left, 0.0)
                left -= part
            counted += float(part @ _shifted(drawn.shape, index))
            waited[_shifted(drawn.places, index)] += part  # places are a permutation, so none is named twice
        return counted


def _shifted(values: _Values, index: int) -> _Values:
    return np.roll(values, index * _STRIDE) if index else values


def _drawn(call: Call, count: int, sigma: float, random: np.random.Generator) -> _Drawn:
    number = call.calls_per_request
    whole = int(min(number, _MOST_REPEATS))
    rest = number - whole if number < _MOST_REPEATS else 0.0
    last = random.random(count) < rest if rest > 0.0 else np.ones(count, dtype=bool)
    scale = number / _MOST_REPEATS if number > _MOST_REPEATS and call.repeat == "sequential" else 1.0
    shape = np.exp(sigma * random.standard_normal(count) - sigma * sigma / 2)
    return _Drawn(random.permutation(count), shape, last, whole + (rest > 0.0), scale)


def own_times(time: ServiceTime, count: int, random: np.random.Generator) -> Floats:
    """Own times of a service in ns, one per request, in random order, spread evenly over their distribution."""
    if time.kind == "constant" or time.mean_ns <= 0.0:
        return np.full(count, time.mean_ns)
    grid = (np.arange(513) + 0.5) / 513
    table = np.array([time.quantile_ns(float(share)) for share in grid])
    shares = (random.permutation(count) + 0.5) / count
    return np.asarray(np.interp(shares, grid, table))
