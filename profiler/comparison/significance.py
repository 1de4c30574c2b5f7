"""Differences of two runs: interval, significance by Student's distribution, Holm's correction. Pure.

A 95 % interval is that of `profiler.attribution.intervals`. Far fewer false alarms than 5 % are needed where many
components are compared, and there few rounds make a difference: Student's distribution has heavy tails. Its degrees of
freedom are those of Welch, and it is scaled so that its 5 % are where the 95 % interval ends.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Final

from profiler.attribution.intervals import TWO_RUNS, Z95, freedom_of, standard_error, student_factor
from profiler.profile.intervals import Figure
from profiler.profile.types import Anchor

_MOST_FREEDOM: Final = 1000
"""More degrees of freedom are taken for so many, whose tails are hardly heavier than a normal distribution's."""

_TRIMMED: Final = 1 / 8
"""The share of rounds at each end that a mean of differences leaves out."""

KNOWN: Final = 10**6
"""Degrees of freedom of an error that does not rest on a few readings."""


@dataclass(frozen=True, slots=True)
class Error:
    """One independent part of what a figure is uncertain by: a variance and its degrees of freedom."""

    variance: float
    freedom: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of one run. Without `errors` its scatter is not known; `drift` is the machine's, as a fraction."""

    value: float
    errors: tuple[Error, ...] = ()
    drift: Error = Error(0.0, KNOWN)

    @property
    def known(self) -> bool:
        """Whether anything but the drift is known of its errors."""
        return bool(self.errors)

    def all_errors(self) -> tuple[Error, ...]:
        """The parts, with that of the drift."""
        return (*self.errors, Error(self.drift.variance * self.value**2, self.drift.freedom))

    def scaled(self, factor: float) -> "Measured":
        """The figure times a number."""
        errors = tuple(Error(error.variance * factor**2, error.freedom) for error in self.errors)
        return Measured(self.value * factor, errors, self.drift)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference with half of its 95 % interval; None where the scatter of a side is not known.

    `p` is the probability of a difference this large between runs that do not differ.
    """

    value: float
    half: float | None
    p: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """[low, high]."""
        return None if self.half is None else (self.value - self.half, self.value + self.half)


def drift_of(anchor: Anchor | None) -> Error:
    """The drift of a run's machine; none where it has no anchor."""
    if anchor is None:
        return Error(0.0, KNOWN)
    return Error(anchor.machine_error**2, max(1, len(anchor.rounds) - 1))


def measured_of(figure: Figure, drift: Error) -> Measured:
    """A figure of a profile. A single round has no scatter, so nothing is known then."""
    if len(figure.rounds_ns) == 1 or not (figure.rounds_ns or figure.error_ns):
        return Measured(figure.value_ns, (), drift)
    seen = standard_error(figure.rounds_ns, figure.lent_ns)
    freedom = max(1, freedom_of(len(figure.rounds_ns), figure.lent_ns)) if figure.rounds_ns else KNOWN
    return Measured(figure.value_ns, (Error(seen**2, freedom), Error(figure.unseen_ns**2, KNOWN)), drift)


def mean_of(figures: Sequence[Measured]) -> Measured:
    """The mean of figures of one run: their scatter is independent, and the drift is one for all."""
    count = len(figures)
    parts = [error for entry in figures for error in entry.scaled(1 / count).errors]
    errors = tuple(parts) if all(entry.known for entry in figures) else ()
    return Measured(math.fsum(entry.value for entry in figures) / count, errors, figures[0].drift)


def difference(old: Measured, new: Measured, beyond: float = 0.0) -> Difference:
    """`new` minus `old`, figures of two runs, minus the fixed number `beyond`."""
    return _judged(new.value - old.value - beyond, new.known and old.known, (*old.all_errors(), *new.all_errors()))


def distance(one: Measured, limit: float) -> Difference:
    """How far a figure is above a fixed limit; the interval is the figure's own, about the limit."""
    errors = (Error(error.variance * TWO_RUNS**2, error.freedom) for error in one.all_errors())
    return _judged(one.value - limit, one.known, tuple(errors))


def paired(differences: Sequence[float], error: float = 0.0) -> Difference | None:
    """The mean of differences that were measured in pairs, one of each round; None where there is none.

    `error` is a standard error that the rounds do not show. What both sides of a pair share has no part in it, so there
    is no drift and no second run. One round that something disturbed must not hide a difference: the mean is that
    without the largest and the smallest eighth, and its interval by Student's distribution that of Yuen.
    """
    if not differences:
        return None
    ordered, count = sorted(differences), len(differences)
    cut = int(count * _TRIMMED)
    kept = ordered[cut : count - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    freedom = len(kept) - 1
    spread = stdev(winsorized) * count / len(kept) / math.sqrt(count) if count > 1 else 0.0
    errors = (Error((student_factor(max(1, freedom)) * spread) ** 2, max(1, freedom)), Error(error**2, KNOWN))
    return _judged(math.fsum(kept) / len(kept), count > 1, errors)


def holm(probabilities: Iterable[float]) -> list[float]:
    """The probabilities after Holm's step-down correction, in the order given.

    Those below 0.05 hold together: at most 5 % of all families have one that is wrong.
    """
    given = list(probabilities)
    adjusted, highest = [1.0] * len(given), 0.0
    for rank, index in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        highest = max(highest, min(1.0, given[index] * (len(given) - rank)))
        adjusted[index] = highest
    return adjusted


def benjamini_hochberg(probabilities: Iterable[float], share: float) -> float:
    """The largest probability that counts, so that on average at most `share` of those that count are wrong; 0: none.

    Where nothing differs at all, any counts in at most `share` of all families.
    """
    given = sorted(probabilities)
    limits = [share * rank / len(given) for rank in range(1, len(given) + 1)]
    return max((limit for p, limit in zip(given, limits, strict=True) if p <= limit), default=0.0)


def tail(t: float, freedom: int) -> float:
    """Probability that Student's t is farther from zero than `t`.

    The finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    freedom = min(freedom, _MOST_FREEDOM)
    angle = math.atan(abs(t) / math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term, total = cosine if odd else 1.0, 0.0
    for step in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine**2 * (step - 1) / step
    inside = (angle + math.sin(angle) * total) * 2 / math.pi if odd else math.sin(angle) * total
    return max(0.0, 1.0 - inside)


def _judged(value: float, known: bool, errors: Sequence[Error]) -> Difference:
    variance = math.fsum(error.variance for error in errors)
    if not known or (variance == 0.0 and value != 0.0):
        return Difference(value, None, None)
    if variance == 0.0:
        return Difference(0.0, 0.0, 1.0)
    # Welch and Satterthwaite, by shares: variances of nanoseconds squared need no fourth power.
    spread = math.fsum((error.variance / variance) ** 2 / error.freedom for error in errors)
    freedom = max(1, min(KNOWN, int(1 / spread)))
    half = Z95 * math.sqrt(variance)
    return Difference(value, half, tail(value / half * Z95 * student_factor(freedom), freedom))
