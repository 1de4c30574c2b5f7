"""Do the coefficients of two runs of the same command agree? Each value must lie in the other's 95 % interval.

.venv/bin/python experiments/repeatability/coefficients.py PROFILE_A PROFILE_B

Anchored: B's figures are scaled by the ratio of the two runs' anchor medians at the same cache temperature.
"""

import sys
from pathlib import Path

from msgspec.structs import replace

from meshinsight.reports.subjects.model import coefficients
from predictor.models.fitting import fit_profile
from profiler.profile.document import load_profile
from profiler.profile.types import Coefficient


def main(first: Path, second: Path) -> None:
    """Print one line per coefficient, then the share that agrees, raw and anchored."""
    profiles = [load_profile(path) for path in (first, second)]
    a, b = ({_key(entry): entry for entry in coefficients(fit_profile(profile))} for profile in profiles)
    anchors = [profile.anchor.median_by_temperature_ns if profile.anchor else {} for profile in profiles]
    factors = {temperature: anchors[0][temperature] / anchors[1][temperature] for temperature in anchors[0]}
    shared = [key for key in a if key in b]
    agreeing = {"raw": 0, "anchored": 0}
    for key in shared:
        factor = factors[b[key].temperature]
        scaled = replace(b[key], value=b[key].value * factor, low=b[key].low * factor, high=b[key].high * factor)
        agrees = {"raw": _agree(a[key], b[key]), "anchored": _agree(a[key], scaled)}
        for name, yes in agrees.items():
            agreeing[name] += yes
        apart = ", ".join(name for name, yes in agrees.items() if not yes)
        print(f"{' '.join(key):62} {_text(a[key])} {_text(b[key])} {f'apart: {apart}' if apart else ''}")
    print("anchor of A / anchor of B:", ", ".join(f"{name} {factor:.2f}" for name, factor in factors.items()))
    for name, count in agreeing.items():
        print(f"{name}: {count} of {len(shared)} within each other's interval ({count / len(shared):.0%})")


def _agree(one: Coefficient, other: Coefficient) -> bool:
    return _within(one.value, other) and _within(other.value, one)


def _key(entry: Coefficient) -> tuple[str, ...]:
    return (entry.configuration, entry.temperature, entry.currency, entry.term)


def _within(value: float, entry: Coefficient) -> bool:
    return entry.low <= value <= entry.high


def _text(entry: Coefficient) -> str:
    return f"{entry.value:10.4g} [{entry.low:10.4g} … {entry.high:10.4g}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
