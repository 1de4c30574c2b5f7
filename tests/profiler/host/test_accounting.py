"""The kernel's own accounting, on files whose content is known and on this machine."""

import os
import threading
import time
from pathlib import Path

import pytest

from profiler.errors import MissingError
from profiler.host.accounting import (
    STAT,
    TIMER_LIST,
    IdleReading,
    MachineCpu,
    Noise,
    NoiseReading,
    run_time_ns,
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
    reading = MachineCpu(proc).read()
    assert reading == IdleReading(TIMER_LIST, 2088403356909, (1899000000008, 1884000000000))


@pytest.mark.parametrize("text", ["", "now at 12 nsecs\ncpu: 0\n", ".idle_sleeptime : 12 nsecs\n"])
def test_a_masked_or_foreign_timer_list_falls_back_to_ticks(proc: Path, text: str) -> None:
    (proc / "timer_list").write_text(text)
    reading = MachineCpu(proc).read()
    assert reading.source == STAT
    assert reading.idle_ns == ((90869 + 1898) * 10_000_000, (91390 + 899) * 10_000_000)


def test_without_proc_the_reading_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="is /proc mounted"):
        MachineCpu(tmp_path).read()
    with pytest.raises(MissingError, match="is /proc mounted"):
        Noise.read(tmp_path)


def test_every_cpu_is_visited_before_it_is_read(proc: Path) -> None:
    seen: list[str] = []
    MachineCpu(proc, visit=lambda: seen.append("visited")).read()
    assert seen == ["visited"]


def test_busy_is_what_was_not_idle_on_each_cpu() -> None:
    first = IdleReading(TIMER_LIST, 1000, (100, 200))
    last = IdleReading(TIMER_LIST, 2000, (1100, 250))
    assert last.busy_ns_since(first) == (0, 950)


def test_a_coarse_clock_never_makes_busy_time_negative() -> None:
    assert IdleReading(STAT, 2000, (1010,)).busy_ns_since(IdleReading(STAT, 1000, (0,))) == (0,)


def test_readings_of_different_sources_are_not_compared() -> None:
    with pytest.raises(ValueError, match="stat cannot be compared with one of timer_list"):
        IdleReading(STAT, 2000, (1,)).busy_ns_since(IdleReading(TIMER_LIST, 1000, (1,)))


def test_noise_counters_are_steal_and_time_spent_waiting(proc: Path) -> None:
    reading = Noise.read(proc)
    assert (reading.cpus, reading.steal_ns, reading.waiting_ns) == (2, 1_070_000_000, 19_360_014_000)


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
    visit_cpus()
    assert os.sched_getaffinity(0) == before


@pytest.mark.timing
def test_a_busy_loop_is_seen_as_busy_time() -> None:
    machine = MachineCpu()
    first, ran = machine.read(), -time.thread_time_ns()
    while time.monotonic_ns() - first.at_ns < 300_000_000:
        pass
    last, ran = machine.read(), ran + time.thread_time_ns()
    busy_ns = last.busy_ns_since(first)
    assert ran * 0.95 - 20_000_000 < sum(busy_ns) <= len(busy_ns) * (last.at_ns - first.at_ns)


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
    "line", ["cpu1 5 x 9 1 1 1 1 1", "cpu1 5 0 9", "cpu1", "cpu1 " + "9" * 5000 + " 0" * 8, "cpux 1 2 3"]
)
def test_a_line_of_processor_times_that_is_none_is_left_out(proc: Path, line: str) -> None:
    (proc / "timer_list").unlink()
    (proc / "stat").write_text(STATS.replace(STATS.splitlines()[2], line))
    assert len(MachineCpu(proc).read().idle_ns) == 1


def test_files_of_the_kernel_may_hold_any_bytes(proc: Path) -> None:
    for name in ("stat", "timer_list", "pressure/cpu"):
        (proc / name).write_bytes(b"\xff\n" + (proc / name).read_bytes())
    assert MachineCpu(proc).read().source == TIMER_LIST
    assert Noise.read(proc).cpus == 2


def test_strangers_are_processes_that_are_neither_known_nor_kernel_threads(tmp_path: Path) -> None:
    for pid in (os.getpid(), os.getppid(), 4_000_001):
        (tmp_path / str(pid)).mkdir()
    for pid in (os.getpid(), os.getppid()):
        (tmp_path / str(pid) / "exe").symlink_to("/bin/sh")
    (tmp_path / "self").mkdir()
    assert set(strangers_ns([], tmp_path)) == {os.getpid(), os.getppid()}
    assert set(strangers_ns([os.getppid()], tmp_path)) == {os.getpid()}


def test_a_stranger_is_charged_what_it_ran() -> None:
    before = strangers_ns([])[os.getpid()]
    while time.process_time_ns() < 30_000_000:
        pass
    assert strangers_ns([])[os.getpid()] > before
