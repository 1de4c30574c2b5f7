"""Numbers as text: the one place where nanoseconds become microseconds. Pure: no I/O.

A figure that is not known is an en dash, never a zero.
"""

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
    """A figure and its interval in that unit."""
    if value is None:
        return UNKNOWN, UNKNOWN
    return scaled(value.value, factor, decimals), span(value.interval, factor, decimals)


def _no_minus_zero(text: str) -> str:
    return text.lstrip("-") if not text.strip("-+0.,") else text
