"""What windows at low rates say of how idle sidecars cool. Pure."""

from collections.abc import Sequence

import numpy as np

from profiler.evaluation.windows import CoolingWindow
from profiler.planning.cells import Scene
from profiler.profile.types import CoolingPoint
from profiler.vocabulary.hop import Hop


def cooling_point(
    hop: Hop, scene: Scene, windows: Sequence[CoolingWindow], baseline: Sequence[CoolingWindow]
) -> CoolingPoint:
    """The point of a hop, from its windows with sidecars and without, at least one of each."""
    (with_ns, with_error_ns), (without_ns, without_error_ns) = (_median(entries) for entries in (windows, baseline))
    cpu_ns, cpu_error_ns = _cpu(windows)
    return CoolingPoint(
        protocol=hop.protocol,
        tls=hop.tls,
        topology=hop.topology,
        temperature=scene.temperature,
        rate_rps=scene.load.rate_rps,
        with_p50_ns=with_ns,
        baseline_p50_ns=without_ns,
        overhead_error_ns=float(np.hypot(with_error_ns, without_error_ns)),
        cpu_ns=cpu_ns,
        cpu_error_ns=cpu_error_ns,
    )


def _median(windows: Sequence[CoolingWindow]) -> tuple[float, float]:
    """The median of all requests, and its standard error: as they scatter, or as the windows do, whichever is more."""
    pooled = np.concatenate([window.latency_ns for window in windows])
    low, high = np.percentile(pooled, [15.87, 84.13])
    of_requests = np.sqrt(np.pi / 2.0) * (high - low) / 2.0 / np.sqrt(len(pooled))
    medians = [float(np.median(window.latency_ns)) for window in windows]
    of_windows = np.std(medians, ddof=1) / np.sqrt(len(medians)) if len(medians) > 1 else 0.0
    return float(np.median(pooled)), float(max(of_requests, of_windows))


def _cpu(windows: Sequence[CoolingWindow]) -> tuple[float, float]:
    """CPU time of the proxies per request and its standard error, as the parts of windows scatter."""
    used = np.concatenate([window.proxy_ns for window in windows])
    requests = np.concatenate([window.requests for window in windows])
    mean = float(used.sum() / requests.sum())
    residuals = used - mean * requests
    return mean, float(np.sqrt(np.square(residuals).sum() * len(used) / max(1, len(used) - 1)) / requests.sum())
