import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.errors import ProcessError
from profiler.host.programs import run_tool
from profiler.testbed import neighbour
from profiler.testbed.neighbour import Clock, Neighbours, l2_bytes, new_clock, run_steps, too_coarse
from profiler.testbed.run import Run
from profiler.vocabulary.temperature import COLD_STEPS, Mode
from tests.profiler.testbed.conftest import eventually

VICTIM = """
import os, statistics, time, numpy
os.sched_setaffinity(0, {0})
rows = numpy.random.default_rng(0).permutation(4096) * 8
values, taken, times_ns = numpy.ones(4096 * 8, dtype=numpy.uint64), numpy.ones(4096, dtype=numpy.uint64), []
for _ in range(300):
    time.sleep(0.0002)
    started_ns = time.perf_counter_ns()
    values.take(rows, out=taken, mode="clip")
    times_ns.append(time.perf_counter_ns() - started_ns)
print(statistics.median(times_ns))
"""


def cache(directory: Path, index: int, level: str, kind: str, size: str) -> None:
    entry = directory / "cpu0" / "cache" / f"index{index}"
    entry.mkdir(parents=True)
    for name, text in (("level", level), ("type", kind), ("size", size)):
        (entry / name).write_text(text + "\n")


def test_the_second_level_cache_is_found_among_the_others(tmp_path: Path) -> None:
    cache(tmp_path, 0, "1", "Data", "48K")
    cache(tmp_path, 1, "2", "Unified", "2M")
    cache(tmp_path, 2, "3", "Unified", "300M")
    assert l2_bytes(0, tmp_path) == 2 << 20


def test_an_unknown_cache_is_not_made_up(tmp_path: Path) -> None:
    cache(tmp_path, 0, "1", "Data", "48K")
    assert l2_bytes(0, tmp_path) is None
    assert l2_bytes(1, tmp_path) is None


@pytest.fixture(scope="module")
def run_with_neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Run.start(tmp_path_factory.mktemp("state")) as run:
        yield run


@pytest.fixture(scope="module")
def neighbours(run_with_neighbours: Run) -> Neighbours:
    return Neighbours(run_with_neighbours, [0])


def walk_bytes(pid: int) -> int:
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return next(int(text.split("=")[1]) for text in arguments if text.startswith("--walk-bytes="))


def run_times_ns(neighbours: Neighbours) -> dict[str, int]:
    """What each neighbour has run so far, by its mode."""
    return {process.name.split("-")[1]: process.run_time_ns() for process in neighbours.processes}


def victim_ns(neighbours: Neighbours, mode: str) -> float | None:
    """How long a process on the same CPU takes to read 256 KiB that it had in its cache before it slept.

    None when something else took the CPU meanwhile, so that the neighbour could not do its work.
    """
    getattr(neighbours, mode)()
    before_ns = run_times_ns(neighbours)[mode]
    taken_ns = float(run_tool([sys.executable, "-c", VICTIM], timeout_s=60))  # sleeps for 60 ms in all
    return taken_ns if run_times_ns(neighbours)[mode] - before_ns > 40_000_000 else None


@pytest.mark.kernel
def test_all_are_sched_idle_single_threaded_and_pinned(neighbours: Neighbours) -> None:
    assert len(neighbours.processes) == 2
    for process in neighbours.processes:
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
        assert os.sched_getaffinity(process.pid) == {0}
        assert len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1


@pytest.mark.kernel
def test_they_share_the_scheduling_group_of_those_they_give_way_to(neighbours: Neighbours) -> None:
    # In a session of its own, a SCHED_IDLE process would get half of a busy CPU.
    assert {os.getsid(process.pid) for process in neighbours.processes} == {os.getsid(0)}


@pytest.mark.kernel
@pytest.mark.timing
def test_a_busy_process_keeps_its_cpu(neighbours: Neighbours) -> None:
    neighbours.awake()
    burn = "import os, time\nos.sched_setaffinity(0, {0})\nwhile time.process_time() < 0.3: pass"
    before_ns = sum(process.run_time_ns() for process in neighbours.processes)
    run_tool([sys.executable, "-c", burn])
    neighbours.off()
    assert sum(process.run_time_ns() for process in neighbours.processes) - before_ns < 100_000_000


@pytest.mark.kernel
@pytest.mark.parametrize(("chosen", "other"), [("awake", "cold"), ("cold", "awake")])
@pytest.mark.timing
def test_only_the_chosen_mode_runs(neighbours: Neighbours, chosen: str, other: str) -> None:
    getattr(neighbours, chosen)()
    assert eventually(lambda: sum(process.is_paused() for process in neighbours.processes) == 1)
    before_ns = run_times_ns(neighbours)
    assert eventually(lambda: run_times_ns(neighbours)[chosen] > before_ns[chosen] + 5_000_000, within_s=60)
    assert run_times_ns(neighbours)[other] == before_ns[other]


@pytest.mark.kernel
@pytest.mark.timing
def test_off_means_that_none_runs(neighbours: Neighbours) -> None:
    neighbours.cold()
    neighbours.off()
    assert eventually(lambda: all(process.is_paused() for process in neighbours.processes))
    before_ns = run_times_ns(neighbours)
    time.sleep(0.05)
    assert run_times_ns(neighbours) == before_ns


@pytest.mark.kernel
@pytest.mark.timing
def test_switching_takes_less_than_a_millisecond(neighbours: Neighbours) -> None:
    taken_ns = []
    for _ in range(20):
        for switch in (neighbours.awake, neighbours.cold, neighbours.off):
            started_ns = time.perf_counter_ns()
            switch()
            taken_ns.append(time.perf_counter_ns() - started_ns)
    assert statistics.median(taken_ns) < 1_000_000


@pytest.mark.kernel
def test_steps_walk_their_part_of_the_cache(run: Run) -> None:
    neighbours = Neighbours(run, [0], ["awake", *COLD_STEPS, "cold"])
    walked = [walk_bytes(process.pid) for process in neighbours.processes]
    whole = neighbours.walk_bytes[0]
    assert walked == [whole, whole // 4, whole // 2, whole * 3 // 4, whole]


@pytest.mark.kernel
@pytest.mark.parametrize("mode", COLD_STEPS)
@pytest.mark.timing
def test_a_step_runs_alone(run: Run, mode: Mode) -> None:
    neighbours = Neighbours(run, [0], ["awake", *COLD_STEPS])
    neighbours.cold(mode)
    awake = [process.name for process in neighbours.processes if not process.is_paused()]
    assert awake == [f"neighbour-{mode}-0"]


@pytest.mark.kernel
def test_modes_that_are_not_asked_for_are_not_started(run: Run) -> None:
    assert [process.name for process in Neighbours(run, [0], ["awake"]).processes] == ["neighbour-awake-0"]


@pytest.mark.kernel
@pytest.mark.timing
def test_cold_evicts_what_awake_leaves_in_the_cache(neighbours: Neighbours) -> None:
    times_ns: dict[str, list[float]] = {"awake": [], "cold": []}

    def evicted() -> bool:
        for mode, values in times_ns.items():
            taken_ns = victim_ns(neighbours, mode)
            values += [] if taken_ns is None else [taken_ns]
        # The least of awake, and on until it is seen: what else runs on the machine or on the other thread of the core,
        # another machine's even, evicts too. The median of cold: what else runs keeps a neighbour from walking as well.
        least = min(map(len, times_ns.values()))
        return least >= 3 and statistics.median(times_ns["cold"]) > 1.3 * min(times_ns["awake"])

    assert eventually(evicted, within_s=60), times_ns
    neighbours.off()


@pytest.mark.kernel
def test_one_that_dies_is_noticed(run: Run) -> None:
    neighbours = Neighbours(run, [0])
    neighbours.processes[0].signal(signal.SIGKILL)
    neighbours.processes[0].wait(20)
    with pytest.raises(ProcessError, match=r"neighbour-awake-0 .*; without it CPU 0 was not kept awake"):
        neighbours.check()


@pytest.mark.kernel
def test_one_that_is_moved_to_other_cpus_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    neighbours = Neighbours(run, [0], ["awake"])
    neighbours.check()
    monkeypatch.setattr(neighbour, "cpus_of", lambda _: {2, 1})  # as where CPU 0 went offline
    with pytest.raises(ProcessError, match=r"neighbour-awake-0 .* was moved from CPU 0 \(it may use 1, 2 now\)"):
        neighbours.check()


SLOW_CLOCK = """
import sys, time
sys.path.insert(0, {folder!r})
read_ns = time.perf_counter_ns

def slow_ns():
    end_ns = read_ns() + 5_000
    while read_ns() < end_ns:
        pass
    return read_ns()

time.perf_counter_ns = slow_ns
from profiler.testbed import neighbour
neighbour.main()
"""


@pytest.mark.kernel
def test_with_a_slow_clock_the_account_is_the_schedulers_and_it_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = SLOW_CLOCK.format(folder=str(Path(__file__).parents[3]))
    monkeypatch.setattr(neighbour, "module_command", lambda _, *options: [sys.executable, "-I", "-c", code, *options])
    slow = Neighbours(run, [0], ["awake"])
    assert "neighbours cannot time themselves" in slow.coarse
    assert slow.steps == {}  # the BPF program does not look at them either
    slow.awake()
    assert eventually(lambda: run_times_ns(slow)["awake"] > 20_000_000, within_s=20)
    slow.off()
    assert eventually(lambda: all(process.is_paused() for process in slow.processes))
    assert slow.used_ns() == run_times_ns(slow)["awake"]


@pytest.mark.kernel
def test_one_that_cannot_start_says_why(run: Run) -> None:
    with pytest.raises(ProcessError, match=r"neighbour-awake-9999 .*Invalid argument"):
        Neighbours(run, [9999])


def stepped(stamps_ns: list[int], switches: list[int], usual_ns: int = 100) -> list[int]:
    """What a neighbour has written down after steps that end at these times."""
    words = [0] * 5
    stamps, counts = iter(stamps_ns), iter(switches)
    run_steps(range(len(stamps_ns) - 1), lambda: next(stamps), lambda: next(counts), words, usual_ns)
    return words


def test_a_neighbour_adds_up_its_steps() -> None:
    assert stepped([1000, 1100, 1190, 1300], [7])[0] == 300


def test_a_step_that_lost_the_cpu_counts_as_a_usual_one() -> None:
    used_ns, _, last_ns, back_ns, _ = stepped([0, 100, 50_100, 50_200], [7, 8])
    assert (used_ns, last_ns, back_ns) == (300, 50_200, 50_100)


def test_a_long_step_in_which_nobody_else_ran_is_the_neighbours() -> None:
    used_ns, _, _, back_ns, _ = stepped([0, 100, 5_100, 5_200], [7, 7])
    assert (used_ns, back_ns) == (5_200, 0)


def test_the_kernel_is_asked_after_long_steps_only() -> None:
    assert stepped([0, 799, 1598, 2397], [7])[0] == 2397


def test_a_clock_is_read_from_its_file(tmp_path: Path) -> None:
    words = new_clock(tmp_path / "clock")
    words[0], words[1], words[4] = 5, 90, 4096
    clock = Clock(tmp_path / "clock")
    assert (clock.used_ns, clock.usual_step_ns, clock.address) == (5, 90, 4096)
    words[0] = 6
    assert clock.used_ns == 6


def test_a_coarse_clock_is_said_with_its_source_and_the_fallback(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("acpi_pm\n")
    line = too_coarse(4200, tmp_path / "source")
    assert "4.2 µs with clock source acpi_pm" in line
    assert "the scheduler's account instead" in line
    assert "clock source unknown" in too_coarse(4200, tmp_path / "none")


@pytest.mark.kernel
def test_a_neighbour_that_nobody_disturbs_knows_how_long_it_ran(neighbours: Neighbours) -> None:
    def agrees() -> bool:
        neighbours.awake()
        before = neighbours.used_ns(), run_times_ns(neighbours)["awake"]
        time.sleep(0.3)
        own_ns, scheduled_ns = neighbours.used_ns() - before[0], run_times_ns(neighbours)["awake"] - before[1]
        neighbours.off()
        return abs(own_ns / scheduled_ns - 1) < 0.02

    assert eventually(agrees, within_s=20)
