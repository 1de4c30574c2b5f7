"""Busy time and windows of CPU time, with clocks and neighbours that a test moves."""

import os
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from profiler.errors import ProcessError
from profiler.host.accounting import TIMER_LIST, IdleReading, NoiseReading
from profiler.measuring import instruments
from profiler.measuring.instruments import BusyTime, Instruments
from profiler.probes.cputime import CpuTimes
from profiler.vocabulary.hop import Hop, cpus_used

CPU_OF = {101: 0, 102: 1}
"""The CPUs that the measured processes are pinned to."""


class Machine:
    """All clocks of a machine, which the test moves."""

    def __init__(self, cpus: int) -> None:
        self.at_ns, self.idle_ns, self.steal_ns, self.own_ns, self.tool_ns = 0, [0] * cpus, 0, 0, 0
        self.cpus: set[int] = set(range(cpus))
        self.last_cpus: dict[int, int] = {}
        self.strangers_ns: dict[int, int] = {}
        self.processes: list[Any] = []

    def read(self) -> IdleReading:
        idle_ns = {cpu: spent for cpu, spent in enumerate(self.idle_ns) if cpu in self.cpus}
        return IdleReading(TIMER_LIST, self.at_ns, idle_ns)

    def only(self, cpus: Collection[int]) -> "Machine":
        self.cpus = set(cpus)
        return self

    def used_ns(self) -> int:
        return self.own_ns


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(2)
    noise = SimpleNamespace(read=lambda cpus: NoiseReading(machine.at_ns, len(cpus), machine.steal_ns, None))
    monkeypatch.setattr(instruments, "MachineCpu", machine.only)
    monkeypatch.setattr(instruments, "cpus_of", lambda processes: {CPU_OF[pid] for pid in processes})
    monkeypatch.setattr(instruments, "last_cpu", lambda pid: machine.last_cpus.get(pid, 0))
    monkeypatch.setattr(instruments, "run_time_ns", lambda _: machine.tool_ns)
    monkeypatch.setattr(instruments, "Noise", noise)
    monkeypatch.setattr(instruments, "strangers_ns", lambda _: dict(machine.strangers_ns))
    monkeypatch.setattr(instruments, "time", SimpleNamespace(monotonic_ns=lambda: 1000))
    return machine


def busy(machine: Machine) -> BusyTime:
    return BusyTime(machine, [], CPU_OF)  # type: ignore[arg-type] # a fake of the neighbours


def test_busy_is_what_is_left_when_idle_neighbours_tools_and_strangers_are_taken_off(machine: Machine) -> None:
    machine.strangers_ns = {7: 50}
    reading = busy(machine)
    machine.at_ns, machine.idle_ns, machine.own_ns, machine.tool_ns = 1000, [100, 200], 600, 30
    machine.strangers_ns = {7: 60, 8: 5}
    assert reading.read_ns() == 2000 - 300 - 600 - 30 - 10 - 5


def test_a_stranger_that_ended_and_whose_number_is_used_again_adds_nothing(machine: Machine) -> None:
    machine.strangers_ns = {7: 50}
    reading = busy(machine)
    machine.at_ns, machine.strangers_ns = 1000, {7: 20}
    assert reading.read_ns() == 2000


def test_one_cpu_is_accounted_like_many(machine: Machine) -> None:
    reading = BusyTime(machine, [], [101])  # type: ignore[arg-type] # a fake of the neighbours
    machine.at_ns, machine.own_ns = 1000, 400
    assert reading.read_ns() == 600


def test_what_64_cpus_do_beside_those_of_the_processes_is_no_work_of_the_mesh(machine: Machine) -> None:
    machine.idle_ns, machine.strangers_ns = [0] * 64, {7: 0, 8: 0}
    reading = busy(machine)
    machine.at_ns, machine.own_ns, machine.tool_ns = 1000, 1500, 40
    machine.idle_ns = [0, 100, *[900] * 62]  # the kernel takes 100 on each of the others
    machine.strangers_ns, machine.last_cpus = {7: 60, 8: 500}, {7: 1, 8: 40, os.getpid(): 63}
    assert reading.read_ns() == 2000 - 100 - 1500 - 60


def test_a_cpu_that_goes_offline_ends_the_window_with_its_number(machine: Machine) -> None:
    reading = busy(machine)
    machine.cpus = {0}
    with pytest.raises(ProcessError, match="CPU 1 went offline"):
        reading.read_ns()


def test_what_the_host_took_is_no_work_of_the_mesh(machine: Machine) -> None:
    reading = busy(machine)
    machine.at_ns, machine.own_ns, machine.steal_ns = 1000, 1000, 200
    assert reading.read_ns() == pytest.approx(1000 * 0.9)


def test_reading_takes_time_that_is_not_of_the_window(machine: Machine) -> None:
    reading = busy(machine)
    machine.at_ns, machine.own_ns = 1100, 1100
    assert reading.read_ns(1000) == pytest.approx(1000)


class Calls:
    """Instead of the tracepoints and of the busy time: notes what is asked of them."""

    cpus = (0, 1)

    def __init__(self) -> None:
        self.names: list[str] = []

    def end(self) -> None:
        self.names.append("end")

    def read_ns(self, _: float) -> float:
        self.names.append("busy")
        return 5.0

    def measure(self) -> CpuTimes:
        self.names.append("measure")
        return CpuTimes({}, {}, 8)

    def detach(self) -> None:
        self.names.append("detach")


def test_what_tracepoints_counted_ends_before_it_is_added_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    of = Instruments.__new__(Instruments)
    monkeypatch.setattr(Instruments, "_count_cputime_hits", lambda _: None)
    of.neighbours = SimpleNamespace(processes=[], check=int, coarse="")  # type: ignore[assignment]
    of.cputime = calls  # type: ignore[assignment]
    of._perf, of._reschedulings = None, None
    of._began = (0, calls, True, False)  # type: ignore[assignment] # a fake of the busy time
    assert of.end_cpu().times.capacity_ns == 1000 * 2  # of the CPUs that have an idle clock
    assert calls.names == ["end", "busy", "measure", "detach"]


def test_a_neighbour_that_dies_ends_the_window_with_its_name(machine: Machine) -> None:
    def check() -> None:
        raise ProcessError("neighbour-awake-0 has ended")

    of = Instruments.__new__(Instruments)
    of.neighbours = SimpleNamespace(processes=[], used_ns=machine.used_ns, check=check)  # type: ignore[assignment]
    of._perf, of._reschedulings, of._began = None, None, (0, busy(machine), False, False)
    with pytest.raises(ProcessError, match="neighbour-awake-0"):
        of.end_cpu()


def test_neighbours_with_a_coarse_clock_are_said_with_the_account(machine: Machine) -> None:
    of = Instruments.__new__(Instruments)
    neighbours = SimpleNamespace(processes=[], used_ns=machine.used_ns, check=lambda: None, coarse="too coarse")
    of.neighbours = neighbours  # type: ignore[assignment]
    of._perf, of._reschedulings, of._began = None, None, (0, busy(machine), False, False)
    assert of.end_cpu().problem == "too coarse"


def test_on_a_large_machine_neighbours_are_on_the_cpus_of_hops_only() -> None:
    cpus = list(range(64))
    topologies = ("both", "shared", "client", "server")
    hops = [Hop("http1", topology, filters=("ext_authz",), placement="apart") for topology in topologies]
    places = {
        hop.cpu_of(place, cpus) for hop in hops for place in ("client_app", *hop.sidecar_places, "filter_service")
    }
    assert places <= set(cpus_used(cpus))
    assert len(cpus_used(cpus)) == 5


def test_each_further_worker_of_two_proxies_has_a_cpu_of_its_own() -> None:
    assert len(cpus_used(list(range(64)), workers=4)) == 5 + 2 * 3


@pytest.mark.parametrize("cpus", [[0], [2, 3], [4, 9, 11]])
def test_of_few_cpus_or_a_part_of_them_all_are_used(cpus: list[int]) -> None:
    assert cpus_used(cpus) == cpus
