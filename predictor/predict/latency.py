"""How long a request takes, exactly, for given times of services and hops; and which of them it waits for. Pure.

A service takes its own time plus its stages; a stage takes its longest call. Calls that happen with a probability are
met with it: of calls t₁ ≥ t₂ ≥ … with probabilities p, the expected longest is Σ tᵢ pᵢ Πⱼ﹤ᵢ (1 − pⱼ). So the mean is
a weighted sum of own times and hops, and the weights say what a request waits for. Times are taken at their means:
where parallel branches vary, the longest of them is longer on average than this says; percentiles sample that.

Calls at the same time need CPUs at the same time. Where it is known how many there are, a stage takes no less than the
work of its calls over the CPUs (Graham's bound), services and sidecars taken to be on the CPU all of their time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from predictor.graph.plan import Plan
from predictor.graph.types import Call, Ingress


@dataclass(frozen=True, slots=True)
class Answer:
    """Mean time of a request from outside in ns, and how often it waits for each service and edge.

    `mean_ns` = Σ service_weights × own time + Σ edge_weights × hop time. `path` is the chain of edges in front of all
    others: in each stage the call that decides most. `response_ns` is how long each service takes with its calls.
    """

    mean_ns: float
    service_weights: Mapping[str, float]
    edge_weights: Mapping[str, float]
    path: tuple[str, ...]
    response_ns: Mapping[str, float]


def answer(plan: Plan, entries: Sequence[Ingress], own_ns: Mapping[str, float], hop_ns: Mapping[str, float]) -> Answer:
    """The answer over all entries, weighted by their rates. Linear in the number of calls but for sorting stages."""
    response: dict[str, float] = {}
    factors: dict[str, float] = {}
    main: dict[str, list[Call]] = {}
    for name in reversed(plan.order):
        total, chosen = own_ns[name], []
        for stage in plan.handlings[name].stages:
            stage_ns, first = _stage(stage.calls, response, hop_ns, factors, plan.cpus)
            total += stage_ns
            chosen.append(first)
        response[name], main[name] = total, chosen
    edge_weights = dict.fromkeys(hop_ns, 0.0)  # asynchronous calls keep that
    services = dict.fromkeys(plan.order, 0.0)
    shares = _entry_shares(entries)
    mean = 0.0
    for entry, share in zip(entries, shares, strict=True):
        edge_weights[entry.id] = share
        services[entry.service] += share
        mean += share * (hop_ns[entry.id] + response[entry.service])
    for name in plan.order:
        for stage in plan.handlings[name].stages:
            for call in stage.calls:
                weight = services[name] * factors[call.id]
                edge_weights[call.id] = weight
                services[call.callee] += weight
    return Answer(mean, services, edge_weights, _path(entries, shares, main, factors), response)


def _stage(
    calls: Sequence[Call], response: Mapping[str, float], hop_ns: Mapping[str, float], factors: dict[str, float],
    cpus: float,
) -> tuple[float, Call]:  # fmt: skip
    """Expected time of a stage, and the call that decides most of it; writes how many calls of each are waited for."""
    if len(calls) == 1:  # as in most stages, and nothing to sort
        call = calls[0]
        number = call.calls_per_request
        factors[call.id] = number if call.repeat == "sequential" else max(min(number, 1.0), number / cpus)
        return factors[call.id] * (hop_ns[call.id] + response[call.callee]), call
    timed = []
    for call in calls:
        times = max(call.calls_per_request, 1.0) if call.repeat == "sequential" else 1.0
        timed.append((times * (hop_ns[call.id] + response[call.callee]), times, call))
    timed.sort(key=lambda entry: -entry[0])
    left, total, most, first = 1.0, 0.0, -1.0, timed[0][2]
    for time_ns, times, call in timed:
        decides = left * min(call.calls_per_request, 1.0)
        factors[call.id] = decides * times
        total += decides * time_ns
        if decides * time_ns > most:
            most, first = decides * time_ns, call
        left *= 1.0 - min(call.calls_per_request, 1.0)
    work = sum(call.calls_per_request / times * time_ns for time_ns, times, call in timed)
    if work > cpus * total:
        factors.update((call.id, call.calls_per_request / cpus) for call in calls)
        return work / cpus, max(timed, key=lambda entry: entry[2].calls_per_request / entry[1] * entry[0])[2]
    return total, first


def _entry_shares(entries: Sequence[Ingress]) -> list[float]:
    total = sum(entry.rate_rps for entry in entries)
    return [entry.rate_rps / total if total > 0 else 1.0 / len(entries) for entry in entries]


def _path(
    entries: Sequence[Ingress],
    shares: Sequence[float],
    main: Mapping[str, Sequence[Call]],
    factors: Mapping[str, float],
) -> tuple[str, ...]:
    """From the entry with most requests on: edges in the order in which they are first met, each service once."""
    entry = entries[max(range(len(entries)), key=lambda index: shares[index])]
    found, seen, waiting = [entry.id], {entry.service}, list(reversed(main[entry.service]))
    while waiting:
        call = waiting.pop()
        if factors[call.id] > 0.0:
            found.append(call.id)
            if call.callee not in seen:
                seen.add(call.callee)
                waiting += reversed(main[call.callee])
    return tuple(found)
