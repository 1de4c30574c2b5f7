"""Busy time and windows of CPU time, with clocks and neighbours that a test moves."""

from types import SimpleNamespace
from typing import Any

import pytest

from profiler.errors import ProcessError
from profiler.host.accounting import TIMER_LIST, IdleReading, NoiseReading
from profiler.measuring import instruments
from profiler.measuring.instruments import BusyTime, Instruments
from profiler.vocabulary.hop import Hop, cpus_used


class Machine:
    """All clocks of a machine, which the test moves."""

    def __init__(self, cpus: int) -> None:
        self.at_ns, self.idle_ns, self.steal_ns, self.own_ns, self.tool_ns = 0, [0] * cpus, 0, 0, 0
        self.strangers_ns: dict[int, int] = {}
        self.processes: list[Any] = []

    def read(self) -> IdleReading:
        return IdleReading(TIMER_LIST, self.at_ns, tuple(self.idle_ns))

    def used_ns(self) -> int:
        return self.own_ns


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(2)
    noise = SimpleNamespace(read=lambda: NoiseReading(machine.at_ns, 2, machine.steal_ns, None))
    monkeypatch.setattr(instruments, "MachineCpu", lambda: machine)
    monkeypatch.setattr(instruments, "Noise", noise)
    monkeypatch.setattr(instruments, "strangers_ns", lambda _: dict(machine.strangers_ns))
    monkeypatch.setattr(
        instruments, "time", SimpleNamespace(process_time_ns=lambda: machine.tool_ns, monotonic_ns=lambda: 1000)
    )
    return machine


def busy(machine: Machine) -> BusyTime:
    return BusyTime(machine, [], [])  # type: ignore[arg-type] # a fake of the neighbours


def test_busy_is_what_is_left_when_idle_neighbours_tools_and_strangers_are_taken_off(machine: Machine) -> None:
    machine.strangers_ns = {7: 50}
    reading = busy(machine)
    machine.at_ns, machine.idle_ns, machine.own_ns, machine.tool_ns = 1000, [100, 200], 600, 30
    machine.strangers_ns = {7: 60, 8: 5}
    assert reading.read_ns() == 2000 - 300 - 600 - 30 - 10 - 5


def test_one_cpu_is_accounted_like_many(machine: Machine) -> None:
    machine.idle_ns = [0]
    reading = busy(machine)
    machine.at_ns, machine.own_ns = 1000, 400
    assert reading.read_ns() == 600


def test_what_the_host_took_is_no_work_of_the_mesh(machine: Machine) -> None:
    reading = busy(machine)
    machine.at_ns, machine.own_ns, machine.steal_ns = 1000, 1000, 200
    assert reading.read_ns() == pytest.approx(1000 * 0.9)


def test_reading_takes_time_that_is_not_of_the_window(machine: Machine) -> None:
    reading = busy(machine)
    machine.at_ns, machine.own_ns = 1100, 1100
    assert reading.read_ns(1000) == pytest.approx(1000)


def test_a_neighbour_that_dies_ends_the_window_with_its_name(machine: Machine) -> None:
    def check() -> None:
        raise ProcessError("neighbour-awake-0 has ended")

    of = Instruments.__new__(Instruments)
    of.neighbours = SimpleNamespace(processes=[], used_ns=machine.used_ns, check=check)  # type: ignore[assignment]
    of._perf, of._began = None, (0, busy(machine), False, False)
    with pytest.raises(ProcessError, match="neighbour-awake-0"):
        of.end_cpu()


def test_neighbours_with_a_coarse_clock_are_said_with_the_account(machine: Machine) -> None:
    of = Instruments.__new__(Instruments)
    neighbours = SimpleNamespace(processes=[], used_ns=machine.used_ns, check=lambda: None, coarse="too coarse")
    of.neighbours = neighbours  # type: ignore[assignment]
    of._perf, of._began = None, (0, busy(machine), False, False)
    assert of.end_cpu().problem == "too coarse"


def test_on_a_large_machine_neighbours_are_on_the_cpus_of_hops_only() -> None:
    cpus = list(range(64))
    hops = [Hop("http1", topology, filters=("ext_authz",)) for topology in ("both", "shared", "client", "server")]
    places = {
        hop.cpu_of(place, cpus) for hop in hops for place in ("client_app", *hop.sidecar_places, "filter_service")
    }
    assert places <= set(cpus_used(cpus))
    assert len(cpus_used(cpus)) == 5


@pytest.mark.parametrize("cpus", [[0], [2, 3], [4, 9, 11]])
def test_of_few_cpus_or_a_part_of_them_all_are_used(cpus: list[int]) -> None:
    assert cpus_used(cpus) == cpus
