"""Made-up results of a validation."""

from predictor.predict.types import Estimate
from predictor.validation.types import Anchor, Baseline, Saving, Score, Validation, Variant
from profiler.measuring.applications import AnchorCell, AnchorReading


def estimate(value: float) -> Estimate:
    return Estimate(value, 0.9 * value, 1.1 * value)


def score(predicted: float, measured: float) -> Score:
    return Score(estimate(predicted), estimate(1.25 * predicted), estimate(measured))


def variant(name: str, predicted: float, measured: float) -> Variant:
    latency = {key: score(predicted, measured) for key in ("p50", "p90", "p99")}
    cpu = score(predicted * 1e-6, measured * 1e-6)
    return Variant(name, latency, {"a": latency["p50"]}, cpu, {"a": cpu}, {"network": cpu}, ())


def validation(graph: str) -> Validation:
    cpu = score(0.05, 0.06)
    saving = Saving("plain", score(30e3, 40e3), cpu)
    anchor = Anchor(AnchorCell("http1", "hot"), AnchorReading(200e3, 400e3), (AnchorReading(250e3, 440e3),))
    variants = (variant("as it is", 100e3, 150e3), variant("plain", 70e3, 110e3))
    baseline = Baseline({"p50": 1e6, "p90": 2e6, "p99": 3e6}, 0.2, {"a": 0.1})
    return Validation(
        graph, "hot", "free", 50.0, 8, 1.0, 3, baseline, (anchor,), variants, (saving,), {}, "abc",
    )  # fmt: skip
