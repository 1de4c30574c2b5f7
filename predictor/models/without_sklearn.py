"""What `HingeRegressor` uses of scikit-learn, for machines without it: empty bases, and no check of arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class BaseEstimator:
    """Stands for scikit-learn's."""


class RegressorMixin:
    """Stands for scikit-learn's."""


def validate_data(_estimator: Any, X: Any, y: Any = None, **_options: Any) -> Any:  # noqa: N803 (scikit-learn's name)
    """Rows, and values where there are some, as arrays of floats."""
    rows = np.asarray(X, dtype=np.float64)
    return rows if y is None else (rows, np.asarray(y, dtype=np.float64))


def _check_sample_weight(weights: Any, rows: Floats, **_options: Any) -> Floats:
    """The weights, one of 1 for each row where there are none."""
    return np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)


def check_is_fitted(_estimator: Any) -> None:
    """An estimator of ours is fitted before it predicts."""
