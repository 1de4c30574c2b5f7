"""Readings to profile cells: pure arithmetic over what has been measured so far."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from profiler.attribution.cpu import (
    CpuRound,
    CpuRounds,
    CpuRung,
    Redirect,
    busy_per_request,
    busy_rounds,
    describe,
    disagreement,
    redirect_part,
    sampled,
    traced,
)
from profiler.attribution.cpu_classes import components_from_samples, components_from_states, without_probes
from profiler.attribution.latency import (
    ExchangeTable,
    HandOverMeans,
    LatencyRounds,
    LatencyRung,
    by_place,
    decompose,
    mean_hand_overs,
)
from profiler.attribution.statistics import middle, spread_ties
from profiler.evaluation.cooling import cooling_point
from profiler.evaluation.cpu_costs import CpuCostFit, CpuCosts
from profiler.evaluation.latency_hits import LatencyHits
from profiler.evaluation.readings import Point, Readings
from profiler.evaluation.trust import residual, trust_warnings
from profiler.evaluation.user_split import UserSplits
from profiler.evaluation.windows import CLOCK_RESOLUTION_NS, CpuWindow, LatencyWindow, median_latency_ns
from profiler.host.accounting import NOISY_STEAL_RATIO, Noise
from profiler.planning.cells import ANCHOR_HOP, ANCHOR_SCENE, Cell, Plan, Rung, Scene, anchor_scene, ladder, paced
from profiler.probes.perf_sampling import CPU_CLOCK
from profiler.profile import bounds
from profiler.profile import types as profile
from profiler.profile.intervals import with_intervals
from profiler.symbols.split import Entered
from profiler.vocabulary.components import (
    COMPONENTS,
    IPC,
    OTHER,
    PARSING,
    PROXY_CORE,
    QUEUEING,
    TLS,
    filter_server_component,
    filter_wait_component,
)
from profiler.vocabulary.cpu_states import IDLE, REST
from profiler.vocabulary.hop import NONE, WAYPOINT, Hop, label_of
from profiler.vocabulary.load import Load

_FEWEST_ROUNDS: Final = 2
_OTHERS_SHARE: Final = 0.05
"""Share of the CPUs that foreign processes may use before a cell says so."""


Chosen = Callable[[Sequence[LatencyWindow]], list[LatencyWindow]]
"""Which rounds of a hop are taken: all of them, or the middle ones."""


class Assembly:
    """Makes the cells of a profile from readings; works on incomplete readings too."""

    def __init__(self, plan: Plan, readings: Readings, loop_hit_ns: float) -> None:
        self._plan = plan
        self._readings = readings
        self._user_splits = UserSplits(readings)
        self._cpu_costs = CpuCostFit(readings.cpu)
        self._hits = LatencyHits(readings.latency, loop_hit_ns)
        self.probe_hit_ns = self._hits.overall_ns()

    def _tables(self, cell: Cell, point: Point, windows: Sequence[LatencyWindow]) -> list[ExchangeTable]:
        """The exchanges of windows at `point`, as a part of the cell, as they are without probes.

        A free scheduler may place processes in another way in bursts than outside of them, where latency is measured:
        exchanges are drawn so that as many of their hand-overs go to another CPU there.
        """
        hit_ns = self._hits.of(point, cell.hop)
        return [
            window.exchanges.without_probes(hit_ns).with_more_crossings(window.fewer_reschedulings)
            for window in windows
            if window.exchanges is not None
        ]

    def cells(self) -> list[profile.Cell]:
        """Every cell with at least two rounds with and without sidecars, in the order of the plan."""
        anchor = self.anchor()
        return [self._cell(cell, anchor) for cell in self._plan.cells if self._measured(cell)]

    def _measured(self, cell: Cell) -> bool:
        points = [(cell.hop, cell.scene), cell.baseline]
        return all(len(self._readings.latency[point]) >= _FEWEST_ROUNDS for point in points)

    def _windows(self, cell: Cell) -> tuple[list[LatencyWindow], list[LatencyWindow]]:
        windows, baseline = (self._readings.latency[point] for point in ((cell.hop, cell.scene), cell.baseline))
        if cell.hop.topology == NONE:  # an A/A test: every other round against the rest
            return windows[::2], windows[1::2]
        rounds = min(len(windows), len(baseline))
        return windows[:rounds], baseline[:rounds]

    def _cell(self, cell: Cell, anchor: profile.Anchor | None) -> profile.Cell:
        windows, baseline = self._windows(cell)
        load = cell.scene.load
        cpu = self._cpu(cell)
        cpu_windows, _ = self._cpu_windows(cell)
        noise = _noise([window.noise for window in windows])
        found = profile.Cell(
            id=cell.id,
            temperature=cell.scene.temperature,
            **_dimensions(cell.hop, load),
            reference=cell.reference,
            memory=self._memory(cell.hop),
            achieved_rps=float(np.median([window.unprobed_rps for window in windows])),
            baseline_achieved_rps=float(np.median([window.unprobed_rps for window in baseline])),
            loop="open" if load.rate_rps is not None else "closed" if paced(cell.scene) == load else "paced",
            rounds=len(windows),
            anchor_factor=self._anchor_factor(cell) if load.serial else None,
            latency=self._latency(cell, cpu),
            cpu=cpu,
            perturbation=self._perturbation(cell),
            noise=noise,
            warnings=_window_warnings(windows, cpu_windows, noise, bool(cpu and cpu.perf_components)),
            errors=[],
        )
        found = with_intervals(found, anchor)
        errors = _errors(found, windows, baseline)
        return replace(found, warnings=[*found.warnings, *trust_warnings(found)], errors=errors)

    def _memory(self, hop: Hop) -> profile.Memory | None:
        found = self._readings.memory.get(hop)
        return profile.Memory(**found) if found else None

    def _latency(self, cell: Cell, cpu: profile.Cpu | None) -> profile.Latency:
        windows, baseline = self._windows(cell)
        middle_windows, middle_baseline = _middle(windows), _middle(baseline)
        with_ns, without_ns = _p50(middle_windows), _p50(middle_baseline)
        found = profile.Latency(
            baseline_p50_ns=without_ns,
            with_p50_ns=with_ns,
            overhead_p50_ns=with_ns - without_ns,
            overhead_ci95_ns=None,
            overhead_rounds_ns=[
                _p50([window]) - _p50([other]) for window, other in zip(windows, baseline, strict=False)
            ],
            overhead_p99_rounds_ns=[
                _p99(window) - _p99(other) for window, other in zip(windows, baseline, strict=False)
            ],
            baseline=_percentiles(_free(middle_baseline)),
            with_sidecars=_percentiles(_free(middle_windows)),
            components={},
            by_place=[],
            closure_residual=None,
        )
        if not cell.scene.load.serial:
            return replace(found, components=_loaded_components(found, cpu)) if cpu else found
        redirect = self._redirect(cell)
        rounds = self._latency_rounds(cell, _middle, redirect)
        components = {
            name: profile.LatencyComponent(**asdict(part), ci95_ns=None)
            for name, part in decompose(rounds, self._latency_rounds(cell, list, redirect)).items()
        }
        handed = mean_hand_overs(rounds.with_sidecar)
        places = [
            profile.Place(place=where[0], direction=where[1], components=parts, hand_overs=count, crossed=crossed)
            for where, parts in by_place(rounds).items()
            for count, crossed in [handed.by_place[where]]
        ]
        return replace(
            found,
            components=components,
            by_place=places,
            hand_overs=_hand_overs(handed),
            baseline_hand_overs=_hand_overs(mean_hand_overs(rounds.baseline)),
            closure_residual=residual((part.median_ns for part in components.values()), found.overhead_p50_ns),
        )

    def _latency_rounds(self, cell: Cell, chosen: Chosen, redirect: Redirect) -> LatencyRounds:
        points = ((cell.hop, cell.scene), cell.baseline)
        windows, baseline = (
            self._tables(cell, point, chosen(part)) for point, part in zip(points, self._windows(cell), strict=True)
        )
        return LatencyRounds(windows, baseline, self._latency_rungs(cell, chosen), redirect)

    def _latency_rungs(self, cell: Cell, chosen: Chosen) -> tuple[LatencyRung, ...]:
        """The cell's ladder; empty while a rung has too few rounds, so that user time stays whole."""
        rungs = []
        for rung in ladder(cell.hop):
            found = self._entered(cell, rung)
            point = (rung.hop, cell.scene)
            tables = self._tables(cell, point, chosen(self._readings.latency[point]))
            waits = _wait_component(rung, filter_wait_component)
            shares, error = (found.by_role, found.error) if found else (None, 0.0)
            rungs.append(LatencyRung(rung.component, tables, rung.outside, waits, shares, error))
        return tuple(rungs) if all(len(rung.rounds) >= _FEWEST_ROUNDS for rung in rungs) else ()

    def _cpu_windows(self, cell: Cell) -> tuple[list[CpuWindow], list[CpuWindow]]:
        windows, baseline = (self._readings.cpu[point] for point in ((cell.hop, cell.scene), cell.baseline))
        if cell.hop.topology == NONE:
            return windows[::2], windows[1::2]
        rounds = min(len(windows), len(baseline))
        return windows[:rounds], baseline[:rounds]

    def _cpu_rounds(self, cell: Cell) -> CpuRounds | None:
        windows, baseline = self._cpu_windows(cell)
        costs = self._cpu_costs.without(cell.hop)

        def corrected(hop: Hop, entries: Sequence[CpuWindow]) -> list[CpuRound]:
            return [_cpu_round(window, costs.of(hop), cell.scene.temperature) for window in entries]

        rungs = []
        for rung in ladder(cell.hop):
            found = self._entered(cell, rung)
            of_rung = corrected(rung.hop, self._readings.cpu[rung.hop, cell.scene])
            server = _wait_component(rung, filter_server_component)
            share, error = (found.share, found.error) if found else (None, 0.0)
            rungs.append(CpuRung(rung.component, of_rung, rung.outside, server, share, error))
        if not windows or not baseline or not all(rung.rounds for rung in rungs):
            return None
        return CpuRounds(corrected(cell.hop, windows), corrected(cell.baseline[0], baseline), tuple(rungs))

    def _entered(self, cell: Cell, rung: Rung) -> Entered | None:
        """What function ranges tell of a rung above the protocol's own; None where the ladder has to tell.

        A step from TCP to HTTP changes how much shared functions do, so there the ladder is the definition. A waypoint
        with TLS no longer enters what reads and writes without it, which would be subtracted.
        """
        replacing = rung.component == TLS and cell.hop.topology == WAYPOINT
        if rung.component in (PROXY_CORE, PARSING) or rung.outside or replacing:
            return None
        rungs = ladder(cell.hop)
        return self._user_splits.entered(cell.hop, rungs[rungs.index(rung) - 1].hop, rung.hop, cell.scene)

    def _redirect(self, cell: Cell) -> Redirect:
        rounds = self._cpu_rounds(cell)
        return redirect_part(rounds.with_sidecar) if rounds and cell.hop.topology != NONE else Redirect()

    def _cpu(self, cell: Cell) -> profile.Cpu | None:
        rounds = self._cpu_rounds(cell)
        if rounds is None:
            return None
        windows, _ = self._cpu_windows(cell)
        with_ns, baseline_ns = busy_per_request(rounds.with_sidecar), busy_per_request(rounds.baseline)
        components = {
            name: profile.CpuComponent(**asdict(part), ci95_ns=None)
            for name, part in describe(rounds, traced, "tracepoints", self._redirect(cell)).items()
        }
        samples = [window.samples for window in windows if window.samples]
        perf = describe(rounds, sampled, "perf samples") if samples else {}
        missed = residual((part.cpu_ns_per_request for part in perf.values()), with_ns - baseline_ns)
        if cell.hop.topology != NONE and not bounds.closes(missed):
            perf = {}  # they do not add up to what was measured without perf
        return profile.Cpu(
            rate_rps=self._readings.cpu_rates_rps[cell.scene],
            achieved_rps=float(np.median([window.achieved_rps for window in windows])),
            baseline_cpu_ns_per_request=baseline_ns,
            with_cpu_ns_per_request=with_ns,
            overhead_rounds_ns=busy_rounds(rounds),
            components=components,
            perf_components={name: profile.CpuComponent(**asdict(part), ci95_ns=None) for name, part in perf.items()},
            user_split=self._user_splits.split(cell),
            disagreement_points=disagreement(rounds) if perf else {},
            perf_unresolved_share=float(np.mean([part.unresolved_share for part in samples])) if samples else None,
            perf_samples=sum(part.samples for part in samples),
            closure_residual=residual((part.cpu_ns_per_request for part in components.values()), with_ns - baseline_ns),
        )

    def _perturbation(self, cell: Cell) -> profile.Perturbation:
        windows, _ = self._windows(cell)
        load = cell.scene.load
        capacities = [
            pair
            for (hop, scene), pairs in self._readings.capacities_rps.items()
            for pair in pairs
            if hop == cell.hop and scene.load == load
        ]
        cpu, _ = self._cpu_windows(cell)
        proxy = [window.proxy_ns_probed / window.proxy_ns_unprobed for window in cpu if window.proxy_ns_unprobed]
        probed = [window.probed_ns for window in windows]
        unprobed = [window.unprobed_ns for window in windows]
        return profile.Perturbation(
            latency_ratio=_ratio(
                [median_latency_ns(p) / median_latency_ns(u) for p, u in zip(probed, unprobed, strict=True)]
            ),
            throughput_ratio=_ratio([probed_rps / unprobed_rps for unprobed_rps, probed_rps in capacities]),
            proxy_cpu_ratio=_ratio(proxy),
        )

    def _anchor_factor(self, cell: Cell) -> float | None:
        """What takes this cell's rounds to the run's median speed: anchor over all rounds / anchor around them."""
        anchors = self._anchors(cell.scene.temperature)
        windows, _ = self._windows(cell)
        if not anchors:
            return None
        at_s = np.array([anchor.at_s for anchor in anchors])
        medians_ns = np.array([median_latency_ns(anchor.free_ns) for anchor in anchors])
        nearest = [medians_ns[np.argmin(np.abs(at_s - window.at_s))] for window in windows]
        return float(np.median(medians_ns) / np.median(nearest))

    def _anchors(self, temperature: str) -> list[LatencyWindow]:
        return self._readings.latency[ANCHOR_HOP, anchor_scene(temperature)]

    def anchor(self) -> profile.Anchor | None:
        """The anchor cell over time."""
        anchors = self._anchors(ANCHOR_SCENE.temperature)
        if not anchors:
            return None
        baseline = self._readings.latency[ANCHOR_HOP.baseline, ANCHOR_SCENE]
        medians_ns = [median_latency_ns(window.free_ns) for window in anchors]
        start_s = anchors[0].at_s
        low, high = np.percentile(medians_ns, [10, 90])
        return profile.Anchor(
            protocol=ANCHOR_HOP.protocol,
            topology=ANCHOR_HOP.topology,
            temperature=ANCHOR_SCENE.temperature,
            rounds=[
                profile.AnchorRound(
                    at_s=window.at_s - start_s,
                    with_p50_ns=median_ns,
                    baseline_p50_ns=_nearest_median(window, baseline),
                )
                for window, median_ns in zip(anchors, medians_ns, strict=True)
            ],
            median_with_p50_ns=float(np.median(medians_ns)),
            median_by_temperature_ns={
                temperature: float(
                    np.median([median_latency_ns(window.free_ns) for window in self._anchors(temperature)])
                )
                for temperature in dict.fromkeys(scene.temperature for scene in self._plan.scenes)
                if self._anchors(temperature)
            },
            drift_ratio=float((high - low) / np.median(medians_ns)),
            cooling=[found for point in self._plan.cooling_points if (found := self._cooling_point(*point))],
        )

    def _cooling_point(self, hop: Hop, scene: Scene) -> profile.CoolingPoint | None:
        windows, baseline = (self._readings.cooling[place, scene] for place in (hop, hop.baseline))
        return cooling_point(hop, scene, windows, baseline) if windows and baseline else None

    def noise(self) -> profile.Noise:
        """Noise over the whole run."""
        windows = [window.noise for point in self._readings.latency.values() for window in point]
        windows += [window.noise for point in self._readings.cpu.values() for window in point]
        return _noise(windows)


def _dimensions(hop: Hop, load: Load) -> dict[str, Any]:
    """What hop and load have under the same name as a cell of the profile, and what goes by another name there."""
    names = {entry.name for entry in msgspec.structs.fields(profile.Cell)}
    same = {name: value for part in (hop, load) for name, value in vars(part).items() if name in names}
    return same | {
        "filters": [label_of(name) for name in hop.filters],
        "variant": hop.variant.name,
        "proxy_config": hop.bootstrap or None,
        "header_bytes": load.headers * load.header_bytes,
        "extra_headers": [line.partition(":")[0] for line in load.extra_headers],
    }


def _loaded_components(latency: profile.Latency, cpu: profile.Cpu) -> dict[str, profile.LatencyComponent]:
    """Components where several requests are in flight: on-CPU time per request, and queueing as what is left."""
    on_cpu_ns = sum(part.cpu_ns_per_request for part in cpu.components.values())
    with_sidecars, baseline = latency.with_sidecars, latency.baseline
    left = _loaded(with_sidecars.p50_ns - baseline.p50_ns - on_cpu_ns, None, with_sidecars.count)
    components = {
        name: _loaded(part.cpu_ns_per_request, part, with_sidecars.count) for name, part in cpu.components.items()
    }
    components[QUEUEING] = replace(
        left,
        mean_ns=with_sidecars.mean_ns - baseline.mean_ns - on_cpu_ns,
        p99_ns=with_sidecars.p99_ns - baseline.p99_ns - on_cpu_ns,
        source="measured overhead − on-CPU time",
    )
    names = [*(name for name in COMPONENTS if name != OTHER), *sorted(set(components) - set(COMPONENTS)), OTHER]
    return {name: components[name] for name in names if name in components}


def _loaded(spent_ns: float, part: profile.CpuComponent | None, samples: int) -> profile.LatencyComponent:
    return profile.LatencyComponent(
        median_ns=spent_ns,
        mean_ns=spent_ns,
        p99_ns=None,
        ci95_ns=None,
        samples=samples,
        dropped=0,
        lost=0,
        rounds_ns=part.rounds_ns if part else [],
        error_ns=part.error_ns if part else 0.0,
        source="on-CPU time per request under load",
    )


def _cpu_round(window: CpuWindow, costs: CpuCosts, temperature: str) -> CpuRound:
    """A window's sums as if its phases had answered as many requests as those with tracepoints.

    With tracepoints there are as many hand-overs to another CPU as without: what is between them is `ipc`.
    """
    times, samples = window.times, window.samples
    # Cycles are no time: they are scaled to the busy time that the tracepoints saw.
    clock = samples is None or samples.event == CPU_CLOCK
    traced_ns = None if clock else float(sum(spent for (role, _), spent in times.time_ns.items() if role != IDLE))
    per_sampled = window.requests / window.sampled_requests if clock and window.sampled_requests else 1.0

    def sampled_ns(folded: bool) -> dict[str, float]:
        if samples is None:
            return {}
        found = components_from_samples(samples.time_ns(folded=folded, busy_ns=traced_ns))
        return {name: spent_ns * per_sampled for name, spent_ns in found.items()}

    traced = components_from_states(without_probes(times.time_ns, times.entries, times.hits, costs.hit_ns))
    traced[IPC] = max(0.0, traced.get(IPC, 0.0) + costs.moved_ns(window, temperature))
    weighed_ns = sum(samples.time_ns(folded=True, busy_ns=traced_ns).values()) if samples else 0.0
    return CpuRound(
        window.requests,
        window.busy_ns * window.requests / window.free_requests,
        traced,
        sampled_ns(False),
        sampled_ns(True),
        weighed_ns * per_sampled / samples.samples if samples and samples.samples else 0.0,
    )


def _hand_overs(means: HandOverMeans) -> profile.HandOvers:
    return profile.HandOvers(
        count=means.count,
        crossed=means.crossed,
        cores=means.cores,
        caches=means.caches,
        rounds_crossed=means.rounds_crossed,
    )


def _wait_component(rung: Rung, named: Callable[[str], str]) -> str | None:
    return named(rung.component.partition(":")[2]) if rung.waits else None


def _free(windows: Sequence[LatencyWindow]) -> npt.NDArray[np.int64]:
    return np.concatenate([window.free_ns for window in windows])


def _middle(windows: Sequence[LatencyWindow]) -> list[LatencyWindow]:
    """The rounds without those that another tenant, or an unusual placement, made the slowest or the fastest."""
    return middle(windows, lambda window: float(np.median(window.free_ns)))


def _p50(windows: Sequence[LatencyWindow]) -> float:
    return float(np.mean([median_latency_ns(window.free_ns) for window in windows]))


def _p99(window: LatencyWindow) -> float:
    return float(np.percentile(spread_ties(window.free_ns, CLOCK_RESOLUTION_NS), 99))


def _percentiles(latencies_ns: npt.NDArray[np.int64]) -> profile.Percentiles:
    spread = spread_ties(latencies_ns, CLOCK_RESOLUTION_NS)
    p50, p90, p99 = np.percentile(spread, [50, 90, 99])
    return profile.Percentiles(
        p50_ns=float(p50),
        p90_ns=float(p90),
        p99_ns=float(p99),
        mean_ns=float(latencies_ns.mean()),
        count=len(latencies_ns),
    )


def _ratio(ratios: Sequence[float]) -> float | None:
    return float(np.median(ratios)) if ratios else None


def _nearest_median(window: LatencyWindow, others: Sequence[LatencyWindow]) -> float | None:
    if not others:
        return None
    return median_latency_ns(min(others, key=lambda other: abs(other.at_s - window.at_s)).free_ns)


def _noise(windows: Sequence[Noise]) -> profile.Noise:
    pressures = [window.psi_cpu_some_ratio for window in windows if window.psi_cpu_some_ratio is not None]
    return profile.Noise(
        steal_ratio=min(1.0, float(np.mean([window.steal_ratio for window in windows]))) if windows else None,
        psi_cpu_some_ratio=min(1.0, float(np.mean(pressures))) if pressures else None,
    )


def _window_warnings(
    windows: Sequence[LatencyWindow], cpu_windows: Sequence[CpuWindow], noise: profile.Noise, perf_shown: bool
) -> list[str]:
    found = list(dict.fromkeys(window.problem for window in cpu_windows if window.problem))
    unsteady = sum(not window.steady for window in windows)
    if unsteady > len(windows) // 2:
        found.append(f"{unsteady} of {len(windows)} rounds saw no steady state; use a longer --duration")
    if (noise.steal_ratio or 0.0) > NOISY_STEAL_RATIO:
        found.append(
            f"the host took {noise.steal_ratio:.0%} of the CPU time during this cell; repeat when the host is idle"
        )
    if cpu_windows and not any(window.samples for window in cpu_windows):
        found.append("perf is not installed, so CPU was accounted by one method only; run `make setup`")
    elif cpu_windows and not perf_shown:
        found.append(
            "cpu: perf's samples are not shown, since they do not add up to the overhead measured without perf "
            f"(bound ±{bounds.CLOSURE_RATIO:.0%}); repeat with more --rounds"
        )
    if cpu_windows and (others := max(_others_share(window) for window in cpu_windows)) > _OTHERS_SHARE:
        found.append(
            f"other processes used up to {others:.0%} of the CPUs during this cell; stop builds and tests and repeat"
        )
    return found


def _others_share(window: CpuWindow) -> float:
    """The part of all CPU time that processes took which have no part in the measurement."""
    times = window.times
    return sum(spent for (role, _), spent in times.time_ns.items() if role == REST) / times.capacity_ns


def _errors(cell: profile.Cell, windows: Sequence[LatencyWindow], baseline: Sequence[LatencyWindow]) -> list[str]:
    found = []
    if not bounds.rate_reached(cell):
        found.append(
            f"rate not reached: offered {cell.rate_rps:g}, achieved {cell.achieved_rps:.1f} with sidecars and "
            f"{cell.baseline_achieved_rps:.1f} without; lower --rate or add --connections"
        )
    if failed := sum(window.failed for window in [*windows, *baseline]):
        found.append(f"{failed} requests failed")
    return found
