"""What a byte costs where only one size was measured."""

import numpy as np

from predictor.hop_costs.slopes import HIGHEST_NS, LOWEST_NS, TYPICAL_NS, unmeasured, with_prior
from predictor.models.fitting import fit_profile
from predictor.models.types import Configuration, Cost
from tests.predictor.models.profiles import HTTP, LOADS, cell, profile


def fitted(*loads: tuple[int, ...]) -> Configuration:
    (found,) = fit_profile(profile([cell(HTTP, load, rounds=(0.99, 1.0, 1.01)) for load in loads])).configurations
    return found


def cost(item: Configuration) -> Cost:
    assert item.latency is not None
    return item.latency


def test_sizes_that_were_varied_keep_what_was_measured() -> None:
    item = fitted(*LOADS)
    assert unmeasured(item) == ()
    assert with_prior(item, cost(item)) is cost(item)


def test_at_the_measured_size_nothing_changes() -> None:
    item = fitted((1000, 2000, 0, 0))
    assert unmeasured(item) == ("request_bytes", "response_bytes")
    known, prior = cost(item), with_prior(item, cost(item))
    assert set(prior.terms) == {*known.terms, "request_bytes", "response_bytes"}
    at = np.array([[1000.0, 2000.0, 0.0, 0.0, 0.0]])
    assert np.allclose(prior.rows(at) @ prior.coefficients, known.rows(at) @ known.coefficients)
    assert np.allclose(prior.rows(at) @ prior.draws, known.rows(at) @ known.draws)


def test_a_further_byte_costs_what_is_typical_with_all_of_the_doubt() -> None:
    item = fitted((1000, 2000, 0, 0))
    prior = with_prior(item, cost(item))
    row = prior.terms.index("request_bytes")
    assert np.isclose(prior.coefficients[row].sum(), TYPICAL_NS)
    low, high = np.quantile(prior.draws[:, row].sum(axis=1), [0.025, 0.975])
    assert LOWEST_NS / 2 < low < TYPICAL_NS < high < HIGHEST_NS * 2
