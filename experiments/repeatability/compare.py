"""Do two runs of the same command agree? Compares latency components above 5 µs, raw and anchored.

    .venv/bin/python experiments/repeatability/compare.py PROFILE_A PROFILE_B

Anchored: B's figures are scaled by the ratio of the two runs' anchor medians at the same cache temperature, so that a
machine that was slower altogether during one of them is not taken for a difference of the components.
"""

import statistics
import sys
from pathlib import Path
from typing import Any

from profiler.profile.document import load_profile

SMALLEST_NS = 5000


def main(first: Path, second: Path) -> None:
    """Print one line per cell and component, then the summary."""
    a, b = load_profile(first), load_profile(second)
    anchors = [profile.anchor.median_by_temperature_ns if profile.anchor else {} for profile in (a, b)]
    factors = {temperature: anchors[0][temperature] / anchors[1][temperature] for temperature in anchors[0]}
    for temperature in factors:
        first_us, second_us = (anchor[temperature] / 1e3 for anchor in anchors)
        print(f"anchor, {temperature}: {first_us:.1f} µs and {second_us:.1f} µs")
    raw, anchored = [], []
    components = {cell.id: cell.latency.components for cell in b.cells if cell.latency}
    for cell in a.cells:
        for name, component in cell.latency.components.items() if cell.latency else ():
            found = components.get(cell.id, {}).get(name)
            if found is None or component.median_ns < SMALLEST_NS:
                continue
            other = found.median_ns
            raw.append(other / component.median_ns - 1)
            anchored.append(other * factors[cell.temperature] / component.median_ns - 1)
            print(
                f"{cell.id:42} {name:13} {component.median_ns / 1e3:8.1f} {other / 1e3:8.1f} µs"
                f"  raw {raw[-1]:+6.1%}  anchored {anchored[-1]:+6.1%}"
            )
    for name, values in (("raw", raw), ("anchored", anchored)):
        print(f"{name:9} {_summary(values)}")


def _summary(differences: list[float]) -> dict[str, Any]:
    sizes = [abs(value) for value in differences]
    within = sum(size <= 0.1 for size in sizes)
    return {
        "within 10 %": f"{within} of {len(sizes)}",
        "median": f"{statistics.median(sizes):.1%}",
        "largest": f"{max(sizes):.1%}",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
