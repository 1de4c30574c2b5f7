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
                f"(bound ±{bounds.CLOSURE_RATIO:.0%}); repeat on a quieter machine or with more --repeats"
            )


def _disagreement_warnings(cpu: Mapping[str, Any]) -> Iterator[str]:
    for name, points in cpu.get("disagreement_points", {}).items():
        share = cpu["components"].get(name, {}).get("share")
        if not bounds.agrees(share, points):
            yield f"cpu: eBPF and perf differ by {points:+.0f} points on {name}; see both before quoting either"
