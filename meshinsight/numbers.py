"""Numbers as text: the one place where nanoseconds become microseconds. Pure: no I/O.

A figure that is not known is an en dash, never a zero. A figure with an interval has the digits that the interval
leaves certain: half of the interval has two.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from predictor.predict.types import Estimate

UNKNOWN: Final = "\N{EN DASH}"


def micros(value_ns: float | None) -> str:
    """Nanoseconds as microseconds with one decimal, without the unit: `151.2`."""
    return UNKNOWN if value_ns is None else _no_minus_zero(f"{value_ns / 1000:,.1f}")


def nanos(value_ns: float | None) -> str:
    """Nanoseconds with one decimal, without the unit."""
    return UNKNOWN if value_ns is None else f"{value_ns:,.1f}"


def micros_interval(interval_ns: Sequence[float] | None) -> str:
    """An interval in nanoseconds as microseconds: `146.9 … 155.0`."""
    return UNKNOWN if interval_ns is None else f"{micros(interval_ns[0])} … {micros(interval_ns[1])}"


def percent(ratio: float | None, decimals: int = 0) -> str:
    """A fraction as percent: `0.312` → `31 %`."""
    return UNKNOWN if ratio is None else _no_minus_zero(f"{ratio * 100:,.{decimals}f}") + " %"


def signed_percent(ratio: float | None, decimals: int = 0) -> str:
    """A fraction as percent with its sign: `0.029` → `+2.9 %` at one decimal."""
    if ratio is None:
        return UNKNOWN
    text = percent(ratio, decimals)
    return text if text.startswith("-") or not text.strip("0. %") else f"+{text}"


def change_percent(ratio: float | None) -> str:
    """A ratio of two measurements as the change it means: `1.029` → `+2.9 %`."""
    return UNKNOWN if ratio is None else signed_percent(ratio - 1, decimals=1)


def points(value: float | None) -> str:
    """Percentage points with their sign: `+1.5`."""
    return UNKNOWN if value is None else _no_minus_zero(f"{value:+.1f}").replace("+0.0", "0.0")


def vcpus(value: float | None) -> str:
    """Processors kept busy: `0.171`."""
    return UNKNOWN if value is None else _no_minus_zero(f"{value:.4f}")


def rate(value_rps: float | None) -> str:
    """Requests per second: `3,800`, with a decimal only below ten."""
    if value_rps is None:
        return UNKNOWN
    return f"{value_rps:,.1f}" if value_rps < 10 else f"{value_rps:,.0f}"


def count(value: int | None) -> str:
    """A count with thousands separators."""
    return UNKNOWN if value is None else f"{value:,}"


def size(value_bytes: float) -> str:
    """Bytes in the largest binary unit that divides them well: `1024` → `1 KiB`, `1500` → `1500 B`."""
    if value_bytes >= 1 << 30:
        return f"{value_bytes / (1 << 30):.1f} GiB"
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value_bytes >= unit and value_bytes % unit == 0:
            return f"{value_bytes / unit:.0f} {name}"
    return f"{value_bytes:.0f} B"


def scaled(value: float | None, factor: float, decimals: int) -> str:
    """A figure in the unit that `factor` leads to: `1,234.5`."""
    return UNKNOWN if value is None else f"{value * factor:,.{decimals}f}"


def span(interval: Sequence[float] | None, factor: float, decimals: int) -> str:
    """An interval in that unit: `146.9 … 155.0`."""
    return UNKNOWN if interval is None else " … ".join(scaled(end, factor, decimals) for end in interval)


def estimated(value: "Estimate | None", factor: float, decimals: int) -> tuple[str, str]:
    """A figure and its interval in that unit, with `decimals` at most."""
    return (UNKNOWN, UNKNOWN) if value is None else figure(value.value, value.interval, factor, decimals)


def figure(value: float, interval: Sequence[float], factor: float, decimals: int) -> tuple[str, str]:
    """A figure and its interval in the unit that `factor` leads to, with `decimals` at most."""
    shown = min(decimals, _decimals(factor * (interval[1] - interval[0]) / 2, 2))
    return scaled(value, factor, shown), span(interval, factor, shown)


def plus_minus(value: float | None, interval: Sequence[float] | None, factor: float = 1.0) -> str:
    """A figure with the larger half of its interval: `278 ± 81`; alone with three digits where that is not known."""
    if value is None:
        return UNKNOWN
    if interval is None:
        return significant(value * factor)
    half = factor * max(interval[1] - value, value - interval[0])
    digits = _digits(half, 2)
    shown = [_no_minus_zero(f"{round(each, digits):,.{max(0, digits)}f}") for each in (value * factor, half)]
    return " ± ".join(shown)


def between(low: float, high: float) -> str:
    """A range of two positive numbers for a sentence: `0.20–0.36`."""
    decimals = max(_decimals(high, 2), _decimals((high - low) / 2, 1))
    return f"{low:,.{decimals}f}–{high:,.{decimals}f}"


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, and never with an exponent: `1,234`, `0.0123`."""
    return _no_minus_zero(f"{value:,.{_decimals(value, digits)}f}")


def plural(number: int, name: str) -> str:
    """A count with its noun: `1 cell`, `1,200 cells`."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time as people say it: `45 s`, `11 min 27 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _decimals(size: float, digits: int) -> int:
    """How many decimals give a number of this size so many significant digits."""
    return max(0, _digits(size, digits))


def _digits(size: float, digits: int) -> int:
    """The same as `round` takes it: six at most, below zero where even tens are not significant."""
    if size == 0.0 or not math.isfinite(size):
        return 0
    return min(6, digits - 1 - math.floor(math.log10(abs(size))))


def _no_minus_zero(text: str) -> str:
    return text.lstrip("-") if not text.strip("-+0.,") else text
