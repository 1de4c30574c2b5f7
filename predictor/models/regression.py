"""Weighted least squares with at most one knot per column, chosen by leaving one row out. Pure numpy.

What a hop costs grows with sizes, but not always in one straight line: above a socket buffer or a segment the slope
changes. A knot is kept where it lowers the leave-one-out error of the total clearly; more bytes never cost less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CLEARLY: Final = 0.8
"""A knot must bring the leave-one-out error below this share of what it is without."""

MOST_KNOTS: Final = 12
"""So many places for a knot are tried per column."""

_RANK_TOLERANCE: Final = 1e-9
_LEAST_FREEDOM: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Term:
    """Column `column` of the features, or what exceeds `knot` in it."""

    column: int
    knot: float | None = None

    def of(self, features: Floats) -> Floats:
        """The term's values for rows of features."""
        values = features[:, self.column]
        return values if self.knot is None else np.maximum(values - self.knot, 0.0)


def design(features: Floats, terms: Sequence[Term]) -> Floats:
    """The matrix of a model: a column of ones, then one per term."""
    return np.column_stack([np.ones(len(features)), *(term.of(features) for term in terms)])


def operator(rows: Floats, weights: Floats) -> Floats | None:
    """The matrix that turns values into weighted least-squares coefficients; None where they are not determined."""
    root = np.sqrt(weights)
    scale = np.max(np.abs(rows), axis=0)
    scale[scale == 0.0] = 1.0
    scaled = rows / scale * root[:, None]
    if np.linalg.matrix_rank(scaled / np.linalg.norm(scaled, ord=2), tol=_RANK_TOLERANCE) < rows.shape[1]:
        return None
    solved: Floats = np.linalg.pinv(scaled) * root / scale[:, None]
    return solved


def left_out_residuals(rows: Floats, values: Floats, weights: Floats) -> Floats:
    """Each row's value minus what the other rows predict for it; NaN where they do not determine it.

    In closed form: the residual over one minus the leverage (the PRESS residual of linear regression).
    """
    solved = operator(rows, weights) if len(values) > rows.shape[1] else None
    if solved is None:
        return np.full(len(values), np.nan)
    free = 1.0 - np.einsum("nt,tn->n", rows, solved)
    free[free < _LEAST_FREEDOM] = np.nan
    return np.asarray((values - rows @ (solved @ values)) / free)


def choose_terms(
    features: Floats, totals: Floats, weights: Floats, *, hinges: Sequence[int] = (), monotone: bool = True
) -> list[Term]:
    """The terms that the rows tell about.

    Args:
        features: n × k.
        totals: n values to be explained.
        weights: n, one over the variance.
        hinges: columns that may have a knot, at one of their inner values.
        monotone: no slope of the total may be negative; such terms are left out.
    """
    terms: list[Term] = []
    for column in range(features.shape[1]):
        if np.ptp(features[:, column]) > 0:
            candidate = [*terms, Term(column)]
            if operator(design(features, candidate), weights) is not None:
                terms = candidate
    terms = _rising(features, totals, weights, terms) if monotone else terms
    for column in (term.column for term in tuple(terms) if term.column in hinges):
        terms = _with_knot(features, totals, weights, terms, column, monotone=monotone)
    return terms


def _with_knot(
    features: Floats, totals: Floats, weights: Floats, terms: list[Term], column: int, *, monotone: bool
) -> list[Term]:
    """The terms with the knot in that column that lowers the leave-one-out error most, if it does so clearly."""
    best, least = terms, CLEARLY * _left_out_error(features, totals, weights, terms)
    inner = np.unique(features[:, column])[1:-1]
    places = np.unique(np.linspace(0, max(len(inner) - 1, 0), min(len(inner), MOST_KNOTS)).astype(int))
    for knot in inner[places]:
        candidate = [*terms, Term(column, float(knot))]
        error = _left_out_error(features, totals, weights, candidate)
        if error < least and (not monotone or _is_rising(features, totals, weights, candidate)):
            best, least = candidate, error
    return best


def _left_out_error(features: Floats, totals: Floats, weights: Floats, terms: Sequence[Term]) -> float:
    residuals = left_out_residuals(design(features, terms), totals, weights)
    known = np.isfinite(residuals)
    return float(np.mean(weights[known] * residuals[known] ** 2)) if known.all() else np.inf


def _slopes(features: Floats, totals: Floats, weights: Floats, terms: Sequence[Term]) -> Floats:
    """Slopes of the total, those above a knot included."""
    solved = operator(design(features, terms), weights)
    if solved is None:
        return np.array([-np.inf])
    slopes = (solved @ totals)[1:]
    return np.array(
        [sum(slopes[i] for i, t in enumerate(terms) if t.column == term.column and (t.knot or 0) <= (term.knot or 0))
         for term in terms]
    )  # fmt: skip


def _is_rising(features: Floats, totals: Floats, weights: Floats, terms: Sequence[Term]) -> bool:
    return bool(np.all(_slopes(features, totals, weights, terms) >= 0.0))


def _rising(features: Floats, totals: Floats, weights: Floats, terms: list[Term]) -> list[Term]:
    while terms:
        slopes = _slopes(features, totals, weights, terms)
        contributions = slopes * [np.ptp(term.of(features)) for term in terms]
        worst = int(np.argmin(contributions))
        if slopes[worst] >= 0.0:
            break
        terms = terms[:worst] + terms[worst + 1 :]
    return terms
