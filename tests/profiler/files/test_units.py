"""Numbers with units: the one reader of them, for options and for files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.files.units import (
    format_duration,
    parse_cpus,
    parse_duration_ns,
    parse_duration_s,
    parse_rate_rps,
    parse_size_bytes,
    parse_whole_bytes,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1.2ms", 1.2e6), ("300us", 3e5), ("300 µs", 3e5), ("2s", 2e9), ("7ns", 7.0), ("1e3ns", 1e3), ("1.5h", 5400e9),
        ("1m30s", 90e9), (" 1h2m3.5s ", 3723.5e9), (".5s", 5e8), ("-1s", -1e9),
    ],
)  # fmt: skip
def test_durations(text: str, ns: float) -> None:
    assert parse_duration_ns(text) == pytest.approx(ns)
    assert parse_duration_s(text) == pytest.approx(ns / 1e9)


def test_a_duration_without_a_unit_counts_what_the_reader_says() -> None:
    assert [parse_duration_s(text, bare_s=1.0) for text in ("2", "1.5", "500ms")] == [2.0, 1.5, 0.5]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1500", 1500),
        ("4KiB", 4096),
        ("1 KB", 1000),
        ("2mib", 2**21),
        ("7B", 7),
        ("64KiB", 65_536),
        ("1GiB", 2**30),
        ("2Gi", 2**31),
    ],
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size_bytes(text) == size
    assert parse_whole_bytes(text) == size


@pytest.mark.parametrize(("text", "size"), [("10", 10), ("1 KB", 1024), ("1.5k", 1536), ("1 PB", 2**50)])
def test_sizes_of_files_whose_units_are_binary(text: str, size: float) -> None:
    assert parse_size_bytes(text, binary=True) == size


@pytest.mark.parametrize(("text", "cpus"), [("2", 2), ("0.5", 0.5), ("200m", 0.2), ("1500m", 1.5), ("1u", 1e-6)])
def test_cpus(text: str, cpus: float) -> None:
    assert parse_cpus(text) == pytest.approx(cpus)


@pytest.mark.parametrize("text", ["", "m", "1Mi", "half", "nan"])
def test_what_is_no_number_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number of CPUs, such as"):
        parse_cpus(text)


def test_rates() -> None:
    assert [parse_rate_rps(text) for text in ("200", "200/s", "30/min")] == [200, 200, 0.5]


@pytest.mark.parametrize(
    "text", ["", "ms", "1", "1 parsec", "nan", "inf", "1e999s", "1..2ms", "1m30", "1m 2s", "1s" * 99]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_duration_ns(text)


@pytest.mark.parametrize("text", ["KiB", "1.5B", "-", "", "0.3KiB", "1 K B"])
def test_what_is_no_whole_number_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a (size|whole number)"):
        parse_whole_bytes(text)


@given(st.floats(0, 1e17))
def test_a_written_duration_reads_back_exactly(ns: float) -> None:
    assert parse_duration_ns(format_duration(ns)) == ns


@given(st.integers(0, 2**50), st.sampled_from(["", "B", "KiB", "MiB", "GiB"]), st.sampled_from(["", " "]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str, space: str) -> None:
    factor = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]
    assert parse_whole_bytes(f"{number}{space}{unit}") == number * factor


@given(st.text() | st.from_regex(r"[0-9.]{0,4} ?[a-zA-Z/µ\n\x1b]{0,4}"))
def test_any_text_is_a_finite_number_or_refused_in_one_line(text: str) -> None:
    for parse in (parse_duration_ns, parse_duration_s, parse_size_bytes, parse_whole_bytes, parse_rate_rps):
        try:
            assert abs(parse(text)) < float("inf")
        except ValueError as error:
            message = str(error)
            assert message.startswith("expected a ")
            assert "; found '" in message or '; found "' in message
            assert message.isprintable()
