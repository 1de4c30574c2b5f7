"""Busy time, with clocks and neighbours that a test moves."""

import os
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from profiler.errors import ProcessError
from profiler.host.accounting import TIMER_LIST, IdleReading, NoiseReading
from profiler.measuring import busy_time
from profiler.measuring.busy_time import BusyTime

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
    monkeypatch.setattr(busy_time, "MachineCpu", machine.only)
    monkeypatch.setattr(busy_time, "cpus_of", lambda processes: {CPU_OF[pid] for pid in processes})
    monkeypatch.setattr(busy_time, "last_cpu", lambda pid: machine.last_cpus.get(pid, 0))
    monkeypatch.setattr(busy_time, "run_time_ns", lambda _: machine.tool_ns)
    monkeypatch.setattr(busy_time, "Noise", noise)
    monkeypatch.setattr(busy_time, "strangers_ns", lambda _: dict(machine.strangers_ns))
    monkeypatch.setattr(busy_time, "time", SimpleNamespace(monotonic_ns=lambda: machine.at_ns))
    return machine


def busy(machine: Machine) -> BusyTime:
    return BusyTime(machine, [], CPU_OF)  # type: ignore[arg-type] # a fake of the neighbours


def read_ns(reading: BusyTime) -> float:
    reading.end()
    return reading.read_ns()


def test_busy_is_what_is_left_when_idle_neighbours_tools_and_strangers_are_taken_off(machine: Machine) -> None:
    machine.strangers_ns = {7: 50}
    reading = busy(machine)
    machine.at_ns, machine.idle_ns, machine.own_ns, machine.tool_ns = 1000, [100, 200], 600, 30
    machine.strangers_ns = {7: 60, 8: 5}
    assert read_ns(reading) == 2000 - 300 - 600 - 30 - 10 - 5


def test_a_stranger_that_ended_and_whose_number_is_used_again_adds_nothing(machine: Machine) -> None:
    machine.strangers_ns = {7: 50}
    reading = busy(machine)
    machine.at_ns, machine.strangers_ns = 1000, {7: 20}
    assert read_ns(reading) == 2000


def test_one_cpu_is_accounted_like_many(machine: Machine) -> None:
    reading = BusyTime(machine, [], [101])  # type: ignore[arg-type] # a fake of the neighbours
    machine.at_ns, machine.own_ns = 1000, 400
    assert read_ns(reading) == 600


def test_what_64_cpus_do_beside_those_of_the_processes_is_no_work_of_the_mesh(machine: Machine) -> None:
    machine.idle_ns, machine.strangers_ns = [0] * 64, {7: 0, 8: 0}
    reading = busy(machine)
    machine.at_ns, machine.own_ns, machine.tool_ns = 1000, 1500, 40
    machine.idle_ns = [0, 100, *[900] * 62]  # the kernel takes 100 on each of the others
    machine.strangers_ns, machine.last_cpus = {7: 60, 8: 500}, {7: 1, 8: 40, os.getpid(): 63}
    assert read_ns(reading) == 2000 - 100 - 1500 - 60


def test_a_cpu_that_goes_offline_ends_the_window_with_its_number(machine: Machine) -> None:
    reading = busy(machine)
    machine.cpus = {0}
    with pytest.raises(ProcessError, match="CPU 1 went offline"):
        read_ns(reading)


def test_what_the_host_took_is_no_work_of_the_mesh(machine: Machine) -> None:
    reading = busy(machine)
    machine.at_ns, machine.own_ns, machine.steal_ns = 1000, 1000, 200
    assert read_ns(reading) == pytest.approx(1000 * 0.9)


def test_what_is_read_slowly_is_of_the_window_although_the_tool_runs_meanwhile(machine: Machine) -> None:
    """The mesh has 60 % of both CPUs in the window, the neighbours the rest; then the tool takes one of them."""
    reading = busy(machine)
    machine.at_ns, machine.own_ns = 1000, 800
    reading.end()
    machine.at_ns, machine.own_ns, machine.tool_ns = 1400, 800, 400
    assert reading.read_ns() == pytest.approx(1200)


def test_idle_time_is_a_share_of_what_the_tool_leaves(machine: Machine) -> None:
    """The mesh is idle for a quarter of its time, in the window and while the tool reads."""
    reading = busy(machine)
    machine.at_ns, machine.idle_ns = 1000, [250, 250]
    reading.end()
    machine.at_ns, machine.idle_ns, machine.tool_ns = 1400, [350, 250], 400
    assert reading.read_ns() == pytest.approx(1500)


def test_the_window_begins_where_it_is_started(machine: Machine) -> None:
    reading = busy(machine)
    machine.at_ns, machine.tool_ns = 300, 300
    reading.start()
    machine.at_ns = 1300
    assert read_ns(reading) == pytest.approx(2000)
    assert (reading.start_ns, reading.end_ns) == (300, 1300)
