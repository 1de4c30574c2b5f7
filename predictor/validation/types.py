"""What a validation is: predicted and measured overhead side by side. Pure values; ns and vCPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from predictor.predict.types import Estimate
from profiler.measuring.applications import AnchorCell, AnchorReading


@dataclass(frozen=True, slots=True)
class Score:
    """One figure, predicted and measured, each with its 95 % interval.

    `anchored` is what is predicted at the speed that the machine had during the validation, as the anchor cells tell.
    The measured figure is held against that: of the 21 development graphs its mean |error| of p50 and CPU was the
    smaller one with each of four profiles (of 12 others with one of two).
    """

    predicted: Estimate
    anchored: Estimate
    measured: Estimate

    @property
    def error_ratio(self) -> float | None:
        """Predicted over measured, minus one; None where nothing was measured."""
        return self.predicted.value / self.measured.value - 1.0 if self.measured.value > 0 else None

    @property
    def anchored_error_ratio(self) -> float | None:
        """The same of the anchored prediction."""
        return self.anchored.value / self.measured.value - 1.0 if self.measured.value > 0 else None

    @property
    def inside_interval(self) -> bool:
        """Whether the measured value is in the interval of the anchored prediction."""
        return self.anchored.low <= self.measured.value <= self.anchored.high


@dataclass(frozen=True, slots=True)
class Variant:
    """Overhead of one variant: latency by percentile (`p50`, `p90`, `p99`), CPU in all, by service and by component.

    `latency_by_service` is of the median time that a service with calls takes for a request, if it was reached.
    """

    name: str
    latency: Mapping[str, Score]
    latency_by_service: Mapping[str, Score]
    cpu: Score
    cpu_by_service: Mapping[str, Score]
    cpu_by_component: Mapping[str, Score]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Saving:
    """What a what-if saves against the graph as it is: p50 latency in ns, and vCPU."""

    name: str
    latency: Score
    cpu: Score


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor cell in the profile and here: overhead at the median and of CPU per request, and its rounds here.

    All in ns. CPU that the profile does not tell is 0 there.
    """

    cell: AnchorCell
    profiled: AnchorReading
    rounds: tuple[AnchorReading, ...]

    @property
    def measured(self) -> AnchorReading:
        """The median of the rounds, of each currency."""
        return AnchorReading(median(one.latency_ns for one in self.rounds), median(one.cpu_ns for one in self.rounds))

    @property
    def factor(self) -> float:
        """How much longer a request takes than when the profile was made."""
        return self.measured.latency_ns / self.profiled.latency_ns

    @property
    def cpu_factor(self) -> float:
        """How much more CPU time a request needs than then, so how much slower the machine is; else as `factor`."""
        return self.measured.cpu_ns / self.profiled.cpu_ns if self._tells_cpu else self.factor

    @property
    def off_in_all_rounds(self) -> bool:
        """Whether every round was slower than the profile, or every round faster."""
        sides = {
            one.cpu_ns > self.profiled.cpu_ns if self._tells_cpu else one.latency_ns > self.profiled.latency_ns
            for one in self.rounds
        }
        return len(sides) == 1

    @property
    def _tells_cpu(self) -> bool:
        return self.profiled.cpu_ns > 0.0 and self.measured.cpu_ns > 0.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured without sidecars: latency in ns by percentile, vCPU of the node, and of each service."""

    latency_ns: Mapping[str, float]
    vcpu: float
    by_service_vcpu: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Validation:
    """A graph's predictions scored. `variants` begin with the graph as it is.

    `anchors` begin with HTTP/1.1's, hot if the profile has that.
    """

    graph: str
    temperature: str
    placement: str
    rate_rps: float
    rounds: int
    seconds: float
    services: int
    baseline: Baseline
    anchors: tuple[Anchor, ...]
    variants: tuple[Variant, ...]
    savings: tuple[Saving, ...]
    environment: Mapping[str, object]
    profile_run_id: str
    warnings: tuple[str, ...] = ()
