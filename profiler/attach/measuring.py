"""Looks at running processes for a while: samples them, and records their socket calls and wake-ups in bursts.

Nothing is deployed, changed or asked of the processes. The probes go with this process; perf does too, and its data.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.attach.overhead import Ledger, burst_ratio, sampling_hz
from profiler.attach.sockets import Sockets, open_files
from profiler.attach.targets import Lives, Target
from profiler.attach.temporary_folder import vanishing_folder
from profiler.attach.work import Work, read_work
from profiler.errors import MissingError, ProbeError, ProcessError
from profiler.host.accounting import run_time_ns
from profiler.host.interrupts import STOP_SIGNALS
from profiler.probes.calls import SocketCalls
from profiler.probes.calls_calibration import HitCost, measure_hit_cost
from profiler.probes.perf_sampling import PerfSampling

BURST_S: Final = 0.05
"""How long a burst is; where one would fill half of its room, they are shorter."""
_FIRST_BURST_S: Final = 0.01
_LEAST_BURST_S: Final = 0.001
_WANTED_FILL: Final = 0.5
_LEAST_BURSTS: Final = 20
"""In the time asked for; bursts that would be too dear for so many are shorter."""
_STEP_S: Final = 1.0
_LEAST_STEP_S: Final = 0.25
"""Between looks at the ledger, each of which takes 1 to 2 ms of CPU time on a busy machine."""
_LEAST_GAP_S: Final = 0.1
_MOST_BURSTS: Final = 1000
_POLITE: Final = 10
_YIELDS_S: Final = 5.0


@dataclass(frozen=True)
class Settings:
    """How long to look, in seconds, and what it may cost: a fraction of CPU time."""

    duration_s: float = 30.0
    max_overhead: float = 0.01


@dataclass(frozen=True)
class BurstRecord:
    """Socket calls and wake-ups of each process between two readings of its counters, and what these counted (`work`).

    `sides` is the side of each (process, file descriptor) then; `start_ns` and `end_ns` are those of all.
    """

    calls: npt.NDArray[Any]
    wake_ups: npt.NDArray[Any]
    sides: dict[tuple[int, int], str]
    work: dict[int, Work]
    start_ns: int
    end_ns: int


@dataclass
class Seen:
    """What was seen, as it is while it is being measured.

    `work` is what each process did since the beginning, for as long as it was seen; `ended` holds those that ended
    meanwhile; `left_out` counts bursts that recorded more than there is room for; `no_wake_ups` is why none
    were recorded; `sampled_ns` is for how long sampling was on; `signum` is the signal that stopped it. `startup_cpu_s`
    is what making ready took.
    """

    ledger: Ledger
    hit_cost: HitCost | None = None
    startup_cpu_s: float = 0.0
    elapsed_ns: int = 0
    work: dict[int, Work] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    bursts: list[BurstRecord] = field(default_factory=list)
    attached_ns: int = 0
    left_out: int = 0
    no_wake_ups: str | None = None
    signum: int | None = None
    sampled_ns: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def vcpus(self) -> float:
        """CPUs that all processes together kept busy."""
        return sum(work.run_ns for work in self.work.values()) / self.elapsed_ns if self.elapsed_ns else 0.0


class Measurement:
    """The instruments that work here, made ready by entering it; `run` uses them once.

    `sampling` is None without perf, `seen.hit_cost` without BPF: then a warning says why.

    Raises:
        MissingError: neither works here.
    """

    def __init__(self, targets: Sequence[Target], settings: Settings) -> None:
        self.sampling: PerfSampling | None = None
        self._pids = [pid for target in targets for pid in target.pids]
        self.settings = settings
        self._cpus = os.cpu_count() or 1
        frequency_hz = sampling_hz(settings.max_overhead, settings.duration_s, self._cpus)
        self.seen = Seen(Ledger(settings.max_overhead, self._cpus, frequency_hz))
        self.sockets = {pid: Sockets(pid) for pid in self._pids}
        self.probes: SocketCalls | None = None
        self._stack = ExitStack()

    def __enter__(self) -> "Measurement":
        if os.geteuid() != 0:
            raise MissingError("attach needs root, for probes and for sampling; run again with sudo")
        begin_ns = time.process_time_ns()
        with ExitStack() as stack, polite():
            problems = [self._load_probes(stack), self._start_sampling(stack)]
            if self.probes is None and self.sampling is None:
                raise MissingError("; ".join(problem for problem in problems if problem))
            for pid, sockets in self.sockets.items():
                sockets.sides(open_files(pid))
            self.seen.warnings += [problem for problem in problems if problem]
            self._stack = stack.pop_all()
        self.seen.startup_cpu_s = (time.process_time_ns() - begin_ns + self.perf_ns()) / 1e9
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _load_probes(self, stack: ExitStack) -> str | None:
        try:
            with yielding():
                self.probes = stack.enter_context(SocketCalls(()))
            self.seen.hit_cost = measure_hit_cost(self.probes)
            self.probes.watch(self._pids)
        except (MissingError, ProbeError) as error:
            self.probes = None
            return f"messages are not timed: {error}"
        return None

    def _start_sampling(self, stack: ExitStack) -> str | None:
        if not self.seen.ledger.frequency_hz:
            return f"CPU time is not sampled: {self.settings.max_overhead:.2%} allows no useful rate of samples"
        try:
            folder = stack.enter_context(vanishing_folder())
            perf = PerfSampling(self.seen.ledger.frequency_hz, directory=folder)
            self.sampling = stack.enter_context(perf)
        except (MissingError, ProcessError) as error:
            return f"CPU time is not sampled: {error}"
        return None

    def run(self, lives: Lives) -> Seen:
        """Measure until the time is over, all processes have ended, or a signal says to stop."""
        with _signals(self.seen) as wake:
            if self.sampling:
                self.sampling.start()
            try:
                _Watch(self, lives, wake).go()
            finally:
                self._stop_sampling()
        if self.probes:
            self.seen.no_wake_ups = self.probes.no_wake_ups
        return self.seen

    def _stop_sampling(self) -> None:
        if self.sampling:
            self.sampling.pause()
            self.sampling.stop()

    def perf_ns(self) -> int:
        return run_time_ns(self.sampling.process_id) if self.sampling else 0


class _Watch:
    """The loop of a measurement."""

    def __init__(self, measurement: Measurement, lives: Lives, wake: int) -> None:
        self._of = measurement
        self._seen = measurement.seen
        self._ledger = measurement.seen.ledger
        self._lives = lives
        self._wake = wake
        self._start_ns = time.monotonic_ns()
        self._end_ns = self._start_ns + int(measurement.settings.duration_s * 1e9)
        self._tool_ns = self._tool_cpu_ns()
        self._sampling = measurement.sampling is not None
        self._first = self._work()
        self._last_burst_ns = self._start_ns
        self._burst_s = _FIRST_BURST_S
        self._least_gap_ns = max(_LEAST_GAP_S, measurement.settings.duration_s / _MOST_BURSTS) * 1e9

    def go(self) -> None:
        while self._lives.running and time.monotonic_ns() < self._end_ns:
            left_s = (self._end_ns - time.monotonic_ns()) / 1e9
            burst_in_s = self._burst_in_s()
            if burst_in_s <= 0 and left_s > self._burst_s:
                stopped = self._burst()
            else:
                stopped = self._lives.wait(min(left_s, max(burst_in_s, _LEAST_STEP_S), _STEP_S), [self._wake])
                self._note()  # after bursts too, since a gap follows each
            if stopped:
                break
        self._note(last=True)

    def _burst_in_s(self) -> float:
        if self._of.probes is None:
            return float("inf")
        now_ns = time.monotonic_ns()
        allowed_ns = self._ledger.burst_in_ns(now_ns - self._start_ns, self._burst_s * 1e9)
        return max(allowed_ns, self._last_burst_ns + self._least_gap_ns - now_ns) / 1e9

    def _burst(self) -> bool:
        """Record socket calls and wake-ups for a moment; whether a signal came."""
        probes, cost = self._of.probes, self._seen.hit_cost
        if probes is None or cost is None:
            return False
        tool_ns = self._tool_cpu_ns()
        probes.attach()
        try:
            attached_ns = time.monotonic_ns()
            before = self._work()
            stopped = self._lives.wait(self._burst_s, [self._wake])
            after = self._work()
            lasted_ns = time.monotonic_ns() - attached_ns
        finally:
            probes.detach()
        burst = probes.read()
        calls, wake_ups = (between(records, before, after) for records in (burst.calls, burst.wake_ups))
        if burst.fill <= 1:
            work = {pid: after[pid].since(before[pid]) for pid in after}
            times_ns = [reading.passed_ns for reading in (*before.values(), *after.values())]
            sides = self._sides(calls)
            self._seen.bursts.append(BurstRecord(calls, wake_ups, sides, work, min(times_ns), max(times_ns)))
        else:
            self._seen.left_out += 1
        self._seen.attached_ns += lasted_ns
        ratio = burst_ratio(cost, burst.hits, lasted_ns, self._seen.vcpus, self._ledger.cpus)
        self._burst_s = max(_LEAST_BURST_S, self._next_burst_s(burst.fill, ratio))
        self._ledger.add_burst(ratio, lasted_ns, self._tool_cpu_ns() - tool_ns)
        self._last_burst_ns = time.monotonic_ns()
        return stopped

    def _next_burst_s(self, fill: float, ratio: float) -> float:
        """How long the next burst may be, after one that filled so much of its room at this share of CPU time."""
        by_room_s = self._burst_s * _WANTED_FILL / fill if fill else BURST_S
        whole_s = self._of.settings.duration_s * max(0.0, self._of.settings.max_overhead - self._ledger.sampling_ratio)
        by_cost_s = whole_s / 2 / _LEAST_BURSTS / ratio if ratio else BURST_S
        return min(BURST_S, by_room_s, by_cost_s)

    def _sides(self, calls: npt.NDArray[Any]) -> dict[tuple[int, int], str]:
        found = {}
        for pid, sockets in self._of.sockets.items():
            # Not np.unique, which imports for 15 ms: as much CPU time as several bursts take.
            descriptors = set(calls["fd"][(calls["process"] == pid) & (calls["fd"] >= 0)].tolist())
            found.update({(pid, number): side for number, side in sockets.sides(descriptors).items()})
        return found

    @staticmethod
    def _run(pid: int) -> Work:
        return Work(time.monotonic_ns(), run_time_ns(pid))

    def _work(self) -> dict[int, Work]:
        return {pid: read_work(pid) for pid in self._lives.running}

    def _note(self, *, last: bool = False) -> None:
        """Bring CPU times and the ledger up to now; segments, which cost a millisecond to read, at the end only."""
        seen = self._seen
        now_ns = time.monotonic_ns() - self._start_ns
        works = self._work() if last else {pid: self._run(pid) for pid in self._lives.running}
        for pid, now in works.items():
            work = now.since(self._first[pid])
            if work.run_ns >= seen.work.get(pid, Work()).run_ns:  # else it has ended at this moment
                seen.work[pid] = work
        seen.ended.update(self._first.keys() - self._lives.running.keys())
        passed_ns = now_ns - seen.elapsed_ns
        seen.elapsed_ns = now_ns
        seen.sampled_ns += passed_ns * self._sampling
        self._ledger.note(passed_ns, self._tool_cpu_ns() - self._tool_ns, sampling=self._sampling)
        self._sample_if_allowed()

    def _sample_if_allowed(self) -> None:
        perf, allowed = self._of.sampling, self._ledger.may_sample(self._seen.elapsed_ns, now=self._sampling)
        if perf is None or allowed == self._sampling:
            return
        if allowed:
            perf.start()
        else:
            perf.pause()
        self._sampling = allowed

    def _tool_cpu_ns(self) -> int:
        return time.process_time_ns() + self._of.perf_ns()


def between(records: npt.NDArray[Any], before: Mapping[int, Work], after: Mapping[int, Work]) -> npt.NDArray[Any]:
    """The records of each process between the readings of its counters."""
    kept = np.zeros(len(records), bool)
    for pid, work in after.items():
        start_ns, end_ns = before[pid].passed_ns, work.passed_ns
        kept |= (records["process"] == pid) & (records["start_ns"] >= start_ns) & (records["start_ns"] < end_ns)
    return records[kept]


@contextmanager
def yielding(most_s: float = _YIELDS_S) -> Iterator[None]:
    """Run only while no other process wants the CPU, for so long; then as before. For compiling, on this thread alone.

    A low priority is not enough: what wakes waits until the turn of what runs is over, however low its priority.
    """
    thread, before = threading.get_native_id(), os.sched_getscheduler(0)

    def end() -> None:
        os.sched_setscheduler(thread, before, os.sched_param(0))

    timer = threading.Timer(most_s, end)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        end()


@contextmanager
def polite() -> Iterator[None]:
    """Let others go first meanwhile: what is not measuring must not take CPU time from who needs it."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(before, _POLITE))
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


@contextmanager
def _signals(seen: Seen) -> Iterator[int]:
    """A descriptor that becomes readable when Ctrl-C, SIGTERM or SIGHUP arrives, which is then in `seen.signum`."""
    read_end, write_end = os.pipe()

    def stop(signum: int, _: FrameType | None) -> None:
        if seen.signum is None:
            seen.signum = signum
            os.write(write_end, b"x")

    before = {signum: signal.signal(signum, stop) for signum in STOP_SIGNALS}
    try:
        yield read_end
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        os.close(read_end)
        os.close(write_end)
