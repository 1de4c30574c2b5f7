"""How many 95 % intervals of a run hold the estimate of another run of the same command, and how wide are they?

    .venv/bin/python experiments/repeatability/coverage.py PROFILE PROFILE [PROFILE ...]

Each profile is held against each other one. Widths are half intervals relative to the figure, of figures above 5 µs.
"""

import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final

from profiler.profile.document import load_profile
from profiler.profile.intervals import component_figures, overhead_figure
from profiler.profile.types import Cell, Cpu, Latency, Profile

SMALLEST_NS: Final = 5000

Key = tuple[str, str, str]
"""Cell, currency, component or `overhead`."""


@dataclass(frozen=True)
class Found:
    """A figure with its stored interval."""

    kind: str
    value_ns: float
    interval: list[float] | None


def main(paths: list[Path]) -> None:
    """Print one line per kind of figure and temperature, then the figures that lie outside most often."""
    runs = [dict(figures(load_profile(path))) for path in paths]
    inside: dict[str, list[bool]] = {}
    halves: dict[str, list[float]] = {}
    outside: dict[str, int] = {}
    for one, other in permutations(runs, 2):
        for key in one.keys() & other.keys():
            found, second = one[key], other[key]
            if found.interval is None:
                continue
            low, high = found.interval
            holds = low <= second.value_ns <= high
            for kind in (found.kind, found.kind.split(",")[0], "all"):
                inside.setdefault(kind, []).append(holds)
                if abs(found.value_ns) >= SMALLEST_NS:
                    halves.setdefault(kind, []).append((high - low) / 2 / abs(found.value_ns))
            if not holds:
                name = f"{key[1]} {key[2]}"
                outside[name] = outside.get(name, 0) + 1
    for kind in sorted(inside):
        width = f"{statistics.median(halves[kind]):.0%}" if kind in halves else "-"
        count = len(inside[kind])
        print(f"{kind:28} {sum(inside[kind]):4} of {count:4} inside ({sum(inside[kind]) / count:.0%}), ±{width}")
    worst = sorted(outside.items(), key=lambda pair: -pair[1])[:8]
    print("outside:", ", ".join(f"{name} {count}" for name, count in worst) or "none")


def figures(profile: Profile) -> Iterator[tuple[Key, Found]]:
    """Every overhead and component of a profile."""
    for cell in profile.cells:
        if cell.latency is not None:
            yield from _of_part(cell, "latency", cell.latency)
        if cell.cpu is not None:
            yield from _of_part(cell, "cpu", cell.cpu)


def _of_part(cell: Cell, currency: str, part: Latency | Cpu) -> Iterator[tuple[Key, Found]]:
    whole = Found(f"{currency} overhead, {cell.temperature}", overhead_figure(part).value_ns, part.overhead_ci95_ns)
    yield (cell.id, currency, "overhead"), whole
    for name, figure in component_figures(part).items():
        kind = f"{currency} components, {cell.temperature}"
        yield (cell.id, currency, name), Found(kind, figure.value_ns, part.components[name].ci95_ns)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
