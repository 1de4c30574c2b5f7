"""What the difference between CPU phases with tracepoints and without is due to. Pure.

In phases with tracepoints their hits cost CPU time. And where the scheduler places the processes, one phase may have
more hand-overs to another CPU than the next: tried on two CPUs of an Intel guest, such a hand-over costs 30 to 35 µs
of CPU more than a local one, so a hop without sidecars takes 15 µs of CPU per request, or 80. Each is an interrupt that
the kernel counts, with probes or without. Both costs are fitted to hops without sidecars, so the closure of the others
stays a test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from profiler.evaluation.readings import Point
from profiler.evaluation.windows import CpuWindow
from profiler.planning.cells import Scene

_HIT: Final = ""
"""The column of hits; the others are those of temperatures."""


@dataclass(frozen=True)
class CpuCosts:
    """CPU time in ns of a hit of a CPU probe, and by temperature of an interrupt for a hand-over to another CPU."""

    hit_ns: float = 0.0
    rescheduling_ns: Mapping[str, float] = field(default_factory=dict)

    def moved_ns(self, window: CpuWindow, temperature: str) -> float:
        """CPU time that the requests with tracepoints would have had on top with the hand-overs of those without."""
        return self.rescheduling_ns.get(temperature, 0.0) * window.fewer_reschedulings


def fit_cpu_costs(windows: Mapping[Point, Sequence[CpuWindow]]) -> CpuCosts:
    """The costs by weighted least squares, from the windows of hops without sidecars.

    A window has two rows: its phases without probes and those with. Per request, CPU time is that of the application
    under this load (in any placement), and the two costs times their numbers. A cost that comes out negative is 0.
    """
    rows = _Rows(windows)
    chosen = rows.columns
    while chosen:
        found = rows.solve(chosen)
        if min(found.values()) >= 0.0:
            break
        chosen = [name for name in chosen if found[name] > 0.0]
    else:
        found = {}
    return CpuCosts(found.pop(_HIT, 0.0), found)


class _Rows:
    """The rows of the regression, means of their group taken off and times the root of their weight."""

    def __init__(self, windows: Mapping[Point, Sequence[CpuWindow]]) -> None:
        groups: dict[tuple[str, Scene], list[tuple[float, float, float, float]]] = {}
        for (hop, scene), entries in windows.items():
            counted = all(window.counts_reschedulings for window in entries)
            for window in entries:
                free = (window.free_reschedulings or 0.0) if counted else 0.0
                traced = (window.traced_reschedulings or 0.0) if counted else 0.0
                groups.setdefault((hop.application, scene), []).extend(
                    [
                        (window.free_requests, window.busy_ns, free, 0.0),
                        (window.requests, window.traced_busy_ns, traced, float(window.times.hits)),
                    ]
                )
        self.columns = [_HIT, *dict.fromkeys(scene.temperature for _, scene in groups)]
        values, features = [], []
        for (_, scene), rows in groups.items():
            table = np.array(rows)
            requests = table[:, :1]
            rates = table[:, 1:] / requests
            rates = (rates - (rates * requests).sum(axis=0) / requests.sum()) * np.sqrt(requests)
            values.append(rates[:, 0])
            of_temperature = [rates[:, 1] * (scene.temperature == name) for name in self.columns[1:]]
            features.append(np.stack([rates[:, 2], *of_temperature], axis=1))
        self._values = np.concatenate(values) if values else np.zeros(0)
        self._features = np.concatenate(features) if features else np.zeros((0, 1))

    def solve(self, chosen: Sequence[str]) -> dict[str, float]:
        """The costs of these columns; 0 for one that does not vary."""
        features = self._features[:, [self.columns.index(name) for name in chosen]]
        found, *_ = np.linalg.lstsq(features, self._values, rcond=None)
        return dict(zip(chosen, found.tolist(), strict=True))
