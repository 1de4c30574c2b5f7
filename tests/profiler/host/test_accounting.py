"""The kernel's own accounting, on files whose content is known and on this machine."""

import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from profiler.errors import MissingError, ProcessError
from profiler.host.accounting import (
    STAT,
    TIMER_LIST,
    IdleReading,
    MachineCpu,
    Noise,
    NoiseReading,
    Reschedulings,
    cpus_of,
    last_cpu,
    run_time_ns,
    softirq_threads,
    strangers_ns,
    visit_cpus,
)

TIMERS = """Timer List Version: v0.10
HRTIMER_MAX_CLOCK_BASES: 8
now at 2088403356909 nsecs

cpu: 0
  .idle_entrytime : 2088402368987 nsecs
  .idle_sleeptime : 1879000000007 nsecs
  .iowait_sleeptime: 20000000001 nsecs
cpu: 1
  .idle_sleeptime : 1874000000000 nsecs
  .iowait_sleeptime: 10000000000 nsecs
"""
STATS = """cpu  11121 0 1971 182260 2798 0 352 107 0 0
cpu0 5266 0 1043 90869 1898 0 165 48 0 0
cpu1 5855 0 927 91390 899 0 186 59 0 0
intr 796105 0
"""
PRESSURE = "some avg10=0.52 avg60=1.43 avg300=1.45 total=19360014\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "stat").write_text(STATS)
    (tmp_path / "timer_list").write_text(TIMERS)
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text(PRESSURE)
    return tmp_path


def test_idle_time_comes_in_nanoseconds_from_the_timer_list(proc: Path) -> None:
    reading = MachineCpu(proc=proc).read()
    assert reading == IdleReading(TIMER_LIST, 2088403356909, {0: 1899000000008, 1: 1884000000000})


IDLE_TIMES = "cpu: 0\n.idle_sleeptime : 12 nsecs\n.iowait_sleeptime : 1 nsecs\n"


@pytest.mark.parametrize("text", ["", "now at 12 nsecs\ncpu: 0\n", IDLE_TIMES])
def test_a_masked_or_foreign_timer_list_falls_back_to_ticks(proc: Path, text: str) -> None:
    (proc / "timer_list").write_text(text)
    reading = MachineCpu(proc=proc).read()
    assert reading.source == STAT
    assert reading.idle_ns == {0: (90869 + 1898) * 10_000_000, 1: (91390 + 899) * 10_000_000}


def test_without_proc_the_reading_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="is /proc mounted"):
        MachineCpu(proc=tmp_path).read()
    with pytest.raises(MissingError, match="is /proc mounted"):
        Noise.read(tmp_path)


def large_machine(proc: Path, cpus: Iterable[int], idle_ns: int) -> None:
    parts = [f"cpu: {cpu}\n .idle_sleeptime : {idle_ns} nsecs\n .iowait_sleeptime: 0 nsecs\n" for cpu in cpus]
    (proc / "timer_list").write_text("now at 2088403356909 nsecs\n\n" + "".join(parts))


def test_of_a_large_machine_the_chosen_cpus_are_read(proc: Path) -> None:
    large_machine(proc, range(64), 7)
    assert MachineCpu([0, 1, 5], proc).read().idle_ns == {0: 7, 1: 7, 5: 7}
    (proc / "timer_list").unlink()
    assert MachineCpu([1], proc).read().idle_ns == {1: (91390 + 899) * 10_000_000}


def test_every_cpu_is_visited_before_it_is_read(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: seen.append(set(cpus)))
    MachineCpu(proc=proc).read()
    assert seen == [{0}, {1}, {2}, {3}, {0, 1, 2, 3}]


def test_what_measures_stays_off_the_cpus_that_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: seen.append(set(cpus)))
    visit_cpus([0, 1])
    assert seen == [{0}, {1}, {63}, set(range(64))]


def test_a_cpu_that_is_offline_is_not_visited() -> None:
    before = os.sched_getaffinity(0)
    visit_cpus([9999, *before])
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(("before", "after", "word"), [((0, 1), (0,), "offline"), ((0,), (0, 1), "online")])
def test_a_cpu_that_comes_or_goes_ends_the_window_with_its_number(
    proc: Path, before: Sequence[int], after: Sequence[int], word: str
) -> None:
    large_machine(proc, before, 7)
    first = MachineCpu(proc=proc).read()
    large_machine(proc, after, 7)
    with pytest.raises(ProcessError, match=f"CPU 1 went {word} in a window of CPU time"):
        MachineCpu(proc=proc).read().busy_ns_since(first)


def test_another_cpu_may_come_and_go(proc: Path) -> None:
    large_machine(proc, range(64), 7)
    first = MachineCpu([0, 1], proc).read()
    large_machine(proc, range(63), 7)
    assert MachineCpu([0, 1], proc).read().busy_ns_since(first) == {0: 0, 1: 0}


def test_the_cpu_that_a_process_ran_on_last(proc: Path) -> None:
    (proc / "7").mkdir()
    (proc / "7" / "stat").write_text("7 (a) b) S " + " ".join(map(str, range(4, 53))) + "\n")
    assert last_cpu(7, proc) == 39
    assert last_cpu(8, proc) is None
    assert last_cpu(os.getpid()) in os.sched_getaffinity(0)


def test_where_processes_may_run_is_known_but_of_those_that_have_ended() -> None:
    assert cpus_of([os.getpid(), 2**22 - 1]) == os.sched_getaffinity(0)
    assert cpus_of([2**22 - 1]) == set()


def test_busy_is_what_was_not_idle_on_each_cpu() -> None:
    first = IdleReading(TIMER_LIST, 1000, {0: 100, 1: 200})
    last = IdleReading(TIMER_LIST, 2000, {0: 1100, 1: 250})
    assert last.busy_ns_since(first) == {0: 0, 1: 950}


def test_a_coarse_clock_never_makes_busy_time_negative() -> None:
    assert IdleReading(STAT, 2000, {0: 1010}).busy_ns_since(IdleReading(STAT, 1000, {0: 0})) == {0: 0}


def test_readings_of_different_sources_are_not_compared() -> None:
    with pytest.raises(ProcessError, match="came from /proc/timer_list, then from /proc/stat; run again"):
        IdleReading(STAT, 2000, {0: 1}).busy_ns_since(IdleReading(TIMER_LIST, 1000, {0: 1}))


def test_noise_counters_are_steal_and_time_spent_waiting(proc: Path) -> None:
    reading = Noise.read(proc)
    assert (reading.cpus, reading.steal_ns, reading.waiting_ns) == (2, 1_070_000_000, 19_360_014_000)


def test_noise_of_some_cpus_is_their_steal_alone(proc: Path) -> None:
    reading = Noise.read(proc, [1])
    assert (reading.cpus, reading.steal_ns) == (1, 590_000_000)


def test_noise_is_the_share_of_all_cpus_time_in_the_window() -> None:
    noise = Noise.between(NoiseReading(0, 2, 0, 0), NoiseReading(10**9, 2, 40_000_000, 300_000_000))
    assert noise == Noise(steal_ratio=0.02, psi_cpu_some_ratio=0.3)
    assert not noise.noisy


def test_much_steal_is_noisy() -> None:
    assert Noise.between(NoiseReading(0, 2, 0, 0), NoiseReading(10**9, 2, 200_000_000, 0)).noisy


def test_a_kernel_without_pressure_information_gives_none(proc: Path) -> None:
    (proc / "pressure" / "cpu").unlink()
    reading = Noise.read(proc)
    assert Noise.between(reading, reading).psi_cpu_some_ratio is None


def test_visiting_cpus_leaves_the_affinity_as_it_was() -> None:
    before = os.sched_getaffinity(0)
    visit_cpus(before)
    assert os.sched_getaffinity(0) == before


@pytest.mark.timing
def test_a_busy_loop_is_seen_as_busy_time() -> None:
    machine = MachineCpu()
    first, ran = machine.read(), -time.thread_time_ns()
    while time.monotonic_ns() - first.at_ns < 300_000_000:
        pass
    last, ran = machine.read(), ran + time.thread_time_ns()
    busy_ns = last.busy_ns_since(first)
    assert ran * 0.95 - 20_000_000 < sum(busy_ns.values()) <= len(busy_ns) * (last.at_ns - first.at_ns)


def test_the_cpu_time_of_a_process_is_that_of_its_own_clock() -> None:
    before_ns = time.process_time_ns()
    found_ns = run_time_ns(os.getpid())
    assert before_ns <= found_ns <= time.process_time_ns()


def test_the_cpu_time_of_threads_that_have_ended_counts() -> None:
    thread = threading.Thread(target=lambda: sum(range(300_000)))
    before_ns = run_time_ns(os.getpid())
    thread.start()
    thread.join()
    assert run_time_ns(os.getpid()) - before_ns > 100_000


def test_a_process_that_has_ended_has_no_cpu_time() -> None:
    assert run_time_ns(2**22 - 1) == 0


@pytest.mark.parametrize(
    "line",
    [
        "cpu1 5 x 9 1 1 1 1 1",
        "cpu1 5 0 9",
        "cpu1",
        "cpu1 " + "9" * 5000 + " 0" * 8,
        "cpux 1 2 3",
        "cpu" + "9" * 5000 + " 1" * 8,
    ],
)
def test_a_line_of_processor_times_that_is_none_is_left_out(proc: Path, line: str) -> None:
    (proc / "timer_list").unlink()
    (proc / "stat").write_text(STATS.replace(STATS.splitlines()[2], line))
    assert len(MachineCpu(proc=proc).read().idle_ns) == 1


def test_files_of_the_kernel_may_hold_any_bytes(proc: Path) -> None:
    for name in ("stat", "timer_list", "pressure/cpu"):
        (proc / name).write_bytes(b"\xff\n" + (proc / name).read_bytes())
    assert MachineCpu(proc=proc).read().source == TIMER_LIST
    assert Noise.read(proc).cpus == 2


def test_strangers_are_all_that_are_not_known(tmp_path: Path) -> None:
    for name in (str(os.getpid()), str(os.getppid()), "self"):
        (tmp_path / name).mkdir()
    assert set(strangers_ns([], tmp_path)) == {os.getpid(), os.getppid()}
    assert set(strangers_ns([os.getppid()], tmp_path)) == {os.getpid()}


def test_softirq_threads_are_found_by_name(tmp_path: Path) -> None:
    names = {1: "init", 11: "kworker/0:1-events", 14: "ksoftirqd/0", 22: "ksoftirqd/1", 30: "napi/eth0-8193"}
    for process, name in names.items():
        (tmp_path / str(process)).mkdir()
        (tmp_path / str(process) / "comm").write_text(f"{name}\n")
    assert sorted(softirq_threads(tmp_path)) == [14, 22, 30]


def test_a_stranger_is_charged_what_it_ran() -> None:
    before = strangers_ns([])[os.getpid()]
    while time.process_time_ns() < 30_000_000:
        pass
    assert strangers_ns([])[os.getpid()] > before


INTERRUPTS = """           CPU0       CPU1
  1:          0          9   IO-APIC    1-edge      i8042
RES:       1000        500   Rescheduling interrupts
TLB:          3          4   TLB shootdowns
"""


def test_rescheduling_interrupts_are_those_of_the_cpus_and_of_the_time(tmp_path: Path) -> None:
    (tmp_path / "interrupts").write_text(INTERRUPTS)
    first = Reschedulings.read([0, 1], tmp_path)
    assert (first.count, Reschedulings.read([1], tmp_path).count) == (1500, 500)
    last = Reschedulings(first.at_ns + 2000, 1700)
    assert last.since(first, 1000) == 100.0


@pytest.mark.parametrize("text", ["", "           CPU0\nRES: 5 Rescheduling interrupts\n", "  CPU0 CPU1\nTLB: 3 4 x\n"])
def test_where_they_are_not_counted_they_are_not_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "interrupts").write_text(text)
    found = Reschedulings.read([0, 1], tmp_path)
    assert found.count is None
    assert found.since(found, 1000) is None
