"""How far idle sidecars move from hot to cold, from the anchor of a profile at low rates. Pure."""

import math
from collections.abc import Sequence
from typing import Final

from profiler.profile.types import Anchor, CoolingPoint

_LEAST_WAY: Final = 0.1
"""Where cold costs hardly more than hot, as a share of hot, there is nothing to cool."""


def cooling_curve(anchor: Anchor | None) -> tuple[tuple[float, float], ...]:
    """Pairs of the time since the last request was answered, in ns, and where that leaves a sidecar: 0 hot, 1 cold.

    Empty where the profile did not measure it. Positions never fall; between requests as fast as answers come, a
    sidecar is hot.
    """
    points = anchor.cooling if anchor else []
    ends = {point.temperature: point for point in points if point.rate_rps is None}
    return _curve(ends["hot"], ends["cold"], _slower(points, "hot")) if {"hot", "cold"} <= set(ends) else ()


def natural_curve(anchor: Anchor | None) -> tuple[float, tuple[tuple[float, float], ...]]:
    """The same where CPUs sleep between requests, from hot (0) to the profile's natural cells (1).

    With what hot costs as a share of natural; 1 and empty where the profile did not measure it.
    """
    points = anchor.cooling if anchor else []
    hot = next((point for point in points if point.rate_rps is None and point.temperature == "hot"), None)
    slower = _slower(points, "natural")
    curve = _curve(hot, slower[0], slower) if hot and slower else ()
    return (hot.overhead_ns / slower[0].overhead_ns, curve) if hot and curve else (1.0, ())


def _curve(hot: CoolingPoint, cold: CoolingPoint, slower: Sequence[CoolingPoint]) -> tuple[tuple[float, float], ...]:
    hot_ns, cold_ns = hot.overhead_ns, cold.overhead_ns
    if hot_ns <= 0.0 or cold_ns - hot_ns < _LEAST_WAY * hot_ns:
        return ()
    curve = [(hot.with_p50_ns / 2.0, 0.0)]
    for point in slower:
        gap_ns = 1e9 / (point.rate_rps or math.inf) - point.with_p50_ns
        if gap_ns > curve[-1][0]:
            curve.append((gap_ns, max(curve[-1][1], (point.overhead_ns - hot_ns) / (cold_ns - hot_ns))))
    return tuple(curve) if len(curve) > 1 else ()


def _slower(points: Sequence[CoolingPoint], temperature: str) -> list[CoolingPoint]:
    """Points at a rate, the fastest first."""
    chosen = (point for point in points if point.rate_rps and point.temperature == temperature)
    return sorted(chosen, key=lambda point: -(point.rate_rps or 0.0))
