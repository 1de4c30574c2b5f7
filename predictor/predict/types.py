"""What a prediction is. Pure values; times in ns, CPU in processors kept busy (vCPU), memory in bytes."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from predictor.models.types import Floats
from predictor.predict.intervals import central, with_own_error
from predictor.predict.own_error import LEVELS, NARROWER, own_error

WIDEST: Final = 2.0
"""A percentile of the tail that may be off by a larger factor is not shown as a number."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def scaled(self, factor: float) -> "Estimate":
        """The same times a positive factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Headline(Estimate):
    """A figure of the whole graph, with its 80 % interval too."""

    low80: float
    high80: float

    @property
    def inner(self) -> tuple[float, float]:
        """Both ends of the 80 % interval."""
        return self.low80, self.high80


@dataclass(frozen=True, slots=True)
class Latency:
    """One statistic of the time to answer a request from outside, without and with sidecars, and their difference.

    It is not `finite` where a sidecar has more work than time: requests then queue without end. `with_ns` and
    `overhead_ns` then only tell a search which of two graphs is further from being carried; they are never shown. Nor
    are they where `not_known` says why the figure is too uncertain to be one.
    """

    without_ns: float
    with_ns: float
    overhead_ns: Headline
    finite: bool = True
    not_known: str = ""

    @property
    def shown_with_ns(self) -> float | None:
        """The time with sidecars, None where it is not finite or not known."""
        return self.with_ns if self.finite and not self.not_known else None

    @property
    def shown_overhead_ns(self) -> Headline | None:
        """The difference, None where it is not finite or not known."""
        return self.overhead_ns if self.finite and not self.not_known else None

    @property
    def overhead_share(self) -> float | None:
        """The overhead over the baseline, None where there is no baseline or no overhead to show."""
        over = self.shown_overhead_ns
        return over.value / self.without_ns if self.without_ns > 0 and over is not None else None

    def document(self) -> dict[str, Any]:
        """Plain JSON values."""
        over = self.shown_overhead_ns
        return {
            "without_ns": self.without_ns,
            "with_ns": self.shown_with_ns,
            "overhead_ns": None if over is None else asdict(over),
            "not_known": self.not_known or None,
        }


@dataclass(frozen=True, slots=True)
class EdgePrediction:
    """One edge.

    `latency_ns` is the overhead of one call on it; `path_weight` how many of its calls a request from outside waits
    for, before and with the overhead; `by_component_ns` splits latency, `cpu_by_component_ns` CPU per call.
    `cold_weights` are the temperatures used for its client's and its server's sidecar, `sigmas` the lognormal sigmas
    with which the overhead at those varies.
    """

    id: str
    rate_rps: float
    latency_ns: Estimate
    vcpu: Estimate
    path_weight_before: float
    path_weight: float
    by_component_ns: Mapping[str, float]
    cpu_by_component_ns: Mapping[str, float]
    cold_weights: tuple[float, float]
    sigmas: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ServicePrediction:
    """One service: what its sidecars add to the time of a request from outside (on the path), to CPU and memory.

    `utilisation` is that of a worker of its sidecar, `cold_weight` the temperature used; `by_component_ns` and
    `vcpu_by_component` split its latency and CPU. `answer` is the mean time it takes for a request with its calls; its
    interval is that of the graph's mean in proportion.
    """

    name: str
    answer: Latency
    latency_ns: Estimate
    vcpu: Estimate
    baseline_vcpu: float
    memory_bytes: float | None
    utilisation: float
    cold_weight: float
    by_component_ns: Mapping[str, float]
    vcpu_by_component: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """The load of an entry that has connections instead of a rate: requests per second, without and with sidecars.

    All figures of the prediction are at the rate with sidecars.
    """

    entry: str
    connections: int
    without_rps: float
    with_rps: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The overhead of a call graph. Components of latency and `hidden_ns` add up to the mean overhead.

    `hidden_ns`, never positive, is overhead that no request waits for since it runs beside a longer branch: it appears
    when the critical path moves. `latency` has `mean`, and `p50`, `p90`, `p99` where they were asked for. `draws` are
    the imagined runs behind the intervals, of the mean overhead in ns (`latency`) and of vCPU (`cpu`): those of two
    predictions from one model belong together by their place. `own_errors` are the model's own errors that intervals
    hold in addition, by the same names. `carried_rps` is about how many requests per second from outside the sidecars
    can carry, None where they have no work; above it no latency is finite, and the figures of services, calls and
    components leave out waiting at the overloaded sidecars. `placements` are those of the cells that stand for the
    calls, `crossing_share` the share of hand-overs that go to another CPU, None where not counted.
    """

    graph: str
    latency: Mapping[str, Latency]
    latency_by_component_ns: Mapping[str, Estimate]
    hidden_ns: float
    vcpu: Headline
    baseline_vcpu: float
    vcpu_by_component: Mapping[str, Estimate]
    memory_bytes: float | None
    services: tuple[ServicePrediction, ...]
    edges: tuple[EdgePrediction, ...]
    path_before: tuple[str, ...]
    path_after: tuple[str, ...]
    assumptions: tuple[str, ...]
    extrapolations: tuple[str, ...]
    warnings: tuple[str, ...]
    carried_rps: float | None = None
    placements: tuple[str, ...] = ()
    crossing_share: float | None = None
    closed_loop: ClosedLoop | None = None
    draws: Mapping[str, Floats] = field(default_factory=dict, compare=False, repr=False)
    own_errors: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)


def headline(figure: str, profiled: Estimate, *, intervals: bool = True) -> Headline:
    """A figure that is 0 or more, with the model's own error (of `figure`) added to what the profile's draws say."""
    value, low, high = (np.array([end]) for end in (profiled.value, profiled.low, profiled.high))
    ends: list[float] = []
    for level, scale in zip(LEVELS, (1.0, NARROWER), strict=True):
        error = (own_error(figure, level) or 0.0) if intervals else 0.0
        inner = with_own_error(value, value - scale * (value - low), value + scale * (high - value), error, 0.0)
        ends += [float(end[0]) for end in inner]
    return Headline(profiled.value, *ends)


def not_known(figure: str, found: Headline) -> str:
    """Why a percentile of the tail is not known well enough to be shown; empty where it is."""
    if own_error(figure) is None:
        return f"{figure}: not known: too few graphs with enough requests were measured to learn its error"
    if found.high > WIDEST * found.value or found.low < found.value / WIDEST:
        return f"{figure}: not known within a factor of {WIDEST:g}"
    return ""


def estimate(value: float, draws: Floats, *, error: float = 0.0, least: float = -math.inf) -> Estimate:
    """The figure with the central 95 % of its draws and an error, none below `least`; the interval holds the figure."""
    return estimates(np.array([value]), draws[None], error=error, least=least)[0]


def estimates(values: Floats, draws: Floats, *, error: float = 0.0, least: float = -math.inf) -> list[Estimate]:
    """`estimate` of many figures at once; `draws` is figures × draws."""
    low, high = with_own_error(values, *central(draws), error, least)
    return [Estimate(*row) for row in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)]
