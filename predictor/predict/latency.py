"""How long a request takes on average, for given times of services and hops; and which of them it waits for. Pure.

A service takes its own time plus its stages; a stage takes its longest call. Calls that happen with a probability are
met with it: of calls t₁ ≥ t₂ ≥ … with probabilities p, the expected longest is Σ tᵢ pᵢ Πⱼ﹤ᵢ (1 − pⱼ). So the mean is
a weighted sum of own times and hops, and the weights say what a request waits for. Where calls at the same time vary,
the mean of the longest of them is above the longest of their means: variances are handed up with the means
(`predictor.predict.longest`), and what the longest takes above its mean goes, down again, to what varies.

Calls at the same time share CPUs, where it is known how many there are, and their caller's sidecar
(`predictor.predict.schedule`); services and sidecars are taken to be on the CPU all of their time. Nobody waits for an
asynchronous call, but it shares the CPUs with the rest of the request, which starts when its caller is done: each of
such calls gets as far as the rest does, and one of k CPUs has a k-th part of that work. So an asynchronous call has the
weight of a call that is waited for with that part.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from predictor.graph.plan import Handling, Plan
from predictor.graph.types import Call, Ingress
from predictor.predict.longest import longest
from predictor.predict.schedule import CALLER_SHARE, RAREST, following_share, uneven, usable

NO_WAITS: Final = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """Mean time of a request from outside in ns, and how often it waits for each service and edge.

    `mean_ns` = Σ service_weights × own time + Σ edge_weights × hop time, so a weight is above the number of calls that
    are waited for where the longest of several is. `path` is the chain of edges in front of all others: in each stage
    the call that decides most. `response_ns` is how long each service takes with its calls.
    """

    mean_ns: float
    service_weights: Mapping[str, float]
    edge_weights: Mapping[str, float]
    path: tuple[str, ...]
    response_ns: Mapping[str, float]
    delay_ns: float


@dataclass(frozen=True, slots=True)
class Hops:
    """Hops by edge: means in ns, variances in ns², and columns of `hop_waits`. What is left out does not vary.

    `client_shares` is the part of each mean in which the caller's sidecar works; what is left out has none.
    """

    means: Mapping[str, float]
    variances: Mapping[str, float] = field(default_factory=dict)
    waits: Mapping[str, Sequence[float]] = field(default_factory=dict)
    client_shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Waited:
    """A call as its caller's requests wait for it: `factor` × mean of one call + `excess` ns + `hop_factor` × its hop.

    Of the variance of its stage it has `variance`, of which the parts `by_chance` (whether it happens), `of_hop` and
    the rest, the callee's.
    """

    mean: float
    factor: float
    excess: float = 0.0
    variance: float = 0.0
    by_chance: float = 0.0
    of_hop: float = 0.0
    hop_factor: float = 0.0


@dataclass(slots=True)
class _Stage:
    """Calls at the same time: means and variances of one call of each, and means of all calls of an edge in a row.

    `mean` and `variance` are those of the stage, `deciding` how often each call is its longest and `excess` by how many
    ns that is then above its mean.
    """

    calls: Sequence[Call]
    ones: Sequence[tuple[float, float]]
    means: Sequence[float]
    mean: float
    variance: float
    deciding: list[float]
    excess: list[float]


class _Times:
    """Means and variances of services with their calls, worked out from the last callees up."""

    def __init__(
        self,
        plan: Plan,
        own: tuple[Mapping[str, float], Mapping[str, float]],
        hops: "Hops",
    ) -> None:
        self.mean: dict[str, float] = {}
        self.variance: dict[str, float] = {}
        self.calls: dict[str, _Waited] = {}
        self.main: dict[str, list[Call]] = {}
        self.stages: dict[str, list[float]] = {}
        self.cpus = usable(plan.cpus)
        self._hops = hops
        for names in heights(plan):
            stages = [[self._begun(stage.calls) for stage in plan.handlings[name].stages] for name in names]
            _vary([one for begun in stages for one in begun if isinstance(one, _Stage)], hops.waits)
            for name, begun in zip(names, stages, strict=True):
                done = [self._done(one) if isinstance(one, _Stage) else one for one in begun]
                self.stages[name] = [mean for mean, _, _ in done]
                self.mean[name] = sum(self.stages[name], own[0][name])
                self.variance[name] = sum((variance for _, variance, _ in done), own[1].get(name, 0.0))
                self.main[name] = [call for _, _, call in done if self.calls[call.id].factor > 0.0]

    def one(self, call: Call) -> tuple[float, float]:
        """Mean and variance of one call on the edge."""
        variance = self._hops.variances.get(call.id, 0.0) + self.variance[call.callee]
        return self._hops.means[call.id] + self.mean[call.callee], variance

    def _begun(self, calls: Sequence[Call]) -> _Stage | tuple[float, float, Call]:
        """A stage as if its calls took their means; where none are at the same time, what `_done` gives of it."""
        for call in calls:
            self.calls[call.id] = _Waited(0.0, 0.0)
        any_call = calls[0]
        calls = [call for call in calls if call.calls_per_request >= RAREST]
        if not calls:
            return 0.0, 0.0, any_call
        ones = [self.one(call) for call in calls]
        if len(calls) == 1 and (calls[0].repeat == "sequential" or calls[0].calls_per_request <= 1.0):
            return self._alone(calls[0], *ones[0])
        means = [_times(call) * mean for call, (mean, _) in zip(calls, ones, strict=True)]
        total, squares, deciding = _longest_of_means(calls, means)
        return _Stage(calls, ones, means, total, max(squares - total * total, 0.0), deciding, [0.0] * len(calls))

    def _done(self, stage: _Stage) -> tuple[float, float, Call]:
        """Mean and variance of a stage, and the call that decides most of it; notes how its calls are waited for."""
        calls, ones, means = stage.calls, stage.ones, stage.means
        total, variance, deciding, excess = stage.mean, stage.variance, stage.deciding, stage.excess
        behind = [
            CALLER_SHARE * self._hops.client_shares.get(call.id, 0.0)
            * max(call.calls_per_request - decides * _times(call), 0.0)
            for call, decides in zip(calls, deciding, strict=True)
        ]  # fmt: skip
        total += sum(each * self._hops.means[call.id] for call, each in zip(calls, behind, strict=True))
        work = sum(call.calls_per_request * mean for call, (mean, _) in zip(calls, ones, strict=True))
        part = uneven(self.cpus)
        if work > self.cpus * (1.0 - part) * total:
            total = work / self.cpus + part * total
            excess, behind = ([part * each for each in parts] for parts in (excess, behind))
            deciding = [
                call.calls_per_request / _times(call) / self.cpus + part * decides
                for call, decides in zip(calls, deciding, strict=True)
            ]
            numbers = [call.calls_per_request for call in calls]
            variance *= part**2
            variance += sum(n * v for n, (_, v) in zip(numbers, ones, strict=True)) / self.cpus**2
        for call, (mean, one_variance), decides, above in zip(calls, ones, deciding, excess, strict=True):
            self._note(call, mean, one_variance, decides * _times(call), above)
        for call, each in zip(calls, behind, strict=True):
            self.calls[call.id].hop_factor = each
        self._share(calls, variance)
        first = max(range(len(calls)), key=lambda place: deciding[place] * means[place] + excess[place])
        return total, variance, calls[first]

    def _alone(self, call: Call, mean: float, variance: float) -> tuple[float, float, Call]:
        """A stage that waits for one call after the other."""
        number = call.calls_per_request
        rest = number - math.floor(number)
        whole = number * variance + rest * (1.0 - rest) * mean * mean
        self._note(call, mean, variance, number, 0.0)
        self._share((call,), whole)
        return number * mean, whole, call

    def _note(self, call: Call, mean: float, variance: float, factor: float, excess: float) -> None:
        number = call.calls_per_request
        rest = number - math.floor(number)
        chance = rest * (1.0 - rest) / max(number, 1e-300) * mean * mean
        whole = chance + variance
        parts = (chance / whole, self._hops.variances.get(call.id, 0.0) / whole) if whole > 0.0 else (1.0, 0.0)
        self.calls[call.id] = _Waited(mean, factor, excess, factor * whole, *parts)

    def _share(self, calls: Sequence[Call], variance: float) -> None:
        """Give each call its part of the variance of the stage."""
        whole = sum(self.calls[call.id].variance for call in calls)
        for call in calls:
            one = self.calls[call.id]
            one.variance = variance * one.variance / whole if whole > 0.0 else 0.0


def _times(call: Call) -> float:
    """How many calls of an edge follow one another where it happens."""
    return max(call.calls_per_request, 1.0) if call.repeat == "sequential" else 1.0


def _longest_of_means(calls: Sequence[Call], means: Sequence[float]) -> tuple[float, float, list[float]]:
    """Mean and mean square of the longest of calls that take their means, and how often each is it."""
    left, total, squares, deciding = 1.0, 0.0, 0.0, [0.0] * len(calls)
    for place in sorted(range(len(calls)), key=lambda place: -means[place]):
        likely = min(calls[place].calls_per_request, 1.0)
        deciding[place] = left * likely
        total += left * likely * means[place]
        squares += left * likely * means[place] ** 2
        left *= 1.0 - likely
    return total, squares, deciding


def heights(plan: Plan) -> list[list[str]]:
    """The services by how many calls follow one another behind them at most, those without calls first."""
    known: dict[str, int] = {}
    found: dict[int, list[str]] = {}
    for name in reversed(plan.order):
        callees = (known[call.callee] for stage in plan.handlings[name].stages for call in stage.calls)
        known[name] = 1 + max(callees, default=-1)
        found.setdefault(known[name], []).append(name)
    return [found[height] for height in range(len(found))]


def _vary(stages: Iterable[_Stage], waits: Mapping[str, Sequence[float]]) -> None:
    """Make the stages with calls that vary as long as the longest of these, all of equally many calls at once."""
    by_size: dict[int, list[_Stage]] = {}
    for stage in stages:
        if any(variance > 0.0 for _, variance in stage.ones):
            by_size.setdefault(len(stage.calls), []).append(stage)
    for alike in by_size.values():
        columns = np.array([[_varying(*one) for one in zip(stage.calls, stage.ones, strict=True)] for stage in alike])
        waiting = np.array([[_waits(call, waits) for call in stage.calls] for stage in alike])
        means, variances, certain, likely = columns.transpose(2, 0, 1)
        found = longest(means, variances, certain, likely, waiting.transpose(2, 0, 1))
        parts = (part.tolist() for part in (found.mean, found.variance, found.decides, found.excess))
        for stage, mean, variance, deciding, excess in zip(alike, *parts, strict=True):
            if mean > stage.mean:
                stage.mean, stage.variance, stage.deciding, stage.excess = mean, variance, deciding, excess


def _varying(call: Call, one: tuple[float, float]) -> tuple[float, float, float, float]:
    """A call as `longest` takes it, from mean and variance of one: calls in a row are one that is longer."""
    mean, variance = one
    number = call.calls_per_request
    rest = number - math.floor(number)
    if _in_a_row(call):
        return number * mean, number * variance + rest * (1.0 - rest) * mean * mean, 1.0, 0.0
    return mean, variance, number - rest, rest


def _waits(call: Call, waits: Mapping[str, Sequence[float]]) -> Sequence[float]:
    return NO_WAITS if _in_a_row(call) else waits.get(call.id, NO_WAITS)


def _in_a_row(call: Call) -> bool:
    return call.repeat == "sequential" and call.calls_per_request > 1.0


def answer(
    plan: Plan,
    entries: Sequence[Ingress],
    own_ns: Mapping[str, float],
    hops: Hops,
    own_variances: Mapping[str, float] | None = None,
) -> Answer:
    """The answer over all entries, weighted by their rates. Linear in the number of calls but for sorting stages.

    Variances of own times are in ns² and by the same names; what is left out does not vary.
    """
    own_variances, hop_ns = own_variances or {}, hops.means
    times = _Times(plan, (own_ns, own_variances), hops)
    edge_weights = dict.fromkeys(hop_ns, 0.0)
    services, above = dict.fromkeys(plan.order, 0.0), dict.fromkeys(plan.order, 0.0)
    following = dict.fromkeys(plan.order, 0.0)
    shares = entry_shares(entries)
    mean = delay = 0.0
    for entry, share in zip(entries, shares, strict=True):
        edge_weights[entry.id] = share
        services[entry.service] += share
        mean += share * (hop_ns[entry.id] + times.mean[entry.service])
    for name in plan.order:
        weight, variance, handling = services[name], times.variance[name], plan.handlings[name]
        each = above[name] / variance if variance > 0.0 else 0.0  # ns above the mean by ns² of variance
        if each > 0.0 and own_ns[name] > 0.0:
            services[name] += each * own_variances.get(name, 0.0) / own_ns[name]
        left = following[name] / weight if weight > 0.0 else 0.0
        rests = _rests(handling, times.stages[name], left)
        for call, rest in (
            (call, rest) for stage, rest in zip(handling.stages, rests, strict=True) for call in stage.calls
        ):
            one = times.calls[call.id]
            more = weight * one.excess + each * one.variance
            counted = weight * one.factor
            if more != 0.0 and one.mean > 0.0:
                counted += more * one.by_chance / one.mean
                above[call.callee] += more * (1.0 - one.by_chance - one.of_hop)
            services[call.callee] += counted
            following[call.callee] += counted * rest
            of_hop = more * one.of_hop / hop_ns[call.id] if hop_ns[call.id] > 0.0 else 0.0
            edge_weights[call.id] = counted + of_hop + weight * one.hop_factor
        for call in handling.background:
            if call.calls_per_request >= RAREST and (taken := times.one(call)[0]) > 0.0:
                counted = weight * call.calls_per_request * min(taken, left) / taken / times.cpus
                edge_weights[call.id] = counted
                services[call.callee] += counted
                delay += counted * taken
    return Answer(mean + delay, services, edge_weights, path(entries, times.main), times.mean, delay)


def _rests(handling: Handling, stages_ns: Sequence[float], left: float) -> list[float]:
    """By stage, how long a request goes on after a call of it, in ns: `left` is that of the caller.

    Of n calls in a row one has half of the others behind it on average; so has one of n that share CPUs.
    """
    found: list[float] = []
    for stage, taken in zip(reversed(handling.stages), reversed(stages_ns), strict=True):
        number = math.fsum(call.calls_per_request for call in stage.calls)
        found.append(left + following_share(max(number, 1.0)) * taken)
        left += taken
    return found[::-1]


def entry_shares(entries: Sequence[Ingress]) -> list[float]:
    """The part of requests that comes in at each entry."""
    total = sum(entry.rate_rps for entry in entries)
    return [entry.rate_rps / total if total > 0 else 1.0 / len(entries) for entry in entries]


def path(entries: Sequence[Ingress], main: Mapping[str, Sequence[Call]]) -> tuple[str, ...]:
    """From the entry with most requests on: edges in the order in which they are first met, each service once.

    `main` is by service the call that decides most of each stage, as far as a request waits for it.
    """
    shares = entry_shares(entries)
    entry = entries[max(range(len(entries)), key=lambda index: shares[index])]
    found, seen, waiting = [entry.id], {entry.service}, list(reversed(main[entry.service]))
    while waiting:
        call = waiting.pop()
        found.append(call.id)
        if call.callee not in seen:
            seen.add(call.callee)
            waiting += reversed(main[call.callee])
    return tuple(found)
