"""The kernel's own accounting of the machine: busy time, run time, steal and pressure.

It knows nothing of roles and states and owes nothing to our probes, so it is what Σ components is held against.

Which source is precise, tried on Linux 6.18 with tick accounting and without CONFIG_SCHEDSTATS, as cloud kernels are:
- /proc/timer_list, idle_sleeptime + iowait_sleeptime: nanoseconds, and everything that is not idle is busy, so softirqs
  taken in the idle loop and steal are in it. It moves when a CPU leaves idle: each CPU is visited before it is read.
- /proc/stat, idle + iowait: the same clocks, cut to 10 ms per CPU. The fallback where timer_list is not readable.
- /proc/stat, user + system + softirq: sampled at the tick, blind to what runs between two ticks. Not used.
- cpuacct: run time of tasks only, without interrupts and softirqs in the idle loop, without steal. Not used.
- /proc/schedstat: does not exist there. Not used.

Of a large machine only some CPUs are accounted for: a measurement that is confined to a few of 64 would count what the
kernel does on all others.
"""

import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from profiler.errors import MissingError, ProcessError

TIMER_LIST: Final = "timer_list"
STAT: Final = "stat"

NOISY_STEAL_RATIO: Final = 0.05
"""Share of CPU time stolen by the hypervisor above which a window is called noisy."""

_CPU = re.compile(r"^cpu: ([0-9]{1,5})[ \t]*$", re.MULTILINE)
_NOW = re.compile(r"^now at ([0-9]{1,19}) nsecs", re.MULTILINE)
_IDLE = re.compile(r"\.idle_sleeptime[ \t]*:[ \t]*([0-9]{1,19}) nsecs")
_IOWAIT = re.compile(r"\.iowait_sleeptime[ \t]*:[ \t]*([0-9]{1,19}) nsecs")
_PRESSURE = re.compile(r"^some .*\btotal=([0-9]{1,19})", re.MULTILINE)
_STAT_LINE = re.compile(r"^(cpu[0-9]{0,5}) +((?:[0-9]{1,19} +){7}[0-9]{1,19}(?: +[0-9]{1,19})*) *$", re.MULTILINE)
_SOFTIRQ_THREADS: Final = ("ksoftirqd/", "napi/", "irq/")
"""Beginnings of the names of kernel threads that receive packets; the last two where receiving was given to threads."""

_RESCHEDULING: Final = re.compile(r"^ *[A-Z0-9]{1,8}:((?: +[0-9]{1,19})+) +Rescheduling interrupts", re.MULTILINE)
_STAT_IDLE, _STAT_IOWAIT, _STAT_STEAL = 3, 4, 7
_PROCESSOR: Final = 36
"""Of the fields of /proc/PID/stat after the name: the CPU it ran on last."""


def visit_cpus(cpus: Collection[int]) -> None:
    """Run a moment on each of `cpus`, which makes the kernel bring its idle clocks up to date.

    Ends on another CPU if there is one: what measures stays off those that are measured. A CPU that is offline, or that
    this process may not use, is passed over.
    """
    allowed = os.sched_getaffinity(0)
    elsewhere = sorted(allowed.difference(cpus))[-1:]
    try:
        for cpu in [*cpus, *elsewhere]:
            _run_on({cpu})
    finally:
        _run_on(allowed)


def _run_on(cpus: Iterable[int]) -> None:
    with suppress(OSError):
        os.sched_setaffinity(0, cpus)


@dataclass(frozen=True)
class IdleReading:
    """How long each CPU has been idle since boot, in nanoseconds, and when that was read (monotonic clock)."""

    source: str
    at_ns: int
    idle_ns: Mapping[int, int]

    def busy_ns_since(self, earlier: "IdleReading") -> dict[int, int]:
        """How long each CPU was not idle between `earlier` and this reading, in nanoseconds.

        Raises:
            ProcessError: a CPU was taken offline or brought online meanwhile, or the source is another one.
        """
        if self.source != earlier.source:
            raise ProcessError(f"idle time came from /proc/{earlier.source}, then from /proc/{self.source}; run again")
        for cpus, what in ((earlier.idle_ns.keys() - self.idle_ns.keys(), "offline"),
                           (self.idle_ns.keys() - earlier.idle_ns.keys(), "online")):  # fmt: skip
            if cpus:
                raise ProcessError(
                    f"CPU {', '.join(map(str, sorted(cpus)))} went {what} in a window of CPU time, which is dropped; "
                    "leave the CPUs as they are and run again"
                )
        wall_ns = self.at_ns - earlier.at_ns
        return {cpu: max(0, wall_ns - now + earlier.idle_ns[cpu]) for cpu, now in self.idle_ns.items()}


class MachineCpu:
    """Reads how long CPUs were idle, all by default, from the most precise source there is."""

    def __init__(self, cpus: Collection[int] | None = None, proc: Path = Path("/proc")) -> None:
        self._cpus = cpus
        self._proc = proc

    def read(self) -> IdleReading:
        """The idle clocks now. Nothing but time spent between two readings counts, so keep the first.

        Raises:
            MissingError: /proc tells nothing of idle time.
        """
        visit_cpus(os.sched_getaffinity(0) if self._cpus is None else self._cpus)
        return self._timer_list() or self._stat()

    def _timer_list(self) -> IdleReading | None:
        text = _text(self._proc / "timer_list")
        now = _NOW.search(text)
        _, *parts = _CPU.split(text)
        found: dict[int, int] = {}
        for cpu, part in zip(parts[::2], parts[1::2], strict=True):
            idle, iowait = _IDLE.search(part), _IOWAIT.search(part)
            if idle is None or iowait is None:
                return None
            found[int(cpu)] = int(idle[1]) + int(iowait[1])
        if now is None or not found:
            return None
        return IdleReading(TIMER_LIST, int(now[1]), self._chosen(found))

    def _stat(self) -> IdleReading:
        at_ns = time.monotonic_ns()
        per_cpu = {int(name[3:]): fields for name, fields in _stat_lines(self._proc) if name != "cpu"}
        if not per_cpu:
            raise MissingError(f"{self._proc}/stat has no CPU times; is /proc mounted?")
        ticks = {cpu: fields[_STAT_IDLE] + fields[_STAT_IOWAIT] for cpu, fields in per_cpu.items()}
        idle_ns = {cpu: round(count * _tick_ns()) for cpu, count in ticks.items()}
        return IdleReading(STAT, at_ns, self._chosen(idle_ns))

    def _chosen(self, idle_ns: Mapping[int, int]) -> Mapping[int, int]:
        return {cpu: spent for cpu, spent in idle_ns.items() if self._cpus is None or cpu in self._cpus}


def cpus_of(processes: Iterable[int]) -> set[int]:
    """The CPUs that these processes may run on, those that have ended apart."""
    found: set[int] = set()
    for process in processes:
        with suppress(OSError):
            found |= os.sched_getaffinity(process)
    return found


def last_cpu(process: int, proc: Path = Path("/proc")) -> int | None:
    """The CPU that a process (its first thread) ran on last; None if it has ended."""
    fields = _text(proc / str(process) / "stat").rpartition(")")[2].split()
    return int(fields[_PROCESSOR]) if len(fields) > _PROCESSOR and fields[_PROCESSOR].isdecimal() else None


def cpu_clock(process: int) -> int:
    """The clock of a process's CPU time, for `time.clock_gettime_ns`."""
    # What clock_getcpuclockid(3) computes: the scheduler's exact run time of a process (CPUCLOCK_SCHED = 2).
    return (~process << 3) | 2


def run_time_ns(process: int) -> int:
    """CPU time of all threads of a process so far, ended ones too, in nanoseconds; 0 if the process has ended.

    Exact to the moment: /proc/<pid>/task/*/schedstat lags behind by up to one tick for a thread that runs.
    """
    try:
        return time.clock_gettime_ns(cpu_clock(process))
    except OSError:
        return 0


def strangers_ns(known: Collection[int], proc: Path = Path("/proc")) -> dict[int, int]:
    """CPU time so far of every process that is not `known`, kernel threads too, by process id, in nanoseconds.

    It is read twice in each phase of a window, so it only asks each clock (tried with 116 processes: 0.13 ms).
    """
    with os.scandir(proc) as entries:
        others = {int(entry.name) for entry in entries if entry.name.isdecimal()}.difference(known)
    return {pid: run_time_ns(pid) for pid in others}


@dataclass(frozen=True)
class Reschedulings:
    """How often some CPUs were interrupted so far because another one woke a thread for them, and when that was read.

    So it counts hand-overs to another CPU without a probe; `count` is None where the kernel does not count them.
    """

    at_ns: int
    count: int | None

    @classmethod
    def read(cls, cpus: Collection[int], proc: Path = Path("/proc")) -> "Reschedulings":
        """The count of these CPUs now."""
        at_ns = time.monotonic_ns()
        head, _, rest = _text(proc / "interrupts").partition("\n")
        numbers = [int(name[3:]) for name in head.split() if name.startswith("CPU") and name[3:].isdecimal()]
        line = _RESCHEDULING.search(rest)
        if line is None or not set(cpus) <= set(numbers):
            return cls(at_ns, None)
        counts = dict(zip(numbers, map(int, line[1].split()), strict=False))
        return cls(at_ns, sum(counts.get(cpu, 0) for cpu in cpus))

    def since(self, earlier: "Reschedulings", window_ns: float) -> float | None:
        """How many there were since `earlier`, as many as fit in so long a time; None where they are not counted."""
        if self.count is None or earlier.count is None:
            return None
        return (self.count - earlier.count) * window_ns / max(1, self.at_ns - earlier.at_ns)


@cache
def softirq_threads(proc: Path = Path("/proc")) -> tuple[int, ...]:
    """The process ids of the kernel's softirq threads: what they do may well be the mesh's. Looked up once."""
    comms = proc.glob("[0-9]*/comm")
    return tuple(int(path.parent.name) for path in comms if _text(path).startswith(_SOFTIRQ_THREADS))


@dataclass(frozen=True)
class NoiseReading:
    """What others took, since boot: steal of some CPUs and time in which some task waited for a CPU (None: no PSI)."""

    at_ns: int
    cpus: int
    steal_ns: int
    waiting_ns: int | None


@dataclass(frozen=True)
class Noise:
    """What others took in a window: the share of CPU time stolen, and of time in which some task waited for a CPU."""

    steal_ratio: float
    psi_cpu_some_ratio: float | None

    @property
    def noisy(self) -> bool:
        """Whether the hypervisor took so much that the window's figures are doubtful."""
        return self.steal_ratio > NOISY_STEAL_RATIO

    @staticmethod
    def read(proc: Path = Path("/proc"), cpus: Collection[int] | None = None) -> NoiseReading:
        """The counters now, of all CPUs by default. Steal comes in steps of 10 ms per CPU, so a window wants a second.

        Raises:
            MissingError: /proc tells nothing of CPU times.
        """
        lines = dict(_stat_lines(proc))
        if "cpu" not in lines:
            raise MissingError(f"{proc}/stat has no CPU times; is /proc mounted?")
        counted = lines.keys() - {"cpu"} if cpus is None else lines.keys() & {f"cpu{cpu}" for cpu in cpus}
        steal = lines["cpu"][_STAT_STEAL] if cpus is None else sum(lines[name][_STAT_STEAL] for name in counted)
        pressure = _PRESSURE.search(_text(proc / "pressure" / "cpu"))
        return NoiseReading(
            time.monotonic_ns(), len(counted), round(steal * _tick_ns()), int(pressure[1]) * 1000 if pressure else None
        )

    @classmethod
    def between(cls, first: NoiseReading, last: NoiseReading) -> "Noise":
        """The noise of the window from `first` to `last`."""
        wall_ns = max(1, last.at_ns - first.at_ns)
        waiting = None
        if first.waiting_ns is not None and last.waiting_ns is not None:
            waiting = (last.waiting_ns - first.waiting_ns) / wall_ns
        stolen_ns = max(0, last.steal_ns - first.steal_ns)
        return cls(stolen_ns / (wall_ns * max(1, last.cpus)), waiting)


def _stat_lines(proc: Path) -> list[tuple[str, list[int]]]:
    """The CPU lines of /proc/stat: name, then times in ticks."""
    head, _, _ = _text(proc / "stat").partition("\nintr")  # that line has thousands of numbers
    found = _STAT_LINE.findall(head)
    return [(name, [int(value) for value in values.split()]) for name, values in found]


def _tick_ns() -> float:
    return 1e9 / os.sysconf("SC_CLK_TCK")


def _text(path: Path) -> str:
    """The content of a file, empty if it is missing or may not be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
