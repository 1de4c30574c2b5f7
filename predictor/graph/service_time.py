"""How long a service itself works on one request. Pure arithmetic, all times in nanoseconds."""

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Final, Literal

Distribution = Literal["constant", "exponential", "lognormal", "percentiles"]
DISTRIBUTIONS: Final[tuple[Distribution, ...]] = ("constant", "exponential", "lognormal")
"""Those that a mean describes; `percentiles` is described by its points."""

_NORMAL: Final = NormalDist()
_SHORTEST_NS: Final = 1e-3


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """A distribution of service times.

    `constant` and `exponential` are their mean. `lognormal` adds `cv`, standard deviation over mean. `percentiles` are
    points `(percent, ns)` in ascending order; between and beyond them the logarithm of the time is linear in the
    normal score, which makes two points a lognormal. Their mean follows from that unless it is given as well.
    """

    kind: Distribution
    mean_ns: float
    cv: float = 0.0
    percentiles: tuple[tuple[float, float], ...] = ()

    @classmethod
    def constant(cls, mean_ns: float) -> "ServiceTime":
        """Every request takes `mean_ns`."""
        return cls("constant", mean_ns)

    @classmethod
    def exponential(cls, mean_ns: float) -> "ServiceTime":
        """Memoryless with mean `mean_ns`."""
        return cls("exponential", mean_ns)

    @classmethod
    def lognormal(cls, mean_ns: float, cv: float) -> "ServiceTime":
        """Lognormal with mean `mean_ns` and coefficient of variation `cv`."""
        return cls("lognormal", mean_ns, cv)

    @classmethod
    def from_percentiles(cls, points: tuple[tuple[float, float], ...], mean_ns: float | None = None) -> "ServiceTime":
        """From points `(percent, ns)`, percents strictly between 0 and 100 and ascending, times not descending."""
        return cls("percentiles", _mean_of_points(points) if mean_ns is None else mean_ns, percentiles=points)

    def quantile_ns(self, share: float) -> float:
        """The time that `share` (strictly between 0 and 1) of the requests stay under."""
        if self.kind == "constant" or self.mean_ns <= 0.0:
            return self.mean_ns
        if self.kind == "exponential":
            return -self.mean_ns * math.log1p(-share)
        score = _NORMAL.inv_cdf(share)
        if self.kind == "lognormal":
            sigma = math.sqrt(math.log1p(self.cv * self.cv))
            return self.mean_ns * math.exp(sigma * score - sigma * sigma / 2)
        return _at_score(_scored(self.percentiles), score)


def _scored(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [(_NORMAL.inv_cdf(percent / 100), math.log(max(ns, _SHORTEST_NS))) for percent, ns in points]


def _segment(left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float]:
    """Intercept and slope of the log time over the normal score."""
    slope = (right[1] - left[1]) / (right[0] - left[0])
    return left[1] - slope * left[0], slope


def _at_score(scored: list[tuple[float, float]], score: float) -> float:
    if len(scored) == 1:
        return math.exp(scored[0][1])
    pairs = list(pairwise(scored))
    pair = next((pair for pair in pairs if score <= pair[1][0]), pairs[-1])
    intercept, slope = _segment(*pair)
    return math.exp(intercept + slope * score)


def _mean_of_points(points: tuple[tuple[float, float], ...]) -> float:
    """Mean of the piecewise lognormal: E[exp(a + b z)] over each segment is exp(a + b²/2) (Φ(z₂-b) - Φ(z₁-b))."""
    scored = _scored(points)
    if len(scored) == 1:
        return points[0][1]
    edges = [-math.inf, *(score for score, _ in scored[1:-1]), math.inf]
    total = 0.0
    for (left, right), (low, high) in zip(pairwise(scored), pairwise(edges), strict=True):
        intercept, slope = _segment(left, right)
        total += math.exp(intercept + slope * slope / 2) * (_NORMAL.cdf(high - slope) - _NORMAL.cdf(low - slope))
    return total
