"""Profiles of two variants whose truth is known."""

import random
from collections.abc import Mapping

from msgspec.structs import replace

from profiler.profile.types import Cell, Profile
from tests.profiler.comparison.profiles import EXAMPLE, TRUTH_NS, cell_of


def duet(
    seed: int,
    injected: Mapping[str, float] | None = None,
    rounds: int = 8,
    scatter: float = 0.02,
    drift: float = 0.2,
    cells: int = 2,
) -> Profile:
    """One run of the variants `a` and `b`, the second of which has the `injected` ns.

    The machine's speed differs by `drift` from round to round, alike for both.
    """
    source = random.Random(seed)  # noqa: S311 (a simulation)
    speeds = [source.gauss(1.0, drift) for _ in range(rounds)]
    found: list[Cell] = []
    for number in range(cells):
        for variant, more in (("a", {}), ("b", dict(injected or {}))):

            def figures(more: Mapping[str, float] = more) -> dict[str, tuple[float, list[float]]]:
                truth = {name: TRUTH_NS.get(name, 0.0) + more.get(name, 0.0) for name in (*TRUTH_NS, *more)}
                drawn = {
                    name: [value * speed * source.gauss(1.0, scatter) for speed in speeds]
                    for name, value in truth.items()
                }
                return {name: (sum(taken) / rounds, taken) for name, taken in drawn.items()}

            name = f"http1-both@{variant}-hot-q128-s{1024 + number}-c1-max"
            found.append(replace(cell_of(name, figures(), figures()), variant=variant))
    return replace(EXAMPLE, cells=found)
