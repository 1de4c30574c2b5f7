"""CPU time that the mesh, its applications and the kernel for them used in a window, without a probe."""

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from profiler.host.accounting import (
    IdleReading,
    MachineCpu,
    Noise,
    cpus_of,
    last_cpu,
    run_time_ns,
    softirq_threads,
    strangers_ns,
)
from profiler.testbed.neighbour import Neighbours


@dataclass(frozen=True)
class _Slow:
    """Clocks that take a millisecond to read: idle CPUs, the host, strangers; and the tools' at the same time."""

    tools_ns: Mapping[int, int]
    idle: IdleReading
    steal_ns: int
    strangers_ns: Mapping[int, int]


class BusyTime:
    """CPU time between `start` and `end` that the mesh, its applications and the kernel for them used.

    It is wall time x CPUs less the kernel's idle clocks, what the neighbours measured of themselves, the scheduler's
    run time of what measures and of strangers, and of the remainder the share of time that the kernel calls stolen.

    Reading the slow clocks takes one of the CPUs away from the mesh. So only the fast ones are read at both ends of the
    window, the slow ones before and after; what they give is the share of the time that was not idle.

    It covers the CPUs that the measured processes and the neighbours may run on: where these are confined to a few of a
    large machine's CPUs, what the kernel does on the others is no work for the mesh. What measures and strangers are
    taken off where they are seen on one of these CPUs at the end.

    Args:
        tools: processes that measure; this one does, too.
        measured: those of the mesh and its applications. All others are strangers, and so are kernel threads that do
            not receive packets, as `is_foreign` has it for what is split into components.

    Attributes: `cpus`, those that it covers; `start_ns` and `end_ns`, the window in monotonic time.
    """

    def __init__(self, neighbours: Neighbours, tools: Sequence[int], measured: Collection[int]) -> None:
        self._neighbours = neighbours
        self._tools = {os.getpid(), *tools}
        own = [process.pid for process in neighbours.processes]
        self.cpus = cpus_of({*measured, *own} - self._tools) or os.sched_getaffinity(0)
        self._known = {*self._tools, *measured, *own, *softirq_threads()}
        self._machine = MachineCpu(self.cpus)
        self._slow = self._read_slow()
        self.start()

    def start(self) -> None:
        """Begin the window here, as it did when this was made."""
        self._neighbours_ns = self._neighbours.used_ns()
        self._tools_ns = _run_times_ns(self._tools)
        self.start_ns = self.end_ns = time.monotonic_ns()

    def end(self) -> None:
        """End the window here; `read_ns`, which takes longer, is of what was used in it."""
        self.end_ns = time.monotonic_ns()
        self._tools_ns = _since(_run_times_ns(self._tools), self._tools_ns)
        self._neighbours_ns = self._neighbours.used_ns() - self._neighbours_ns

    def read_ns(self) -> float:
        """Nanoseconds in the window that `end` ended.

        Raises:
            ProcessError: a CPU went offline or came online.
        """
        tools = self._here(self._tools)  # before this process visits the CPUs
        now, before = self._read_slow(), self._slow
        cpus = len(now.idle.idle_ns)
        window_ns, slow_window_ns = self.end_ns - self.start_ns, max(1, now.idle.at_ns - before.idle.at_ns)
        running_ns = sum(now.idle.busy_ns_since(before.idle).values())
        slow_tools_ns = sum(now.tools_ns[pid] - before.tools_ns[pid] for pid in tools)
        # Of the time that what measures leaves, since it runs more while it reads.
        not_idle = (running_ns - slow_tools_ns) / max(1, cpus * slow_window_ns - slow_tools_ns)
        left_ns = not_idle * (cpus * window_ns - sum(self._tools_ns[pid] for pid in tools)) - self._neighbours_ns
        # What the host took while a neighbour or a tool had the CPU is in their time already.
        stolen = (now.steal_ns - before.steal_ns) / max(1, running_ns)
        ran_ns = _since(now.strangers_ns, before.strangers_ns)
        strangers = self._here(pid for pid, ran in ran_ns.items() if ran > 0)
        taken_ns = sum(ran_ns[pid] for pid in strangers) * window_ns / slow_window_ns
        return left_ns * (1 - min(1.0, stolen)) - taken_ns

    def _read_slow(self) -> _Slow:
        return _Slow(
            _run_times_ns(self._tools),
            self._machine.read(),
            Noise.read(cpus=self.cpus).steal_ns,
            strangers_ns(self._known),
        )

    def _here(self, processes: Iterable[int]) -> list[int]:
        """Those that ran last on one of the CPUs; one that has ended is taken for one of them."""
        return [pid for pid in processes if (cpu := last_cpu(pid)) is None or cpu in self.cpus]


def _run_times_ns(processes: Iterable[int]) -> dict[int, int]:
    return {pid: run_time_ns(pid) for pid in processes}


def _since(now_ns: Mapping[int, int], before_ns: Mapping[int, int]) -> dict[int, int]:
    return {pid: ran_ns - before_ns.get(pid, 0) for pid, ran_ns in now_ns.items()}
