"""Figures as text."""

from meshinsight import numbers
from predictor.predict.types import Estimate


def test_a_figure_and_its_interval_are_shown_in_one_unit() -> None:
    assert numbers.estimated(Estimate(1_234_567.0, 1_200_000.0, 1_300_000.0), 1e-3, 1) == (
        "1,234.6",
        "1,200.0 … 1,300.0",
    )


def test_what_is_not_known_is_a_dash() -> None:
    assert numbers.scaled(None, 1.0, 2) == numbers.span(None, 1.0, 2) == numbers.UNKNOWN
    assert numbers.estimated(None, 1.0, 2) == (numbers.UNKNOWN, numbers.UNKNOWN)
