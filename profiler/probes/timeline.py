"""Records the message timeline of chosen processes through `timeline.bpf.c`."""

import ctypes
import mmap
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.host.cpu_topology import read_topology
from profiler.probes.bpf import ProbeStatus, RawTracepoints, load_program
from profiler.vocabulary.components import PLACES
from profiler.vocabulary.timeline_events import (
    SOFTIRQ_ENTER,
    SOFTIRQ_EXIT,
    SWITCH_IN,
    SWITCH_OUT,
    SYSCALL_ENTER,
    SYSCALL_EXIT,
    WAKING,
    TimelineEvents,
)

TRACEPOINTS: Final = ("sched_switch", "sys_enter", "sys_exit", "softirq_entry", "softirq_exit", "sched_waking")
"""In the order in which they are attached: without switches, the calls of who runs next would be those of who ran."""
EVENT: Final = np.dtype([("stamp_ns", "<u8"), ("tid", "<u4"), ("kind_value", "<u4")])

_CPU_NUMBER: Final = re.compile(r"[0-9]{1,5}")
_TRACEPOINT_OF_KIND: Final = {
    SYSCALL_ENTER: "sys_enter",
    SYSCALL_EXIT: "sys_exit",
    SOFTIRQ_ENTER: "softirq_entry",
    SOFTIRQ_EXIT: "softirq_exit",
    WAKING: "sched_waking",
    SWITCH_OUT: "sched_switch",
    SWITCH_IN: "sched_switch",
}


def decode(regions: list[npt.NDArray[Any]], places: dict[int, str], dropped: int) -> TimelineEvents:
    """Merge the regions of the CPUs, from CPU 0 on, into one timeline ordered by stamp. Pure."""
    events = np.concatenate(regions)
    order = np.argsort(events["stamp_ns"], kind="stable")
    events = events[order]
    value = (events["kind_value"] & 0xFFFFFFF).astype(np.int64)
    value[value >= 1 << 27] -= 1 << 28  # 28-bit two's complement: return values may be negative
    return TimelineEvents(
        events["stamp_ns"].astype(np.int64),
        events["tid"].astype(np.int64),
        (events["kind_value"] >> 28).astype(np.int64),
        value,
        np.repeat(np.arange(len(regions), dtype=np.int64), [len(region) for region in regions])[order],
        places,
        dropped,
    )


def possible_cpus(listing: Path = Path("/sys/devices/system/cpu/possible")) -> int:
    """How many CPU numbers the kernel may use, as in "0-3" or "0-1,4-7": per-CPU maps have an entry for each."""
    try:
        last = listing.read_text(errors="replace").strip().rpartition(",")[2].rpartition("-")[2]
    except OSError:
        last = ""
    return int(last) + 1 if _CPU_NUMBER.fullmatch(last) else os.cpu_count() or 1


class Timeline:
    """The loaded timeline program. Attach it around windows; `reset` before and `read` after each.

    Raises:
        MissingError, ProbeError: as `load_program`.
    """

    def __init__(self, capacity_per_cpu: int = 1 << 19) -> None:
        self._capacity = capacity_per_cpu
        self._cpus = possible_cpus()
        self._topology = read_topology()
        self._bpf = load_program("timeline", self.defines(capacity_per_cpu))
        self._probes = RawTracepoints("timeline", self._bpf, TRACEPOINTS)
        size = self._capacity * self._cpus * EVENT.itemsize
        self._memory = mmap.mmap(self._bpf[b"events"].map_fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self._events = np.frombuffer(self._memory, EVENT)

    @staticmethod
    def defines(capacity_per_cpu: int = 1 << 19) -> dict[str, int]:
        """What the program is compiled with."""
        return {"CAPACITY": capacity_per_cpu, "NCPU": possible_cpus()}

    @property
    def statuses(self) -> list[ProbeStatus]:
        """Attach status, hits and drops of each probe over all windows read so far."""
        return list(self._probes.statuses.values())

    def attach(self) -> None:
        """Attach the probes. Raises ProbeError."""
        self._set_cpus([cpu.next for cpu in self._cpu_states()])  # what ran here at the last detach may be gone
        self._probes.attach()

    def detach(self) -> None:
        """Detach the probes; what was recorded stays readable."""
        self._probes.detach()

    def __enter__(self) -> "Timeline":
        self.attach()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def reset(self, places: Mapping[int, str]) -> None:
        """Forget everything recorded and trace the processes of `places` (process id → place) from now on."""
        for table in (b"places", b"threads", b"thread_places"):
            self._bpf[table].clear()
        for pid, place in places.items():
            self.add(pid, place)
        self._set_cpus([0] * self._cpus)

    def add(self, pid: int, place: str) -> None:
        """Trace process `pid` too."""
        self._bpf[b"places"][ctypes.c_uint32(pid)] = ctypes.c_uint32(PLACES.index(place))

    def read(self) -> TimelineEvents:
        """What was recorded since `reset`; counts it into `statuses`."""
        counts = [int(cpu.next) for cpu in self._cpu_states()]
        regions = [
            self._events[cpu * self._capacity : cpu * self._capacity + min(count, self._capacity)]
            for cpu, count in enumerate(counts)
        ]
        dropped = sum(max(0, count - self._capacity) for count in counts)
        places = {tid.value: PLACES[place.value] for tid, place in self._bpf[b"thread_places"].items()}
        events = replace(decode(regions, places, dropped), topology=self._topology)
        self._count(events)
        return events

    def _cpu_states(self) -> Any:
        """The program's `struct cpu` of each CPU."""
        return self._bpf[b"cpus"][ctypes.c_int(0)]

    def _set_cpus(self, next_positions: list[int]) -> None:
        """Set each CPU's next position, and forget which thread runs on it."""
        states = self._cpu_states()
        for state, position in zip(states, next_positions, strict=True):
            state.next, state.running = position, 0
        self._bpf[b"cpus"][ctypes.c_int(0)] = states

    def _count(self, events: TimelineEvents) -> None:
        hits = np.bincount(events.kind, minlength=8)
        for kind, name in _TRACEPOINT_OF_KIND.items():
            self._probes.statuses[name].hits += int(hits[kind])
        for status in self._probes.statuses.values():
            status.dropped += events.dropped

    def close(self) -> None:
        """Detach and free the program and its memory."""
        self.detach()
        del self._events
        self._memory.close()
        self._bpf.cleanup()
