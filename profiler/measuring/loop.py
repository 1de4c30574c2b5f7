"""The loop that measures a plan: short rounds over everything in random order, so that drift touches all alike."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from profiler.errors import MeshInsightError
from profiler.evaluation.readings import Readings, request_of
from profiler.measuring.bench import SETTLE_S, Bench
from profiler.planning.cells import ANCHOR_HOP, ANCHOR_SCENE, Plan, Scene, anchor_scene, paced
from profiler.planning.settings import ProfileSettings
from profiler.probes.perf_sampling import perf_available
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load

_SATURATING_CONNECTIONS: Final = 16
_CPU_CONNECTIONS: Final = 8
_CPU_RATES_RPS: Final = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_CPU_SHARE_OF_CAPACITY: Final = 0.25

_COOLING_S: Final = 0.3
_COOLING_REQUESTS: Final = 14
_USUAL_DURATION_S: Final = 0.8
"""Windows of cooling are at least 0.3 s and 14 requests long, or a part of it where those of cells are shorter."""

_ROUNDS_PER_COOLING: Final = 3
_MOST_COOLING_ROUNDS: Final = 2
_PACE_AFTER_S: Final = 20.0
"""Steps of so long show how much longer than expected they take on this machine."""

_FUNCTIONS_S: Final = 1.0
_START_UP_S: Final = 0.12
_PERF_S: Final = 0.3
_RESTART_PROXY_S: Final = 0.07


@dataclass(frozen=True)
class Step:
    """One window to measure: what to tell the user, about how long it takes, and how to do it."""

    label: str
    expected_s: float
    measure: Callable[[], None]


Report = Callable[[str, float], None]
"""Told, before each step, its label and the seconds that the whole run still needs."""


class Campaign:
    """Measures a plan on a bench into `readings`. Without a bench it only tells the steps."""

    def __init__(self, bench: Bench | None, plan: Plan, settings: ProfileSettings, readings: Readings) -> None:
        self._on = bench
        self._plan = plan
        self._settings = settings
        self._readings = readings
        self._random = np.random.default_rng(settings.seed)

    @property
    def _bench(self) -> Bench:
        if self._on is None:
            raise ValueError("a campaign without a bench cannot measure")
        return self._on

    def run(self, report: Report) -> None:
        """Measure everything. Readings are complete up to the last finished window whenever it is interrupted."""
        steps = self.steps()
        left_s, done_s, began_s = sum(step.expected_s for step in steps), 0.0, time.monotonic()
        for step in steps:
            # A machine that other processes delay takes longer for the rest, too.
            pace = (time.monotonic() - began_s) / done_s if done_s > _PACE_AFTER_S else 1.0
            report(step.label, left_s * max(1.0, pace))
            step.measure()
            left_s -= step.expected_s
            done_s += step.expected_s

    def steps(self) -> list[Step]:
        """All windows of the run, in the order they will be measured."""
        steps = [*self._memory_round(), *self._capacity_round(), *self._function_round()]
        cpu_rounds = max(2, self._settings.repeats - 1)
        cpu_at = set(np.linspace(0, self._settings.repeats - 1, cpu_rounds).astype(int).tolist())
        for number in range(self._settings.repeats):
            steps += [self._restart_step(number)] if self._compares and number > 0 else []
            steps += self._latency_round(number)
            if number in cpu_at:
                steps += self._cpu_round()
                # What load the probes leave is no figure of a comparison: there rounds are the better use of time.
                steps += self._capacity_round() if not self._compares or number == self._settings.repeats - 1 else []
        return steps

    @property
    def _compares(self) -> bool:
        return len(self._settings.variants) > 1

    def _shuffled(self, steps: list[Step]) -> list[Step]:
        return [steps[index] for index in self._random.permutation(len(steps))]

    def _together(self, points: Iterable[tuple[Hop, Scene]], step: Callable[[Hop, Scene], Step]) -> list[Step]:
        """In random order, but variants of a hop one after another: the machine drifts least from one to the next."""
        families: dict[tuple[Hop, Scene], list[Step]] = {}
        for hop, scene in points:
            families.setdefault((hop.family, scene), []).append(step(hop, scene))
        found = list(families.values())
        chosen = [found[index] for index in self._random.permutation(len(found))]
        return [entry for steps in chosen for entry in (self._shuffled(steps) if len(steps) > 1 else steps)]

    def _memory_round(self) -> list[Step]:
        """Before anything else: a proxy keeps what it has once used."""
        loads = {cell.hop: cell.scene.load for cell in reversed(self._plan.cells) if cell.hop.sidecar_places}
        return [self._memory_step(hop, load) for hop, load in loads.items()]

    def _memory_step(self, hop: Hop, load: Load) -> Step:
        def measure() -> None:
            self._readings.memory[hop] = self._bench.memory_window(hop, load)

        return Step(f"memory, {hop.name}", _START_UP_S + SETTLE_S + 0.5, measure)

    def _restart_step(self, number: int) -> Step:
        """Two processes of one program differ for as long as they run (memory layout, for one).

        So each round has new ones, and what they differ by is in the scatter of the rounds.
        """

        def measure() -> None:
            self._bench.restart_proxies()

        proxies = sum(len(hop.proxy_places) for hop in self._plan.hops)
        label = f"round {number + 1} of {self._settings.repeats}: restarting the proxies"
        return Step(label, _RESTART_PROXY_S * proxies, measure)

    def _latency_round(self, number: int) -> list[Step]:
        steps: list[Step] = []
        for index in self._random.permutation(len(self._plan.scenes)):
            scene = self._plan.scenes[index]
            points = [(hop, scene) for hop in self._plan.hops_of(scene)]
            anchors = [(ANCHOR_HOP, ANCHOR_SCENE), (ANCHOR_HOP, anchor_scene(scene.temperature))]
            points = list(dict.fromkeys([*points, *anchors]))
            steps += self._together(points, partial(self._latency_step, number))
        if number < min(_MOST_COOLING_ROUNDS, max(1, self._settings.repeats // _ROUNDS_PER_COOLING)):
            cooling = [(hop, at) for cooled, at in self._plan.cooling_points for hop in (cooled.baseline, cooled)]
            steps += self._shuffled([self._cooling_step(number, hop, at) for hop, at in dict.fromkeys(cooling)])
        return steps

    def _latency_step(self, number: int, hop: Hop, scene: Scene) -> Step:
        def measure() -> None:
            window = self._bench.latency_window(hop, scene, self._settings.duration_s)
            self._readings.latency[hop, scene].append(window)

        label = f"round {number + 1} of {self._settings.repeats}: latency, {hop.name}, {scene.temperature}"
        return Step(label, _START_UP_S + SETTLE_S + self._settings.duration_s + 0.25, measure)

    def _cooling_step(self, number: int, hop: Hop, scene: Scene) -> Step:
        part = min(1.0, self._settings.duration_s / _USUAL_DURATION_S)
        seconds = part * max(_COOLING_S, _COOLING_REQUESTS / (scene.load.rate_rps or math.inf))

        def measure() -> None:
            self._readings.cooling[hop, scene].append(self._bench.cooling_window(hop, scene, seconds))

        rate = "max" if scene.load.rate_rps is None else f"{scene.load.rate_rps:g}/s"
        label = f"round {number + 1} of {self._settings.repeats}: cooling, {hop.name}, {scene.temperature}, {rate}"
        return Step(label, _START_UP_S + SETTLE_S + seconds + 0.05, measure)

    def _cpu_round(self) -> list[Step]:
        points = [(hop, scene) for scene in self._plan.scenes for hop in self._plan.hops_of(scene)]
        return self._together(points, self._cpu_step)

    def _cpu_step(self, hop: Hop, scene: Scene) -> Step:
        def measure() -> None:
            load = self._cpu_load(scene)
            window = self._bench.cpu_window(hop, scene, load, self._settings.duration_s, sample=perf_available())
            self._readings.cpu[hop, scene].append(window)

        expected_s = _START_UP_S + SETTLE_S + 2 * self._settings.duration_s + _PERF_S
        return Step(f"CPU, {hop.name}, {scene.temperature}", expected_s, measure)

    def _cpu_load(self, scene: Scene) -> Load:
        """That of the latency windows, since what a request costs depends on how long ago the one before was.

        As fast as many connections go, both sides would not reach the same rate: there it is well below saturation.
        """
        load = paced(scene)
        if load.rate_rps is not None or load.serial:
            self._readings.cpu_rates_rps[scene] = load.rate_rps
            return load
        rate_rps = self._readings.cpu_rates_rps.get(scene) or self._choose_cpu_rate(scene)
        self._readings.cpu_rates_rps[scene] = rate_rps
        return replace(scene.load, rate_rps=rate_rps, connections=max(_CPU_CONNECTIONS, scene.load.connections))

    def _choose_cpu_rate(self, scene: Scene) -> float:
        capacities = [
            unprobed_rps
            for (_, measured), pairs in self._readings.capacities_rps.items()
            for unprobed_rps, _ in pairs
            if request_of(measured.load) == request_of(scene.load)
        ]
        if not capacities:
            raise MeshInsightError("the rate for CPU cells could not be chosen: no capacity was measured before them")
        most_rps = _CPU_SHARE_OF_CAPACITY * min(capacities)
        return float(max([rate for rate in _CPU_RATES_RPS if rate <= most_rps], default=_CPU_RATES_RPS[0]))

    def _function_round(self) -> list[Step]:
        """Once for each kind of request: at saturation there are samples enough, and only their shares are used."""
        points = {
            (cell.hop, request_of(cell.scene.load)): cell.scene.load
            for cell in self._plan.cells
            if cell.hop.sidecar_places and perf_available()
        }
        return self._shuffled([self._function_step(hop, request, load) for (hop, request), load in points.items()])

    def _function_step(self, hop: Hop, request: Load, load: Load) -> Step:
        saturating = replace(load, connections=max(_SATURATING_CONNECTIONS, load.connections), rate_rps=None)

        def measure() -> None:
            sampled = self._bench.function_window(hop, saturating, _FUNCTIONS_S)
            self._readings.functions[hop, request] = sampled

        return Step(f"functions, {hop.name}", _START_UP_S + SETTLE_S + _FUNCTIONS_S + _PERF_S, measure)

    def _capacity_round(self) -> list[Step]:
        """At saturation caches are hot and CPUs awake, whatever the cell's temperature: one scene for each size."""
        points = {}
        for cell in self._plan.cells:
            points[cell.hop, request_of(cell.scene.load)] = (cell.hop, Scene("hot", cell.scene.load))
        return self._shuffled([self._capacity_step(hop, scene) for hop, scene in points.values()])

    def _capacity_step(self, hop: Hop, scene: Scene) -> Step:
        connections = max(_SATURATING_CONNECTIONS, scene.load.connections)

        def measure() -> None:
            pair = self._bench.capacity_rps(hop, scene, connections, self._settings.duration_s)
            self._readings.capacities_rps[hop, scene].append(pair)

        expected_s = _START_UP_S + SETTLE_S + self._settings.duration_s + 0.2
        return Step(f"throughput at saturation, {hop.name}", expected_s, measure)


_DEPLOY_S: Final = 4.0
_DEPLOY_HOP_S: Final = 0.9


def expected_seconds(plan: Plan, settings: ProfileSettings) -> float:
    """About how long it takes to deploy and measure a plan, in seconds."""
    steps = Campaign(None, plan, settings, Readings()).steps()
    deploying_s = _DEPLOY_S + _DEPLOY_HOP_S * len(plan.hops)
    return deploying_s + sum(step.expected_s for step in steps)
