from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from profiler.errors import ProcessError
from profiler.evaluation.windows import CpuWindow, LatencyWindow, Phase
from profiler.host.accounting import Noise, Reschedulings
from profiler.measuring import bench
from profiler.measuring.bench import Bench, fewer_in_bursts
from profiler.measuring.profiling import default_toolbox
from profiler.measuring.testbeds import answers_of
from profiler.planning.cells import ANCHOR_HOP, Scene, make_plan, paced
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import PROTOCOLS, TCP
from profiler.workload.base import LoadResult, UnansweredError

MS = 1_000_000


def test_the_server_is_set_up_for_the_anchor_too() -> None:
    answers = answers_of(make_plan(ProfileSettings(request_bytes=(0,), response_bytes=(65_536,))), ANCHOR_HOP)
    assert answers.sizes == ((1024, 1), (65_536, 1))
    assert answers.largest_request_bytes == 128


def test_a_grpc_server_is_set_up_for_the_grpc_loads_only() -> None:
    plan = make_plan(ProfileSettings(protocols=("http1", "grpc"), messages=(1, 10), response_bytes=(0, 7)))
    assert answers_of(plan, Hop("grpc", "both", "grpc")).sizes == ((0, 1), (0, 10), (7, 1), (7, 10))
    assert answers_of(plan, ANCHOR_HOP).sizes == ((0, 1), (7, 1), (1024, 1))


def test_every_application_has_a_server() -> None:
    served = {name for server in default_toolbox().servers for name in server.applications}
    assert served == {name for name in PROTOCOLS if name != TCP}


def test_gaps_are_the_times_after_each_burst_without_the_guards() -> None:
    phase = Phase(True, 0, 100 * MS, bursts_ns=((0, 8 * MS), (32 * MS, 40 * MS)))
    assert phase.gaps_ns() == [(11 * MS, 29 * MS), (43 * MS, 97 * MS)]


@pytest.mark.parametrize(("rate_rps", "burst_ms"), [(None, 8), (5000.0, 8), (800.0, 10), (500.0, 16), (5.0, 16)])
def test_bursts_are_longer_where_requests_come_slowly(rate_rps: float | None, burst_ms: int) -> None:
    assert bench._burst_ns(replace(ONE, rate_rps=rate_rps)) == burst_ms * MS


def test_a_phase_without_bursts_has_no_gaps() -> None:
    assert Phase(False, 0, 100 * MS).gaps_ns() == []


def counted(*readings: tuple[int, int | None]) -> Phase:
    """A phase with readings of interrupts at these times (ms)."""
    return Phase(True, 0, 100 * MS, counts=tuple(Reschedulings(at * MS, count) for at, count in readings))


def test_interrupts_are_counted_by_request_in_bursts_and_outside_of_them() -> None:
    due_ns = np.arange(100, dtype=np.int64) * MS
    result = LoadResult(due_ns, np.full(100, MS // 2, dtype=np.int64), 0)
    # In the burst, from 40 to 60 ms, 40 interrupts for 20 requests; before and after it 240 for 80.
    phase = counted((0, 0), (40, 120), (40, 120), (60, 160), (60, 160), (100, 280))
    assert fewer_in_bursts(result, [phase]) == pytest.approx(3.0 - 2.0)
    assert fewer_in_bursts(result, [phase, counted((0, 0), (100, None))]) == 0.0
    assert fewer_in_bursts(result, [counted((0, 0), (100, 50))]) == 0.0  # without a burst


ONE = Load(connections=1, rate_rps=None, request_bytes=128, response_bytes=1024)


@pytest.mark.parametrize("temperature", ["cold", "cold-50", "natural"])
def test_one_request_at_a_time_leaves_neighbours_and_sleep_their_time(temperature: str) -> None:
    assert paced(Scene(temperature, ONE)) == replace(ONE, rate_rps=500.0)


@pytest.mark.parametrize(
    ("temperature", "load"),
    [
        ("hot", ONE),
        ("cold", replace(ONE, connections=16)),
        ("cold", replace(ONE, rate_rps=100.0)),
        ("cold", replace(ONE, new_connections=True)),
    ],
)
def test_every_other_load_is_as_it_was_asked_for(temperature: str, load: Load) -> None:
    assert paced(Scene(temperature, load)) == load


class HeldUp(Bench):
    """A bench whose first windows have no answers."""

    def __init__(self, unanswered: int) -> None:
        self.repeated_windows = 0
        self._unanswered = unanswered

    def _answer(self) -> Any:
        self._unanswered -= 1
        if self._unanswered >= 0:
            raise UnansweredError("no request was answered")
        quiet = Noise(0.0, 0.0)
        return SimpleNamespace(failed=0, noise=quiet)

    def _try_latency_window(self, *_: object) -> LatencyWindow | None:
        window: LatencyWindow = self._answer()
        return window

    def _try_cpu_window(self, *_: object) -> CpuWindow:
        window: CpuWindow = self._answer()
        return window


@pytest.mark.parametrize("currency", ["latency", "cpu"])
def test_a_window_without_answers_is_measured_again_a_few_times(monkeypatch: pytest.MonkeyPatch, currency: str) -> None:
    monkeypatch.setattr(bench, "_PAUSE_S", 0.0)

    def measure(held_up: HeldUp) -> object:
        if currency == "latency":
            return held_up.latency_window(ANCHOR_HOP, Scene("hot", ONE), 0.1)
        return held_up.cpu_window(ANCHOR_HOP, Scene("hot", ONE), ONE, 0.1, sample=False)

    once = HeldUp(1)
    assert measure(once)
    assert once.repeated_windows == 1
    with pytest.raises(UnansweredError):
        measure(HeldUp(9))


def test_a_neighbour_that_ends_in_a_window_of_latency_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def check() -> None:
        raise ProcessError("neighbour-awake-0 has ended")

    @contextmanager
    def loaded(*_: object) -> Iterator[object]:
        yield SimpleNamespace(pid=1)
        ended.append("load")

    of = Bench.__new__(Bench)
    of.repeated_windows, of._random, of._settings = 0, np.random.default_rng(1), ProfileSettings()
    nothing = dict.fromkeys(("set_temperature", "trace", "attach", "detach"), lambda *_: None)
    uncounted = Reschedulings(0, None)
    machines = SimpleNamespace(**nothing, noise=list, check=check, reschedulings=lambda: uncounted)
    of.machines = machines  # type: ignore[assignment]
    of.deployments = {ANCHOR_HOP: SimpleNamespace(places=[{}], check=lambda: None)}
    monkeypatch.setattr(of, "_loaded", loaded)
    with pytest.raises(ProcessError, match="neighbour-awake-0"):
        of.latency_window(ANCHOR_HOP, Scene("hot", ONE), 0.02)
    assert (of.repeated_windows, ended) == (0, [])


def cpu_phases(load: Load, sample: bool = True) -> list[str]:
    bench = Bench.__new__(Bench)
    bench._random = np.random.default_rng(1)
    return bench._cpu_phases(load, 1.6, sample)


def test_phases_of_cpu_time_take_turns_so_that_a_linear_drift_cancels_out() -> None:
    kinds = cpu_phases(ONE)
    assert kinds == kinds[::-1]
    assert [kinds.count(kind) for kind in ("free", "traced", "sampled")] == [6, 6, 1]
    assert "sampled" not in cpu_phases(ONE, sample=False)


def test_at_low_rates_phases_are_fewer_and_longer() -> None:
    assert len(cpu_phases(replace(ONE, rate_rps=50.0))) == 5
