"""The regression of hop costs as a scikit-learn estimator, for use with its tools. Nothing else here imports it.

`predictor.models.fitting` and predictions use the same arithmetic from `regression.py`, so neither waits for the
import of scikit-learn.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from predictor.models.regression import Term, choose_terms, design, operator


class HingeRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Linear regression whose slopes may change once, where leave-one-out prefers it.

    Parameters: `hinge` allows knots, `monotone` forbids slopes below zero.
    Attributes: `terms_` (columns and knots), `intercept_`, `coef_` (one per term), `n_features_in_`.
    """

    def __init__(self, *, hinge: bool = False, monotone: bool = False) -> None:
        self.hinge = hinge
        self.monotone = monotone

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: Any = None) -> "HingeRegressor":  # noqa: N803
        """Fit to rows `X`, values `y` and weights (one over the variance)."""
        rows, values = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weights = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        hinges = range(rows.shape[1]) if self.hinge else ()
        used = weights > 0  # a weight of zero is as if the row were not there
        rows, values, weights = rows[used], np.asarray(values, dtype=np.float64)[used], weights[used]
        self.terms_: list[Term] = choose_terms(rows, values, weights, hinges=hinges, monotone=self.monotone)
        solved = operator(design(rows, self.terms_), weights)
        if solved is None:
            self.terms_ = []
            solved = operator(design(rows, []), weights)
        assert solved is not None  # noqa: S101 (a column of ones always determines its coefficient)
        solution = solved @ values
        self.intercept_ = float(solution[0])
        self.coef_ = solution[1:]
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        """Values for rows `X`."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        predicted: npt.NDArray[np.float64] = design(rows, self.terms_) @ np.r_[self.intercept_, self.coef_]
        return predicted
