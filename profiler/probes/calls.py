"""Records the socket calls of chosen processes through `calls.bpf.c`, in bursts."""

import ctypes
import mmap
import platform
from collections.abc import Iterable
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

_CAPACITY_PER_CPU: Final = 1 << 13
_FIRST_ARGUMENT: Final = {"x86_64": 112, "aarch64": 0}  # rdi and x0 in struct pt_regs
_EPOLL_CTL: Final = {"x86_64": 233, "aarch64": 21}


@dataclass(frozen=True)
class Burst:
    """What one burst recorded: calls in time order, probe hits by the chosen processes and by all others.

    `fill` is the part of the fullest region that it took, or would have; above 1, calls are missing.
    """

    calls: npt.NDArray[Any]
    hits: int
    other_hits: int
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
    sizes = {"CAPACITY": _CAPACITY_PER_CPU, "NCPU": possible_cpus(), "FD_OFFSET": _FIRST_ARGUMENT[machine]}
    return {**{name: f"({test})" for name, test in tests.items()}, **sizes}


class SocketCalls:
    """The loaded program. Attach it for a burst, then `read`; a context manager that detaches and frees.

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
        """Begin a burst. Raises ProbeError."""
        self._bpf[b"pendings"].clear()  # a call begun in the last burst may have ended between the two
        states = self._states()
        for state in states:
            state.next = state.hits = state.other_hits = 0
        self._bpf[b"cpus"][ctypes.c_int(0)] = states
        self._probes.attach()

    def detach(self) -> None:
        """End the burst; what was recorded stays readable until the next."""
        self._probes.detach()

    def read(self) -> Burst:
        """What the last burst recorded."""
        states = self._states()
        counts = [int(state.next) for state in states]
        regions = [
            self._calls[cpu * _CAPACITY_PER_CPU : cpu * _CAPACITY_PER_CPU + min(count, _CAPACITY_PER_CPU)]
            for cpu, count in enumerate(counts)
        ]
        calls = np.concatenate(regions)
        return Burst(
            calls[np.argsort(calls["start_ns"], kind="stable")],
            sum(int(state.hits) for state in states),
            sum(int(state.other_hits) for state in states),
            max(counts) / _CAPACITY_PER_CPU,
        )

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
