"""Predictions scored against measurements. Pure arithmetic.

Measured overheads are differences of medians over all rounds; their intervals come from drawing rounds again, the same
rounds of both variants, since drift touches them alike.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from predictor.models.types import Floats
from predictor.predict.types import Estimate, Prediction, ServicePrediction
from predictor.validation.measuring import Rounds
from predictor.validation.types import Baseline, Saving, Score, Variant
from predictor.what_if.comparison import Saving as Predicted
from profiler.measuring.applications import CpuReading, LatencyReading
from profiler.vocabulary.components import EVENT_WAIT, IPC, REDIRECT, SOCKET_READ, SOCKET_WRITE
from profiler.vocabulary.cpu_states import USER

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0}

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "network": (IPC, REDIRECT, SOCKET_READ, SOCKET_WRITE),
    EVENT_WAIT: (EVENT_WAIT,),
}
"""Components as they can be told apart here: without sampled stacks, netfilter is part of what it is nested in."""

USER_TIME: Final = "proxy user time"
REMAINDER: Final = "other"
_DRAWS: Final = 1000
_SEED: Final = 5
_NS: Final = 1e-9


def score_variant(
    name: str, baseline: str, found: Rounds, predicted: Prediction, anchored: Prediction, rate_rps: float
) -> Variant:
    """One variant against its baseline, as predicted and at the machine's speed of now."""
    latency = {
        label: Score(
            predicted.latency[label].overhead_ns,
            anchored.latency[label].overhead_ns,
            measured_latency(found, name, baseline, percent),
        )
        for label, percent in PERCENTILES.items()
    }

    def cpu(raw: Estimate, now: Estimate, reading: Callable[[CpuReading], float]) -> Score:
        return Score(raw, now, measured_cpu(found, name, baseline, rate_rps, reading))

    services = list(zip(predicted.services, anchored.services, strict=True))
    grouped, grouped_now = grouped_estimates(predicted), grouped_estimates(anchored)
    return Variant(
        name,
        latency,
        {
            raw.name: Score(median_answer(raw, predicted), median_answer(now, anchored), measured)
            for raw, now in services
            if raw.answer.overhead_ns.value > 0.0
            and (measured := measured_answer(found, name, baseline, raw.name)) is not None
        },
        cpu(predicted.vcpu, anchored.vcpu, _busy),
        {raw.name: cpu(raw.vcpu, now.vcpu, _service_ns(raw.name)) for raw, now in services},
        {group: cpu(raw, grouped_now[group], _group_ns(group)) for group, raw in grouped.items()},
        predicted.warnings,
    )


def median_answer(service: ServicePrediction, prediction: Prediction) -> Estimate:
    """A service's mean overhead, times the graph's median over its mean."""
    mean, median = (prediction.latency[name].overhead_ns.value for name in ("mean", "p50"))
    return service.answer.overhead_ns.scaled(median / mean if mean > 0.0 else 1.0)


def grouped_estimates(prediction: Prediction) -> dict[str, Estimate]:
    """Predicted CPU by what can be told apart here."""
    parts = prediction.vcpu_by_component
    values, lows, highs = (
        _grouped({key: getattr(part, end) for key, part in parts.items()}) for end in ("value", "low", "high")
    )
    return {group: Estimate(value, lows[group], highs[group]) for group, value in values.items()}


def score_saving(name: str, predicted: Predicted, anchored: Predicted, measured: tuple[Estimate, Estimate]) -> Saving:
    """What a what-if saves: of the median, and of CPU. `measured` is as `measured_saving` gives it."""
    latency, cpu = measured
    return Saving(
        name,
        Score(predicted.latency_ns["p50"], anchored.latency_ns["p50"], latency),
        Score(predicted.vcpu, anchored.vcpu, cpu),
    )


def measured_saving(
    found: Rounds, before: Variant, after: Variant, rate_rps: float, *, one_baseline: bool
) -> tuple[Estimate, Estimate]:
    """By how much less the overhead of `after` is: of the median in ns, of CPU in vCPU.

    With one baseline the two are held against each other, round by round: what the baseline varies is no matter.
    """
    if one_baseline:
        latency = measured_latency(found, before.name, after.name, PERCENTILES["p50"])
        return latency, measured_cpu(found, before.name, after.name, rate_rps, _busy)
    return (
        _less(before.latency["p50"].measured, after.latency["p50"].measured),
        _less(before.cpu.measured, after.cpu.measured),
    )


def _less(before: Estimate, after: Estimate) -> Estimate:
    """The difference of two figures that were measured apart: their errors add up in squares."""
    value = before.value - after.value
    below = float(np.hypot(before.value - before.low, after.high - after.value))
    above = float(np.hypot(before.high - before.value, after.value - after.low))
    return Estimate(value, value - below, value + above)


def measured_latency(found: Rounds, name: str, reference: str, percent: float) -> Estimate:
    """By how much a percentile of latency is higher than that of the reference, in ns."""
    return _difference(_latencies(found.latency[name]), _latencies(found.latency[reference]), percent)


def measured_answer(found: Rounds, name: str, reference: str, service: str) -> Estimate | None:
    """By how much longer a service takes for its requests at the median, in ns.

    Rounds that did not reach the service, which is called for some requests only, do not count; None without others.
    """
    ours, theirs = (
        [reading.by_service_ns[service].astype(np.float64) for reading in found.latency[key]]
        for key in (name, reference)
    )
    reached = [(with_, without) for with_, without in zip(ours, theirs, strict=False) if len(with_) and len(without)]
    if not reached:
        return None
    return _difference([with_ for with_, _ in reached], [without for _, without in reached], 50.0)


def _difference(ours: Sequence[Floats], theirs: Sequence[Floats], percent: float) -> Estimate:
    def statistic(indices: Sequence[int]) -> float:
        first, second = (np.concatenate([rounds[index] for index in indices]) for rounds in (ours, theirs))
        return float(np.percentile(first, percent) - np.percentile(second, percent))

    return _interval(statistic, min(len(ours), len(theirs)))


def measured_cpu(
    found: Rounds, name: str, reference: str, rate_rps: float, reading: Callable[[CpuReading], float]
) -> Estimate:
    """By how much more CPU is used than in the reference, at the rate, in vCPU."""
    ours, theirs = found.cpu[name], found.cpu[reference]

    def statistic(indices: Sequence[int]) -> float:
        first, second = (
            sum(reading(rounds[index]) for index in indices) / sum(rounds[index].requests for index in indices)
            for rounds in (ours, theirs)
        )
        return float((first - second) * rate_rps * _NS)

    return _interval(statistic, min(len(ours), len(theirs)))


def _interval(statistic: Callable[[Sequence[int]], float], rounds: int) -> Estimate:
    value = statistic(range(rounds))
    if rounds < 2:
        return Estimate(value, value, value)
    random = np.random.default_rng(_SEED)
    draws = [statistic(random.integers(0, rounds, rounds).tolist()) for _ in range(_draws_for(rounds))]
    low, high = np.quantile(draws, (0.025, 0.975))
    return Estimate(value, min(float(low), value), max(float(high), value))


def _draws_for(rounds: int) -> int:
    return min(_DRAWS, 200 * rounds)


def _latencies(readings: Sequence[LatencyReading]) -> list[Floats]:
    return [reading.latency_ns.astype(np.float64) for reading in readings]


def _busy(reading: CpuReading) -> float:
    return reading.busy_ns


def _service_ns(name: str) -> Callable[[CpuReading], float]:
    return lambda reading: reading.by_service_ns.get(name, 0.0)


def _group_ns(group: str) -> Callable[[CpuReading], float]:
    return lambda reading: _grouped(reading.components_ns)[group]


def _grouped(components: Mapping[str, float]) -> dict[str, float]:
    """Sums by group. User time of the sidecars is all that is neither a group's nor the remainder's."""
    found = {group: sum(components.get(name, 0.0) for name in names) for group, names in GROUPS.items()}
    remainder = ("other", "unexplained", "queueing")
    found[REMAINDER] = sum(components.get(name, 0.0) for name in remainder)
    if USER in components:
        found[USER_TIME] = components[USER]
    else:
        known = {name for names in GROUPS.values() for name in names} | set(remainder)
        found[USER_TIME] = sum(value for name, value in components.items() if name not in known)
    return found


def measured_baseline(found: Rounds, name: str, rate_rps: float, percentiles: Mapping[str, float]) -> Baseline:
    """What a variant without sidecars takes."""
    pooled = np.concatenate(_latencies(found.latency[name]))
    latency = {label: float(np.percentile(pooled, percent)) for label, percent in percentiles.items()}
    readings = found.cpu[name]
    each = rate_rps * _NS / sum(reading.requests for reading in readings)
    spent = sum(reading.busy_ns for reading in readings)
    by_service: Counter[str] = Counter()
    for reading in readings:
        by_service.update(reading.by_service_ns)
    return Baseline(latency, spent * each, {service: ns * each for service, ns in by_service.items()})
