"""The model's own error, learnt from call graphs that were measured: a part of every interval. Pure.

A profile's imagined runs say how well the costs of its hops are known, not how well the model puts them together. That
is learnt by split-conformal prediction from random call graphs: the least error with which the intervals of
⌈(n + 1) level⌉ of n graphs hold what was measured. A further graph of that kind is inside with at least that
probability, as far as the model was made without these graphs in sight. `own_error.json` has the errors, and
where they come from; `experiments/random_graphs/run.py --calibrate` writes it.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from predictor.models.types import Floats

FORMAT: Final = "meshinsight-own-error"
VERSION: Final = 1
FILE: Final = Path(__file__).with_name("own_error.json")

LEVELS: Final = (0.95, 0.8)
"""Coverage of the two intervals of a headline figure, the usual one first."""

FIGURES: Final = ("p50", "p90", "p99", "cpu")
"""What errors are learnt of: what validations score."""

_STAND_IN: Final = {"mean": "p50", "p95": "p99"}
"""Whose error a figure has that is not scored."""

NARROWER: Final = 1.2816 / 1.9600
"""The 80 % interval of a profile's imagined runs over their 95 % interval: that of a normal distribution."""


def widths(values: Floats, error: float) -> tuple[Floats, Floats]:
    """How far below and above figures what is measured may lie, off by a factor of up to e^error either way."""
    sizes = np.abs(values)
    near, far = -math.expm1(-error) * sizes, math.expm1(error) * sizes
    positive = values >= 0.0
    return np.where(positive, near, far), np.where(positive, far, near)


def widened(values: Floats, low: Floats, high: Floats, error: float) -> tuple[Floats, Floats]:
    """Intervals of figures with an error in them: it is independent of what the profile says, so squares add up.

    An error is a factor, so it moves no end to the other side of zero.
    """
    below, above = widths(values, error)
    wider_low, wider_high = values - np.hypot(values - low, below), values + np.hypot(high - values, above)
    return (
        np.where(low >= 0.0, np.maximum(wider_low, 0.0), wider_low),
        np.where(high <= 0.0, np.minimum(wider_high, 0.0), wider_high),
    )


def score(value: float, low: float, high: float, measured: float, level: float = LEVELS[0]) -> float:
    """The least error for which the interval at that level holds what was measured. Figures above 0."""
    scale = 1.0 if level == LEVELS[0] else NARROWER
    known = scale * (high - value if measured > value else value - low)
    missing = math.sqrt(max((measured - value) ** 2 - known**2, 0.0)) / value
    return math.log1p(missing) if measured > value else -math.log1p(-missing)


def quantile(scores: Sequence[float], level: float) -> float | None:
    """The ⌈(n + 1) level⌉ lowest of n scores; None where there are too few for that level."""
    rank = math.ceil(round((len(scores) + 1) * level, 9))
    return sorted(scores)[rank - 1] if rank <= len(scores) else None


def fewest(level: float) -> int:
    """How many graphs a level takes."""
    return math.ceil(round(level / (1.0 - level), 9))


def own_error(figure: str, level: float = LEVELS[0]) -> float | None:
    """That of a figure of a prediction; None where too few graphs were measured to tell."""
    found = _known().get(_STAND_IN.get(figure, figure))
    return None if found is None else found[key(level)]


@cache
def _known() -> Mapping[str, Mapping[str, float]]:
    figures: Mapping[str, Mapping[str, float]] = json.loads(FILE.read_text())["figures"]
    return figures


def key(level: float) -> str:
    """How a level's error is named in the file."""
    return f"log_error_{level:.0%}".removesuffix("%")


def learnt(scores: Mapping[str, Mapping[float, Iterable[float]]]) -> dict[str, dict[str, float]]:
    """What the file has of each figure, from the scores of graphs by figure and level. Raises `ValueError`: too few.

    The error of a higher level is no smaller, so that its interval holds that of a lower one.
    """
    found: dict[str, dict[str, float]] = {}
    for figure, by_level in scores.items():
        least = 0.0
        for level, values in sorted(by_level.items()):
            each = list(values)
            error = quantile(each, level)
            if error is None:
                raise ValueError(f"{figure}: {len(each)} graphs, at least {fewest(level)} are needed for {level:.0%}")
            least = max(least, error)
            found.setdefault(figure, {"graphs": len(each)})[key(level)] = least
    return found
