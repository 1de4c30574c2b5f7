"""The kernel's own accounting of the machine: busy time, run time, steal and pressure.

It knows nothing of roles and states and owes nothing to our probes, so it is what Σ components is held against.

Which source is precise, tried on Linux 6.18 with tick accounting and without CONFIG_SCHEDSTATS, as cloud kernels are:
- /proc/timer_list, idle_sleeptime + iowait_sleeptime: nanoseconds, and everything that is not idle is busy, so softirqs
  taken in the idle loop and steal are in it. It moves when a CPU leaves idle: each CPU is visited before it is read.
- /proc/stat, idle + iowait: the same clocks, cut to 10 ms per CPU. The fallback where timer_list is not readable.
- /proc/stat, user + system + softirq: sampled at the tick, blind to what runs between two ticks. Not used.
- cpuacct: run time of tasks only, without interrupts and softirqs in the idle loop, without steal. Not used.
- /proc/schedstat: does not exist there. Not used.
"""

import os
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiler.errors import MissingError

TIMER_LIST: Final = "timer_list"
STAT: Final = "stat"

NOISY_STEAL_RATIO: Final = 0.05
"""Share of CPU time stolen by the hypervisor above which a window is called noisy."""

_NOW = re.compile(r"^now at ([0-9]{1,19}) nsecs", re.MULTILINE)
_IDLE = re.compile(r"^\s*\.idle_sleeptime[ \t]*:[ \t]*([0-9]{1,19}) nsecs", re.MULTILINE)
_IOWAIT = re.compile(r"^\s*\.iowait_sleeptime[ \t]*:[ \t]*([0-9]{1,19}) nsecs", re.MULTILINE)
_PRESSURE = re.compile(r"^some .*\btotal=([0-9]{1,19})", re.MULTILINE)
_STAT_LINE = re.compile(r"^(cpu[0-9]*) +((?:[0-9]{1,19} +){7}[0-9]{1,19}(?: +[0-9]{1,19})*) *$", re.MULTILINE)
_STAT_IDLE, _STAT_IOWAIT, _STAT_STEAL = 3, 4, 7


def visit_cpus() -> None:
    """Run a moment on every CPU that this process may use, which makes the kernel bring its idle clocks up to date."""
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in allowed:
            os.sched_setaffinity(0, {cpu})
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass(frozen=True)
class IdleReading:
    """How long each CPU has been idle since boot, in nanoseconds, and when that was read (monotonic clock)."""

    source: str
    at_ns: int
    idle_ns: tuple[int, ...]

    def busy_ns_since(self, earlier: "IdleReading") -> tuple[int, ...]:
        """How long each CPU was not idle between `earlier` and this reading, in nanoseconds.

        Raises:
            ValueError: the two come from different sources or numbers of CPUs.
        """
        if (self.source, len(self.idle_ns)) != (earlier.source, len(earlier.idle_ns)):
            raise ValueError(f"a reading of {self.source} cannot be compared with one of {earlier.source}")
        wall_ns = self.at_ns - earlier.at_ns
        return tuple(max(0, wall_ns - now + then) for now, then in zip(self.idle_ns, earlier.idle_ns, strict=True))


class MachineCpu:
    """Reads how long the CPUs were idle, from the most precise source there is."""

    def __init__(self, proc: Path = Path("/proc"), visit: Callable[[], None] = visit_cpus) -> None:
        self._proc = proc
        self._visit = visit

    def read(self) -> IdleReading:
        """The idle clocks now. Nothing but time spent between two readings counts, so keep the first.

        Raises:
            MissingError: /proc tells nothing of idle time.
        """
        self._visit()
        return self._timer_list() or self._stat()

    def _timer_list(self) -> IdleReading | None:
        text = _text(self._proc / "timer_list")
        now = _NOW.search(text)
        idle, iowait = ([int(value) for value in field.findall(text)] for field in (_IDLE, _IOWAIT))
        if now is None or not idle or len(idle) != len(iowait):
            return None
        return IdleReading(TIMER_LIST, int(now[1]), tuple(map(sum, zip(idle, iowait, strict=True))))

    def _stat(self) -> IdleReading:
        at_ns = time.monotonic_ns()
        per_cpu = [fields for name, fields in _stat_lines(self._proc) if name != "cpu"]
        if not per_cpu:
            raise MissingError(f"{self._proc}/stat has no CPU times; is /proc mounted?")
        ticks = (fields[_STAT_IDLE] + fields[_STAT_IOWAIT] for fields in per_cpu)
        return IdleReading(STAT, at_ns, tuple(round(count * _tick_ns()) for count in ticks))


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
    """CPU time so far of every process that is neither `known` nor a kernel thread, by process id, in nanoseconds."""
    others = {int(path.name): path for path in proc.iterdir() if path.name.isdecimal() and int(path.name) not in known}
    return {pid: run_time_ns(pid) for pid, path in others.items() if not _is_kernel_thread(path)}


def _is_kernel_thread(process: Path) -> bool:
    try:
        (process / "exe").readlink()
    except FileNotFoundError:  # or it has ended
        return True
    except OSError:
        return False
    return False


@dataclass(frozen=True)
class NoiseReading:
    """What others took, since boot: steal of all CPUs and time in which some task waited for a CPU (None: no PSI)."""

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
    def read(proc: Path = Path("/proc")) -> NoiseReading:
        """The counters now. Steal comes in steps of 10 ms per CPU, so a window wants a second or more.

        Raises:
            MissingError: /proc tells nothing of CPU times.
        """
        lines = dict(_stat_lines(proc))
        if "cpu" not in lines:
            raise MissingError(f"{proc}/stat has no CPU times; is /proc mounted?")
        pressure = _PRESSURE.search(_text(proc / "pressure" / "cpu"))
        return NoiseReading(
            time.monotonic_ns(),
            len(lines) - 1,
            round(lines["cpu"][_STAT_STEAL] * _tick_ns()),
            int(pressure[1]) * 1000 if pressure else None,
        )

    @classmethod
    def between(cls, first: NoiseReading, last: NoiseReading) -> "Noise":
        """The noise of the window from `first` to `last`."""
        wall_ns = max(1, last.at_ns - first.at_ns)
        waiting = None
        if first.waiting_ns is not None and last.waiting_ns is not None:
            waiting = (last.waiting_ns - first.waiting_ns) / wall_ns
        return cls((last.steal_ns - first.steal_ns) / (wall_ns * max(1, last.cpus)), waiting)


def _stat_lines(proc: Path) -> list[tuple[str, list[int]]]:
    """The CPU lines of /proc/stat: name, then times in ticks."""
    found = _STAT_LINE.findall(_text(proc / "stat"))
    return [(name, [int(value) for value in values.split()]) for name, values in found]


def _tick_ns() -> float:
    return 1e9 / os.sysconf("SC_CLK_TCK")


def _text(path: Path) -> str:
    """The content of a file, empty if it is missing or may not be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
