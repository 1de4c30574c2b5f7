"""Windows of CPU time, with fakes of the clocks and the neighbours."""

from types import SimpleNamespace

import pytest

from profiler.errors import ProcessError
from profiler.measuring.instruments import Instruments
from profiler.probes.cputime import CpuTimes
from profiler.vocabulary.hop import Hop, cpus_used


class Calls:
    """Instead of the tracepoints and of the busy time: notes what is asked of them."""

    cpus = (0, 1)
    start_ns, end_ns = 500, 1500

    def __init__(self) -> None:
        self.names: list[str] = []

    def end(self) -> None:
        self.names.append("end")

    def read_ns(self) -> float:
        self.names.append("busy")
        return 5.0

    def measure(self) -> CpuTimes:
        self.names.append("measure")
        return CpuTimes({}, {}, 8)

    def detach(self) -> None:
        self.names.append("detach")


def test_what_tracepoints_counted_ends_before_it_is_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    of = Instruments.__new__(Instruments)
    monkeypatch.setattr(Instruments, "_count_cputime_hits", lambda _: None)
    of.neighbours = SimpleNamespace(processes=[], check=int, coarse="")  # type: ignore[assignment]
    of.cputime = calls  # type: ignore[assignment]
    of._perf, of._reschedulings = None, None
    of._began = (calls, True, False)  # type: ignore[assignment] # a fake of the busy time
    assert of.end_cpu().times.capacity_ns == 1000 * 2  # of the CPUs that have an idle clock
    assert calls.names == ["end", "end", "busy", "measure", "detach"]


def test_a_neighbour_that_dies_ends_the_window_with_its_name() -> None:
    def check() -> None:
        raise ProcessError("neighbour-awake-0 has ended")

    of = Instruments.__new__(Instruments)
    of.neighbours = SimpleNamespace(processes=[], check=check)  # type: ignore[assignment]
    of._perf, of._reschedulings, of._began = None, None, (Calls(), False, False)  # type: ignore[assignment]
    with pytest.raises(ProcessError, match="neighbour-awake-0"):
        of.end_cpu()


def test_neighbours_with_a_coarse_clock_are_said_with_the_account() -> None:
    of = Instruments.__new__(Instruments)
    neighbours = SimpleNamespace(processes=[], check=lambda: None, coarse="too coarse")
    of.neighbours = neighbours  # type: ignore[assignment]
    of._perf, of._reschedulings, of._began = None, None, (Calls(), False, False)  # type: ignore[assignment]
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
