"""The regression of hop costs: the scikit-learn estimator that every model is fitted and tested with.

scikit-learn is imported here only, and this module only to fit: a stored model is read without either. Without
scikit-learn the estimator fits the same models, since its arithmetic is in `predictor.models.regression`; it is then no
scikit-learn estimator, and takes arrays as they are.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError:
    from predictor.models.without_sklearn import (
        BaseEstimator,
        RegressorMixin,
        _check_sample_weight,
        check_is_fitted,
        validate_data,
    )

from predictor.models.regression import Term, choose_terms, design, left_out_residuals, operator


class HingeRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Linear regression whose slopes may change once, where leave-one-out prefers it.

    Several outputs share their terms, which are chosen for the sum of the outputs: so coefficients add up to the sum's.

    Parameters: `hinges` are the columns that may have a knot, `monotone` forbids slopes of the sum below zero.
    Attributes: `terms_` (columns and knots); `coef_`, 1 + terms, the base first (× outputs where there are several);
    `operator_`, 1 + terms × rows, which gives the coefficients of any other values of the same rows; `left_out_`, each
    row's sum minus what the other rows predict with these terms, NaN where they cannot; `n_features_in_`.
    """

    def __init__(self, *, hinges: tuple[int, ...] = (), monotone: bool = False) -> None:
        self.hinges = hinges
        self.monotone = monotone

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: Any = None) -> "HingeRegressor":  # noqa: N803
        """Fit to rows `X`, values `y` (rows, or rows × outputs) and weights (one over the variance)."""
        rows, values = validate_data(self, X, y, dtype=np.float64, y_numeric=True, multi_output=True)
        weights = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        used = weights > 0  # a weight of zero is as if the row were not there
        known, sums, weights = rows[used], values.reshape(len(rows), -1).sum(axis=1)[used], weights[used]
        self.terms_: list[Term] = choose_terms(known, sums, weights, hinges=self.hinges, monotone=self.monotone)
        solved = operator(design(known, self.terms_), weights)
        assert solved is not None  # noqa: S101 (terms are chosen so that rows determine them)
        self.operator_ = np.zeros((len(solved), len(rows)))
        self.operator_[:, used] = solved
        self.coef_ = solved @ values[used]
        self.left_out_ = np.full(len(rows), np.nan)
        self.left_out_[used] = left_out_residuals(design(known, self.terms_), sums, weights)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        """Values for rows `X`."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        predicted: npt.NDArray[np.float64] = design(rows, self.terms_) @ self.coef_
        return predicted
