"""Numbers as people write them: `1.2ms`, `1m30s`, `4 KiB`, `500/s`, `200m` CPUs. Pure; each name has the unit.

The one reader of such text: options, matrix files, call graphs and imported files use it.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

from profiler.text import one_line

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d]*)\s*\Z")
_PART: Final = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)")
_LONGEST: Final = 100
"""Characters of a number with its unit: no longer text is looked at."""

_DURATIONS_NS: Final[Mapping[str, float]] = {
    "ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
}  # fmt: skip
_PREFIXES: Final = "kmgtp"
_SIZES_BYTES: Final[Mapping[str, float]] = {
    "": 1.0,
    "b": 1.0,
    **{f"{letter}{end}": 1000.0**power for power, letter in enumerate(_PREFIXES, 1) for end in ("", "b")},
    **{f"{letter}{end}": 1024.0**power for power, letter in enumerate(_PREFIXES, 1) for end in ("i", "ib")},
}
_CPUS: Final[Mapping[str, float]] = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_BINARY_SIZES_BYTES: Final[Mapping[str, float]] = {
    unit: 1024.0 ** (_PREFIXES.find(unit[:1] or "b") + 1) for unit in _SIZES_BYTES
}
_RATES_RPS: Final[Mapping[str, float]] = {"": 1.0, "/s": 1.0, "rps": 1.0, "/m": 1 / 60, "/min": 1 / 60, "/h": 1 / 3600}


def parse_duration_ns(text: str, *, bare_ns: float | None = None) -> float:
    """`1.2ms`, `300us`, `2h`, `1m30s` in nanoseconds. Raises `ValueError`.

    `bare_ns` is what a number without a unit counts in; without it the unit is needed.
    """
    expected = "a time with its unit, such as 1.2ms"
    parts = _PART.findall(text[: _LONGEST + 1])
    if len(parts) > 1 and "".join(parts) == text.strip():
        return sum(_parse(part, _DURATIONS_NS, expected) for part in parts)
    return _parse(text, _DURATIONS_NS if bare_ns is None else {**_DURATIONS_NS, "": bare_ns}, expected)


def parse_duration_s(text: str, *, bare_s: float | None = None) -> float:
    """As `parse_duration_ns`, in seconds. Raises `ValueError`."""
    return parse_duration_ns(text, bare_ns=None if bare_s is None else bare_s * 1e9) / 1e9


def parse_size_bytes(text: str, *, binary: bool = False) -> float:
    """`1500`, `4KiB`, `1 KB`, Kubernetes' `512Mi`, in bytes, case aside; KB is 1000, KiB 1024. Raises `ValueError`.

    `binary` is for files whose KB is 1024 as well.
    """
    units = _BINARY_SIZES_BYTES if binary else _SIZES_BYTES
    return _parse(text, units, "a size in bytes or with its unit, such as 4KiB", fold=True)


def parse_whole_bytes(text: str) -> int:
    """As `parse_size_bytes`, for sizes that must be whole numbers of bytes. Raises `ValueError`."""
    size = parse_size_bytes(text)
    if not size.is_integer():
        raise ValueError(f"expected a whole number of bytes, such as 64KiB; found {one_line(text)!r}")
    return int(size)


def parse_cpus(text: str) -> float:
    """`2`, `0.5`, Kubernetes' `200m` in CPUs. Raises `ValueError`."""
    return _parse(text, _CPUS, "a number of CPUs, such as 0.5 or 200m")


def parse_rate_rps(text: str) -> float:
    """`200`, `200/s`, `30/min` in requests per second. Raises `ValueError`."""
    return _parse(text, _RATES_RPS, "a rate in requests per second, such as 200")


def _parse(text: str, units: Mapping[str, float], expected: str, *, fold: bool = False) -> float:
    found = _NUMBER.match(text) if len(text) <= _LONGEST else None
    factor = None if found is None else units.get(found[2].lower() if fold else found[2])
    if found is None or factor is None:
        raise ValueError(f"expected {expected}; found {one_line(text)!r}")
    value = float(found[1]) * factor
    if not math.isfinite(value):
        raise ValueError(f"expected {expected}; found {one_line(text)!r}, which is beyond all bounds")
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
