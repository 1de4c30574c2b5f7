"""How long a request takes on average, for given times of services and hops; and which of them it waits for. Pure.

A service takes its own time plus its stages; a stage takes its longest call. Calls that happen with a probability are
met with it: of calls t₁ ≥ t₂ ≥ … with probabilities p, the expected longest is Σ tᵢ pᵢ Πⱼ﹤ᵢ (1 − pⱼ). So the mean is
a weighted sum of own times and hops, and the weights say what a request waits for. Where calls at the same time vary,
the mean of the longest of them is above the longest of their means: variances are handed up with the means
(`predictor.predict.longest`), and what the longest takes above its mean goes, down again, to what varies.

Calls at the same time share CPUs, where it is known how many there are, and their caller's sidecar
(`predictor.predict.schedule`); services and sidecars are taken to be on the CPU all of their time. Nobody waits for an
asynchronous call, but it shares the CPUs with the rest of the request, which starts when its caller is done: of the
work that falls into that rest, one of k CPUs has a k-th part. So an asynchronous call has the weight of a call that is
waited for with that part.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from predictor.graph.plan import Handling, Plan
from predictor.graph.types import Call, Ingress
from predictor.models.types import Floats
from predictor.predict.longest import longest
from predictor.predict.schedule import CALLER_SHARE, RAREST, following_share, uneven


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
    waits: Mapping[str, Floats] = field(default_factory=dict)
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


class _Times:
    """Means and variances of services with their calls, worked out from the last callee up."""

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
        self._hops = hops
        self._cpus = plan.cpus
        for name in reversed(plan.order):
            mean, variance, chosen, stages = own[0][name], own[1].get(name, 0.0), [], []
            for stage in plan.handlings[name].stages:
                stage_mean, stage_variance, first = self._stage(stage.calls)
                mean, variance = mean + stage_mean, variance + stage_variance
                chosen.append(first)
                stages.append(stage_mean)
            self.stages[name] = stages
            self.mean[name], self.variance[name], self.main[name] = mean, variance, chosen

    def one(self, call: Call) -> tuple[float, float]:
        """Mean and variance of one call on the edge."""
        variance = self._hops.variances.get(call.id, 0.0) + self.variance[call.callee]
        return self._hops.means[call.id] + self.mean[call.callee], variance

    def _stage(self, calls: Sequence[Call]) -> tuple[float, float, Call]:
        """Mean and variance of a stage, and the call that decides most of it; notes how its calls are waited for."""
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
        variance, excess = max(squares - total * total, 0.0), [0.0] * len(calls)
        if any(one[1] > 0.0 for one in ones):
            found = _longest(calls, ones, [self._hops.waits.get(call.id) for call in calls])
            if found[0] > total:
                total, variance, deciding, excess = found
        behind = [
            CALLER_SHARE * self._hops.client_shares.get(call.id, 0.0)
            * max(call.calls_per_request - decides * _times(call), 0.0)
            for call, decides in zip(calls, deciding, strict=True)
        ]  # fmt: skip
        total += sum(each * self._hops.means[call.id] for call, each in zip(calls, behind, strict=True))
        work = sum(call.calls_per_request * mean for call, (mean, _) in zip(calls, ones, strict=True))
        part = uneven(self._cpus)
        if work > self._cpus * (1.0 - part) * total:
            total = work / self._cpus + part * total
            excess, behind = ([part * each for each in parts] for parts in (excess, behind))
            deciding = [
                call.calls_per_request / _times(call) / self._cpus + part * decides
                for call, decides in zip(calls, deciding, strict=True)
            ]
            numbers = [call.calls_per_request for call in calls]
            variance *= part**2
            variance += sum(n * v for n, (_, v) in zip(numbers, ones, strict=True)) / self._cpus**2
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


def _longest(
    calls: Sequence[Call], ones: Sequence[tuple[float, float]], waits: Sequence[Floats | None]
) -> tuple[float, float, list[float], list[float]]:
    """Mean and variance of the longest of calls that vary; how often each is it, and by how much it is then longer."""
    columns, waiting = np.empty((4, 1, len(calls))), np.zeros((4, 1, len(calls)))
    for place, (call, (mean, variance)) in enumerate(zip(calls, ones, strict=True)):
        number = call.calls_per_request
        whole = float(math.floor(number))
        if call.repeat == "sequential" and number > 1.0:
            varying = number * variance + (number - whole) * (1.0 - number + whole) * mean * mean
            columns[:, 0, place] = (number * mean, varying, 1.0, 0.0)
        else:
            columns[:, 0, place] = (mean, variance, whole, number - whole)
            if (wait := waits[place]) is not None:
                waiting[:, 0, place] = wait
    found = longest(columns[0], columns[1], columns[2], columns[3], waiting)
    return float(found.mean[0]), float(found.variance[0]), found.decides[0].tolist(), found.excess[0].tolist()


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
    shares = _entry_shares(entries)
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
        delaying = _delaying(handling.background, times, left) / plan.cpus
        for call in handling.background:
            if call.calls_per_request >= RAREST:
                counted = weight * delaying * call.calls_per_request
                edge_weights[call.id] = counted
                services[call.callee] += counted
                delay += counted * times.one(call)[0]
    return Answer(mean + delay, services, edge_weights, _path(entries, shares, times), times.mean, delay)


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


def _delaying(calls: Sequence[Call], times: _Times, left: float) -> float:
    """The part of asynchronous calls that is done while the request goes on, for `left` ns."""
    work = sum(call.calls_per_request * times.one(call)[0] for call in calls if call.calls_per_request >= RAREST)
    return min(work, left) / work if work > 0.0 else 0.0


def _entry_shares(entries: Sequence[Ingress]) -> list[float]:
    total = sum(entry.rate_rps for entry in entries)
    return [entry.rate_rps / total if total > 0 else 1.0 / len(entries) for entry in entries]


def _path(entries: Sequence[Ingress], shares: Sequence[float], times: _Times) -> tuple[str, ...]:
    """From the entry with most requests on: edges in the order in which they are first met, each service once."""
    entry = entries[max(range(len(entries)), key=lambda index: shares[index])]
    found, seen, waiting = [entry.id], {entry.service}, list(reversed(times.main[entry.service]))
    while waiting:
        call = waiting.pop()
        if times.calls[call.id].factor > 0.0:
            found.append(call.id)
            if call.callee not in seen:
                seen.add(call.callee)
                waiting += reversed(times.main[call.callee])
    return tuple(found)
