"""Do the coefficients of two runs of the same command agree? Each value must lie in the other's 95 % interval.

.venv/bin/python experiments/repeatability/coefficients.py PROFILE_A PROFILE_B

Anchored: B's figures are scaled by the ratio of the two runs' anchor medians at the same cache temperature.
"""

import sys
from pathlib import Path
from typing import Any

from profiler.profile.document import load_profile


def main(first: Path, second: Path) -> None:
    """Print one line per coefficient, then the share that agrees, raw and anchored."""
    profiles = [load_profile(path) for path in (first, second)]
    a, b = ({_key(entry): entry for entry in profile["coefficients"]} for profile in profiles)
    anchors = [profile["anchor"]["median_by_temperature_ns"] for profile in profiles]
    factors = {temperature: anchors[0][temperature] / anchors[1][temperature] for temperature in anchors[0]}
    shared = [key for key in a if key in b]
    agreeing = {"raw": 0, "anchored": 0}
    for key in shared:
        scaled = {name: b[key][name] * factors[b[key]["temperature"]] for name in ("value", "low", "high")}
        agrees = {"raw": _agree(a[key], b[key]), "anchored": _agree(a[key], scaled)}
        for name, yes in agrees.items():
            agreeing[name] += yes
        apart = ", ".join(name for name, yes in agrees.items() if not yes)
        print(f"{' '.join(key):62} {_text(a[key])} {_text(b[key])} {f'apart: {apart}' if apart else ''}")
    print("anchor of A / anchor of B:", ", ".join(f"{name} {factor:.2f}" for name, factor in factors.items()))
    for name, count in agreeing.items():
        print(f"{name}: {count} of {len(shared)} within each other's interval ({count / len(shared):.0%})")


def _agree(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return _within(one["value"], other) and _within(other["value"], one)


def _key(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(entry[name] for name in ("configuration", "temperature", "currency", "term"))


def _within(value: float, entry: dict[str, Any]) -> bool:
    return bool(entry["low"] <= value <= entry["high"])


def _text(entry: dict[str, Any]) -> str:
    return f"{entry['value'] / 1e3:9.1f} [{entry['low'] / 1e3:9.1f} … {entry['high'] / 1e3:9.1f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
