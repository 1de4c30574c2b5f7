"""The estimator passes scikit-learn's own checks."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks

from predictor.models.estimator import HingeRegressor


@parametrize_with_checks([HingeRegressor(), HingeRegressor(hinge=True), HingeRegressor(monotone=True)])  # type: ignore[untyped-decorator]
def test_it_is_a_scikit_learn_estimator(estimator: Any, check: Callable[[Any], None]) -> None:
    if "array_api" not in getattr(check, "func", check).__name__:  # numpy only; that check skips itself elsewhere
        check(estimator)


def test_it_finds_a_knot() -> None:
    rows = np.linspace(0, 10, 11)[:, None]
    values = rows[:, 0] + 3 * np.maximum(rows[:, 0] - 4, 0)
    found = HingeRegressor(hinge=True).fit(rows, values)
    assert [term.knot for term in found.terms_] == [None, 4.0]
    np.testing.assert_allclose(found.predict(rows), values, atol=1e-9)


def test_predicting_does_not_import_scikit_learn() -> None:
    code = "import sys, predictor.models.fitting, predictor.predict; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
