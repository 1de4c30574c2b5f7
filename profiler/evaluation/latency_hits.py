"""What a hit of the timeline's probes adds to latency, from the windows of other hops that are like it. Pure.

It is measured where it is paid: the median latency in bursts minus that between them, per piece of the path. Where
sidecars parse, and where caches are cold, the code and data of the probes have left the caches before the next hit, so
one costs about twice as much there. A cell is corrected by other hops than its own, so its closure stays a test.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from profiler.evaluation.readings import Point
from profiler.evaluation.windows import LatencyWindow, median_latency_ns
from profiler.vocabulary.hop import Hop

_FEWEST_WINDOWS: Final = 4


class LatencyHits:
    """The cost of a hit in ns; where none is measured it is `loop_ns`, that in a loop of system calls."""

    def __init__(self, windows: Mapping[Point, Sequence[LatencyWindow]], loop_ns: float) -> None:
        self._costs = {
            point: costs
            for point, entries in windows.items()
            if point[1].load.serial and (costs := [cost for one in entries if (cost := _cost_ns(one)) is not None])
        }
        self._loop_ns = loop_ns

    def overall_ns(self) -> float:
        """The median over all windows."""
        return self._median([list(self._costs)], 1)

    def of(self, point: Point, cell: Hop) -> float:
        """The cost where `point` is part of a cell of the hop `cell`, whose own windows do not count.

        From hops of the same temperature that parse as this one does, or else from any of the temperature, or any.
        """
        hop, scene = point
        others = [other for other in self._costs if other[0] != cell]
        as_warm = [other for other in others if other[1].temperature == scene.temperature]
        alike = [other for other in as_warm if other[0].parses == hop.parses]
        return self._median([alike, as_warm, others], _FEWEST_WINDOWS)

    def _median(self, choices: Sequence[Sequence[Point]], fewest: int) -> float:
        for points in choices:
            costs = [cost for point in points for cost in self._costs[point]]
            if len(costs) >= fewest:
                return max(0.0, float(np.median(costs)))
        return self._loop_ns


def _cost_ns(window: LatencyWindow) -> float | None:
    if window.exchanges is None or not len(window.burst_ns) or not len(window.gap_ns):
        return None
    pieces = float(window.exchanges.segments.sum(axis=1).mean())
    return (median_latency_ns(window.burst_ns) - median_latency_ns(window.gap_ns)) / pieces if pieces > 0.0 else None
