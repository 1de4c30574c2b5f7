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
LONGEST_NS: Final = 1e18
"""Some 32 years: no time in a graph is longer."""

_RAREST: Final = 1.0 - 1e-6
"""The share of requests whose time must stay under LONGEST_NS; no sampling looks further."""

_STEEP: Final = 1e3
"""Slopes above this end within 0.05 of a normal score, whatever the times are."""

_FAR: Final = -30.0
"""Normal scores below this are beyond what `erfc` gives to full precision."""


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

    @classmethod
    def measured(cls, points: tuple[tuple[float, float], ...], mean_ns: float) -> "ServiceTime":
        """As `from_percentiles`, without those last points that would make rare times unbounded."""
        time = cls.from_percentiles(points, mean_ns)
        while len(time.percentiles) > 1 and not time.bounded():
            time = cls.from_percentiles(time.percentiles[:-1], mean_ns)
        return time

    def longer(self, by_ns: float) -> "ServiceTime":
        """Times that are all longer by so much; an exponential becomes a lognormal of the same mean and deviation."""
        mean_ns = self.mean_ns + by_ns
        if self.kind == "percentiles":
            points = tuple((percent, ns + by_ns) for percent, ns in self.percentiles)
            return ServiceTime.from_percentiles(points, mean_ns)
        deviation_ns = {"constant": 0.0, "exponential": self.mean_ns, "lognormal": self.cv * self.mean_ns}[self.kind]
        if deviation_ns <= 0.0:
            return ServiceTime.constant(mean_ns)
        return ServiceTime.lognormal(mean_ns, deviation_ns / mean_ns)

    def bounded(self) -> bool:
        """Whether mean and rare times stay under LONGEST_NS. Steep last percentiles extrapolate beyond all bounds."""
        if not 0.0 <= self.mean_ns <= LONGEST_NS:  # nor NaN
            return False
        if self.kind == "constant":
            return True
        try:
            return self.quantile_ns(_RAREST) <= LONGEST_NS
        except OverflowError:
            return False

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
    """Normal scores with logarithms of times; of percentiles that have one score the last."""
    found = {_NORMAL.inv_cdf(percent / 100): math.log(max(ns, _SHORTEST_NS)) for percent, ns in points}
    return list(found.items())


def _slope(left: tuple[float, float], right: tuple[float, float]) -> float:
    """Of the log time over the normal score."""
    return (right[1] - left[1]) / (right[0] - left[0])


def _at_score(scored: list[tuple[float, float]], score: float) -> float:
    if len(scored) == 1:
        return math.exp(scored[0][1])
    pairs = list(pairwise(scored))
    left, right = next((pair for pair in pairs if score <= pair[1][0]), pairs[-1])
    return math.exp(left[1] + _slope(left, right) * (score - left[0]))


def _mean_of_points(points: tuple[tuple[float, float], ...]) -> float:
    """Mean of the piecewise lognormal. Infinity where a steep last segment has none that a float holds."""
    scored = _scored(points)
    if len(scored) == 1:
        return points[-1][1]
    edges = [-math.inf, *(score for score, _ in scored[1:-1]), math.inf]
    try:
        return sum(
            _part_of_mean(left, right, low, high)
            for (left, right), (low, high) in zip(pairwise(scored), pairwise(edges), strict=True)
        )
    except OverflowError:
        return math.inf


def _part_of_mean(left: tuple[float, float], right: tuple[float, float], low: float, high: float) -> float:
    """E[exp(a + b z)] between two scores: exp(a + b²/2) (Φ(z₂-b) - Φ(z₁-b)).

    The factors are added as logarithms: in a steep segment the first is huge and the second tiny. In a very steep one
    the density is the same everywhere, so the mean is φ(z) times the integral of the exponential.
    """
    slope = _slope(left, right)
    if slope > _STEEP:
        if high == math.inf:
            return math.inf
        start = 0.0 if low == -math.inf else math.exp(left[1])
        return _NORMAL.pdf(right[0]) * (math.exp(right[1]) - start) / slope
    scale = left[1] - slope * left[0] + slope * slope / 2
    return math.exp(scale + _log_cdf(high - slope)) - math.exp(scale + _log_cdf(low - slope))


def _log_cdf(score: float) -> float:
    """Logarithm of the normal distribution function. Far out its tail is φ(z)/|z| (1 - 1/z²)."""
    if score < _FAR:
        if score == -math.inf:
            return -math.inf
        return -score * score / 2 - math.log(-score * math.sqrt(2 * math.pi)) + math.log1p(-1 / (score * score))
    return math.log(math.erfc(-score / math.sqrt(2)) / 2)
