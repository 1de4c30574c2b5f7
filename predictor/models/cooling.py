"""How far idle sidecars move from hot to cold, from the anchor of a profile at low rates. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_LEAST_WAY: Final = 0.1
"""Where cold costs hardly more than hot, as a share of hot, there is nothing to cool."""


def cooling_curve(anchor: Mapping[str, Any] | None) -> tuple[tuple[float, float], ...]:
    """Pairs of the time since the last request was answered, in ns, and where that leaves a sidecar: 0 hot, 1 cold.

    Empty where the profile did not measure it. Positions never fall; between requests as fast as answers come, a
    sidecar is hot.
    """
    points = (anchor or {}).get("cooling", ())
    ends = {point["temperature"]: point for point in points if point["rate_rps"] is None}
    if not {"hot", "cold"} <= set(ends):
        return ()
    hot_ns, cold_ns = overhead_ns(ends["hot"]), overhead_ns(ends["cold"])
    if cold_ns - hot_ns < _LEAST_WAY * abs(hot_ns):
        return ()
    curve = [(ends["hot"]["with_p50_ns"] / 2.0, 0.0)]
    for point in _slower(points):
        gap_ns = 1e9 / point["rate_rps"] - point["with_p50_ns"]
        if gap_ns > curve[-1][0]:
            curve.append((gap_ns, max(curve[-1][1], (overhead_ns(point) - hot_ns) / (cold_ns - hot_ns))))
    return tuple(curve) if len(curve) > 1 else ()


def overhead_ns(point: Mapping[str, Any]) -> float:
    """What the sidecars added at the median."""
    return float(point["with_p50_ns"] - point["baseline_p50_ns"])


def _slower(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted((point for point in points if point["rate_rps"] is not None), key=lambda point: -point["rate_rps"])
