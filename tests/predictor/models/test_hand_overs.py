"""What a hand-over to another CPU costs, from profiles in which it is known."""

import numpy as np
import pytest
from msgspec.structs import replace

from predictor.models.document import model_of
from predictor.models.fitting import fit_profile
from predictor.models.types import Crossing, FittedModel
from profiler.profile.types import Cell
from tests.predictor.models.placed import ADDED, CROSSING_NS, LOCAL_NS, SHARES, placed, placed_cells
from tests.predictor.models.profiles import HTTP, TCP, known_profile, latency_of, profile


def crossing(model: FittedModel, currency: str = "latency", protocol: str = "", temperature: str = "hot") -> Crossing:
    found = {(one.currency, one.temperature, one.protocol): one for one in model.crossings}
    return found[currency, temperature, protocol]


def width(one: Crossing) -> float:
    return float(np.ptp(np.quantile(one.draws, (0.025, 0.975))))


def slowed(one: Cell, factor: float) -> Cell:
    """The cell with an overhead that is so many times as high, all of the difference unexplained."""
    latency = latency_of(one)
    return replace(one, latency=replace(latency, overhead_p50_ns=factor * latency.overhead_p50_ns))


def test_the_cost_of_a_crossing_is_found_in_both_currencies() -> None:
    model = fit_profile(profile(placed_cells()))
    for protocol in ("", "http1", "tcp"):
        assert crossing(model, "latency", protocol).cost_ns == pytest.approx(CROSSING_NS, rel=1e-6)
        assert crossing(model, "cpu", protocol).cost_ns == pytest.approx(2 * CROSSING_NS, rel=1e-6)


def test_a_local_hand_over_costs_the_ipc_of_cells_on_one_cpu() -> None:
    cells = [placed(name, {**HTTP, "ipc": (0.0, 0.0, 0.0, 0.0, 0.0)}) for name in SHARES]
    assert crossing(fit_profile(profile(cells))).local_ns == pytest.approx(LOCAL_NS, rel=1e-6)
    pinned = [one for one in cells if one.placement != "together"]
    assert crossing(fit_profile(profile(pinned))).local_ns is None


def test_temperatures_and_protocols_have_costs_of_their_own() -> None:
    cells = [
        placed(name, coefficients, protocol=protocol, temperature=temperature, crossing_ns=cost_ns)
        for (protocol, coefficients, temperature, cost_ns) in (
            ("http1", HTTP, "hot", 4e3), ("tcp", TCP, "hot", 8e3), ("tcp", TCP, "cold", 1e4),
        )
        for name in SHARES
    ]  # fmt: skip
    model = fit_profile(profile(cells))
    assert crossing(model, protocol="http1").cost_ns == pytest.approx(4e3, rel=1e-6)
    assert crossing(model, protocol="tcp").cost_ns == pytest.approx(8e3, rel=1e-6)
    assert 4e3 < crossing(model).cost_ns < 8e3
    assert crossing(model, temperature="cold").cost_ns == pytest.approx(1e4, rel=1e-6)


def test_rounds_of_a_free_scheduler_tell_the_cost_alone() -> None:
    one = placed("free", rounds=[0.0, 0.25, 0.5, 0.75, 1.0])
    model = fit_profile(profile([one]))
    assert crossing(model).cost_ns == pytest.approx(CROSSING_NS, rel=1e-6)
    assert {one.currency for one in model.crossings} == {"latency"}  # CPU is measured in other windows


def test_a_crossing_may_cost_less_than_nothing() -> None:
    cells = [placed(name, crossing_ns=-1e3) for name in SHARES]
    assert crossing(fit_profile(profile(cells))).cost_ns == pytest.approx(-1e3, rel=1e-6)


@pytest.mark.parametrize(
    "cells",
    [
        [placed("free")],
        [placed("free"), placed("apart", share=0.51)],
        [placed("apart", load=(0, 0, 0, 0)), placed("together", load=(0, 1000, 0, 0))],
        list(known_profile().cells),
    ],
    ids=["one placement", "hardly another", "not alike", "not counted"],
)
def test_without_cells_that_differ_in_crossings_alone_nothing_is_known(cells: list[Cell]) -> None:
    assert fit_profile(profile(cells)).crossings == ()


def test_the_interval_holds_the_cost_and_is_wider_where_cells_disagree() -> None:
    cells = placed_cells()
    exact = crossing(fit_profile(profile(cells)))
    apart = [slowed(one, 1.2) if one.placement == "apart" and number % 2 else one for number, one in enumerate(cells)]
    noisy = crossing(fit_profile(profile(apart)))
    low, high = np.quantile(exact.draws, (0.025, 0.975))
    assert low < CROSSING_NS < high
    assert width(noisy) > 2 * width(exact) > 0.0


def test_the_interval_covers_other_runs() -> None:
    """Runs of the same profile, each cell off by 1 % and each round by 5 %: the true cost is in 19 of 20 intervals."""
    random = np.random.default_rng(4)
    inside = 0
    for _ in range(60):
        cells = []
        for one in placed_cells(rounds=6):
            latency = latency_of(one)
            parsing = latency.components[next(name for name in latency.components if name != "ipc")]
            noise = latency.overhead_p50_ns * (
                0.01 * random.standard_normal() + 0.05 * random.standard_normal(len(parsing.rounds_ns))
            )
            moved = [ns + more for ns, more in zip(parsing.rounds_ns, noise.tolist(), strict=True)]
            overhead_ns = latency.overhead_p50_ns + float(noise.mean())
            components = {
                name: replace(part, rounds_ns=moved) if part is parsing else part
                for name, part in latency.components.items()
            }
            changed = replace(latency, overhead_p50_ns=overhead_ns, components=components)
            cells.append(replace(one, latency=changed))
        low, high = np.quantile(crossing(fit_profile(profile(cells))).draws, (0.025, 0.975))
        inside += low < CROSSING_NS < high
    assert inside >= 52  # 57 of 60 at 95 %, less three standard deviations


def test_configurations_know_their_placement_and_hand_overs() -> None:
    model = fit_profile(profile([placed(name) for name in SHARES]))
    assert {item.name: (item.hand_overs, item.crossed) for item in model.configurations} == {
        "http1-both-hot": (ADDED, 4.0),
        "http1-both-apart-hot": (ADDED, 8.0),
        "http1-both-together-hot": (ADDED, 0.0),
    }


def test_a_stored_model_has_the_costs() -> None:
    model = fit_profile(profile(placed_cells()), draws=3)
    read = model_of(model.to_json(), "m.json")
    assert [item.placement for item in read.configurations] == [item.placement for item in model.configurations]
    assert [one.draws.tolist() for one in read.crossings] == [one.draws.tolist() for one in model.crossings]
    assert [one.local_ns for one in read.crossings] == [one.local_ns for one in model.crossings]


def test_a_model_of_an_earlier_version_was_pinned_apart() -> None:
    document = {**fit_profile(known_profile(), draws=3).to_json(), "version": 2}
    for name in ("placement", "hand_overs", "crossed"):
        for item in document["configurations"]:
            del item[name]
    del document["crossings"]
    read = model_of(document, "m.json")
    assert {item.placement for item in read.configurations} == {"apart"}
    assert read.crossings == ()
