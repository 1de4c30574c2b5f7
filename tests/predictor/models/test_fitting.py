"""Models of profiles whose coefficients are known."""

import json
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from predictor.models.document import model_of
from predictor.models.fitting import fit_profile
from predictor.models.types import Cost, FittedModel
from profiler.errors import UsageError
from profiler.profile.types import Cell
from tests.predictor.models.profiles import HTTP, LOADS, cell, known_profile, latency_of, profile, scaled


def cost(model: FittedModel, currency: str = "latency") -> Cost:
    found = model.configurations[0].cost(currency)
    assert found is not None
    return found


def test_known_coefficients_are_found_in_both_currencies() -> None:
    model = fit_profile(known_profile())
    for currency, factor in (("latency", 1.0), ("cpu", 2.0)):
        found = cost(model, currency)
        for index, name in enumerate(found.components[:2]):
            assert found.coefficients[:, index] == pytest.approx(factor * np.array(HTTP[name]), rel=1e-9, abs=1e-6)


def test_components_and_what_they_leave_unexplained_add_up_to_the_measured_overhead() -> None:
    single = cell(HTTP, (0, 0, 0, 0))
    more = replace(single, latency=replace(latency_of(single), overhead_p50_ns=80e3))
    found = cost(fit_profile(profile([more])))
    assert found.components[-1] == "unexplained"
    assert found.coefficients.sum() == pytest.approx(80e3)


def test_one_load_gives_a_base_only() -> None:
    assert cost(fit_profile(profile([cell(HTTP, LOADS[0])]))).terms == ("base",)


def test_a_knot_is_found_where_the_slope_changes() -> None:
    cells = []
    for size in (0, 2000, 4000, 8000, 16000, 32000, 64000):
        slow = 5.0 * max(0, size - 8000)
        cells.append(cell({"ipc": (1e4 + slow, 1.0, 0, 0, 0)}, (size, 0, 0, 0)))
    assert cost(fit_profile(profile(cells))).terms == ("base", "request_bytes", "request_bytes>8000")


def test_a_cost_that_falls_with_size_is_taken_as_none() -> None:
    cells = [cell({"ipc": (1e4, -1.0, 0, 0, 0)}, (size, 0, 0, 0)) for size in (0, 100, 200)]
    assert cost(fit_profile(profile(cells))).terms == ("base",)


def test_leaving_a_cell_out_of_an_exact_profile_has_no_error() -> None:
    found = fit_profile(known_profile()).held_out
    assert {entry.protocol for entry in found} == {"http1", "tcp"}
    assert all(entry.worst is not None and entry.worst < 1e-9 for entry in found)


def test_a_cell_alone_with_its_value_is_untested() -> None:
    cells = [cell(HTTP, (0, 0, 0, 0)), cell(HTTP, (0, 0, 0, 0)), cell(HTTP, (0, 0, 10, 0))]
    assert fit_profile(profile(cells)).held_out[0].untested == 1


def test_rounds_that_differ_make_an_interval_and_equal_ones_none() -> None:
    wide = cost(fit_profile(profile([cell(HTTP, LOADS[0], rounds=(0.8, 1.0, 1.2, 1.0))]))).draws.sum(axis=(1, 2))
    none = cost(fit_profile(profile([cell(HTTP, LOADS[0], rounds=(1.0, 1.0))]))).draws.sum(axis=(1, 2))
    assert np.ptp(none) == 0.0
    assert np.percentile(wide, 97.5) - 70e3 > 0.1 * 70e3


def test_the_anchors_drift_widens_all_alike() -> None:
    draws = cost(fit_profile(profile([cell(HTTP, LOADS[0])], drift=0.256))).draws
    assert draws.sum(axis=(1, 2)).std() == pytest.approx(2**0.5 * 0.1 * 70e3, rel=0.02)


def test_intervals_cover_the_estimate_of_another_run() -> None:
    random, covered = np.random.default_rng(5), 0
    for trial in range(200):
        one, other = (
            as_rounds_say(cell(HTTP, LOADS[0], rounds=list(1 + 0.1 * random.standard_normal(5)))) for _ in range(2)
        )
        draws = cost(fit_profile(profile([one]), seed=trial)).draws.sum(axis=(1, 2))
        covered += np.percentile(draws, 2.5) <= latency_of(other).overhead_p50_ns <= np.percentile(draws, 97.5)
    assert 0.91 <= covered / 200 <= 0.98


def test_intervals_of_slopes_cover_the_estimate_of_another_run() -> None:
    loads = (*LOADS, (1000, 1000, 0, 0), (0, 0, 20, 0), (0, 0, 0, 1), (4000, 0, 0, 0))
    random, covered = np.random.default_rng(8), []
    for trial in range(40):
        one, other = (
            cost(fit_profile(profile(cells), seed=trial))
            for cells in (
                [as_rounds_say(cell(HTTP, load, rounds=list(1 + 0.05 * random.standard_normal(5)))) for load in loads]
                for _ in range(2)
            )
        )
        found = dict(zip(other.terms, other.coefficients.sum(axis=1).tolist(), strict=True))
        for index, term in enumerate(one.terms):
            if term in found:
                low, high = np.percentile(one.draws[:, index].sum(axis=1), (2.5, 97.5))
                covered.append(low <= found[term] <= high)
    assert len(covered) > 40 * 4
    assert 0.93 < np.mean(covered) < 0.995


def as_rounds_say(one: Cell) -> Cell:
    """The cell with the means of its rounds as latency."""
    latency = latency_of(one)
    components = {
        name: replace(part, median_ns=float(np.mean(part.rounds_ns))) for name, part in latency.components.items()
    }
    total_ns = sum(part.median_ns for part in components.values())
    return replace(one, latency=replace(latency, components=components, overhead_p50_ns=total_ns))


def test_each_configuration_and_temperature_has_coefficients_of_its_own() -> None:
    ways: list[dict[str, Any]] = [{}, {"temperature": "cold"}, {"tls": "mtls"}]
    model = fit_profile(profile([cell(HTTP, load, **way) for way in ways for load in LOADS]))
    assert [item.name for item in model.configurations] == ["http1-both-hot", "http1-both-cold", "http1-both-mtls-hot"]


def test_a_currency_that_was_not_measured_has_no_coefficients() -> None:
    (item,) = fit_profile(profile([cell(HTTP, LOADS[0], cpu=None)])).configurations
    assert item.latency is not None
    assert item.cpu is None


def test_cells_with_errors_or_many_connections_say_nothing_about_costs() -> None:
    cells = [cell(HTTP, LOADS[0], errors=["x"]), cell(HTTP, LOADS[0], connections=16)]
    assert fit_profile(profile(cells)).configurations == ()


def test_a_model_reads_back_from_json_as_it_was() -> None:
    document = json.loads(json.dumps(fit_profile(known_profile()).to_json()))
    assert model_of(document, "m.json").to_json() == document


@pytest.mark.parametrize("document", [{}, {"format": "meshinsight-model", "version": 2}])
def test_other_documents_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        model_of(document, "m.json")


def test_a_profile_without_rounds_uses_its_errors() -> None:
    one = cell({"ipc": (1e5, 0, 0, 0, 0)}, (0, 0, 0, 0))
    ipc = replace(latency_of(one).components["ipc"], error_ns=1e4)
    one = replace(one, latency=replace(latency_of(one), components={"ipc": ipc}))
    assert cost(fit_profile(profile([one]))).draws.sum(axis=(1, 2)).std() == pytest.approx(2**0.5 * 1e4, rel=0.02)


def at_speed(cell: Cell, speed: float, follows: float) -> Cell:
    """The cell as measured while the machine was slower by `speed`, of which it feels `follows`."""
    felt = speed**follows
    return replace(scaled(cell, latency=felt, cpu=felt), anchor_factor=1 / speed)


@pytest.mark.parametrize("follows", [0.0, 0.5, 1.0])
def test_cells_are_taken_at_the_median_speed_as_far_as_they_follow_the_anchor(follows: float) -> None:
    speeds = (1.0, 1.3, 0.8, 1.6, 1.1, 0.9)
    cells = [at_speed(cell(HTTP, load), speed, follows) for load, speed in zip(LOADS, speeds, strict=True)]
    extra = [at_speed(cell(HTTP, load), 1.2, follows) for load in ((7000, 100, 2, 0), (100, 9000, 7, 1))]
    model = fit_profile(profile([*cells, *extra]))
    assert model.configurations[0].latency is not None
    assert model.configurations[0].latency.coefficients[0].sum() == pytest.approx(70e3)
    assert [entry.median for entry in model.held_out] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_where_nothing_tells_http_follows_the_anchor_and_tcp_does_not() -> None:
    for protocol, base in (("http1", 70e3), ("tcp", 140e3)):
        one = at_speed(cell(HTTP, LOADS[0], protocol=protocol), 2.0, 1.0)
        cost = fit_profile(profile([one])).configurations[0].latency
        assert cost is not None
        assert cost.coefficients[0].sum() == pytest.approx(base)
