"""Percentiles by sampling: many requests at once, each with its own times. Pure numpy, repeatable by its seed.

A hop's overhead is lognormal with the model's mean and its mean over median; waits are exponential and happen with
probability of the utilisation. A service is sampled once and shuffled for every call to it, so that shared parts cost
nothing more; times of a service behind two callers are thus independent. Requests without and with sidecars are the
same requests.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from predictor.graph.plan import Plan
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, Ingress, Service
from predictor.models.types import Floats

_MOST_DRAWN: Final = 32
"""From so many calls in a row on, their sum is taken as normal."""


class Sampler:
    """Samples requests. `hops` are edges' means and shapes: mean ns and sigma, mean wait and utilisation, by side."""

    def __init__(
        self, count: int, seed: int, edges: Mapping[str, int], hops: tuple[Floats, Floats, Floats, Floats]
    ) -> None:
        self._count = count
        self._random = np.random.default_rng(seed)
        self._edges = edges
        self._hops = hops

    def requests(self, plan: Plan, services: Mapping[str, Service], entries: Sequence[Ingress]) -> Floats:
        """Times of requests from outside in ns: 2 × count, without and with sidecars."""
        answers: dict[str, Floats] = {}
        for name in reversed(plan.order):
            total = np.repeat(self._own(services[name].service_time)[None], 2, axis=0)
            for stage in plan.handlings[name].stages:
                total += self._stage(stage.calls, answers)
            answers[name] = total
        return self._mixed(entries, answers)

    def _mixed(self, entries: Sequence[Ingress], answers: Mapping[str, Floats]) -> Floats:
        rates = np.array([entry.rate_rps for entry in entries])
        shares = rates / rates.sum() if rates.sum() > 0 else np.full(len(rates), 1.0 / len(rates))
        which = self._random.choice(len(entries), self._count, p=shares)
        found = np.zeros((2, self._count))
        for index, entry in enumerate(entries):
            chosen = which == index
            if chosen.any():
                found[:, chosen] = answers[entry.service][:, chosen]
                found[1, chosen] += self._hop(entry.id)[chosen]
        return found

    def _stage(self, calls: Sequence[Call], answers: Mapping[str, Floats]) -> Floats:
        longest = self._call(calls[0], answers[calls[0].callee])
        for call in calls[1:]:
            np.maximum(longest, self._call(call, answers[call.callee]), out=longest)
        return longest

    def _call(self, call: Call, answers: Floats) -> Floats:
        """Time of all calls of an edge that one request waits for."""
        number = call.calls_per_request
        if number <= 0.0:
            return np.zeros((2, self._count))
        if number > _MOST_DRAWN and call.repeat == "sequential":
            one = self._one(call, answers)
            score = self._random.standard_normal(self._count)
            mean, deviation = one.mean(axis=1, keepdims=True), one.std(axis=1, keepdims=True)
            return np.asarray(np.maximum(number * mean + np.sqrt(number) * deviation * score, 0.0))
        whole = int(min(number, _MOST_DRAWN))
        found = np.zeros((2, self._count))
        for index in range(whole + (number > whole and whole < _MOST_DRAWN)):
            one = self._one(call, answers)
            if index == whole:
                one *= self._random.random(self._count) < number - whole
            found = found + one if call.repeat == "sequential" else np.maximum(found, one)
        return found

    def _one(self, call: Call, answers: Floats) -> Floats:
        one = answers[:, self._random.permutation(self._count)]
        one[1] += self._hop(call.id)
        return one

    def _hop(self, identifier: str) -> Floats:
        edge = self._edges[identifier]
        means, sigmas, waits, busy = (table[edge] for table in self._hops)
        found = np.zeros(self._count)
        for side in (0, 1):
            if means[side] > 0.0:
                sigma = sigmas[side]
                if sigma > 0.0:
                    score = self._random.standard_normal(self._count)
                    found += means[side] * np.exp(sigma * score - sigma * sigma / 2)
                else:
                    found += means[side]
            if waits[side] > 0.0:
                found += self._wait(waits[side], busy[side])
        return found

    def _wait(self, mean_ns: float, busy: float) -> Floats:
        drawn = self._random.random(self._count)
        waiting = np.minimum(drawn / busy, 1.0 - 1e-12)
        return np.where(drawn < busy, -np.log1p(-waiting) * mean_ns / busy, 0.0)

    def _own(self, time: ServiceTime) -> Floats:
        if time.kind == "constant" or time.mean_ns <= 0.0:
            return np.full(self._count, time.mean_ns)
        if time.kind == "exponential":
            return self._random.exponential(time.mean_ns, self._count)
        scores = np.sort(self._random.standard_normal(self._count))
        if time.kind == "lognormal":
            sigma = float(np.sqrt(np.log1p(time.cv**2)))
            return self._random.permutation(time.mean_ns * np.exp(sigma * scores - sigma * sigma / 2))
        grid = np.linspace(0.0, 1.0, 513)[1:-1]
        table = np.array([time.quantile_ns(float(share)) for share in grid])
        return np.asarray(np.interp(self._random.random(self._count), grid, table))
