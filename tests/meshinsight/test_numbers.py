"""Figures as text."""

import pytest

from meshinsight import numbers
from predictor.predict.types import Estimate


def test_a_figure_and_its_interval_are_shown_in_one_unit() -> None:
    assert numbers.estimated(Estimate(1_234_567.0, 1_200_000.0, 1_300_000.0), 1e-3, 1) == (
        "1,235",
        "1,200 … 1,300",
    )


def test_an_interval_that_is_narrow_keeps_the_decimals_that_were_asked_for() -> None:
    assert numbers.estimated(Estimate(1_234_567.0, 1_234_500.0, 1_234_600.0), 1e-3, 1) == (
        "1,234.6",
        "1,234.5 … 1,234.6",
    )


def test_what_is_not_known_is_a_dash() -> None:
    assert numbers.scaled(None, 1.0, 2) == numbers.span(None, 1.0, 2) == numbers.UNKNOWN
    assert numbers.estimated(None, 1.0, 2) == (numbers.UNKNOWN, numbers.UNKNOWN)


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (278.2, (197.1, 359.3), "278 ± 81"),
        (0.3446, (0.2536, 0.4356), "0.345 ± 0.091"),
        (4640.0, (1500.0, 7780.0), "4,600 ± 3,100"),
        (10.0, (9.0, 13.0), "10.0 ± 3.0"),  # the larger half
        (-0.3, (-30.3, 29.7), "0 ± 30"),
        (99.93, None, "99.9"),
        (None, None, "–"),
    ],
)
def test_a_figure_has_the_digits_that_its_interval_leaves(
    value: float | None, interval: tuple[float, float] | None, expected: str
) -> None:
    assert numbers.plus_minus(value, interval) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1971, 0.3593, "0.20–0.36"),
        (0.0107, 0.0117, "0.0107–0.0117"),
        (10.2, 12.6, "10–13"),
        (900.0, 1400.0, "900–1,400"),
    ],
)
def test_a_range_has_two_digits_or_as_many_as_tell_its_ends_apart(low: float, high: float, expected: str) -> None:
    assert numbers.between(low, high) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(2500.0, "2,500"), (0.012345, "0.0123"), (0.0, "0"), (1e12, "1,000,000,000,000")]
)
def test_no_number_has_an_exponent(value: float, expected: str) -> None:
    assert numbers.significant(value) == expected


def test_one_is_singular() -> None:
    assert (numbers.plural(1, "service"), numbers.plural(2000, "service")) == ("1 service", "2,000 services")


def test_a_duration_is_in_minutes_and_seconds() -> None:
    assert (numbers.duration(687.2), numbers.duration(59.6), numbers.duration(4)) == (
        "11 min 27 s",
        "1 min 00 s",
        "4 s",
    )
