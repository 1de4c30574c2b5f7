"""Numbers as people write them: `1.2ms`, `4 KiB`, `500/s`. Pure; the unit inside MeshInsight is in each name."""

import math
import re
from collections.abc import Mapping
from typing import Final

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d]*)\s*\Z")

DURATIONS_NS: Final[Mapping[str, float]] = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}
SIZES_BYTES: Final[Mapping[str, float]] = {
    "": 1.0,
    "b": 1.0,
    "k": 1e3,
    "kb": 1e3,
    "kib": 1024.0,
    "m": 1e6,
    "mb": 1e6,
    "mib": 1024.0**2,
    "g": 1e9,
    "gb": 1e9,
    "gib": 1024.0**3,
}
RATES_RPS: Final[Mapping[str, float]] = {"": 1.0, "/s": 1.0, "rps": 1.0, "/m": 1 / 60, "/min": 1 / 60, "/h": 1 / 3600}


def parse_duration_ns(text: str) -> float:
    """`1.2ms`, `300us`, `2s` in nanoseconds; the unit is needed. Raises `ValueError`."""
    return _parse(text, DURATIONS_NS, "a time with its unit, such as 1.2ms")


def parse_size_bytes(text: str) -> float:
    """`1500`, `4KiB`, `1 KB` in bytes, case aside; KB is 1000, KiB 1024. Raises `ValueError`."""
    return _parse(text.lower(), SIZES_BYTES, "a size in bytes or with its unit, such as 4KiB")


def parse_rate_rps(text: str) -> float:
    """`200`, `200/s`, `30/min` in requests per second. Raises `ValueError`."""
    return _parse(text, RATES_RPS, "a rate in requests per second, such as 200")


def _parse(text: str, units: Mapping[str, float], expected: str) -> float:
    found = _NUMBER.match(text)
    if found is None or found[2] not in units:
        raise ValueError(f"expected {expected}, found {text!r}")
    value = float(found[1]) * units[found[2]]
    if not math.isfinite(value):
        raise ValueError(f"expected {expected}, found {text!r}, which is beyond all bounds")
    return value


def format_duration(duration_ns: float) -> str:
    """The shortest text that reads back as the same number of nanoseconds, in the largest unit up to seconds."""
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if duration_ns >= factor:
            text = f"{plain(duration_ns / factor)}{unit}"
            if parse_duration_ns(text) == duration_ns:
                return text
    return f"{plain(duration_ns)}ns"


def plain(number: float) -> str:
    """A number as text, whole ones without the `.0`."""
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(float(number))
