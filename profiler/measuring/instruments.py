"""What measures one machine: timeline, account of CPU time, samples, neighbours, and the kernel's own clocks."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from profiler.host.accounting import Noise, NoiseReading, Reschedulings
from profiler.measuring.busy_time import BusyTime
from profiler.probes.bpf import ProbeStatus
from profiler.probes.cputime import CpuTime, CpuTimes
from profiler.probes.perf_sampling import DEFAULT_FREQUENCY_HZ, PerfSampling, SampledTimes
from profiler.probes.timeline import Timeline
from profiler.symbols.histogram import UserFunctions
from profiler.symbols.programs import sampled_functions, sampled_stacks
from profiler.testbed.neighbour import Neighbours
from profiler.testbed.run import Run
from profiler.vocabulary.cpu_states import NEIGHBOUR, TOOL
from profiler.vocabulary.temperature import Mode
from profiler.vocabulary.timeline_events import TimelineEvents


@dataclass(frozen=True)
class CpuAccount:
    """CPU time between `begin_cpu` and `end_cpu`: by role and state, and all that was busy by `BusyTime`.

    `problem` says why the neighbours did not time themselves, empty if they did. `reschedulings` is how often the CPUs
    were interrupted for a thread that another one woke, None where that is not counted.
    """

    times: CpuTimes
    busy_ns: float
    problem: str = ""
    reschedulings: float | None = None


class Instruments:
    """Loaded on entering, removed on leaving. Windows of CPU time do not overlap, nor do those of samples.

    Args:
        run: whose processes the neighbours are.
        modes: the neighbours that will be needed.
        cpus: of the neighbours, all that this process may use by default.
        place_neighbours: puts them where they give way at once to the processes that are measured.

    Attributes: `timeline`, `cputime` and `neighbours`, for what needs one of them alone.

    Raises:
        MissingError, ProbeError: as `Timeline` and `CpuTime`; ProcessError: a neighbour does not come up.
    """

    def __init__(
        self,
        run: Run,
        modes: Sequence[Mode] = ("awake",),
        place_neighbours: Callable[[Sequence[int]], None] = lambda _: None,
        cpus: Sequence[int] | None = None,
    ) -> None:
        self._run = run
        self._modes = modes
        self._place_neighbours = place_neighbours
        self._cpus = cpus
        self._stack = ExitStack()
        self._sampling = ExitStack()
        self._perf: PerfSampling | None = None
        self._began: tuple[BusyTime, bool, bool] | None = None
        self._reschedulings: Reschedulings | None = None
        self._sampled_ns = (0, 0)
        self._cputime_probes: dict[str, ProbeStatus] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.timeline = Timeline()
            stack.callback(self.timeline.close)
            self.cputime = stack.enter_context(CpuTime())
            self.cputime.detach()
            self._directory = self._run.add_directory("samples")
            self.neighbours = Neighbours(self._run, self._cpus, self._modes)
            self.cputime.watch_neighbours(self.neighbours.steps)
            if self._modes:
                self._place_neighbours([process.pid for process in self.neighbours.processes])
            stack.callback(self.end_sampling)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def probes(self) -> list[ProbeStatus]:
        """Every probe with its hits and drops so far."""
        return [*self.timeline.statuses, *self._cputime_probes.values()]

    def set_temperature(self, temperature: str) -> None:
        """As `Neighbours.set_temperature`."""
        self.neighbours.set_temperature(temperature)

    def noise(self) -> NoiseReading:
        """What others have taken of the machine so far."""
        return Noise.read(cpus=self._cpus)

    def reschedulings(self) -> Reschedulings:
        """How often the CPUs of the hops were interrupted so far because another one woke a thread for them."""
        return Reschedulings.read(self._cpus or os.sched_getaffinity(0))

    def check(self) -> None:
        """Raise ProcessError if a neighbour has ended or was moved, so that its CPU was not kept as it should be."""
        self.neighbours.check()

    def trace(self, places: Mapping[int, str]) -> None:
        """Forget the timeline so far, and trace these processes (process id → place) whenever it is attached."""
        self.timeline.reset(places)

    def attach(self) -> None:
        """Attach the timeline. Raises ProbeError."""
        self.timeline.attach()

    def detach(self) -> None:
        """Detach the timeline; what was recorded stays readable."""
        self.timeline.detach()

    def events(self) -> TimelineEvents:
        """What was recorded since `trace`."""
        return self.timeline.read()

    def begin_cpu(self, roles: Mapping[int, str], probed: bool, sampled: bool = False) -> None:
        """Begin a window of CPU time. `roles` is process id → role; only a probed window tells them apart.

        A sampled window is that of the samples that `begin_sampling` got ready for.
        """
        if probed:
            self.cputime.attach()
            self.cputime.set_roles({**roles, **self.other_roles()})
        if sampled and self._perf:
            self._perf.start()
        busy = BusyTime(self.neighbours, [self._perf.process_id] if self._perf else [], roles)
        self._reschedulings = Reschedulings.read(busy.cpus)
        if probed:
            self.cputime.count(busy.cpus)
            self.cputime.reset()
        busy.start()
        self._began = busy, probed, sampled

    def end_cpu(self) -> CpuAccount:
        """End the window that `begin_cpu` began.

        Raises:
            ProbeError: a probe saw nothing. ProcessError: as `check`, or a CPU went offline or came online.
        """
        if self._began is None:
            raise ValueError("no window of CPU time was begun")
        (busy, probed, sampled), self._began = self._began, None
        busy.end()
        if probed:
            self.cputime.end()  # adding up takes longer
        window_ns = busy.end_ns - busy.start_ns
        first = self._reschedulings
        reschedulings = Reschedulings.read(busy.cpus).since(first, window_ns) if first else None
        busy_ns = busy.read_ns()
        times = self.cputime.measure() if probed else CpuTimes({}, {}, 0)
        times = times.scaled(window_ns * len(busy.cpus))  # reading it has taken time
        if sampled and self._perf:
            self._perf.pause()
            self._sampled_ns = (busy.start_ns, busy.end_ns)
        if probed:
            self._count_cputime_hits()
            self.cputime.detach()
        self.check()
        return CpuAccount(times, busy_ns, self.neighbours.coarse, reschedulings)

    def begin_sampling(self, frequency_hz: int = DEFAULT_FREQUENCY_HZ, event: str | None = None) -> None:
        """Get ready to sample, by the best event by default. Raises MissingError, ProcessError."""
        self._perf = self._sampling.enter_context(PerfSampling(frequency_hz, event, self._directory))

    def sample(self, seconds: float) -> None:
        """Sample for so long, apart from any window of CPU time."""
        if self._perf is None:
            raise ValueError("begin_sampling comes first")
        self._perf.start()
        start_ns = time.monotonic_ns()
        time.sleep(seconds)
        self._perf.pause()
        self._sampled_ns = (start_ns, time.monotonic_ns())

    def samples(self, roles: Mapping[int, str]) -> SampledTimes:
        """What was sampled last, by role (process id → role), with its stacks.

        The sidecars' functions are looked up as for `functions`. Raises ProcessError, UsageError.
        """
        sampled = self._sampled(roles)
        return replace(sampled, stacks=[*sampled.stacks, *sampled_stacks(sampled.user, roles)])

    def _sampled(self, roles: Mapping[int, str]) -> SampledTimes:
        if self._perf is None:
            raise ValueError("begin_sampling comes first")
        self._perf.stop()
        return self._perf.read({**roles, **self.other_roles()}, self._sampled_ns)

    def functions(self, roles: Mapping[int, str]) -> UserFunctions:
        """The functions that the sidecars' user time was spent in, of what was sampled last.

        They are looked up in the files of the processes (process id → role), which are those of this machine and still
        run. Raises ProcessError, UsageError.
        """
        sampled = self._sampled(roles)
        return sampled_functions(sampled.user, sampled.user_samples, roles)

    def end_sampling(self) -> None:
        """Stop what `begin_sampling` started, if it did."""
        self._perf = None
        self._sampling.close()

    def other_roles(self) -> dict[int, str]:
        """The roles of what measures: process id → role."""
        roles = {process.pid: NEIGHBOUR for process in self.neighbours.processes}
        return {**roles, os.getpid(): TOOL, **({self._perf.process_id: TOOL} if self._perf else {})}

    def _count_cputime_hits(self) -> None:
        self.cputime.require_hits()
        for status in self.cputime.hits():
            known = self._cputime_probes.setdefault(status.name, replace(status, hits=0))
            known.hits += status.hits
