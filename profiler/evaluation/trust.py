"""Does the sum of the parts equal the whole, and did the probes leave it alone? Pure arithmetic."""

from collections.abc import Iterable, Iterator

import numpy as np

from profiler.attribution.intervals import Z95
from profiler.profile import bounds
from profiler.profile.types import Cell, Cpu, Currency


def residual(components: Iterable[float], measured: float) -> float | None:
    """Signed fraction (Σ components − measured) / measured; None where nothing was measured."""
    return float((sum(components) - measured) / measured) if measured else None


def trust_warnings(cell: Cell) -> Iterator[str]:
    """Warnings for residuals, perturbations and disagreements over their bounds, each with the next step."""
    if cell.topology != "none":  # without a sidecar the overhead is zero, and so is what a residual is relative to
        yield from _closure_warnings(cell)
    ratios = cell.perturbation
    if not bounds.latency_undisturbed(cell):
        yield (
            f"probes raised the median latency by {(ratios.latency_ratio or 1.0) - 1:.1%}; their calibrated cost is "
            "taken off the components; quote the overhead, which is measured without probes"
        )
    if not bounds.throughput_undisturbed(cell):
        yield (
            f"probes left {ratios.throughput_ratio:.2f} of the throughput at saturation "
            f"(bound {bounds.THROUGHPUT_RATIO}); quote the overhead, which is measured without probes"
        )
    if cell.cpu is not None:
        yield from _disagreement_warnings(cell.cpu)


def _closure_warnings(cell: Cell) -> Iterator[str]:
    currencies: tuple[Currency, ...] = ("latency", "cpu")
    for currency in currencies:
        part = cell.part(currency)
        value = part.closure_residual if part else None
        if value is not None and not bounds.closes(value):
            yield (
                f"{currency}: the components add up to {1 + value:.0%} of the measured overhead "
                f"(bound ±{bounds.CLOSURE_RATIO:.0%}), {_cause(cell, currency)}"
            )


def _cause(cell: Cell, currency: Currency) -> str:
    """What was recorded of the cell that most probably keeps its sum from closing, and the remedy for that."""
    steal = cell.noise.steal_ratio or 0.0
    if steal > bounds.QUIET_STEAL_RATIO:
        return f"likely because the host took {steal:.0%} of the CPU time; repeat when the host is idle"
    spread = _spread(cell, currency)
    if spread > bounds.CLOSURE_RATIO:
        return f"likely because its rounds spread by ±{spread:.0%}; repeat with more --rounds"
    components = cell.latency.components if cell.latency else {}
    samples = min((part.samples for part in components.values()), default=0)
    if currency == "latency" and samples < bounds.FEWEST_EXCHANGES:
        return f"likely because only {samples} exchanges were followed; use a longer --duration"
    if currency == "latency" and not bounds.latency_undisturbed(cell):
        return "likely because the probes changed what they measured; quote the overhead, not its components"
    measured = abs(_measured_ns(cell, currency))
    if measured < bounds.SMALL_OVERHEAD_NS:
        return f"likely because the overhead of {measured / 1000:.1f} µs is small; quote it, not its components"
    return "and no cause was recorded; quote the overhead, not its components"


def _measured_ns(cell: Cell, currency: Currency) -> float:
    if currency == "latency":
        return cell.latency.overhead_p50_ns if cell.latency else 0.0
    return cell.cpu.overhead_ns if cell.cpu else 0.0


def _spread(cell: Cell, currency: Currency) -> float:
    """Half of the 95 % by the scatter of the rounds, of the overhead or its widest component, as a share of it."""
    measured = abs(_measured_ns(cell, currency))
    if currency == "latency":
        rounds = [cell.latency.overhead_rounds_ns] if cell.latency else []
    else:
        rounds = [component.rounds_ns for component in cell.cpu.components.values()] if cell.cpu else []
    halves = [Z95 * float(np.std(entries)) / len(entries) ** 0.5 for entries in rounds if entries]
    return max(halves, default=0.0) / measured if measured else 0.0


def _disagreement_warnings(cpu: Cpu) -> Iterator[str]:
    for name, points in cpu.disagreement_points.items():
        component = cpu.components.get(name)
        if not bounds.agrees(component.share if component else None, points):
            yield f"cpu: eBPF and perf differ by {points:+.0f} points on {name}; see both before quoting either"
