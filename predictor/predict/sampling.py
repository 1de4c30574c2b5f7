"""Percentiles by sampling: many requests at once, each with its own times. Pure numpy, repeatable by its seed.

A hop's overhead is lognormal with the model's mean and its mean over median; waits are exponential and happen with
probability of the utilisation. A service is sampled once and shuffled for every call to it if there are several, so
that shared parts cost nothing more; times of a service behind two callers are thus independent. Requests without and
with sidecars are the same requests. Draws of hops have single precision, which is far finer than their number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

from predictor.graph.plan import Plan
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, Ingress, Service
from predictor.models.types import Floats
from predictor.predict.schedule import CALLER_SHARE, uneven, usable

_MOST_DRAWN: Final = 32
"""From so many calls on, the sum of calls in a row is taken as normal, the longest of calls at once by its rank."""

_NORMAL: Final = NormalDist()
_FAR: Final = 6.0
"""Normal scores that are met once in a thousand million."""


class Sampler:
    """Samples requests. `hops` are edges' means and shapes: mean ns and sigma, mean wait and utilisation, by side."""

    def __init__(
        self, count: int, seed: int, edges: Mapping[str, int], hops: tuple[Floats, Floats, Floats, Floats]
    ) -> None:
        self._count = count
        self._random = np.random.default_rng(seed)
        self._random_of_hops = np.random.default_rng((seed, 1))  # so that what-ifs are of the very same requests
        self._edges = edges
        self._hops = tuple(table.tolist() for table in hops)
        self._uses: Counter[str] = Counter()

    def requests(
        self,
        plan: Plan,
        services: Mapping[str, Service],
        entries: Sequence[Ingress],
        delays_ns: tuple[float, float] = (0.0, 0.0),
    ) -> Floats:
        """Times of requests from outside in ns: 2 × count, without and with sidecars.

        `delays_ns` is how long asynchronous calls delay them on average, without and with sidecars.
        """
        answers: dict[str, Floats] = {}
        self._uses = Counter(entry.service for entry in entries)
        self._uses.update(call.callee for handling in plan.handlings.values() for call in handling.calls)
        cpus = usable(plan.cpus)
        for name in reversed(plan.order):
            total = np.repeat(self._own(services[name].service_time)[None], 2, axis=0)
            for stage in plan.handlings[name].stages:
                total += self._stage(stage.calls, answers, cpus)
            answers[name] = total
        return np.asarray(self._mixed(entries, answers) + np.array(delays_ns)[:, None])

    def _mixed(self, entries: Sequence[Ingress], answers: Mapping[str, Floats]) -> Floats:
        rates = np.array([entry.rate_rps for entry in entries])
        shares = rates / rates.sum() if rates.sum() > 0 else np.full(len(rates), 1.0 / len(rates))
        which = self._random.choice(len(entries), self._count, p=shares)
        found = np.zeros((2, self._count))
        for index, entry in enumerate(entries):
            chosen = which == index
            if chosen.any():
                found[:, chosen] = answers[entry.service][:, chosen]
                hop = np.zeros(self._count)
                self._add_hop(self._edges[entry.id], hop)
                found[1, chosen] += hop[chosen]
        return found

    def _stage(self, calls: Sequence[Call], answers: Mapping[str, Floats], cpus: float) -> Floats:
        longest, work = self._call(calls[0], answers[calls[0].callee])
        for call in calls[1:]:
            time, more = self._call(call, answers[call.callee])
            work = work + more if cpus < np.inf else work
            np.maximum(longest, time, out=longest)
        longest[1] += CALLER_SHARE * self._behind_ns(calls)
        if cpus < np.inf and (len(calls) > 1 or (calls[0].repeat == "parallel" and calls[0].calls_per_request > 1.0)):
            np.maximum(longest, work / cpus + uneven(cpus) * longest, out=longest)
        return longest

    def _behind_ns(self, calls: Sequence[Call]) -> float:
        """What the caller's sidecar does for calls of a stage that are not the longest, on average."""
        whole = [call.calls_per_request * self._hops[0][self._edges[call.id]][0] for call in calls]
        in_a_row = [
            number if call.repeat == "sequential" else number / max(call.calls_per_request, 1.0)
            for call, number in zip(calls, whole, strict=True)
        ]
        return float(sum(whole) - max(in_a_row))

    def _call(self, call: Call, answers: Floats) -> tuple[Floats, Floats]:
        """Time of all calls of an edge that one request waits for, and the sum of their times."""
        number = call.calls_per_request
        if number <= 0.0:
            nothing = np.zeros((2, self._count))
            return nothing, nothing
        if number > _MOST_DRAWN and call.repeat == "sequential":
            one = self._one(call, answers)
            score = self._random.standard_normal(self._count)
            mean, deviation = one.mean(axis=1, keepdims=True), one.std(axis=1, keepdims=True)
            summed = np.asarray(np.maximum(number * mean + np.sqrt(number) * deviation * score, 0.0))
            return summed, summed
        if number > _MOST_DRAWN:
            return self._longest_of_many(self._one(call, answers), number)
        whole = int(number)
        drawn = whole + (number > whole)
        at_once = call.repeat == "parallel" and drawn > 1
        found = work = np.zeros((2, self._count))
        for index in range(drawn):
            one = self._one(call, answers, drawn == 1)
            if index == whole:
                one *= self._random.random(self._count) < number - whole
            if index == 0:
                found, work = one, one.copy() if at_once else one
            elif at_once:
                np.maximum(found, one, out=found)
                work += one
            else:
                found += one
        return found, work

    def _longest_of_many(self, one: Floats, number: float) -> tuple[Floats, Floats]:
        """The longest of very many calls at once, by its rank among the sampled ones, and the sum of their times."""
        ranks = (self._random.random(self._count) ** (1.0 / number) * self._count).astype(np.intp)
        found = np.sort(one, axis=1)[:, np.minimum(ranks, self._count - 1)]
        return found, np.broadcast_to(number * one.mean(axis=1, keepdims=True), one.shape)

    def _one(self, call: Call, answers: Floats, once: bool = False) -> Floats:
        """One call of the edge; the answers of a service that nobody else asks are used as they are."""
        if not (once and self._uses[call.callee] == 1):
            answers = answers[:, self._random.permutation(self._count)]
        self._add_hop(self._edges[call.id], answers[1])
        return answers

    def _add_hop(self, edge: int, times: Floats) -> None:
        means, sigmas, waits, busy = (table[edge] for table in self._hops)
        for side in (0, 1):
            if means[side] > 0.0:
                sigma = sigmas[side]
                if sigma > 0.0:
                    drawn = self._random_of_hops.standard_normal(self._count, dtype=np.float32)
                    drawn *= np.float32(sigma)
                    drawn += np.float32(np.log(means[side]) - sigma * sigma / 2)
                    times += np.exp(drawn, out=drawn)
                else:
                    times += means[side]
            if waits[side] > 0.0 and busy[side] > 0.0:
                self._add_wait(waits[side], busy[side], times)

    def _add_wait(self, mean_ns: float, busy: float, times: Floats) -> None:
        """Waits are exponential, and as often as the worker is busy."""
        waiting = np.flatnonzero(self._random_of_hops.random(self._count, dtype=np.float32) < busy)
        times[waiting] += self._random_of_hops.exponential(mean_ns / busy, len(waiting))

    def _own(self, time: ServiceTime) -> Floats:
        if time.kind == "constant" or time.mean_ns <= 0.0:
            return np.full(self._count, time.mean_ns)
        if time.kind == "exponential":
            return self._random.exponential(time.mean_ns, self._count)
        scores = self._random.standard_normal(self._count)
        if time.kind == "lognormal":
            sigma = float(np.sqrt(np.log1p(time.cv**2)))
            return np.asarray(time.mean_ns * np.exp(sigma * scores - sigma * sigma / 2))
        known = [-_FAR, *(_NORMAL.inv_cdf(percent / 100) for percent, _ in time.percentiles), _FAR]
        logarithms = [np.log(time.quantile_ns(_NORMAL.cdf(score))) for score in known]
        return np.asarray(np.exp(np.interp(scores, known, logarithms)))
