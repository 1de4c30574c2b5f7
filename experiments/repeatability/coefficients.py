"""Do the coefficients of two runs of the same command agree? Each value must lie in the other's 95 % interval.

.venv/bin/python experiments/repeatability/coefficients.py PROFILE_A PROFILE_B
"""

import sys
from pathlib import Path
from typing import Any

from profiler.profile.document import load_profile


def main(first: Path, second: Path) -> None:
    """Print one line per coefficient, then the share that agrees."""
    a, b = ({_key(entry): entry for entry in load_profile(path)["coefficients"]} for path in (first, second))
    agreeing = 0
    for key in (shared := [key for key in a if key in b]):
        agrees = _within(a[key]["value"], b[key]) and _within(b[key]["value"], a[key])
        agreeing += agrees
        print(f"{' '.join(key):62} {_text(a[key])} {_text(b[key])} {'' if agrees else '  apart'}")
    print(f"{agreeing} of {len(shared)} within each other's interval ({agreeing / len(shared):.0%})")


def _key(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(entry[name] for name in ("configuration", "temperature", "currency", "term"))


def _within(value: float, entry: dict[str, Any]) -> bool:
    return bool(entry["low"] <= value <= entry["high"])


def _text(entry: dict[str, Any]) -> str:
    return f"{entry['value'] / 1e3:9.1f} [{entry['low'] / 1e3:9.1f} … {entry['high'] / 1e3:9.1f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
