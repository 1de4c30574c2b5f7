"""Socket calls and wake-ups in the kernel, against processes whose behaviour is known."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from profiler.errors import ProbeError
from profiler.probes.bpf import RawTracepoints
from profiler.probes.calls import READ, WAKING, WRITE, Burst, SocketCalls
from profiler.probes.calls_calibration import measure_hit_cost
from tests.profiler.probes.workloads import PARTNERS, WRITES, child, work

pytestmark = pytest.mark.kernel

ROUNDS = 200
SLEEPS = """
import os, select, sys, time
sys.stdin.readline()
for _ in range(20):
    time.sleep(0.001)
    select.poll().poll(1)
os.write(1, b"done\\n")
sys.stdin.readline()
"""


@contextmanager
def recorded(probes: SocketCalls) -> Iterator[None]:
    probes.attach()
    try:
        yield
    finally:
        probes.detach()


def sent_to_and_fro(cpus: tuple[int, int]) -> tuple[int, Burst]:
    """The id of the second of two partners on these CPUs, and what was recorded of it."""
    with child(PARTNERS.format(cpus=cpus, rounds=ROUNDS)) as process, SocketCalls(()) as probes:
        assert process.stdout
        second = int(process.stdout.readline())
        probes.watch([second])
        with recorded(probes):
            work(process)
        return second, probes.read()


@pytest.mark.timing
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_wake_ups_from_another_cpu_name_both_cpus() -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    process, burst = sent_to_and_fro((first, second))
    assert ROUNDS / 2 < len(burst.wake_ups) <= ROUNDS
    assert set(burst.wake_ups["process"].tolist()) == {process}
    assert np.mean(burst.wake_ups["waker_cpu"] == first) > 0.95
    assert set(burst.wake_ups["cpu"].tolist()) == {second}


@pytest.mark.timing
def test_wake_ups_on_one_cpu_do_not_cross() -> None:
    only = min(os.sched_getaffinity(0))
    _, burst = sent_to_and_fro((only, only))
    assert ROUNDS / 2 < len(burst.wake_ups) <= ROUNDS
    assert np.mean(burst.wake_ups["waker_cpu"] == burst.wake_ups["cpu"]) > 0.95


def test_a_wake_up_by_a_timer_brings_no_data_and_is_not_recorded() -> None:
    with child(SLEEPS) as process, SocketCalls([process.pid]) as probes, recorded(probes):
        work(process)
        burst = probes.read()
    assert burst.hits.chosen > 80
    assert len(burst.wake_ups) <= 1  # the line that tells it to begin


def test_23_writes_in_are_23_writes_recorded_in_each_burst() -> None:
    with child(WRITES.format(count=23)) as process, SocketCalls([process.pid]) as probes:
        with recorded(probes):
            work(process)
        first = probes.read()
        with recorded(probes):
            time.sleep(0.001)
        second = probes.read()
    assert np.sum(first.calls["kind"] == WRITE) == 23 + 1  # and the one that says done
    assert np.sum(first.calls["kind"] == READ) <= 1
    assert len(second.calls) == 0


def test_each_kind_of_hit_has_its_cost() -> None:
    with SocketCalls(()) as probes:
        cost = measure_hit_cost(probes)
    assert cost.chosen_ns > 0
    assert cost.waking_ns > 0


def test_hits_of_wake_ups_are_counted() -> None:
    only = min(os.sched_getaffinity(0))
    with child(PARTNERS.format(cpus=(only, only), rounds=ROUNDS)) as process, SocketCalls([process.pid]) as probes:
        assert process.stdout
        process.stdout.readline()
        with recorded(probes):
            work(process)
        hits = probes.read().hits
    assert hits.waking >= ROUNDS / 2  # the partner's, raised in the time of the process looked at
    assert hits.other_waking >= ROUNDS / 2


def test_where_wake_ups_cannot_be_probed_calls_are_recorded_still(monkeypatch: pytest.MonkeyPatch) -> None:
    attach = RawTracepoints.attach

    def refuse_waking(self: RawTracepoints) -> None:
        if WAKING in self.statuses:
            raise ProbeError(f"raw tracepoint {WAKING} of calls did not attach: no")
        attach(self)

    monkeypatch.setattr(RawTracepoints, "attach", refuse_waking)
    with child(WRITES.format(count=23)) as process, SocketCalls(()) as probes:
        cost = measure_hit_cost(probes)
        probes.watch([process.pid])
        with recorded(probes):
            work(process)
        burst = probes.read()
    assert probes.no_wake_ups == "raw tracepoint sched_waking of calls did not attach: no"
    assert cost.waking_ns == 0
    assert np.sum(burst.calls["kind"] == WRITE) == 24
    assert len(burst.wake_ups) == 0
