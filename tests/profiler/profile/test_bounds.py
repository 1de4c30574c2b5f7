"""How far a figure may go before the reports mark it."""

from typing import Any

import pytest

from profiler.profile import bounds
from profiler.profile.types import Cell, Perturbation
from tests.profiler.evaluation.blocks import cell as example


def cell(**changes: Any) -> Cell:
    ratios = {"latency_ratio": None, "throughput_ratio": None, "proxy_cpu_ratio": None}
    known = {"protocol": "http1", "rate_rps": None, "achieved_rps": None, "baseline_achieved_rps": None}
    perturbation = Perturbation(**{**ratios, **changes.pop("perturbation", {})})
    return example("x", **{**known, **changes}, perturbation=perturbation)


@pytest.mark.parametrize(("residual", "closes"), [(None, True), (0.1, True), (-0.1, True), (0.101, False), (-1, False)])
def test_a_sum_closes_within_a_tenth(residual: float | None, closes: bool) -> None:
    assert bounds.closes(residual) == closes


@pytest.mark.parametrize(
    ("protocol", "ratio", "undisturbed"),
    [("tcp", 1.06, True), ("tcp", 1.07, False), ("http1", 1.04, False), ("grpc", 1.03, True), ("grpc", 1.031, False)],
)
def test_latency_has_a_bound_by_protocol(protocol: str, ratio: float, undisturbed: bool) -> None:
    assert bounds.latency_undisturbed(cell(protocol=protocol, perturbation={"latency_ratio": ratio})) == undisturbed


@pytest.mark.parametrize(
    ("latency", "throughput", "undisturbed"),
    [(None, None, True), (1.0, 0.95, True), (1.0, 0.94, False), (1.2, 1.0, False)],
)
def test_probes_disturb_by_either(latency: float | None, throughput: float | None, undisturbed: bool) -> None:
    found = cell(perturbation={"latency_ratio": latency, "throughput_ratio": throughput})
    assert bounds.undisturbed(found) == undisturbed


@pytest.mark.parametrize(
    ("offered", "achieved", "baseline", "reached"),
    [
        (None, None, None, True),
        (100.0, 98.0, 100.0, True),
        (100.0, 97.9, 100.0, False),
        (100.0, 100.0, 97.9, False),
        (100.0, None, 99.0, True),
        (100.0, None, None, False),
    ],
)
def test_a_rate_is_reached_with_and_without_sidecar(
    offered: float | None, achieved: float | None, baseline: float | None, reached: bool
) -> None:
    assert bounds.rate_reached(cell(rate_rps=offered, achieved_rps=achieved, baseline_achieved_rps=baseline)) == reached


@pytest.mark.parametrize(
    ("share", "points", "agrees"),
    [
        (0.5, 10.0, True),
        (0.5, -10.1, False),
        (0.049, 40.0, True),
        (-0.5, 11.0, False),
        (None, 40.0, True),
        (0.5, None, True),
    ],
)
def test_small_shares_always_agree(share: float | None, points: float | None, agrees: bool) -> None:
    assert bounds.agrees(share, points) == agrees
