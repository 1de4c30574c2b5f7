"""The same cell has the same overhead and the same interval in `show` and in `fit`."""

from pathlib import Path

import pytest

from meshinsight.reports.subjects.model import coefficients
from predictor.models.fitting import fit_profile
from profiler.profile.document import load_profile
from profiler.profile.intervals import overhead_figure, with_intervals
from profiler.profile.types import Coefficient, Cpu, Latency, Profile
from profiler.vocabulary.usual import PLACEMENT
from tests.predictor.models.profiles import HTTP, LOADS, cell, profile

EXAMPLE = Path(__file__).parents[2] / "data" / "example-profile.json"


def assert_same(found: Profile) -> None:
    """Where each configuration has one cell: the fitted base is its overhead, raw or anchored as the model says."""
    model = fit_profile(found)
    fitted: dict[tuple[str, str], Coefficient] = {
        (entry.configuration, entry.currency): entry for entry in coefficients(model)
    }
    follows = {(entry.protocol, entry.currency): entry.follows for entry in model.held_out}
    assert len(fitted) == 2 * len(found.cells)
    for one in found.cells:
        parts: list[Latency | Cpu | None] = [one.latency, one.cpu]
        for currency, part in zip(("latency", "cpu"), parts, strict=True):
            assert part is not None
            assert part.overhead_ci95_ns is not None
            anchored = (one.anchor_factor or 1.0) ** (follows[one.protocol, currency] or 0.0)
            placement = "" if one.placement == PLACEMENT else f"-{one.placement}"
            entry = fitted[f"{one.protocol}-{one.topology}{placement}-{one.temperature}", currency]
            low, high = part.overhead_ci95_ns
            assert entry.value == pytest.approx(overhead_figure(part).value_ns * anchored)
            assert entry.high - entry.low == pytest.approx((high - low) * anchored, rel=0.1)


@pytest.mark.parametrize("rounds", [(0.9, 1.1), (0.97, 1.0, 1.02), (0.95, 1.0, 1.02, 0.99, 1.04)])
@pytest.mark.parametrize("drift", [0.0, 0.05, 0.3])
def test_of_a_synthetic_cell(rounds: tuple[float, ...], drift: float) -> None:
    made = profile([cell(HTTP, LOADS[0], rounds=rounds, anchor_factor=1.2)], drift)
    assert_same(profile([with_intervals(one, made.anchor) for one in made.cells], drift))


def test_of_the_example_profile() -> None:
    assert_same(load_profile(EXAMPLE))
