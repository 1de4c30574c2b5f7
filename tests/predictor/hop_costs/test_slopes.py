"""What a byte costs where only one size was measured."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from predictor.hop_costs.slopes import BORROWED, HIGHEST_NS, LOWEST_NS, TYPICAL_NS, UNKNOWN, Slopes, unmeasured
from predictor.models.fitting import fit_profile
from predictor.models.types import Configuration, Cost, Floats
from tests.predictor.models.profiles import HTTP, LOADS, cell, profile

ONE = (1000, 2000, 0, 0)
STEADY = (0.99, 1.0, 1.01)


def fitted(*loads: tuple[int, ...], rounds: Sequence[float] = STEADY, protocol: str = "http1") -> Configuration:
    cells = [cell(HTTP, load, rounds=rounds, protocol=protocol) for load in loads]
    (found,) = fit_profile(profile(cells)).configurations
    return found


def cost(item: Configuration) -> Cost:
    assert item.latency is not None
    return item.latency


def completed(item: Configuration, *others: Configuration) -> Cost:
    return Slopes((item, *others)).completed(item, cost(item), "latency")


def at(request_bytes: float, response_bytes: float) -> Floats:
    return np.array([[request_bytes, response_bytes, 0.0, 0.0, 0.0]])


def slope_ns(found: Cost, name: str) -> float:
    return float(found.coefficients[found.terms.index(name)].sum())


def test_sizes_that_were_varied_keep_what_was_measured() -> None:
    item = fitted(*LOADS)
    assert unmeasured(item) == ()
    assert completed(item) is cost(item)


def test_at_the_measured_size_nothing_changes() -> None:
    item = fitted(ONE)
    assert unmeasured(item) == ("request_bytes", "response_bytes")
    known, prior = cost(item), completed(item)
    assert set(prior.terms) == {*known.terms, "request_bytes", "response_bytes"}
    row = at(1000.0, 2000.0)
    assert np.allclose(prior.rows(row) @ prior.coefficients, known.rows(row) @ known.coefficients)
    assert np.allclose(prior.rows(row) @ prior.draws, known.rows(row) @ known.draws)


def test_a_further_byte_costs_what_is_typical_with_all_of_the_doubt() -> None:
    prior = completed(fitted(ONE))
    row = prior.terms.index("request_bytes")
    assert np.isclose(prior.coefficients[row].sum(), TYPICAL_NS)
    low, high = np.quantile(prior.draws[:, row].sum(axis=1), [0.025, 0.975])
    assert LOWEST_NS / 2 < low < TYPICAL_NS < high < HIGHEST_NS * 2


def test_a_hundred_bytes_change_neither_the_figure_nor_its_interval() -> None:
    prior = completed(fitted(ONE, rounds=(0.8, 1.0, 1.2)))
    totals = []
    for size in (1000.0, 900.0):
        rows = prior.rows(at(size, 2000.0))
        draws = np.sort((rows @ prior.draws)[:, 0].sum(axis=1))
        totals.append([float((rows @ prior.coefficients).sum()), draws[5], draws[-5]])
    assert totals[1] == pytest.approx(totals[0], rel=0.01)


def test_a_slope_is_borrowed_from_sizes_that_were_measured() -> None:
    one, varied = fitted(ONE), fitted(*LOADS)
    wanted = np.average([slope_ns(cost(varied), name) for name in ("request_bytes", "response_bytes")])
    prior = Slopes((one, varied)).prior(one, "latency")
    assert prior.factor == BORROWED
    assert prior.typical_ns == pytest.approx(wanted, rel=0.5)
    assert slope_ns(completed(one, varied), "request_bytes") == prior.typical_ns


def test_a_slope_is_not_borrowed_from_another_kind_of_protocol() -> None:
    tcp = fitted(*LOADS, protocol="tcp")
    assert Slopes((tcp,)).prior(fitted(ONE), "latency") == UNKNOWN


def test_a_slope_between_sizes_that_are_too_close_gives_way_to_the_prior() -> None:
    item = fitted((1000, 2000, 0, 0), (1100, 2000, 0, 0), rounds=(0.7, 1.0, 1.3))
    found = completed(item)
    assert slope_ns(found, "request_bytes") == pytest.approx(TYPICAL_NS)
    middle, known = at(1050.0, 2000.0), cost(item)
    assert np.allclose((found.rows(middle) @ found.coefficients), known.rows(middle) @ known.coefficients)


def test_a_slope_that_noise_hides_is_that_of_the_prior() -> None:
    smaller, larger = cell(HTTP, (1100, 2000, 0, 0)), cell(HTTP, (1000, 2000, 0, 0))
    swapped = [replace(smaller, latency=larger.latency), replace(larger, latency=smaller.latency)]
    (item,) = fit_profile(profile(swapped)).configurations
    assert "request_bytes" not in cost(item).terms
    assert slope_ns(completed(item), "request_bytes") == TYPICAL_NS
