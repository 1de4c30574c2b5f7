"""What the difference between CPU phases with tracepoints and without is due to. Pure.

In phases with tracepoints their hits cost CPU time. And where the scheduler places the processes, one phase may have
more hand-overs to another CPU than the next: tried on two CPUs of an Intel guest, such a hand-over costs 30 to 40 µs
of CPU more than a local one, so a hop without sidecars takes 15 µs of CPU per request, or 80. Each is an interrupt that
the kernel counts, with probes or without.

The costs are fitted to the phases of all other hops than the one that they correct, so its closure stays a test. Hops
without sidecars alone give too little: a hit costs more where caches are colder and bodies larger. Where sidecars parse
it costs more again, since the code and data of the probes have left the caches before the next hit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from profiler.attribution.statistics import Floats
from profiler.evaluation.readings import Point
from profiler.evaluation.windows import CpuWindow
from profiler.planning.cells import Scene
from profiler.vocabulary.hop import NONE, Hop

_HIT, _PARSING_HIT = "", "parsing"
"""The columns of all hits, and of those in hops whose sidecars parse; the others are those of temperatures."""


@dataclass(frozen=True)
class CpuCosts:
    """CPU time in ns of a hit of a CPU probe, and by temperature of an interrupt for a hand-over to another CPU.

    Where sidecars parse, a hit takes `parsing_hit_ns` more.
    """

    hit_ns: float = 0.0
    rescheduling_ns: Mapping[str, float] = field(default_factory=dict)
    parsing_hit_ns: float = 0.0

    def of(self, hop: Hop) -> "CpuCosts":
        """The costs in a hop, where all hits cost the same."""
        return CpuCosts(self.hit_ns + (self.parsing_hit_ns if hop.parses else 0.0), self.rescheduling_ns)

    def moved_ns(self, window: CpuWindow, temperature: str) -> float:
        """CPU time that the requests with tracepoints would have had on top with the hand-overs of those without."""
        return self.rescheduling_ns.get(temperature, 0.0) * window.fewer_reschedulings


class CpuCostFit:
    """Weighted least squares over the windows of hops.

    A window has two rows: its phases without probes and those with. Per request, CPU time is that of the hop under this
    load, and the costs times their numbers. A hop without sidecars is the same in any placement. A cost that comes
    out negative is 0.
    """

    def __init__(self, windows: Mapping[Point, Sequence[CpuWindow]]) -> None:
        measured = {point: entries for point, entries in windows.items() if entries}
        self._columns = [_HIT, _PARSING_HIT, *dict.fromkeys(scene.temperature for _, scene in measured)]
        groups: dict[tuple[Hop | str, Scene], list[tuple[float, ...]]] = {}
        for (hop, scene), entries in measured.items():
            of = hop.application if hop.topology == NONE else hop
            groups.setdefault((of, scene), []).extend(_rows(entries))
        self._equations = [
            (of, *self._normal(scene, isinstance(of, Hop) and of.parses, np.array(rows)))
            for (of, scene), rows in groups.items()
        ]

    def without(self, hop: Hop) -> CpuCosts:
        """The costs by all hops but this one."""
        others = [equation for equation in self._equations if equation[0] != hop]
        size = len(self._columns)
        products = sum((equation[1] for equation in others), np.zeros((size, size)))
        targets = sum((equation[2] for equation in others), np.zeros(size))
        chosen = [number for number in range(size) if products[number, number] > 0.0]
        found = np.zeros(size)
        while chosen:
            found[:] = 0.0
            found[chosen] = np.linalg.lstsq(products[np.ix_(chosen, chosen)], targets[chosen], rcond=None)[0]
            if found.min() >= 0.0:
                break
            chosen = [number for number in chosen if found[number] > 0.0]
        else:
            found[:] = 0.0
        costs = dict(zip(self._columns, found.tolist(), strict=True))
        hit_ns, parsing_hit_ns = (costs.pop(name) for name in (_HIT, _PARSING_HIT))
        return CpuCosts(hit_ns, costs, parsing_hit_ns)

    def _normal(self, scene: Scene, parses: bool, rows: Floats) -> tuple[Floats, Floats]:
        """The normal equations of a group: products of its features, and of them with the CPU time."""
        requests = rows[:, :1]
        rates = rows[:, 1:] / requests
        rates = (rates - (rates * requests).sum(axis=0) / requests.sum()) * np.sqrt(requests)
        of_temperature = [rates[:, 1] * (scene.temperature == name) for name in self._columns[2:]]
        features = np.stack([rates[:, 2], rates[:, 2] * parses, *of_temperature], axis=1)
        return features.T @ features, features.T @ rates[:, 0]


def _rows(windows: Sequence[CpuWindow]) -> list[tuple[float, ...]]:
    """Requests, CPU time, rescheduling interrupts and hits of each kind of phase."""
    counted = all(window.counts_reschedulings for window in windows)
    found: list[tuple[float, ...]] = []
    for window in windows:
        free = (window.free_reschedulings or 0.0) if counted else 0.0
        traced = (window.traced_reschedulings or 0.0) if counted else 0.0
        found.append((window.free_requests, window.busy_ns, free, 0.0))
        found.append((window.requests, window.traced_busy_ns, traced, float(window.times.hits)))
    return found
