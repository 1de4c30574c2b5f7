"""The estimator passes scikit-learn's own checks, and is the one that models are made with."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from predictor.models import fitting
from predictor.models.estimator import HingeRegressor
from predictor.models.fitting import fit_profile
from tests.predictor.models.profiles import known_profile

RANDOM = np.random.default_rng(3)


@parametrize_with_checks([HingeRegressor(), HingeRegressor(hinges=(0,)), HingeRegressor(monotone=True)])  # type: ignore[untyped-decorator]
def test_it_is_a_scikit_learn_estimator(estimator: Any, check: Callable[[Any], None]) -> None:
    if "array_api" not in getattr(check, "func", check).__name__:  # numpy only; that check skips itself elsewhere
        check(estimator)


def test_it_finds_a_knot() -> None:
    rows = np.linspace(0, 10, 11)[:, None]
    values = rows[:, 0] + 3 * np.maximum(rows[:, 0] - 4, 0)
    found = HingeRegressor(hinges=(0,)).fit(rows, values)
    assert [term.knot for term in found.terms_] == [None, 4.0]
    np.testing.assert_allclose(found.predict(rows), values, atol=1e-9)


def test_several_outputs_share_the_terms_of_their_sum() -> None:
    rows = RANDOM.uniform(0, 10, (12, 2))
    values = RANDOM.uniform(1, 2, (12, 3)) + rows @ [[1, 2, 0], [0, 1, 3]]
    several = HingeRegressor(hinges=(0, 1), monotone=True).fit(rows, values)
    one = HingeRegressor(hinges=(0, 1), monotone=True).fit(rows, values.sum(axis=1))
    assert several.terms_ == one.terms_
    np.testing.assert_allclose(several.coef_.sum(axis=1), one.coef_)
    np.testing.assert_allclose(several.predict(rows).sum(axis=1), one.predict(rows))


def test_its_errors_are_those_of_scikit_learns_cross_validation() -> None:
    rows, weights = RANDOM.uniform(0, 10, (12, 2)), RANDOM.uniform(0.5, 2, 12)
    values = 3 + rows @ [1, 2] + RANDOM.standard_normal(12)
    fitted = HingeRegressor().fit(rows, values, weights)
    predicted = cross_val_predict(HingeRegressor(), rows, values, cv=LeaveOneOut(), params={"sample_weight": weights})
    np.testing.assert_allclose(fitted.left_out_, values - predicted)


def test_models_are_fitted_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's coefficients and errors are the estimator's: another estimator gives another model."""

    class Doubled(HingeRegressor):
        def fit(self, *arguments: Any) -> HingeRegressor:
            super().fit(*arguments)
            self.coef_ *= 2
            self.left_out_ = self.left_out_ + 1e3
            return self

    before = fit_profile(known_profile())
    monkeypatch.setattr(fitting, "HingeRegressor", Doubled)
    after = fit_profile(known_profile())
    for one, other in zip(before.configurations, after.configurations, strict=True):
        assert one.latency is not None
        assert other.latency is not None
        np.testing.assert_allclose(other.latency.coefficients, 2 * one.latency.coefficients)
    assert all(entry.median is not None and entry.median > 1e-4 for entry in after.held_out)


def test_reading_a_model_and_predicting_do_not_import_scikit_learn() -> None:
    code = "import sys, predictor.models.stored, predictor.predict.predict; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
