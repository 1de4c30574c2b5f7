"""Records the socket calls and wake-ups of chosen processes through `calls.bpf.c`, in bursts."""

import ctypes
import mmap
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.errors import ProbeError
from profiler.probes.bpf import RawTracepoints, load_program
from profiler.probes.syscalls import syscall_families
from profiler.probes.timeline import possible_cpus
from profiler.vocabulary.components import EVENT_WAIT, SOCKET_READ, SOCKET_WRITE

PROGRAM: Final = Path(__file__).with_name("calls.bpf.c")
TRACEPOINTS: Final = ("sys_enter", "sys_exit")
WAKING: Final = "sched_waking"
CALL: Final = np.dtype(
    [
        ("start_ns", "<u8"),
        ("duration_ns", "<u4"),
        ("process", "<u4"),
        ("thread", "<u4"),
        ("fd", "<i4"),
        ("kind", "<u4"),
        ("bytes", "<i4"),
    ]
)
READ, WRITE, WAIT = 1, 2, 3
WAKE_UP: Final = np.dtype(
    [
        ("start_ns", "<u8"),
        ("duration_ns", "<u4"),
        ("process", "<u4"),
        ("thread", "<u4"),
        ("waker_cpu", "<i4"),
        ("kind", "<u4"),
        ("cpu", "<i4"),
    ]
)
"""A `CALL` of kind `_WAKE_UP`: a read or event wait that returned something after a wake-up, and when."""
_WAKE_UP: Final = 4

_CAPACITY_PER_CPU: Final = 1 << 13
_FIRST_ARGUMENT: Final = {"x86_64": 112, "aarch64": 0}  # rdi and x0 in struct pt_regs
_NUMBER: Final = {"x86_64": 120, "aarch64": 64}  # orig_rax and x8 in struct pt_regs
_EPOLL_CTL: Final = {"x86_64": 233, "aarch64": 21}


@dataclass(frozen=True)
class Hits:
    """Probe hits: of system calls by the chosen processes and by all others, of wake-ups while either runs."""

    chosen: int = 0
    other: int = 0
    waking: int = 0
    other_waking: int = 0


@dataclass(frozen=True)
class Burst:
    """What one burst recorded: calls (`CALL`) in time order, wake-ups (`WAKE_UP`) in time order, and probe hits.

    `fill` is the part of the fullest region that it took, or would have; above 1, calls are missing.
    """

    calls: npt.NDArray[Any]
    wake_ups: npt.NDArray[Any]
    hits: Hits
    fill: float


def defines(machine: str | None = None) -> dict[str, int | str]:
    """What the program is compiled with.

    Args:
        machine: as `platform.machine()` names it; this machine by default.

    Raises:
        KeyError: the architecture is not known.
    """
    machine = machine or platform.machine()
    families = syscall_families(machine)
    del families[_EPOLL_CTL[machine]]  # of the event loop, but it waits for nothing
    tests = {
        f"{name}(n)": " || ".join(f"(n) == {number}" for number, found in families.items() if found == family)
        for name, family in (("IS_READ", SOCKET_READ), ("IS_WRITE", SOCKET_WRITE), ("IS_WAIT", EVENT_WAIT))
    }
    sizes = {"CAPACITY": _CAPACITY_PER_CPU, "NCPU": possible_cpus()}
    offsets = {"FD_OFFSET": _FIRST_ARGUMENT[machine], "NUMBER_OFFSET": _NUMBER[machine]}
    return {**{name: f"({test})" for name, test in tests.items()}, **sizes, **offsets}


class SocketCalls:
    """The loaded program. Attach it for a burst, then `read`; a context manager that detaches and frees.

    `no_wake_ups` says why wake-ups are not recorded, once an attempt to attach their probe has failed.

    Args:
        processes: ids of the processes to look at.

    Raises:
        MissingError: see `require_bcc`.
        ProbeError: the kernel or the compiler refused the program.
    """

    def __init__(self, processes: Iterable[int]) -> None:
        self._cpus = possible_cpus()
        self._bpf = _load()
        self._probes = RawTracepoints("calls", self._bpf, TRACEPOINTS)
        self._waking = RawTracepoints("calls", self._bpf, (WAKING,))
        self.no_wake_ups: str | None = None
        self._burst = 0
        size = _CAPACITY_PER_CPU * self._cpus * CALL.itemsize
        self._memory = mmap.mmap(self._bpf[b"calls"].map_fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self._calls = np.frombuffer(self._memory, CALL)
        self.watch(processes)

    def __enter__(self) -> "SocketCalls":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()
        del self._calls
        self._memory.close()
        self._bpf.cleanup()

    def watch(self, processes: Iterable[int]) -> None:
        """Look at these processes from now on, and at no others."""
        table = self._bpf[b"processes"]
        table.clear()
        for process in processes:
            table[ctypes.c_uint32(process)] = ctypes.c_uint32(1)

    def attach(self) -> None:
        """Begin a burst, without wake-ups where their probe does not attach. Raises ProbeError."""
        self._burst += 1
        states = self._states()
        for state in states:
            state.next = state.hits = state.other_hits = state.waking_hits = state.other_waking_hits = 0
            state.burst = self._burst
        self._bpf[b"cpus"][ctypes.c_int(0)] = states
        if self.no_wake_ups is None:
            try:
                self._waking.attach()
            except ProbeError as error:
                self.no_wake_ups = str(error)
        try:
            self._probes.attach()
        except ProbeError:
            self._waking.detach()
            raise

    def detach(self) -> None:
        """End the burst; what was recorded stays readable until the next."""
        self._probes.detach()
        self._waking.detach()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Run the wake-up probe's program at the begin of every system call meanwhile, to see what it takes.

        Raises:
            ProbeError: it did not attach.
        """
        probe = RawTracepoints("calls", self._bpf, ("sys_enter",), f"on_{WAKING}")
        probe.attach()
        try:
            yield
        finally:
            probe.detach()

    def read(self) -> Burst:
        """What the last burst recorded."""
        states = self._states()
        counts = [int(state.next) for state in states]
        regions = [
            self._calls[cpu * _CAPACITY_PER_CPU : cpu * _CAPACITY_PER_CPU + min(count, _CAPACITY_PER_CPU)]
            for cpu, count in enumerate(counts)
        ]
        records = np.concatenate(regions)
        records = records[np.argsort(records["start_ns"], kind="stable")]
        woken = records["kind"] == _WAKE_UP
        hits = Hits(
            chosen=sum(int(state.hits) for state in states),
            other=sum(int(state.other_hits) for state in states),
            waking=sum(int(state.waking_hits) for state in states),
            other_waking=sum(int(state.other_waking_hits) for state in states),
        )
        return Burst(records[~woken], records[woken].view(WAKE_UP), hits, max(counts) / _CAPACITY_PER_CPU)

    def _states(self) -> Any:
        """The program's `struct cpu` of each CPU."""
        return self._bpf[b"cpus"][ctypes.c_int(0)]


def _load() -> Any:
    try:
        known = defines()
    except KeyError as error:
        raise ProbeError(
            f"the system calls of {platform.machine()} are not known, only those of x86_64 and aarch64"
        ) from error
    return load_program("calls", known, PROGRAM)
