"""What the model's own error is, from validations of random graphs. Pure: predictions and documents in, values out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from predictor.predict.own_error import FIGURES, LEVELS, learnt, score
from predictor.predict.types import Estimate, Prediction, estimate
from profiler.errors import UsageError

_BEYOND: Final = 4.0
"""A percentile is measured well enough to learn from where so many requests are beyond it."""

_KNOWN: Final = 0.5
"""A figure is measured well enough to learn from where half of its 95 % interval is at most that part of it."""

_PERCENTS: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0}


@dataclass(frozen=True, slots=True)
class Scored:
    """A figure as the profile alone gives it, with what was measured. ns or vCPU."""

    predicted: Estimate
    measured: float

    def error(self, level: float) -> float:
        """The least own error with which the interval of that level holds what was measured."""
        return score(self.predicted.value, self.predicted.low, self.predicted.high, self.measured, level)


def scored(document: Mapping[str, Any], found: Prediction) -> dict[str, Scored]:
    """The figures of a validation, predicted and measured; without those that were measured as nothing, or poorly."""
    latency, cpu = document["latency"], document["cpu"]
    figures = {
        name: (_percentile(name, found), latency[f"measured_{name}_ns"], latency[f"measured_{name}_ci95_ns"])
        for name in _PERCENTS
    }
    figures["cpu"] = _profiled(found.vcpu.value, found, "cpu"), cpu["measured_vcpu"], cpu["measured_ci95_vcpu"]
    requests = document["rate_rps"] * document["rounds"] * document["seconds"]
    return {
        name: Scored(predicted, measured)
        for name, (predicted, measured, (low, high)) in figures.items()
        if min(predicted.value, measured) > 0.0
        and high - low <= 2.0 * _KNOWN * measured
        and round(requests * _beyond(name), 6) >= _BEYOND
    }


def _beyond(name: str) -> float:
    """The share of requests beyond a percentile, for CPU as for the median."""
    return 1.0 - _PERCENTS.get(name, 50.0) / 100.0


def _percentile(name: str, found: Prediction) -> Estimate:
    """A percentile with what the profile says of the mean's interval, in proportion."""
    mean = _profiled(found.latency["mean"].overhead_ns.value, found, "latency")
    value = found.latency[name].overhead_ns.value
    return mean.scaled(value / mean.value) if mean.value > 0.0 else Estimate(value, value, value)


def _profiled(value: float, found: Prediction, currency: str) -> Estimate:
    """The figure with the interval of its draws alone, without the model's own error."""
    return estimate(value, found.draws[currency], least=0.0)


def own_errors(graphs: Mapping[str, Mapping[str, Scored]]) -> dict[str, dict[str, float]]:
    """What `own_error.json` has of each figure. Raises `UsageError`: too few graphs; the tail may lack."""
    found: dict[str, dict[str, float]] = {}
    for figure in FIGURES:
        known = [one[figure] for one in graphs.values() if figure in one]
        try:
            found |= learnt({figure: {level: [one.error(level) for one in known] for level in LEVELS}})
        except ValueError as error:
            if figure in ("p50", "cpu"):
                raise UsageError(f"--calibrate: {error}; measure more development seeds") from None
    return found
