"""The bench: all hops deployed side by side, the probes loaded, and single windows of load measured on them.

A window is one uninterrupted stretch of load on one hop. Probes are attached and detached *within* it, in alternating
phases, since that takes less than a millisecond: so the disturbance by the probes is measured a tenth of a second
apart from its reference, not minutes.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from profiler.attribution.critical_path import follow
from profiler.attribution.latency import ExchangeTable, pool, since_due, tabulate
from profiler.attribution.statistics import middle, steady_from
from profiler.errors import ProbeError, ProcessError
from profiler.evaluation.windows import GUARD_NS, CoolingWindow, CpuWindow, LatencyWindow, Phase
from profiler.host.accounting import Reschedulings
from profiler.host.process import Process
from profiler.host.waiting import wait_until
from profiler.measuring.instruments import CpuAccount
from profiler.measuring.machines import Places, added_times
from profiler.measuring.testbeds import DeployedHop, LocalTestbed, Testbed
from profiler.planning.cells import Plan, Scene, blamed, paced
from profiler.planning.settings import ProfileSettings
from profiler.probes.bpf import ProbeStatus
from profiler.probes.calibration import measure_probe_hit_ns
from profiler.probes.syscalls import syscall_families
from profiler.symbols.histogram import UserFunctions
from profiler.testbed.run import Run
from profiler.vocabulary.components import CLIENT_APP
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load
from profiler.vocabulary.temperature import COLD_STEPS, Mode
from profiler.workload.base import LoadGenerator, LoadResult, RefusedError, Server, UnansweredError

SETTLE_S: Final = 0.15
_TAIL_S: Final = 0.25
"""Load goes on for longer than planned, since attaching probes may take its time on a machine that is held up."""

_ATTEMPTS: Final = 8
_CPU_ATTEMPTS: Final = 3
_FAILING_ATTEMPTS: Final = 3
_PAUSE_S: Final = 0.5
_UNANSWERED: Final = (
    "a proxy on its way or the server refuses connections (mutual TLS that it requires, another protocol than it "
    "expects), or the machine is too busy"
)
_SLACK_S: Final = 10.0
"""How much longer than planned a window of CPU may take; its load ends with it, not with a time."""


_PERIOD_NS: Final = 32_000_000
_BURST_NS: Final = 8_000_000
"""The timeline is attached for 8 ms in 32 ms: attaching costs little, and what runs in between is not touched."""

_LONGEST_BURST_NS: Final = _PERIOD_NS // 2
_REQUESTS_IN_BURST: Final = 8
"""Where fewer requests come within 8 ms, bursts are longer: the last request of each is not followed."""

_BURST_EDGE_NS: Final = 200_000

_FUNCTION_FREQUENCY_HZ: Final = 9973
_MEMORY_CONNECTIONS: Final = 200
_MEMORY_S: Final = 0.4

FREE: Final = "free"
TRACED: Final = "traced"
SAMPLED: Final = "sampled"
_CPU_PHASES: Final = {FREE: 6, TRACED: 5, SAMPLED: 4}
"""The kinds of phases of a window of CPU time, and how many sixteenths of it they take; probes take the rest.

Short phases by turns, since what a request costs drifts within seconds (tried: by up to 30 %), and some are spoiled.
"""
_FEWEST_REQUESTS: Final = 20
"""Expected in a phase, or there are fewer and longer ones."""

_COOLING_PARTS: Final = 4
"""CPU time is read so often in a window, which shows how it scatters."""

START_WITHIN_S: Final = 15.0
_END_WITHIN_S: Final = 15.0


@dataclass(frozen=True)
class _CpuPhase:
    """A phase of a window of CPU time, with what its proxies used."""

    kind: str
    phase: Phase
    account: CpuAccount
    proxy_ns: float


@dataclass(frozen=True)
class Toolbox:
    """The programs a bench is made of, each behind its interface."""

    servers: tuple[Server, ...]
    closed_loop: LoadGenerator
    open_loop: LoadGenerator


class Bench:
    """Everything that stays up during a run. Enter it to deploy, leave it to detach; the run removes the rest.

    `testbed` is where hops are deployed: by default on this machine.
    """

    def __init__(
        self, run: Run, plan: Plan, settings: ProfileSettings, tools: Toolbox, testbed: Testbed | None = None
    ) -> None:
        self.tools = tools
        self._testbed = testbed or LocalTestbed(tools.servers, settings)
        self.probe_hit_ns = 0.0
        self.repeated_windows = 0
        self._probes: list[ProbeStatus] = []
        self._run = run
        self._plan = plan
        self._settings = settings
        self._last_generator: Process | None = None
        self._stack = ExitStack()
        self._families = syscall_families()
        self._random = np.random.default_rng(settings.seed)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._load_directory = self._run.add_directory("load")
            self.machines = stack.enter_context(self._testbed.machines(self._run, _modes(self._plan)))
            self._secrets = self._testbed.secrets(self._run)
            self.deployments = self._testbed.deploy(self._run, self._plan, self._secrets)
            self.probe_hit_ns = measure_probe_hit_ns(self._run)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._probes = self.machines.probes()
        finally:
            self._stack.close()

    def probes(self) -> list[ProbeStatus]:
        """Every probe with its hits and drops so far."""
        return self._probes

    def restart_proxies(self) -> None:
        """Replace the proxies of all hops by new processes. Raises MeshInsightError."""
        self._testbed.restart_proxies()

    def latency_window(self, hop: Hop, scene: Scene, seconds: float) -> LatencyWindow:
        """Load `hop` and time every request, with the timeline on in half of the phases.

        Single requests are followed through the timeline. A window in which some phase saw no
        request, because the machine was held up, is measured again and counted in `repeated_windows`; so is one with
        failed requests, a few times.

        Raises:
            UnansweredError: no request was answered, a few times in a row.
            ProcessError: no attempt saw requests in every phase.
        """
        for attempt in range(_ATTEMPTS):
            last_failing = attempt + 1 >= _FAILING_ATTEMPTS
            try:
                window = self._try_latency_window(hop, scene, seconds)
            except UnansweredError:
                if last_failing:
                    raise
                window = None
            if window is not None and (not window.failed or last_failing):
                return window
            self.repeated_windows += 1
            time.sleep(_PAUSE_S)
        raise ProcessError(
            f"{hop.name}: no window of {seconds:g} s had requests in all its phases that could be followed; "
            "the machine is held up by others, or --duration is too short for this load"
        )

    def _try_latency_window(self, hop: Hop, scene: Scene, seconds: float) -> LatencyWindow | None:
        deployment = self.deployments[hop]
        self._set_temperature(scene.temperature)
        before = self.machines.noise()
        load = paced(scene)
        with self._loaded(deployment, load, SETTLE_S + seconds + _TAIL_S) as generator:
            self.machines.trace(_with_client(deployment, generator))
            burst_ns = _burst_ns(load)
            phases = [self._timeline_phase(probed, seconds / 4, burst_ns) for probed in self._alternation()]
            deployment.check()
            self.machines.check()
        noise = self.machines.noise_since(before)
        result = self._result(hop, load)
        if not all(_answered(result, phase) for phase in phases):
            return None
        exchanges = self._follow(phases, result if load.rate_rps is not None else None) if scene.load.serial else None
        if exchanges is not None and not len(exchanges):
            return None
        whole = result.between(phases[0].start_ns, phases[-1].end_ns).astype(np.float64)
        return LatencyWindow(
            at_s=phases[0].start_ns / 1e9,
            unprobed_ns=_latencies(result, phases, probed=False),
            probed_ns=_latencies(result, phases, probed=True),
            burst_ns=_in_all(result, [burst for phase in phases for burst in phase.bursts_ns]),
            gap_ns=_in_all(result, [gap for phase in phases for gap in phase.gaps_ns()]),
            unprobed_rps=_rate(result, phases, probed=False),
            probed_rps=_rate(result, phases, probed=True),
            failed=result.failed,
            exchanges=exchanges,
            steady=len(whole) > 0 and steady_from(whole) < len(whole),
            noise=noise,
            fewer_reschedulings=fewer_in_bursts(result, phases),
        )

    def cpu_window(self, hop: Hop, scene: Scene, load: Load, seconds: float, sample: bool) -> CpuWindow:
        """Load `hop` and account for all CPU time, in phases without probes, with tracepoints, and with samples.

        A window in which the host took too much of the CPUs, or nothing was answered, is measured again, a few times,
        and counted in `repeated_windows`: stolen time passes for CPU time. Raises UnansweredError at last.
        """
        for _ in range(_CPU_ATTEMPTS - 1):
            with suppress(UnansweredError):
                window = self._try_cpu_window(hop, scene, load, seconds, sample)
                if not window.noise.noisy:
                    return window
            self.repeated_windows += 1
            time.sleep(_PAUSE_S)
        return self._try_cpu_window(hop, scene, load, seconds, sample)

    def _try_cpu_window(self, hop: Hop, scene: Scene, load: Load, seconds: float, sample: bool) -> CpuWindow:
        deployment = self.deployments[hop]
        self._set_temperature(scene.temperature)
        before = self.machines.noise()
        with ExitStack() as stack:
            if sample:
                stack.enter_context(self.machines.sampling())
            generator = stack.enter_context(self._loaded(deployment, load, SETTLE_S + 2 * seconds + _SLACK_S))
            roles = _with_client(deployment, generator)
            kinds = self._cpu_phases(load, 2 * seconds, sample)
            parts = {kind: _CPU_PHASES[kind] / 16 / kinds.count(kind) for kind in kinds}
            readings = [self._cpu_phase(deployment, roles, kind, 2 * seconds * parts[kind]) for kind in kinds]
            deployment.check()
            generator.signal(signal.SIGTERM)
            generator.wait(_END_WITHIN_S)
            samples = self.machines.samples(roles) if sample else None
        result = self._result(hop, load)
        if not all(_served(result, reading.phase) for reading in readings):
            raise UnansweredError(f"no request was answered for {seconds:g} s on {hop.name}; is the machine too busy?")

        def per_request(reading: _CpuPhase) -> float:
            return reading.account.busy_ns / _served(result, reading.phase)

        by_kind = [[reading for reading in readings if reading.kind == kind] for kind in _CPU_PHASES]
        free, traced, sampled = (middle(part, per_request) for part in by_kind)
        served = [sum(_served(result, reading.phase) for reading in part) for part in (free, traced, sampled)]
        return CpuWindow(
            requests=served[1],
            achieved_rps=served[0] / sum(reading.phase.seconds for reading in free),
            busy_ns=sum(reading.account.busy_ns for reading in free),
            times=added_times([reading.account.times for reading in traced]),
            free_requests=served[0],
            traced_busy_ns=sum(reading.account.busy_ns for reading in traced),
            sampled_requests=served[2],
            samples=samples,
            proxy_ns_unprobed=sum(reading.proxy_ns for reading in free) / served[0],
            proxy_ns_probed=sum(reading.proxy_ns for reading in traced) / served[1],
            noise=self.machines.noise_since(before),
            problem=readings[0].account.problem,
            free_reschedulings=_reschedulings(free),
            traced_reschedulings=_reschedulings(traced),
        )

    def cooling_window(self, hop: Hop, scene: Scene, seconds: float) -> CoolingWindow:
        """Load `hop` without any probe: latencies, and the CPU time of its proxies by part of the window.

        A window in which nothing was answered is measured again, a few times. Raises UnansweredError at last.
        """
        for _ in range(_FAILING_ATTEMPTS - 1):
            with suppress(UnansweredError):
                return self._try_cooling_window(hop, scene, seconds)
            self.repeated_windows += 1
            time.sleep(_PAUSE_S)
        return self._try_cooling_window(hop, scene, seconds)

    def _try_cooling_window(self, hop: Hop, scene: Scene, seconds: float) -> CoolingWindow:
        deployment = self.deployments[hop]
        self._set_temperature(scene.temperature)
        load = paced(scene)
        with self._loaded(deployment, load, SETTLE_S + seconds):
            times_ns, used_ns = [time.monotonic_ns()], [_run_time_ns(deployment)]
            for part in range(1, _COOLING_PARTS + 1):
                _sleep_until(times_ns[0] + int(seconds * 1e9 * part / _COOLING_PARTS))
                times_ns.append(time.monotonic_ns())
                used_ns.append(_run_time_ns(deployment))
            deployment.check()
            self.machines.check()
        result = self._result(hop, load)
        latency_ns = result.between(times_ns[0], times_ns[-1])
        if not len(latency_ns):
            raise UnansweredError(f"no request was answered for {seconds:g} s on {hop.name}; is the machine too busy?")
        return CoolingWindow(
            latency_ns=latency_ns,
            proxy_ns=np.diff(np.array(used_ns, dtype=np.float64)),
            requests=np.array([result.served(*part) for part in pairwise(times_ns)]),
        )

    def function_window(self, hop: Hop, load: Load, seconds: float) -> UserFunctions:
        """Sample the hop at saturation, often: which functions the proxies' user time is spent in."""
        deployment = self.deployments[hop]
        self._set_temperature("hot")
        with ExitStack() as stack:
            stack.enter_context(self.machines.sampling(_FUNCTION_FREQUENCY_HZ))
            generator = stack.enter_context(self._loaded(deployment, load, SETTLE_S + seconds + _TAIL_S))
            self.machines.sample(seconds)
            self.machines.check()
            found = self.machines.functions(_with_client(deployment, generator))
        return replace(found, version=deployment.proxy_version or found.version)

    def capacity_rps(self, hop: Hop, scene: Scene, connections: int, seconds: float) -> tuple[float, float]:
        """Requests per second at saturation, without and with the timeline attached."""
        load = replace(scene.load, connections=connections, rate_rps=None)
        window = self.latency_window(hop, Scene(scene.temperature, load), seconds)
        return window.unprobed_rps, window.probed_rps

    def _alternation(self) -> list[bool]:
        first = bool(self._random.integers(2))
        return [first, not first, not first, first]  # a linear drift cancels out

    def _cpu_phases(self, load: Load, window_s: float, sample: bool) -> list[str]:
        """The kinds of a window's phases in their order, so that a linear drift cancels out."""
        first, second = self._random.permutation([FREE, TRACED]).tolist()
        few = load.rate_rps is not None and load.rate_rps * window_s / 16 < _FEWEST_REQUESTS
        turns = [first, second, second, first] * (1 if few else 3)
        half = len(turns) // 2
        return [*turns[:half], *([SAMPLED] if sample else []), *turns[half:]]

    def _timeline_phase(self, probed: bool, seconds: float, burst_ns: int = _BURST_NS) -> Phase:
        bursts, counts = [], [self.machines.reschedulings()]
        start_ns = time.monotonic_ns()
        end_ns = start_ns + int(seconds * 1e9)
        while probed and time.monotonic_ns() + burst_ns + 2 * GUARD_NS <= end_ns:
            counts.append(self.machines.reschedulings())
            self.machines.attach()
            bursts.append(self._burst(burst_ns, counts))
            self.machines.detach()
            counts.append(self.machines.reschedulings())
            _sleep_until(start_ns + len(bursts) * _PERIOD_NS)
        _sleep_until(end_ns)
        counts.append(self.machines.reschedulings())
        return Phase(probed, start_ns + GUARD_NS, time.monotonic_ns() - GUARD_NS, tuple(bursts), tuple(counts))

    def _burst(self, burst_ns: int, counts: list[Reschedulings]) -> tuple[int, int]:
        counts.append(self.machines.reschedulings())
        first_ns = time.monotonic_ns() + _BURST_EDGE_NS
        _sleep_until(first_ns + burst_ns)
        last_ns = time.monotonic_ns() - _BURST_EDGE_NS
        counts.append(self.machines.reschedulings())
        return first_ns, last_ns

    def _cpu_phase(self, deployment: DeployedHop, roles: Places, kind: str, seconds: float) -> "_CpuPhase":
        self.machines.begin_cpu(roles, kind == TRACED, kind == SAMPLED)
        proxy_ns = -_run_time_ns(deployment)
        start_ns = time.monotonic_ns()
        time.sleep(seconds)
        end_ns = time.monotonic_ns()
        proxy_ns += _run_time_ns(deployment)
        account = self.machines.end_cpu()
        return _CpuPhase(kind, Phase(kind == TRACED, start_ns, end_ns), account, proxy_ns)

    def _follow(self, phases: Sequence[Phase], due: LoadResult | None) -> ExchangeTable:
        """The exchanges in the bursts; in an open loop from when its requests were due."""
        events = self.machines.events()
        tables = []
        for phase in phases:
            for burst in phase.bursts_ns:
                found = follow(events.between(*burst), self._families)
                tables.append(tabulate(since_due(found, due.due_ns, due.due_ns + due.latency_ns) if due else found))
        if not tables:
            raise ProbeError("the timeline recorded nothing while load ran; see `meshinsight doctor`")
        table = pool(tables)
        return replace(table, dropped=events.dropped)

    @contextmanager
    def _loaded(self, deployment: DeployedHop, load: Load, seconds: float) -> Iterator[Process]:
        generator = self._generator(load)
        argv = generator.argv(deployment.target, self._secrets.filled(load), seconds, self._load_directory)
        process = self._run.spawn("load", argv, netns=deployment.load_namespace, cpu=deployment.cpus_of(CLIENT_APP))
        self._last_generator = process
        try:
            wait_until_sending(generator, self._load_directory, process)
            process.hide_argument(self._secrets.token.token)  # h2load takes headers in no other way
            time.sleep(SETTLE_S)
            yield process
            status = self._wait(process, seconds + _END_WITHIN_S, deployment.hop, generator)
            if status not in (0, -signal.SIGTERM):
                process.check()
        finally:
            process.stop(grace_s=0.5)

    def _wait(self, process: Process, within_s: float, hop: Hop, generator: LoadGenerator) -> int:
        """The status with which the load ends. Where it does not, as h2load among refusals, these are the reason."""
        try:
            return process.wait(within_s)
        except ProcessError as error:
            with suppress(ProcessError):
                if problem := refusal(hop, generator.result(self._load_directory)):
                    raise RefusedError(problem) from error
            raise

    def _generator(self, load: Load) -> LoadGenerator:
        closed = load.rate_rps is None and not load.new_connections
        return self.tools.closed_loop if closed else self.tools.open_loop

    def _result(self, hop: Hop, load: Load) -> LoadResult:
        """What was answered. Raises RefusedError where most requests are refused: trying again changes nothing."""
        try:
            result = self._generator(load).result(self._load_directory)
        except UnansweredError as error:
            raise UnansweredError(f"{hop.name}: {error}; {_UNANSWERED}") from error
        except ProcessError as error:
            words = self._last_generator.last_words() if self._last_generator else ""
            raise ProcessError(f"{error}{words}") from error
        if problem := refusal(hop, result):
            raise RefusedError(problem)
        if len(result.due_ns) == 0:
            name = self._generator(load).name
            raise UnansweredError(
                f"{hop.name}: {name}: no request was answered ({result.failed} failed); {_UNANSWERED}"
            )
        return result

    def _set_temperature(self, temperature: str) -> None:
        asleep = temperature == "hot" and self._settings.idle == "natural"
        self.machines.set_temperature("natural" if asleep else temperature)

    def memory_window(self, hop: Hop, load: Load) -> dict[str, float]:
        """RSS of the hop's proxies with no and with many connections open, in bytes; empty without proxies.

        `rss_bytes` is the sum over the proxies after the load, `per_connection_bytes` what each further connection
        through the hop added to it.
        """
        deployment = self.deployments[hop]
        if not deployment.sidecars:
            return {}
        many = replace(load, connections=_MEMORY_CONNECTIONS, rate_rps=None)
        before = sum(process.rss_bytes() for process in deployment.sidecars)
        with self._loaded(deployment, many, SETTLE_S + _MEMORY_S):
            time.sleep(_MEMORY_S / 2)
            during = sum(process.rss_bytes() for process in deployment.sidecars)
        return {
            "rss_bytes": float(before),
            "per_connection_bytes": max(0.0, (during - before) / _MEMORY_CONNECTIONS),
            "connections": float(_MEMORY_CONNECTIONS),
        }


def _burst_ns(load: Load) -> int:
    """How long the timeline is attached at a time for a load."""
    if load.rate_rps is None:
        return _BURST_NS
    return int(min(_LONGEST_BURST_NS, max(_BURST_NS, _REQUESTS_IN_BURST * 1e9 / load.rate_rps)))


def fewer_in_bursts(result: LoadResult, phases: Sequence[Phase]) -> float:
    """How many fewer rescheduling interrupts a request had in bursts than outside of them; 0 where not counted."""
    per_request = []
    for in_bursts in (True, False):
        times = [pair for phase in phases for pair in phase.counted(in_bursts=in_bursts)]
        counts = [last.since(first, last.at_ns - first.at_ns) for first, last in times]
        requests = sum(len(result.between(first.at_ns, last.at_ns)) for first, last in times)
        if not requests or None in counts:
            return 0.0
        per_request.append(sum(count for count in counts if count is not None) / requests)
    return per_request[1] - per_request[0]


def _run_time_ns(deployment: DeployedHop) -> int:
    """CPU time of its proxies so far."""
    return sum(process.run_time_ns() for process in deployment.sidecars)


def _reschedulings(readings: Sequence[_CpuPhase]) -> float | None:
    counted = [reading.account.reschedulings for reading in readings]
    known = [count for count in counted if count is not None]
    return sum(known) if len(known) == len(counted) else None


def _sleep_until(at_ns: int) -> None:
    time.sleep(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))


def refusal(hop: Hop, result: LoadResult) -> str:
    """What to say where most requests are answered with an error status; empty where they are not."""
    status, count = max(result.refused.items(), key=lambda entry: entry[1], default=(0, 0))
    total = len(result.due_ns) + result.failed
    if count * 2 <= total:
        return ""
    what = f"{hop.name}: HTTP status {status} answered {count} of {total} requests"
    if hop.bootstrap or hop.filters:
        return f"{blamed(hop)}: {what}; it must let the load pass for its cost to be measured"
    return f"{what}; see what the proxy or the server refuses"


def _with_client(deployment: DeployedHop, generator: Process) -> Places:
    """Where the hop's processes are, and the load generator, which is on the first machine."""
    first, *others = deployment.places
    return [{**first, generator.pid: CLIENT_APP}, *others]


def wait_until_sending(generator: LoadGenerator, directory: Path, process: Process) -> None:
    """Wait until the generator that runs as `process` and writes to `directory` has begun. Raises ProcessError."""
    if not wait_until(lambda: generator.started(directory), START_WITHIN_S, every_s=0.002, check=process.check):
        raise ProcessError(f"{generator.name} sent nothing within {START_WITHIN_S:g} s; is the machine busy?")


def _modes(plan: Plan) -> list[Mode]:
    """The neighbours that the plan's temperatures need."""
    steps = [mode for mode in (*COLD_STEPS, "cold") if any(scene.temperature == mode for scene in plan.scenes)]
    return ["awake", *steps]


def _latencies(result: LoadResult, phases: Sequence[Phase], *, probed: bool) -> npt.NDArray[np.int64]:
    return _in_all(result, [(phase.start_ns, phase.end_ns) for phase in phases if phase.probed == probed])


def _in_all(result: LoadResult, times_ns: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Latencies of the requests due in any of the times."""
    return np.concatenate([np.empty(0, np.int64), *(result.between(*time_ns) for time_ns in times_ns)])


def _rate(result: LoadResult, phases: Sequence[Phase], *, probed: bool) -> float:
    chosen = [phase for phase in phases if phase.probed == probed]
    return sum(_answered(result, phase) for phase in chosen) / sum(phase.seconds for phase in chosen)


def _served(result: LoadResult, phase: Phase) -> float:
    """By their parts, since a phase may be as short as twenty requests, and CPU time counts by its parts, too."""
    return result.served(phase.start_ns, phase.end_ns)


def _answered(result: LoadResult, phase: Phase) -> float:
    return result.rate_rps(phase.start_ns, phase.end_ns) * phase.seconds
