"""Numbers with units, and service times: against closed forms and a second method."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.graph.service_time import ServiceTime
from predictor.graph.units import format_duration, parse_duration_ns, parse_rate_rps, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "ns"), [("1.2ms", 1.2e6), ("300us", 3e5), ("300 µs", 3e5), ("2s", 2e9), ("7ns", 7.0), ("1e3ns", 1e3)]
)
def test_durations(text: str, ns: float) -> None:
    assert parse_duration_ns(text) == pytest.approx(ns)


@pytest.mark.parametrize(("text", "size"), [("1500", 1500), ("4KiB", 4096), ("1 KB", 1000), ("2mib", 2**21)])
def test_sizes(text: str, size: float) -> None:
    assert parse_size_bytes(text) == size


def test_rates() -> None:
    assert [parse_rate_rps(text) for text in ("200", "200/s", "30/min")] == [200, 200, 0.5]


@pytest.mark.parametrize("text", ["", "ms", "1", "1 parsec", "nan", "inf", "1e999s", "1..2ms"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_duration_ns(text)


@given(st.floats(0, 1e17))
def test_a_written_duration_reads_back_exactly(ns: float) -> None:
    assert parse_duration_ns(format_duration(ns)) == ns


@pytest.mark.parametrize(
    "time",
    [
        ServiceTime.exponential(2e6),
        ServiceTime.lognormal(2e6, 0.7),
        ServiceTime.from_percentiles(((50.0, 1e6), (90.0, 2e6), (99.0, 9e6))),
    ],
    ids=lambda time: time.kind,
)
def test_the_mean_is_the_integral_of_the_quantiles(time: ServiceTime) -> None:
    steps = 20_000
    mean = sum(time.quantile_ns((step + 0.5) / steps) for step in range(steps)) / steps
    assert mean == pytest.approx(time.mean_ns, rel=0.01)


def test_two_percentiles_make_a_lognormal() -> None:
    sigma = math.log(4) / NormalDist().inv_cdf(0.99)
    time = ServiceTime.from_percentiles(((50.0, 1e6), (99.0, 4e6)))
    assert time.mean_ns == pytest.approx(1e6 * math.exp(sigma**2 / 2))
    assert time.quantile_ns(0.99) == pytest.approx(4e6)
