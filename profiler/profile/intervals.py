"""The 95 % intervals of a cell, all by one definition (`profiler.attribution.intervals`). Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from msgspec.structs import replace

from profiler.attribution.intervals import FEWEST_ROUNDS, interval, lent_scatter, lent_to, standard_error, unseen_error
from profiler.profile.types import Anchor, Cell, Cpu, CpuComponent, Latency, LatencyComponent

Component = TypeVar("Component", LatencyComponent, CpuComponent)


@dataclass(frozen=True)
class Figure:
    """A figure with the estimates of its rounds, its `error_ns` beyond them, and what other components lend."""

    value_ns: float
    rounds_ns: list[float]
    error_ns: float
    lent_ns: float = 0.0

    def interval(self, drift: float) -> list[float] | None:
        """The interval, at a drift of the machine."""
        return interval(self.value_ns, self.rounds_ns, drift, self.error_ns, self.lent_ns)

    @property
    def standard_error_ns(self) -> float:
        """All of the standard error but the drift; 0 where nothing is known of it."""
        return math.hypot(standard_error(self.rounds_ns, self.lent_ns), self.unseen_ns)

    @property
    def unseen_ns(self) -> float:
        """Standard error that the rounds do not show."""
        return unseen_error(self.rounds_ns, self.error_ns, self.lent_ns)


def with_intervals(cell: Cell, anchor: Anchor | None) -> Cell:
    """The cell with intervals of everything whose rounds or errors are known, at the drift of the anchor.

    Without an anchor the drift is not known and counts as none.
    """
    drift = anchor.machine_error if anchor else 0.0
    return replace(
        cell,
        latency=_of_latency(cell.latency, drift) if cell.latency else None,
        cpu=_of_cpu(cell.cpu, drift) if cell.cpu else None,
    )


def overhead_figure(part: Latency | Cpu) -> Figure:
    """The overhead of a cell in one currency.

    A profile that keeps the rounds of components only has the overhead's as their sums. Errors of components do not
    count where there are rounds: what one component has too much of, another lacks.
    """
    value_ns, known_ns = _overhead_ns(part), part.overhead_error_ns if isinstance(part, Latency) else 0.0
    rounds = part.overhead_rounds_ns or _sums(part.components)
    error_ns = known_ns or math.hypot(*(entry.error_ns for entry in part.components.values()))
    lent_ns = lent_to(value_ns, value_ns, _scatter(part.components, value_ns))
    return Figure(value_ns, rounds, 0.0 if rounds else error_ns, lent_ns)


def component_figures(part: Latency | Cpu) -> dict[str, Figure]:
    """The components of a cell in one currency, by name."""
    return _figures(part.components, _overhead_ns(part))


def _of_latency(latency: Latency, drift: float) -> Latency:
    return replace(
        latency,
        overhead_ci95_ns=overhead_figure(latency).interval(drift),
        overhead_p99_ci95_ns=interval(latency.overhead_p99_ns, latency.overhead_p99_rounds_ns, drift),
        components=_components(latency.components, latency.overhead_p50_ns, drift),
    )


def _of_cpu(cpu: Cpu, drift: float) -> Cpu:
    return replace(
        cpu,
        overhead_ci95_ns=overhead_figure(cpu).interval(drift),
        components=_components(cpu.components, cpu.overhead_ns, drift),
        perf_components=_components(cpu.perf_components, cpu.overhead_ns, drift),
    )


def _components(components: Mapping[str, Component], whole_ns: float, drift: float) -> dict[str, Component]:
    figures = _figures(components, whole_ns)
    return {name: replace(entry, ci95_ns=figures[name].interval(drift)) for name, entry in components.items()}


def _figures(components: Mapping[str, LatencyComponent | CpuComponent], whole_ns: float) -> dict[str, Figure]:
    scatter = _scatter(components, whole_ns)
    return {
        name: Figure(_value_ns(entry), entry.rounds_ns, entry.error_ns, lent_to(_value_ns(entry), whole_ns, scatter))
        for name, entry in components.items()
    }


def _scatter(components: Mapping[str, LatencyComponent | CpuComponent], whole_ns: float) -> float:
    entries = list(components.values())
    return lent_scatter([_value_ns(entry) for entry in entries], [entry.rounds_ns for entry in entries], whole_ns)


def _overhead_ns(part: Latency | Cpu) -> float:
    return part.overhead_p50_ns if isinstance(part, Latency) else part.overhead_ns


def _value_ns(entry: LatencyComponent | CpuComponent) -> float:
    return entry.median_ns if isinstance(entry, LatencyComponent) else entry.cpu_ns_per_request


def _sums(components: Mapping[str, LatencyComponent | CpuComponent]) -> list[float]:
    kept = [entry.rounds_ns for entry in components.values()]
    if len({len(rounds) for rounds in kept}) != 1 or len(kept[0]) < FEWEST_ROUNDS:
        return []
    return [sum(entries) for entries in zip(*kept, strict=True)]
