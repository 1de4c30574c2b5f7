"""The machines that a hop's processes run on, measured as one: usually one, two where client and server are apart."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from profiler.attribution.two_clocks import TwoTimelines
from profiler.host.accounting import Noise, NoiseReading, Reschedulings
from profiler.measuring.instruments import CpuAccount, Instruments
from profiler.probes.bpf import ProbeStatus
from profiler.probes.cputime import CpuTimes
from profiler.probes.perf_sampling import CPU_CLOCK, DEFAULT_FREQUENCY_HZ, SampledTimes
from profiler.probes.syscalls import syscall_families
from profiler.symbols.histogram import UserFunctions
from profiler.vocabulary.timeline_events import TimelineEvents

Places = Sequence[Mapping[int, str]]
"""Process id → place, of each machine that a hop runs on, that of the load first."""


Key = TypeVar("Key")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class SecondMachine:
    """The server's machine. `offset_ns` is its monotonic clock less ours, roughly.

    With `same_kernel` it is no other machine but a node of its own on this one, as clusters for tests have them: all
    CPU time is seen from here, and our neighbours are on its CPUs.
    """

    instruments: Instruments
    offset_ns: int
    same_kernel: bool


class Machines:
    """One or two machines. Calls go to each, and what they read is added up."""

    def __init__(self, first: Instruments, second: SecondMachine | None = None) -> None:
        self.first = first
        self._second = second
        self._all = [first, *([second.instruments] if second else [])]
        self._apart = [first] if second is None or second.same_kernel else self._all

    def probes(self) -> list[ProbeStatus]:
        """Every probe with its hits and drops so far."""
        found: dict[tuple[str, str], ProbeStatus] = {}
        for status in (status for machine in self._all for status in machine.probes()):
            known = found.setdefault((status.program, status.name), replace(status, hits=0, dropped=0))
            known.hits += status.hits
            known.dropped += status.dropped
        return list(found.values())

    def set_temperature(self, temperature: str) -> None:
        """As `Instruments.set_temperature`."""
        for machine in self._apart:
            machine.set_temperature(temperature)

    def noise(self) -> list[NoiseReading]:
        """What others have taken of each so far."""
        return [machine.noise() for machine in self._apart]

    def noise_since(self, before: Sequence[NoiseReading]) -> Noise:
        """The noise since `before`, of the machine that has more of it."""
        found = [Noise.between(first, last) for first, last in zip(before, self.noise(), strict=True)]
        return max(found, key=lambda noise: (noise.steal_ratio, noise.psi_cpu_some_ratio or 0.0))

    def check(self) -> None:
        """As `Instruments.check`."""
        for machine in self._apart:
            machine.check()

    def reschedulings(self) -> Reschedulings:
        """As `Instruments.reschedulings`, of one kernel; of two they are not counted."""
        found = self.first.reschedulings()
        return found if len(self._apart) == 1 else replace(found, count=None)

    def trace(self, places: Places) -> None:
        """As `Instruments.trace`."""
        for machine, here in zip(self._all, places, strict=False):
            machine.trace(here)

    def attach(self) -> None:
        """As `Instruments.attach`."""
        for machine in self._all:
            machine.attach()

    def detach(self) -> None:
        """As `Instruments.detach`."""
        for machine in self._all:
            machine.detach()

    def events(self) -> TimelineEvents | TwoTimelines:
        """What was recorded since `trace`."""
        here = self.first.events()
        if self._second is None:
            return here
        there = self._second.instruments.events()
        # Nodes of one kernel have one clock; an offset would be off where there and back take unequally long.
        return TwoTimelines(here, there, self._second.offset_ns, syscall_families(), self._second.same_kernel)

    def begin_cpu(self, roles: Places, probed: bool, sampled: bool = False) -> None:
        """As `Instruments.begin_cpu`."""
        for machine, here in self._with(roles):
            machine.begin_cpu(here, probed, sampled)

    def end_cpu(self) -> CpuAccount:
        """As `Instruments.end_cpu`, added up."""
        readings = [machine.end_cpu() for machine in self._apart]
        times = added_times([reading.times for reading in readings])
        problem = next((reading.problem for reading in readings if reading.problem), "")
        counted = [reading.reschedulings for reading in readings if reading.reschedulings is not None]
        reschedulings = sum(counted) if len(counted) == len(readings) else None
        return CpuAccount(times, sum(reading.busy_ns for reading in readings), problem, reschedulings)

    @contextmanager
    def sampling(self, frequency_hz: int = DEFAULT_FREQUENCY_HZ) -> Iterator[None]:
        """Sample while a probed window of CPU time lasts, or while `sample` does."""
        with ExitStack() as stack:
            event = CPU_CLOCK if len(self._apart) > 1 else None  # what any two machines have in common
            for machine in self._apart:
                stack.callback(machine.end_sampling)
                machine.begin_sampling(frequency_hz, event)
            yield

    def sample(self, seconds: float) -> None:
        """As `Instruments.sample`, on one after the other."""
        for machine in self._apart:
            machine.sample(seconds / len(self._apart))

    def samples(self, roles: Places) -> SampledTimes:
        """As `Instruments.samples`, added up."""
        found = [machine.samples(here) for machine, here in self._with(roles)]
        return SampledTimes(
            found[0].event,
            _added([times.weights for times in found]),
            _added([times.folded_weights for times in found]),
            sum(times.samples for times in found),
            sum(times.lost for times in found),
            _added([times.user for times in found]),
            sum(times.user_samples for times in found),
            [stack for times in found for stack in times.stacks],
        )

    def functions(self, roles: Places) -> UserFunctions:
        """As `Instruments.functions`, added up."""
        found = [machine.functions(here) for machine, here in self._with(roles)]
        known = next((functions for functions in found if functions.proxy), found[0])
        return replace(
            known,
            weights=[entry for functions in found for entry in functions.weights],
            samples=sum(functions.samples for functions in found),
        )

    def _with(self, roles: Places) -> list[tuple[Instruments, Mapping[int, str]]]:
        """Each kernel with the roles of the processes on it."""
        if len(self._apart) == 1:
            return [(self.first, {pid: role for here in roles for pid, role in here.items()})]
        return list(zip(self._apart, roles, strict=False))


def added_times(times: Sequence[CpuTimes]) -> CpuTimes:
    """All of them together."""
    return CpuTimes(
        _added([part.time_ns for part in times]),
        _added([part.entries for part in times]),
        sum(part.capacity_ns for part in times),
        sum(part.inferred_ns for part in times),
        sum(part.hits for part in times),
    )


def _added(tables: Sequence[Mapping[Key, Number]]) -> dict[Key, Number]:
    return {key: sum(table.get(key, 0) for table in tables) for key in {key: None for table in tables for key in table}}
