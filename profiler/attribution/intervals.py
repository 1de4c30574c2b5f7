"""The one meaning of a 95 % interval: it holds the estimate of 95 % of other runs of the same command on this machine.

Two runs differ by three things, each of which both runs have, hence the factor of the square root of two:

- the scatter of the rounds about their own mean, by Student's factor for few of them;
- the drift of the machine, which moves all figures of a run together (`Anchor.machine_error`);
- errors that the rounds do not show, such as those of sampled shares.

Fewer than four rounds say little about their own scatter: two can be equal by chance. It is then taken to be no less
than what the other components of the cell scatter, each by the root of its size (`lent_scatter`).

Pure arithmetic, without numpy: CSV of a profile needs none.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

Z95: Final = 1.96
"""Half of a normal distribution's 95 %, in standard deviations."""

TWO_RUNS: Final = math.sqrt(2.0)
"""Standard deviation of the difference of two runs, in that of one."""

FEWEST_ROUNDS: Final = 2
"""One round has no scatter."""

_FEW_ROUNDS: Final = 4
"""So many rounds and more are taken by their own scatter alone."""

_LENT_FREEDOM: Final = 4
"""Degrees of freedom of the scatter of other components: fewer than there are, since a slow round moves several."""

_STUDENT: Final = (
    12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09,
    2.09,
)  # fmt: skip
"""Student's t at 97.5 % for 1, 2, … degrees of freedom."""

_SMALLEST_SHARE: Final = 0.02
"""A component below this share of its cell is expected to scatter as one of this share."""


def student(count: int, lent: float) -> float:
    """By how much 95 % of what rests on `count` rounds is wider than with a known scatter."""
    return student_factor(freedom_of(count, lent))


def freedom_of(count: int, lent: float) -> int:
    """Degrees of freedom of the scatter of `count` rounds."""
    return count - 1 + (_LENT_FREEDOM if lent and count < _FEW_ROUNDS else 0)


def student_factor(freedom: int) -> float:
    """Student's t at 97.5 % over a normal distribution's."""
    return _STUDENT[freedom - 1] / Z95 if freedom <= len(_STUDENT) else 1.0 + 1.2 / freedom


def lent_scatter(values: Sequence[float], rounds: Sequence[Sequence[float]], whole: float) -> float:
    """How components with few rounds scatter together: standard deviation of a round over the root of value × whole.

    Variances grow with the size of a component, so each counts by its own. 0 where there are rounds enough.
    """
    known = [
        _variance(entries) / _expected(value, whole, 1.0) ** 2
        for value, entries in zip(values, rounds, strict=True)
        if FEWEST_ROUNDS <= len(entries) < _FEW_ROUNDS
    ]
    return math.sqrt(fmean(known)) if known and whole else 0.0


def lent_to(value: float, whole: float, scatter: float) -> float:
    """The standard deviation of a round that `lent_scatter` makes one expect of a component."""
    return _expected(value, whole, scatter) if scatter else 0.0


def _expected(value: float, whole: float, scatter: float) -> float:
    return scatter * math.sqrt(max(abs(value), _SMALLEST_SHARE * abs(whole)) * abs(whole))


def standard_error(rounds: Sequence[float], lent: float = 0.0) -> float:
    """Standard error of an estimate by the scatter of its rounds, times Student's factor; 0 for fewer than two."""
    if len(rounds) < FEWEST_ROUNDS:
        return 0.0
    return student(len(rounds), lent) * math.sqrt(_variance(rounds) / len(rounds))


def unseen_error(rounds: Sequence[float], error: float, lent: float) -> float:
    """Standard error that the rounds do not show: `error`, and what is lent beyond their own scatter."""
    if not FEWEST_ROUNDS <= len(rounds) < _FEW_ROUNDS:
        return error
    missing = max(0.0, lent**2 - _variance(rounds))
    return math.hypot(error, student(len(rounds), lent) * math.sqrt(missing / len(rounds)))


def _variance(rounds: Sequence[float]) -> float:
    """Of one round, about the mean of all; two at least."""
    mean = fmean(rounds)
    return math.fsum((entry - mean) ** 2 for entry in rounds) / (len(rounds) - 1)


def interval(
    value: float, rounds: Sequence[float], drift: float, error: float = 0.0, lent: float = 0.0
) -> list[float] | None:
    """[low, high] about `value`, of which `rounds` are the estimates of each round.

    `drift` is the standard deviation of the machine's speed as a fraction, `error` a standard error that the rounds do
    not show, `lent` the standard deviation of a round that is expected. None for a single round, and where nothing but
    the drift is known.
    """
    if len(rounds) == 1 or (not rounds and not error):
        return None
    errors = standard_error(rounds, lent), unseen_error(rounds, error, lent), drift * value
    half = Z95 * TWO_RUNS * math.hypot(*errors)
    return [value - half, value + half]
