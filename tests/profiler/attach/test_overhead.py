"""The bound: what counts, and when a burst may come."""

import pytest

from profiler.attach.overhead import SAMPLE_NS, Ledger, burst_ratio, sampling_hz
from profiler.probes.calls import Hits
from profiler.probes.calls_calibration import HitCost

COST = HitCost(chosen_ns=200, other_ns=50, waking_ns=100)
SECOND_NS = 1e9


def test_probes_count_as_a_share_of_the_processes_they_hit() -> None:
    assert burst_ratio(COST, Hits(chosen=1000), 10e6, vcpus=0.5, cpus=2) == pytest.approx(200_000 / 5e6)


def test_probes_that_hit_mostly_others_count_as_a_share_of_the_machine() -> None:
    assert burst_ratio(COST, Hits(10, 100_000), 10e6, vcpus=1.0, cpus=2) == pytest.approx((2000 + 5e6) / 20e6)


def test_wake_ups_count_for_the_process_in_whose_time_they_are_raised() -> None:
    theirs = burst_ratio(COST, Hits(chosen=1000, waking=500), 10e6, vcpus=0.5, cpus=2)
    others = burst_ratio(COST, Hits(other=1000, other_waking=500), 10e6, vcpus=0.5, cpus=2)
    assert theirs == pytest.approx((1000 * 200 + 500 * 100) / 5e6)
    assert others == pytest.approx((1000 * 50 + 500 * 100) / 20e6)


def test_sampling_takes_a_part_of_the_bound() -> None:
    assert sampling_hz(0.01, 30, 2) * SAMPLE_NS / 1e9 == pytest.approx(0.003)


def test_a_long_look_samples_less_often() -> None:
    assert sampling_hz(0.01, 3600, 2) < sampling_hz(0.01, 30, 2)


def test_a_bound_that_allows_no_useful_rate_switches_sampling_off() -> None:
    assert sampling_hz(0.0001, 30, 2) == 0


def test_a_burst_waits_until_the_average_allows_it() -> None:
    ledger = Ledger(max_ratio=0.01, cpus=2, frequency_hz=0)
    ledger.add_burst(0.2, 10e6, tool_cpu_ns=0)
    wait_ns = ledger.burst_in_ns(0.3 * SECOND_NS, burst_ns=10e6)
    assert wait_ns > 0
    assert ledger.burst_in_ns(0.3 * SECOND_NS + wait_ns, burst_ns=10e6) == pytest.approx(0, abs=1)


def test_the_tool_s_own_time_counts_as_a_share_of_the_machine() -> None:
    ledger = Ledger(max_ratio=0.01, cpus=2, frequency_hz=0)
    ledger.note(SECOND_NS, 30e6, sampling=True)
    assert ledger.ratio(SECOND_NS) == pytest.approx(0.015)
    assert not ledger.may_sample(SECOND_NS, now=True)
    assert ledger.burst_in_ns(SECOND_NS, 0) > 0


def test_sampling_that_was_paused_waits_until_there_is_room_again() -> None:
    ledger = Ledger(max_ratio=0.01, cpus=1, frequency_hz=0)
    ledger.note(SECOND_NS, 9.5e6, sampling=False)
    assert ledger.may_sample(SECOND_NS, now=True)
    assert not ledger.may_sample(SECOND_NS, now=False)
    assert ledger.may_sample(1.2 * SECOND_NS, now=False)


@pytest.mark.parametrize("in_burst", [0.05, 0.3])
@pytest.mark.parametrize("max_ratio", [0.002, 0.01, 0.1])
def test_bursts_that_come_when_they_may_keep_the_bound(in_burst: float, max_ratio: float) -> None:
    ledger = Ledger(max_ratio, cpus=2, frequency_hz=sampling_hz(max_ratio, 30, 2))
    step_ns, burst_ns, tool_ns = 10e6, 20e6, 0.0
    for number in range(3000):
        now_ns = number * step_ns
        tool_ns += 10_000
        if not ledger.burst_in_ns(now_ns, burst_ns):
            tool_ns += 1e6
            ledger.add_burst(in_burst, burst_ns, 1e6)
        ledger.note(step_ns, tool_ns, sampling=True)
    assert ledger.probes_ns > 0
    assert ledger.ratio(30 * SECOND_NS) <= max_ratio
