"""The longest of calls at the same time, against drawing them."""

import numpy as np
import pytest

from predictor.models.types import Floats
from predictor.predict import longest as module
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


def random_stages(count: int) -> tuple[Floats, Floats, Floats, Floats]:
    random = np.random.default_rng(7)
    means = random.exponential(3e6, (count, 3)) + 1e5
    certain = (random.random((count, 3)) < 0.7).astype(float)
    return means, (random.uniform(0.0, 0.2, (count, 3)) * means) ** 2, certain, 0.4 * (1.0 - certain)


def test_calls_that_are_apart_have_the_figures_that_a_fine_grid_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = random_stages(400)
    quick = longest(*stages)
    apart = module._apart(*stages)[1]
    assert 0.3 < apart.mean() < 0.9
    monkeypatch.setattr(module, "_APART", 1e9)
    monkeypatch.setattr(module, "_POINTS", 801)
    summed = longest(*stages)
    assert quick.mean[apart] == pytest.approx(summed.mean[apart], rel=3e-3)
    assert quick.decides[apart] == pytest.approx(summed.decides[apart], abs=0.02)
    assert not (quick.mean[apart] == summed.mean[apart]).any()


def test_blocks_of_stages_change_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = random_stages(50)
    whole = longest(*stages)
    monkeypatch.setattr(module, "_BLOCK", 1)
    single = longest(*stages)
    assert single.mean == pytest.approx(whole.mean, rel=1e-12)
    assert single.excess == pytest.approx(whole.excess, rel=1e-9, abs=1e-3)
