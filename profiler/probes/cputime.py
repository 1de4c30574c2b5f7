"""On-CPU time of the whole machine by role and state, through `cputime.bpf.c`.

Roles and states are those of attribution/cpu_classes.py. Together they cover every nanosecond of every CPU, so a
reading adds up to wall time x CPUs. Sums are kept in the kernel and no event leaves it; taking a reading first closes
the slice that runs on each CPU.

Time by role is exact. So is time by state, except where a CPU changes its work more often than every FAST_NS: there
one piece of work in `sample_one_of`, drawn at random, is split into states, and the others of the same role are taken
to be split alike. The clock is what costs: tried on a virtual machine where reading it takes 27 ns, TCP proxies on both
sides, 16 connections at saturation, throughput against none of it: empty programs on the same tracepoints 0.95, this
one 0.94, the same splitting everything 0.89.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from profiler.errors import ProbeError
from profiler.host.accounting import softirq_threads
from profiler.probes.bpf import TRACEFS_PATHS, ProbeStatus, RawTracepoints, load_program
from profiler.probes.syscalls import syscall_families
from profiler.vocabulary.components import EVENT_WAIT, SOCKET_READ, SOCKET_WRITE
from profiler.vocabulary.cpu_states import IDLE, KERNEL, KSOFTIRQD, NEIGHBOUR, REST, ROLES, STATES, SYSCALL_OTHER, TOOL

PROGRAM: Final = "cputime"

TRACEPOINTS: Final = (
    "sys_enter",
    "sys_exit",
    "softirq_entry",
    "softirq_exit",
    "sched_switch",
    "sched_process_exit",
    "cpu_idle",
    "reschedule_entry",
)
"""The probes, in the order of their hit counters in the program."""

FAST_NS: Final = 200_000
DEFAULT_SAMPLE_ONE_OF: Final = 8

_DRAWS: Final = (1, 2, 4, 8, 16, 32)
_LEAST_DRAWN: Final = 64  # chance does not make the ratio of skipped to drawn time larger than this
_MAX_ROLES: Final = 16  # as in the program
_MAX_STATES: Final = 16
RARE: Final = ("sched_process_exit", "cpu_idle", "reschedule_entry")
"""Probes that may see nothing in a window: no process ended, no CPU had nothing to do, none was interrupted."""

_SYSCALL_WORDS: Final = 8
_HITS_WRAP: Final = 1 << 32
_ONLY_IF_NEW: Final = 1  # BPF_NOEXIST
_BPF_SYSCALL: Final = {"x86_64": 321, "aarch64": 280}
_PROG_TEST_RUN: Final = 10  # BPF_PROG_TEST_RUN
_TEST_RUN_ON_CPU: Final = 1  # BPF_F_TEST_RUN_ON_CPU


@dataclass(frozen=True)
class CpuTimes:
    """What happened between `reset` and `measure`.

    `time_ns` holds on-CPU time and `entries` the number of times that a system call or softirq began, both by (role,
    state) and only where not zero. `capacity_ns` is the time the CPUs had: the sum of `time_ns` must equal it.
    `inferred_ns` is the part of it that was split into states like other work of its role. `hits` counts how often a
    probe was hit.
    """

    time_ns: dict[tuple[str, str], int]
    entries: dict[tuple[str, str], int]
    capacity_ns: int
    inferred_ns: int = 0
    hits: int = 0

    def scaled(self, capacity_ns: int) -> "CpuTimes":
        """The same at the same rates in another time."""
        factor = capacity_ns / max(1, self.capacity_ns)
        return CpuTimes(
            {key: round(spent_ns * factor) for key, spent_ns in self.time_ns.items()},
            {key: round(count * factor) for key, count in self.entries.items()},
            capacity_ns,
            round(self.inferred_ns * factor),
            round(self.hits * factor),
        )


def cputime_defines(sample_one_of: int = DEFAULT_SAMPLE_ONE_OF) -> dict[str, int]:
    """The parameters that `cputime.bpf.c` is compiled with.

    Args:
        sample_one_of: as for `CpuTime`.
    """
    defines = {f"ROLE_{role.upper()}": ROLES.index(role) for role in (IDLE, NEIGHBOUR, REST)}
    defines |= {"SAMPLE_ONE_OF": sample_one_of, "FAST_NS": FAST_NS}
    families = syscall_families()
    for family in (SOCKET_READ, SOCKET_WRITE, EVENT_WAIT):
        bits = sum(1 << number for number, name in families.items() if name == family)
        for word in range(_SYSCALL_WORDS):
            defines[f"{family.upper()}_{word}"] = bits >> 64 * word & (1 << 64) - 1
    return defines


class CpuTime:
    """Counts on-CPU time from `__enter__` to `__exit__`.

    This process is of role `tool`, the kernel's softirq threads are of role `ksoftirqd`, and all others are `rest`
    until `set_roles` names them.

    Args:
        sample_one_of: how many short pieces of work to time as a whole for each that is split into states; a power of
            two up to 32, 1 to split all.
        load: loads a program by name with its parameters.

    Raises:
        MissingError: see `profiler.probes.bpf.require_bcc`.
        ProbeError: a probe did not load or attach.
        ValueError: `sample_one_of` is none of these.
    """

    def __init__(
        self,
        sample_one_of: int = DEFAULT_SAMPLE_ONE_OF,
        load: Callable[[str, Mapping[str, int]], Any] = load_program,
    ) -> None:
        if sample_one_of not in _DRAWS:
            raise ValueError(f"sample_one_of must be a power of two up to {max(_DRAWS)}, not {sample_one_of}")
        self._defines = cputime_defines(sample_one_of)
        self._load = load
        self._bpf: Any = None
        self._programs: dict[str, int] = {}
        self._probes: RawTracepoints | None = None
        self._roles: dict[int, str] = {}
        self._cpus: Collection[int] | None = None
        self._start: _Counted | None = None
        self._end: _Counted | None = None

    def __enter__(self) -> "CpuTime":
        from bcc import BPF

        self._bpf = self._load(PROGRAM, self._defines)
        try:
            self._probes = RawTracepoints(PROGRAM, self._bpf, available_tracepoints())
            self._programs = {
                name: self._bpf.load_func(name.encode(), BPF.RAW_TRACEPOINT).fd for name in ("flush", "begin")
            }
            self.attach()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def attach(self) -> None:
        """Attach the probes again after `detach`, and begin a new window. Entering the context has done it once.

        Raises:
            ProbeError: a probe did not attach.
        """
        if self._probes is None or self._bpf is None:
            raise ProbeError(f"{PROGRAM} is not loaded; use CpuTime in a with statement")
        self._probes.attach()
        self._forget_threads()
        self._run("begin")
        self.set_roles(self._roles)
        self.reset()

    def detach(self) -> None:
        """Stop counting at no cost to what runs; the program stays loaded and roles are kept. Measure before."""
        if self._probes is not None:
            self._probes.detach()
        self._start = self._end = None

    def set_roles(self, roles: Mapping[int, str]) -> None:
        """Give processes (by process id) their roles; those named before and not named now become `rest`.

        Time used until now stays with the old roles.

        Raises:
            ValueError: unknown role.
        """
        wanted = {os.getpid(): TOOL, **dict.fromkeys(softirq_threads(), KSOFTIRQD), **roles}
        if unknown := set(roles.values()) - set(ROLES):
            raise ValueError(f"unknown roles {', '.join(sorted(unknown))}; there are {', '.join(ROLES)}")
        table = self._bpf[b"roles"]
        for process in self._roles.keys() - wanted.keys():
            del table[ctypes.c_uint(process)]
        for process, role in wanted.items():
            table[ctypes.c_uint(process)] = ctypes.c_uint(ROLES.index(role))
        self._roles = wanted
        # Neighbours make no calls, and asking where a thread is that never stops running takes seconds.
        self._prime(process for process, role in wanted.items() if role not in (KSOFTIRQD, NEIGHBOUR))
        self._run("flush")

    def watch_neighbours(self, steps: Mapping[int, int]) -> None:
        """Say where neighbours note their steps in their memory (process id → address), from now on."""
        table = self._bpf[b"neighbours"]
        for process, address in steps.items():
            table[ctypes.c_uint(process)] = ctypes.c_ulonglong(address)

    def count(self, cpus: Collection[int]) -> None:
        """Count what happens on these CPUs only, from the next `reset` on; all by default."""
        self._cpus = cpus
        self._start = None

    def reset(self) -> None:
        """Begin a new window."""
        self._end = None
        self._start = self._counted()

    def end(self) -> None:
        """End the window here. `measure` and `hits`, which take longer, tell what was counted in it."""
        self._end = self._counted()

    def measure(self) -> CpuTimes:
        """Everything counted since the last `reset`, up to `end` or, without it, until now."""
        window = self._window()
        half = _MAX_ROLES * _MAX_STATES
        plain, drawn = _by_role(window.time_ns[:half]), _by_role(window.time_ns[half:])
        skipped = dict(zip(ROLES, window.skipped_ns, strict=False))
        time_ns = {
            (role, state): spent_ns
            for role in ROLES
            for state, spent_ns in split_alike(plain[role], drawn[role], skipped[role]).items()
        }
        _take(time_ns, NEIGHBOUR, window.taken_ns)
        counts = (_by_role(window.entries[:half]), _by_role(window.entries[half:]))
        entries = {
            (role, state): count
            for role in ROLES
            for state in STATES
            if (count := sum(half[role].get(state, 0) for half in counts))
        }
        return CpuTimes(time_ns, entries, window.clock_ns, sum(skipped.values()), sum(window.hits))

    def read(self) -> dict[tuple[str, str], int]:
        """On-CPU nanoseconds by (role, state) since the last `reset`, which goes on."""
        return self.measure().time_ns

    def hits(self) -> list[ProbeStatus]:
        """Every probe with its number of hits since the last `reset`."""
        hits = dict(zip(TRACEPOINTS, self._window().hits, strict=True))
        statuses = self._probes.statuses.values() if self._probes else ()
        return [replace(status, hits=hits[status.name]) for status in statuses]

    def require_hits(self) -> None:
        """Check that the window was really seen.

        Raises:
            ProbeError: a probe that fires on any working machine had no hits.
        """
        silent = [status.name for status in self.hits() if not status.hits and status.name not in RARE]
        if silent:
            raise ProbeError(f"no hits on {', '.join(silent)} of {PROGRAM}: no load ran, or another tracer disabled it")

    def _window(self) -> "_Totals":
        if self._start is None:
            raise ProbeError(f"{PROGRAM} is not attached, so there is nothing to read; read before detaching")
        return _totals(self._end or self._counted()) - _totals(self._start)

    def _release(self) -> None:
        if self._bpf is None:
            return
        if self._probes is not None:
            self._probes.detach()
        self._bpf.cleanup()
        self._bpf = None
        self._start = self._end = None

    def _prime(self, processes: Iterable[int]) -> None:
        """Say in which system call the threads of `processes` sleep, for those the program has not seen yet."""
        from bcc import lib

        families, table = syscall_families(), self._bpf[b"threads"]
        for process in processes:
            for thread, number in sleeping_threads(process).items():
                key = ctypes.c_uint(thread)
                state = ctypes.c_uint(STATES.index(families.get(number, SYSCALL_OTHER)))
                lib.bpf_update_elem(table.map_fd, ctypes.byref(key), ctypes.byref(state), _ONLY_IF_NEW)

    def _forget_threads(self) -> None:
        from bcc import lib

        table = self._bpf[b"threads"]
        for key in list(table.keys()):  # not table.clear(), which fails where a thread ends meanwhile
            lib.bpf_delete_elem(table.map_fd, ctypes.byref(key))

    def _run(self, name: str) -> None:
        """Run one of the programs that work on the CPU they run on, everywhere."""
        from bcc.utils import get_online_cpus

        for cpu in get_online_cpus():
            run_on_cpu(self._programs[name], cpu)

    def _counted(self) -> "_Counted":
        self._run("flush")
        wanted = self._cpus
        numbered = enumerate(self._bpf[b"cpus"][0])
        return [cpu for number, cpu in numbered if cpu.since_ns and (wanted is None or number in wanted)]


def split_alike(plain: Mapping[str, int], drawn: Mapping[str, int], skipped_ns: int) -> dict[str, int]:
    """One role's time by state, where `skipped_ns` was split like `drawn` and `plain` stands for itself. Pure.

    The sum of the result is the sum of all three. Where less was drawn than chance allows (a few tiny pieces beside one
    long one that was not), it is split like `drawn` and `plain` together, and without either it is of state `kernel`.
    """
    model = dict(drawn)
    if sum(drawn.values()) * _LEAST_DRAWN < skipped_ns:
        model = {state: drawn.get(state, 0) + plain.get(state, 0) for state in {**drawn, **plain}} or {KERNEL: 1}
    total = sum(model.values())
    added = {state: skipped_ns * weight // total for state, weight in model.items()} if skipped_ns else {}
    if added:
        added[max(model, key=model.__getitem__)] += skipped_ns - sum(added.values())
    found = {state: plain.get(state, 0) + drawn.get(state, 0) + added.get(state, 0) for state in STATES}
    return {state: spent_ns for state, spent_ns in found.items() if spent_ns}


def _take(time_ns: dict[tuple[str, str], int], role: str, taken_ns: int) -> None:
    """Take so much off the largest state of a role, which counted it although it belongs to others."""
    key = max((key for key in time_ns if key[0] == role), key=time_ns.__getitem__, default=None)
    if key is not None and taken_ns:
        time_ns[key] -= taken_ns


def available_tracepoints() -> tuple[str, ...]:
    """The probes that this kernel has: without `reschedule_entry` (x86 only) wake-ups count where they interrupt."""
    has = any((path / "events" / "irq_vectors" / "reschedule_entry").exists() for path in TRACEFS_PATHS)
    return TRACEPOINTS if has else tuple(name for name in TRACEPOINTS if name != "reschedule_entry")


def sleeping_threads(process: int, proc: Path = Path("/proc")) -> dict[int, int]:
    """The threads of `process` that sleep in a system call, with its number. Empty if it ended."""
    found = {}
    for path in proc.glob(f"{process}/task/[0-9]*/syscall"):
        number = _text(path).split(" ")[0]
        if number.isdecimal():
            found[int(path.parent.name)] = int(number)
    return found


def run_on_cpu(program_fd: int, cpu: int) -> None:
    """Run a loaded raw tracepoint program once on `cpu`, over whatever runs there.

    bcc has no call for it, hence the bare system call.

    Raises:
        ProbeError: the kernel refused (it needs 5.10 or later).
    """
    # union bpf_attr, member test: four u32, two u64, four u32, two u64, then flags, cpu, batch_size
    attributes = struct.pack("=4I2Q4I2Q4I", program_fd, *[0] * 11, _TEST_RUN_ON_CPU, cpu, 0, 0)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_BPF_SYSCALL[platform.machine()], _PROG_TEST_RUN, buffer, len(buffer)) < 0:
        reason = os.strerror(ctypes.get_errno())
        raise ProbeError(f"CPU {cpu} could not be read by {PROGRAM}: {reason}; it needs Linux 5.10 or later and root")


@dataclass(frozen=True)
class _Totals:
    """Sums since the program was loaded: per (role, state) slot, per probe, of clocks, and not the neighbours'."""

    time_ns: list[int]
    entries: list[int]
    skipped_ns: list[int]
    hits: list[int]
    clock_ns: int
    taken_ns: int

    def __sub__(self, earlier: "_Totals") -> "_Totals":
        return _Totals(
            [now - then for now, then in zip(self.time_ns, earlier.time_ns, strict=True)],
            [now - then for now, then in zip(self.entries, earlier.entries, strict=True)],
            [now - then for now, then in zip(self.skipped_ns, earlier.skipped_ns, strict=True)],
            [(now - then) % _HITS_WRAP for now, then in zip(self.hits, earlier.hits, strict=True)],
            self.clock_ns - earlier.clock_ns,
            self.taken_ns - earlier.taken_ns,
        )


_Counted = list[Any]
"""The program's `struct cpu` of each CPU that it saw."""


def _totals(cpus: "_Counted") -> _Totals:
    return _Totals(
        _sum_rows((slot.time_ns for slot in cpu.slots) for cpu in cpus),
        _sum_rows((slot.entries for slot in cpu.slots) for cpu in cpus),
        _sum_rows(cpu.skipped_ns for cpu in cpus),
        _sum_rows(cpu.hits for cpu in cpus)[: len(TRACEPOINTS)],
        sum(cpu.since_ns for cpu in cpus),
        sum(cpu.taken_ns for cpu in cpus),
    )


def _sum_rows(rows: Iterable[Iterable[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _by_role(slots: Sequence[int]) -> dict[str, dict[str, int]]:
    """Values by role and state, where not zero, from the program's slots."""
    rows = {role: slots[number * _MAX_STATES :] for number, role in enumerate(ROLES)}
    return {
        role: {state: value for state, value in zip(STATES, row, strict=False) if value} for role, row in rows.items()
    }


def _text(path: Path) -> str:
    """The content of a file of /proc, empty if its process ended or may not be looked at."""
    try:
        return path.read_text()
    except OSError:
        return ""
