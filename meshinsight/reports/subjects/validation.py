"""What is shown of a validation; its JSON is what `report --validation` reads. Pure: no I/O."""

from collections.abc import Iterator, Mapping
from typing import Final

from meshinsight import numbers
from meshinsight.reports.report import INTERVAL, Report, Section
from predictor.predict.types import Estimate, Headline
from predictor.validation.types import Anchor, Saving, Score, Validation, Variant

FORMAT: Final = "meshinsight-validation"
VERSION: Final = 1

_HEADER: Final = (
    "", "predicted", "anchored", INTERVAL, "measured", INTERVAL, "error", "error\nanchored", "inside",
)  # fmt: skip

_MICROS: Final = 1e-3, 1
_VCPUS: Final = 1.0, 4
"""Factor to the unit shown, and decimals."""


def document(found: Validation) -> dict[str, object]:
    """The validation as plain JSON values: the graph as it is at the top, what-ifs below it."""
    first, *others = found.variants
    savings = {saving.name: saving for saving in found.savings}
    return {
        "format": FORMAT,
        "version": VERSION,
        "graph": found.graph,
        "services": found.services,
        "temperature": found.temperature,
        "placement": found.placement,
        "rate_rps": found.rate_rps,
        "rounds": found.rounds,
        "seconds": found.seconds,
        "profile_run_id": found.profile_run_id,
        "environment": dict(found.environment),
        "anchor": anchor_figures(found.anchors[0]),
        "anchors": {anchor.cell.name: anchor_figures(anchor) for anchor in found.anchors},
        "baseline": {
            **{f"{name}_ns": value for name, value in found.baseline.latency_ns.items()},
            "vcpu": found.baseline.vcpu,
            "by_service_vcpu": dict(found.baseline.by_service_vcpu),
        },
        **_variant(first),
        "warnings": [*found.warnings, *first.warnings],
        "what_if": {
            variant.name: {**_variant(variant), "saving": _saving(savings[variant.name])} for variant in others
        },
    }


def anchor_figures(anchor: Anchor) -> dict[str, object]:
    """An anchor cell in the document."""
    return {
        "profiled_ns": anchor.profiled.latency_ns,
        "measured_ns": anchor.measured.latency_ns,
        "rounds_ns": [one.latency_ns for one in anchor.rounds],
        "factor": anchor.factor,
        "profiled_cpu_ns": anchor.profiled.cpu_ns,
        "measured_cpu_ns": anchor.measured.cpu_ns,
        "rounds_cpu_ns": [one.cpu_ns for one in anchor.rounds],
        "cpu_factor": anchor.cpu_factor,
    }


def _variant(variant: Variant) -> dict[str, object]:
    return {
        "latency": {
            key: value for name, score in variant.latency.items() for key, value in _latency(name, score).items()
        },
        "cpu": _vcpu(variant.cpu),
        "by_service": {
            name: {
                "cpu": _vcpu(score),
                **({"latency": _latency("p50", answer)} if (answer := variant.latency_by_service.get(name)) else {}),
            }
            for name, score in variant.cpu_by_service.items()
        },
        "by_component": {name: {"cpu": _vcpu(score)} for name, score in variant.cpu_by_component.items()},
        "warnings": list(variant.warnings),
    }


def _latency(name: str, score: Score) -> dict[str, object]:
    """Figures of one percentile; errors of the median have no percentile in their name."""
    ending = "" if name == "p50" else f"_{name}"
    return {
        f"predicted_{name}_ns": score.predicted.value,
        f"predicted_{name}_ci95_ns": list(score.predicted.interval),
        f"anchored_{name}_ns": score.anchored.value,
        f"anchored_{name}_ci95_ns": list(score.anchored.interval),
        f"measured_{name}_ns": score.measured.value,
        f"measured_{name}_ci95_ns": list(score.measured.interval),
        **_inner(score, f"{name}_ci80_ns"),
        **_errors(score, ending),
    }


def _vcpu(score: Score) -> dict[str, object]:
    return {
        "predicted_vcpu": score.predicted.value,
        "predicted_ci95_vcpu": list(score.predicted.interval),
        "anchored_vcpu": score.anchored.value,
        "anchored_ci95_vcpu": list(score.anchored.interval),
        "measured_vcpu": score.measured.value,
        "measured_ci95_vcpu": list(score.measured.interval),
        **_inner(score, "ci80_vcpu"),
        **_errors(score, ""),
    }


def _inner(score: Score, name: str) -> dict[str, object]:
    """The 80 % intervals of predictions that have some."""
    kinds: dict[str, Estimate] = {"predicted": score.predicted, "anchored": score.anchored}
    return {f"{kind}_{name}": list(found.inner) for kind, found in kinds.items() if isinstance(found, Headline)}


def _errors(score: Score, ending: str) -> dict[str, object]:
    return {
        f"error_ratio{ending}": score.error_ratio,
        f"anchored_error_ratio{ending}": score.anchored_error_ratio,
        f"inside_interval{ending}": score.inside_interval,
    }


def _saving(saving: Saving) -> dict[str, object]:
    return {"latency": _latency("p50", saving.latency), "cpu": _vcpu(saving.cpu)}


def report(found: Validation) -> Report:
    """What is shown of a validation."""
    baseline = ", ".join(f"{name} {value * 1e-3:,.0f} µs" for name, value in found.baseline.latency_ns.items())
    anchors = ", ".join(
        f"{anchor.cell.name} {anchor.profiled.latency_ns * 1e-3:,.1f} → {anchor.measured.latency_ns * 1e-3:,.1f} µs "
        f"(× {anchor.factor:.2f}{f', CPU × {anchor.cpu_factor:.2f}' if anchor.profiled.cpu_ns > 0.0 else ''})"
        for anchor in found.anchors
    )
    measured = [
        f"{numbers.plural(found.services, 'service')} at {numbers.rate(found.rate_rps)} requests/s, "
        f"{found.temperature}, placement {found.placement}, {numbers.plural(found.rounds, 'round')} of "
        f"{found.seconds:g} s; without sidecars: {baseline}; {found.baseline.vcpu:.3f} vCPU",
        f"anchor cells, in the profile and now: {anchors}; `anchored` is the prediction at the machine's speed of now, "
        "by the anchors' CPU; the interval and `inside` are those of anchored",
    ]
    warnings = [*found.warnings, *(warning for variant in found.variants for warning in variant.warnings)]
    return Report(
        f"Predicted and measured overhead of {found.graph or 'the call graph'}",
        list(_sections(found)),
        [("Measured", measured), ("Warnings", list(dict.fromkeys(warnings)))],
        document=lambda: document(found),
    )


def _sections(found: Validation) -> Iterator[Section]:
    first, *others = found.variants
    yield _section("Overhead of latency, µs", first.latency, *_MICROS)
    yield _section("Overhead of CPU, vCPU", {"total": first.cpu}, *_VCPUS)
    yield _section("Time to answer by service with calls, µs at the median", first.latency_by_service, *_MICROS)
    yield _section("CPU by service, vCPU (its process and its sidecar)", first.cpu_by_service, *_VCPUS)
    yield _section("CPU by component, vCPU", first.cpu_by_component, *_VCPUS)
    for variant in others:
        yield _section(f"{variant.name}: overhead of latency, µs", variant.latency, *_MICROS)
        yield _section(f"{variant.name}: overhead of CPU, vCPU", {"total": variant.cpu}, *_VCPUS)
    yield _section("Saved of the median, µs", {saving.name: saving.latency for saving in found.savings}, *_MICROS)
    yield _section("Saved, vCPU", {saving.name: saving.cpu for saving in found.savings}, *_VCPUS)


def _section(title: str, scores: Mapping[str, Score], factor: float, decimals: int) -> Section:
    rows = [
        (
            name,
            numbers.estimated(score.predicted, factor, decimals)[0],
            numbers.estimated(score.anchored, factor, decimals)[0],
            numbers.estimated(score.anchored, factor, decimals)[1],
            *numbers.estimated(score.measured, factor, decimals),
            numbers.signed_percent(score.error_ratio, 1),
            numbers.signed_percent(score.anchored_error_ratio, 1),
            "yes" if score.inside_interval else "no",
        )
        for name, score in scores.items()
    ]
    return Section(title, _HEADER, rows)
