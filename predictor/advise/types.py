"""What advice is. Pure values; times in ns, CPU in vCPU, memory in bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from predictor.advise.changes import Change
from predictor.advise.limits import Limit
from predictor.graph.types import CallGraph
from predictor.predict.types import Estimate, Prediction


@dataclass(frozen=True, slots=True)
class Step:
    """One change and what it saves after those before it: mean latency, vCPU, memory, and percentiles where limited.

    Savings of all steps add up to the whole. Intervals are those of the difference. Where there are too many steps,
    percentiles and intervals are left out, and times where sidecars are overloaded before the change.
    """

    change: Change
    gives_up: str
    mean_ns: float | None
    mean_interval_ns: tuple[float, float] | None
    vcpu: float
    vcpu_interval: tuple[float, float] | None
    memory_bytes: float | None
    percentiles_ns: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One limit: its figure before and after the changes; `own` is what the services take themselves (times only).

    Figures that are not `finite` before or after only say that the limit is missed.
    """

    limit: Limit
    before: Estimate
    after: Estimate
    own_ns: float | None
    finite_before: bool = True
    finite_after: bool = True

    @property
    def shown_before(self) -> Estimate | None:
        """The figure before, None where it is not finite."""
        return self.before if self.finite_before else None

    @property
    def shown_after(self) -> Estimate | None:
        """The figure after, None where it is not finite."""
        return self.after if self.finite_after else None

    @property
    def met(self) -> bool:
        """Whether the changes meet it; its interval may reach beyond."""
        return self.after.value <= self.limit.bound


@dataclass(frozen=True, slots=True)
class Advice:
    """The changes, in order of what they save.

    `exact`: no smaller choice does it. `at_least`: fewer changes than this cannot. `impossible`: it is proven that no
    choice of the allowed changes meets the limits; the steps then come as near as was found. `further` says what other
    kinds of changes would bring. `settings` are `--set` options that make the same changes at edges, and `sidecars`
    says whether services change as well, which the changed `graph` holds.
    """

    met: bool
    exact: bool
    at_least: int
    impossible: bool
    outcomes: tuple[Outcome, ...]
    steps: tuple[Step, ...]
    before: Prediction
    after: Prediction
    graph: CallGraph
    transport: str
    settings: tuple[str, ...]
    sidecars: bool
    not_considered: tuple[str, ...]
    further: str
