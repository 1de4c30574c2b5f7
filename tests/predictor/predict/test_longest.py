"""The longest of calls at the same time, against drawing them."""

import numpy as np
import pytest

from predictor.predict.longest import hop_variance, longest

CASES = [
    ([1e5], [3e4], [30], [0.0]),
    ([1e5], [3e4], [10], [0.5]),
    ([1e5, 1e5, 1e5], [0.0, 0.0, 8e4], [1, 1, 1], [0.0, 0.0, 0.0]),
    ([1e6, 1e5], [1e5, 1e5], [0, 1], [0.3, 0.0]),
    ([1e6, 1e6], [1e6, 1e6], [0, 0], [0.3, 0.5]),
]


def drawn(means: list[float], deviations: list[float], certain: list[int], likely: list[float]) -> tuple[float, float]:
    random, count = np.random.default_rng(1), 200_000
    found = np.zeros(count)
    for mean, deviation, copies, more in zip(means, deviations, certain, likely, strict=True):
        sigma = np.sqrt(np.log1p((deviation / mean) ** 2))
        for copy in range(copies + (more > 0.0)):
            one = mean * np.exp(sigma * random.standard_normal(count) - sigma**2 / 2)
            found = np.maximum(found, np.where((copy < copies) | (random.random(count) < more), one, 0.0))
    return float(found.mean()), float(found.std())


@pytest.mark.parametrize("case", CASES)
def test_mean_and_spread_are_those_of_drawn_calls(
    case: tuple[list[float], list[float], list[int], list[float]],
) -> None:
    means, deviations, certain, likely = (np.array([part], dtype=float) for part in case)
    found = longest(means, deviations**2, certain, likely)
    mean, deviation = drawn(*case)
    assert found.mean[0] == pytest.approx(mean, rel=0.025)
    assert np.sqrt(found.variance[0]) == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize("case", CASES)
def test_calls_share_the_mean(case: tuple[list[float], list[float], list[int], list[float]]) -> None:
    means, deviations, certain, likely = (np.array([part], dtype=float) for part in case)
    found = longest(means, deviations**2, certain, likely)
    assert (found.decides * means + found.excess).sum() == pytest.approx(found.mean[0], rel=1e-9)
    none = 0.0 if certain.any() else np.prod(1.0 - likely)
    assert found.decides.sum() == pytest.approx(1.0 - none, rel=1e-9)


def test_a_wait_that_is_always_there_varies_as_an_exponential_one() -> None:
    one = np.ones((1, 2))
    assert hop_variance(one, 0.0 * one, 3.0 * one, one)[0] == pytest.approx(18.0)
