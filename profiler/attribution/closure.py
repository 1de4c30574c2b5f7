"""Does the sum of the parts equal the whole, and did the probes leave it alone? Pure arithmetic."""

from collections.abc import Iterator, Mapping
from typing import Any

from profiler.attribution import bounds


def residual(components: Mapping[str, Mapping[str, Any]], key: str, measured: float) -> float | None:
    """Signed fraction (Σ components − measured) / measured; None where nothing was measured."""
    if measured == 0:
        return None
    return float((sum(component[key] for component in components.values()) - measured) / measured)


def trust_warnings(cell: dict[str, Any]) -> Iterator[str]:
    """Warnings for residuals, perturbations and disagreements over their bounds, each with the next step."""
    if cell["topology"] != "none":  # without a sidecar the overhead is zero, and so is what a residual is relative to
        yield from _closure_warnings(cell)
    ratios = cell["perturbation"]
    if not bounds.latency_undisturbed(cell):
        yield (
            f"probes raised the median latency by {ratios['latency_ratio'] - 1:.1%}; their calibrated cost is taken "
            "off the components, but treat small ones with care, or repeat on a quieter machine"
        )
    if not bounds.throughput_undisturbed(cell):
        yield (
            f"probes left {ratios['throughput_ratio']:.2f} of the throughput at saturation "
            f"(bound {bounds.THROUGHPUT_RATIO}); repeat on a quieter machine or with more --repeats"
        )
    yield from _disagreement_warnings(cell["cpu"] or {})


def _closure_warnings(cell: dict[str, Any]) -> Iterator[str]:
    for currency in ("latency", "cpu"):
        value = (cell[currency] or {}).get("closure_residual")
        if value is not None and not bounds.closes(value):
            yield (
                f"{currency}: the components add up to {1 + value:.0%} of the measured overhead "
                f"(bound ±{bounds.CLOSURE_RATIO:.0%}), likely because {_likely_cause(cell, currency)}; "
                "repeat on a quieter machine or with more --repeats"
            )


def _likely_cause(cell: dict[str, Any], currency: str) -> str:
    """What was recorded of the cell that most probably keeps its sum from closing."""
    steal = cell["noise"]["steal_ratio"] or 0.0
    if steal > bounds.QUIET_STEAL_RATIO:
        return f"the host took {steal:.0%} of the CPU time, which passes for the message's or a process's"
    spread = _spread(cell, currency)
    if spread > bounds.CLOSURE_RATIO:
        return f"its rounds spread by ±{spread:.0%}: the machine was not the same in all of them"
    components = (cell["latency"] or {}).get("components", {})
    samples = min((part["samples"] for part in components.values()), default=0)
    if currency == "latency" and samples < bounds.FEWEST_EXCHANGES:
        return f"only {samples} exchanges were followed"
    if currency == "latency" and not bounds.latency_undisturbed(cell):
        return "the probes changed what they measured"
    measured = abs(_measured_ns(cell, currency))
    if measured < bounds.SMALL_OVERHEAD_NS:
        return f"the overhead of {measured / 1000:.1f} µs is small beside what the method can resolve"
    return "the load between the probed and the free phases differed; no other cause was recorded"


def _measured_ns(cell: dict[str, Any], currency: str) -> float:
    part = cell[currency]
    if currency == "latency":
        return float(part["overhead_p50_ns"])
    return float(part["with_cpu_ns_per_request"] - part["baseline_cpu_ns_per_request"])


def _spread(cell: dict[str, Any], currency: str) -> float:
    """Half the width of the 95 % interval of the overhead, or of the largest component, as a share of the overhead."""
    part, measured = cell[currency], abs(_measured_ns(cell, currency))
    intervals = [part["overhead_ci95_ns"]] if currency == "latency" else []
    intervals += [component["ci95_ns"] for component in part["components"].values()] if currency == "cpu" else []
    widths = [(interval[1] - interval[0]) / 2 for interval in intervals if interval]
    return max(widths, default=0.0) / measured if measured else 0.0


def _disagreement_warnings(cpu: Mapping[str, Any]) -> Iterator[str]:
    for name, points in cpu.get("disagreement_points", {}).items():
        share = cpu["components"].get(name, {}).get("share")
        if not bounds.agrees(share, points):
            yield f"cpu: eBPF and perf differ by {points:+.0f} points on {name}; see both before quoting either"
