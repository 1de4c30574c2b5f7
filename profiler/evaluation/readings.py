"""Everything measured so far, by hop and scene; grows window by window, so an interrupted run keeps what it has."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

from profiler.evaluation.windows import CoolingWindow, CpuWindow, LatencyWindow
from profiler.planning.cells import Scene
from profiler.symbols.histogram import UserFunctions
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load

Point = tuple[Hop, Scene]


@dataclass
class Readings:
    """Windows by (hop, scene), in rounds: entry i of each list belongs to round i.

    `cooling` is what tells how idle sidecars cool. `capacities_rps` holds pairs of requests per second at saturation,
    without and with the probes; `cpu_rates_rps` the rate that CPU was measured at, None as fast as answered; `memory`
    the proxies' memory, in bytes; `functions` where their user time goes at saturation, by the kind of request (see
    `request_of`).
    """

    latency: dict[Point, list[LatencyWindow]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[Point, list[CpuWindow]] = field(default_factory=lambda: defaultdict(list))
    cooling: dict[Point, list[CoolingWindow]] = field(default_factory=lambda: defaultdict(list))
    capacities_rps: dict[Point, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    cpu_rates_rps: dict[Scene, float | None] = field(default_factory=dict)
    memory: dict[Hop, dict[str, float]] = field(default_factory=dict)
    functions: dict[tuple[Hop, Load], UserFunctions] = field(default_factory=dict)


def request_of(load: Load) -> Load:
    """The load without how many and how fast: what a single request is."""
    return replace(load, connections=1, rate_rps=None)
