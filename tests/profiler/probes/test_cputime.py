"""CPU time by role and state, against processes whose behaviour is known."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.attribution.cpu_classes import shares
from profiler.errors import ProbeError
from profiler.host.accounting import run_time_ns
from profiler.probes.cputime import (
    RARE,
    TRACEPOINTS,
    CpuTime,
    CpuTimes,
    cputime_defines,
    sleeping_threads,
    split_alike,
)
from profiler.probes.syscalls import syscall_families
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    EVENT_WAIT,
    SERVER_APP,
    SERVER_SIDECAR,
    SOCKET_READ,
    SOCKET_WRITE,
)
from profiler.vocabulary.cpu_states import HALTED, IDLE, KERNEL, NEIGHBOUR, REST, ROLES, STATES, USER
from tests.profiler.probes.workloads import WRITES, child, work

BURN = """
import sys, time
sys.stdin.readline()
begin = time.thread_time_ns()
while (spent := time.thread_time_ns() - begin) < {burnt_ns}:
    for _ in range(100_000):
        pass
print(spent, flush=True)
sys.stdin.readline()
"""
SPIN = """
import sys
sys.stdin.readline()
print("spinning", flush=True)
while True:
    pass
"""


ROUND_TRIPS = """
import select, socket, sys
ours, theirs = socket.socketpair()
poll = select.epoll()
poll.register(ours, select.EPOLLIN)
sys.stdin.readline()
for _ in range({count}):
    theirs.sendall(b"x"); poll.poll(0); ours.recv(1)
print("done", flush=True)
sys.stdin.readline()
"""
TICKS_NS = 20_000_000
"""What the kernel's run time of a running thread lags behind at most, twice, at any common tick."""
IN_CALLS = (SOCKET_READ, SOCKET_WRITE, EVENT_WAIT)
states = st.dictionaries(st.sampled_from(STATES), st.integers(1, 10**12))


def test_each_system_call_is_a_bit_of_its_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    defines = cputime_defines()
    assert defines["SOCKET_READ_0"] == 1 << 0 | 1 << 19 | 1 << 45 | 1 << 47
    assert defines["EVENT_WAIT_3"] == 1 << 232 - 192 | 1 << 233 - 192
    assert defines["SOCKET_WRITE_7"] == 0


def test_the_program_has_room_for_every_role_and_state() -> None:
    assert len(ROLES) <= 16
    assert len(STATES) <= 16
    assert len(TRACEPOINTS) < 16


def test_sleeping_threads_are_found_with_their_system_call(tmp_path: Path) -> None:
    for thread, call in ((7, "232 0x3 0x7f 0x10"), (8, "running"), (9, "-1 0x7f 0x55")):
        path = tmp_path / "7" / "task" / str(thread) / "syscall"
        path.parent.mkdir(parents=True)
        path.write_text(f"{call}\n")
    assert sleeping_threads(7, tmp_path) == {7: 232}


@given(states, states, st.integers(0, 10**12))
def test_time_split_alike_adds_up(plain: dict[str, int], drawn: dict[str, int], skipped_ns: int) -> None:
    found = split_alike(plain, drawn, skipped_ns)
    assert sum(found.values()) == sum(plain.values()) + sum(drawn.values()) + skipped_ns
    assert all(spent_ns >= plain.get(state, 0) + drawn.get(state, 0) for state, spent_ns in found.items())


def test_skipped_work_is_split_like_the_drawn_and_not_like_the_rest() -> None:
    assert split_alike({USER: 1000}, {USER: 10, SOCKET_READ: 30}, 400) == {USER: 1110, SOCKET_READ: 330}


def test_tiny_draws_do_not_stand_for_a_long_piece() -> None:
    found = split_alike({USER: 990_000}, {SOCKET_READ: 10_000}, 1_000_000)
    assert found == {USER: 1_980_000, SOCKET_READ: 20_000}


def test_skipped_work_of_a_role_with_nothing_to_go_by_is_of_unknown_state() -> None:
    assert split_alike({}, {}, 7) == {KERNEL: 7}


@pytest.mark.parametrize("sample_one_of", [0, 3, -4, 64])
def test_the_draw_needs_a_power_of_two(sample_one_of: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        CpuTime(sample_one_of)


def test_reading_without_attaching_is_an_error() -> None:
    with pytest.raises(ProbeError, match="not attached"):
        CpuTime().read()


@pytest.fixture(scope="module")
def cputime() -> Iterator[CpuTime]:
    with CpuTime(sample_one_of=1) as counting:
        yield counting


def window(cputime: CpuTime, process: "subprocess.Popen[str]", role: str) -> tuple[CpuTimes, str]:
    """Let `process` work under `role`, and return what was counted and what it said."""
    await_command(process)
    cputime.set_roles({process.pid: role})
    cputime.reset()
    said = work(process)
    return cputime.measure(), said


def await_command(process: "subprocess.Popen[str]") -> None:
    """Wait until the process has started and reads its standard input."""
    reads = [str(number) for number, family in syscall_families().items() if family == SOCKET_READ]
    until = time.monotonic() + 10
    while time.monotonic() < until:
        call = Path(f"/proc/{process.pid}/syscall").read_text().split()
        if call[0] in reads and call[1] == "0x0":
            return
        time.sleep(0.01)
    raise AssertionError("the process never asked for its command")


@pytest.mark.kernel
@pytest.mark.timing
def test_roles_and_states_add_up_to_wall_time_times_cpus(cputime: CpuTime) -> None:
    outer_ns = -time.monotonic_ns()
    cputime.reset()
    inner_ns = -time.monotonic_ns()
    time.sleep(0.5)
    inner_ns += time.monotonic_ns()
    times = cputime.measure()
    outer_ns += time.monotonic_ns()
    cpus = os.sysconf("SC_NPROCESSORS_ONLN")
    assert sum(times.time_ns.values()) == pytest.approx(times.capacity_ns, rel=0.005)
    assert inner_ns * cpus * 0.995 < times.capacity_ns < outer_ns * cpus * 1.005


@pytest.mark.kernel
@pytest.mark.timing
def test_some_cpus_alone_are_counted() -> None:
    with CpuTime() as cputime:
        cputime.count({0})
        cputime.reset()
        time.sleep(0.3)
        times = cputime.measure()
    assert sum(times.time_ns.values()) == pytest.approx(times.capacity_ns, rel=0.01)
    assert times.capacity_ns == pytest.approx(0.3e9, rel=0.2)


@pytest.mark.kernel
def test_23_writes_in_are_23_writes_counted(cputime: CpuTime) -> None:
    with child(WRITES.format(count=23)) as process:
        times, _ = window(cputime, process, CLIENT_APP)
    assert times.entries[CLIENT_APP, SOCKET_WRITE] == 23 + 1  # and the one that says done
    assert times.time_ns[CLIENT_APP, SOCKET_WRITE] > 0


def burn_error(cputime: CpuTime) -> float:
    """How far 200 ms of user time by the process's own clock are from what is counted."""
    errors = [1.0]
    while min(errors) > 0.01 and len(errors) < 10:  # what is stolen is in one clock only: the cleanest counts
        with child(BURN.format(burnt_ns=200_000_000)) as process:
            times, burnt_ns = window(cputime, process, SERVER_SIDECAR)
        errors.append(abs(times.time_ns[SERVER_SIDECAR, USER] / int(burnt_ns) - 1))
    return min(errors)


@pytest.mark.kernel
@pytest.mark.timing
def test_200_ms_of_user_time_are_200_ms(cputime: CpuTime) -> None:
    assert burn_error(cputime) < 0.02


@pytest.mark.kernel
@pytest.mark.timing
def test_200_ms_of_user_time_are_200_ms_where_not_all_is_split() -> None:
    with CpuTime() as counting:
        assert burn_error(counting) < 0.02


@pytest.mark.kernel
@pytest.mark.timing
def test_a_thread_that_slept_in_a_call_when_it_was_named_is_known_to_be_in_it(cputime: CpuTime) -> None:
    with child(WRITES.format(count=5)) as process:
        cputime.detach()
        await_command(process)
        cputime.attach()
        times, _ = window(cputime, process, CLIENT_SIDECAR)
    assert times.time_ns[CLIENT_SIDECAR, SOCKET_READ] > 0
    assert times.time_ns.get((CLIENT_SIDECAR, KERNEL), 0) == 0


@pytest.mark.kernel
@pytest.mark.timing
def test_time_before_a_change_of_role_stays_with_the_old_role(cputime: CpuTime) -> None:
    with child(SPIN) as process:
        window(cputime, process, CLIENT_APP)
        begin_ns = run_time_ns(process.pid)
        cputime.reset()
        time.sleep(0.1)
        cputime.set_roles({process.pid: SERVER_APP})
        change_ns = run_time_ns(process.pid)
        time.sleep(0.3)
        times = cputime.read()
        end_ns = run_time_ns(process.pid)
    assert 0 < times[CLIENT_APP, USER] < change_ns - begin_ns + TICKS_NS
    assert end_ns - change_ns - TICKS_NS < times[SERVER_APP, USER]


@pytest.mark.kernel
@pytest.mark.timing
def test_a_process_that_is_not_named_any_more_is_rest(cputime: CpuTime) -> None:
    with child(SPIN) as process:
        window(cputime, process, NEIGHBOUR)
        cputime.set_roles({})
        cputime.reset()
        time.sleep(0.1)
        times = cputime.read()
    assert not [role for role, _ in times if role == NEIGHBOUR]
    assert times[REST, USER] > 0


@pytest.mark.kernel
def test_an_unknown_role_is_refused(cputime: CpuTime) -> None:
    with pytest.raises(ValueError, match="passer_by"):
        cputime.set_roles({1: "passer_by"})


@pytest.mark.kernel
def test_every_probe_is_attached_and_was_hit(cputime: CpuTime) -> None:
    with child(WRITES.format(count=1)) as process:
        window(cputime, process, CLIENT_APP)
        time.sleep(0.3)  # long enough for a timer's softirq on any machine
    statuses = cputime.hits()
    assert [status.name for status in statuses] == list(TRACEPOINTS)
    assert all(status.attached for status in statuses)
    assert all(status.hits for status in statuses if status.name not in RARE)
    cputime.require_hits()


@pytest.mark.kernel
@pytest.mark.timing
def test_time_while_detached_is_in_no_window(cputime: CpuTime) -> None:
    cputime.detach()
    time.sleep(0.2)
    cputime.attach()
    assert cputime.measure().capacity_ns < 0.15e9 * os.sysconf("SC_NPROCESSORS_ONLN")


@pytest.mark.kernel
@pytest.mark.timing
def test_an_idle_cpu_is_halted_rather_than_in_the_idle_loop(cputime: CpuTime) -> None:
    cputime.reset()
    time.sleep(0.3)
    times = cputime.read()
    assert times.get((IDLE, HALTED), 0) >= times.get((IDLE, KERNEL), 0)  # equal where others keep all CPUs busy


@pytest.mark.kernel
@pytest.mark.timing
def test_fast_work_that_is_drawn_stands_for_the_work_that_is_not() -> None:
    split, inferred = {}, {}
    for sample_one_of in (1, 8):
        with CpuTime(sample_one_of) as counting, child(ROUND_TRIPS.format(count=50_000)) as process:
            times, _ = window(counting, process, CLIENT_SIDECAR)
        own = {state: spent_ns for (role, state), spent_ns in times.time_ns.items() if role == CLIENT_SIDECAR}
        split[sample_one_of], inferred[sample_one_of] = shares(own), times.inferred_ns / sum(own.values())
        assert times.entries[CLIENT_SIDECAR, EVENT_WAIT] == 50_000
    assert inferred[1] == 0
    assert inferred[8] > 0.5
    for state in (USER, *IN_CALLS):
        assert split[8][state] == pytest.approx(split[1][state], abs=0.06)  # clock readings are part of what is timed


@pytest.mark.kernel
def test_leaving_takes_every_program_and_map_out_of_the_kernel() -> None:
    before = bpf_files()
    with CpuTime() as counting:
        assert bpf_files() != before
        counting.read()
    assert bpf_files() == before


def bpf_files() -> list[str]:
    links = (path for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sorted(name for name in map(target, links) if "bpf" in name)


def target(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:  # the descriptor of the directory itself
        return ""


def test_times_of_a_longer_reading_are_brought_to_the_window() -> None:
    found = CpuTimes({("rest", "user"): 50}, {("rest", "socket_read"): 4}, 200, 10, 8).scaled(100)
    assert found == CpuTimes({("rest", "user"): 25}, {("rest", "socket_read"): 2}, 100, 5, 4)
