"""What may not be exceeded: latency, its overhead, CPU and memory of all sidecars. Pure: texts in, values out."""

import math
from dataclasses import dataclass
from typing import Final

from predictor.predict.types import Estimate, Prediction
from profiler.errors import UsageError
from profiler.files.units import parse_cpus, parse_duration_ns, parse_size_bytes

STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")
"""Of the time to answer a request from outside."""

_BEYOND: Final = 2.0
"""A time that is not finite is at least so many times its limit."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`figure` is `latency` (with sidecars), `overhead`, `cpu` or `memory`; `bound` in ns, vCPU or bytes.

    `statistic` is that of latency and overhead. `text` is the option as it was given.
    """

    figure: str
    bound: float
    text: str
    statistic: str = ""

    @property
    def timed(self) -> bool:
        """Whether it limits a time."""
        return self.figure in ("latency", "overhead")

    def value(self, found: Prediction) -> Estimate:
        """What a prediction says of it. Raises `UsageError` for memory that was not profiled."""
        if self.figure == "cpu":
            return found.vcpu
        if self.figure == "memory":
            if found.memory_bytes is None:
                raise UsageError(f"{self.text}: the profile has no memory figures; profile again with this version")
            return Estimate(found.memory_bytes, found.memory_bytes, found.memory_bytes)
        part = found.latency[self.statistic]
        own = part.without_ns if self.figure == "latency" else 0.0
        over = part.overhead_ns
        if not part.finite:  # no limit holds it
            least = max(own + over.value, _BEYOND * self.bound)
            return Estimate(least, least, least)
        return Estimate(own + over.value, own + over.low, own + over.high)

    def finite(self, found: Prediction) -> bool:
        """Whether the figure is finite: latency is not where sidecars are overloaded."""
        return not self.timed or found.latency[self.statistic].finite

    def met(self, found: Prediction) -> bool:
        """Whether the figure itself keeps the limit; its interval may reach beyond."""
        return self.value(found).value <= self.bound


def parse_time_limit(option: str, figure: str, text: str) -> Limit:
    """The limit in `p99=50ms`. Raises `UsageError`."""
    whole = f"{option} {text}"
    statistic, equals, value = (part.strip() for part in text.partition("="))
    if not equals or statistic not in STATISTICS:
        raise UsageError(
            f"{whole}: expected STATISTIC=TIME, such as p99=50ms, STATISTIC one of {', '.join(STATISTICS)}"
        )
    try:
        bound = parse_duration_ns(value)
    except ValueError as error:
        raise UsageError(f"{whole}: {error}") from None
    return Limit(figure, _positive(whole, bound), whole, statistic)


def parse_memory_limit(option: str, text: str) -> Limit:
    """The limit in `2GiB`. Raises `UsageError`."""
    whole = f"{option} {text}"
    try:
        bound = parse_size_bytes(text)
    except ValueError as error:
        raise UsageError(f"{whole}: {error}") from None
    return Limit("memory", _positive(whole, bound), whole)


def parse_cpu_limit(option: str, text: str) -> Limit:
    """The limit in `4` or `200m`. Raises `UsageError`."""
    whole = f"{option} {text}"
    try:
        vcpu = parse_cpus(text)
    except ValueError as error:
        raise UsageError(f"{whole}: {error}") from None
    return Limit("cpu", _positive(whole, vcpu), whole)


def _positive(whole: str, bound: float) -> float:
    if not (math.isfinite(bound) and bound > 0.0):
        raise UsageError(f"{whole}: expected a limit above 0")
    return bound
