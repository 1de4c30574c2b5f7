"""The timeline program in the kernel, against processes whose behaviour is known."""

import os
from pathlib import Path

import numpy as np
import pytest

from profiler.probes.syscalls import syscall_families
from profiler.probes.timeline import EVENT, Timeline, decode, possible_cpus
from profiler.vocabulary.components import CLIENT_APP, SERVER_APP, SOCKET_WRITE
from profiler.vocabulary.timeline_events import SYSCALL_ENTER, SYSCALL_EXIT, WAKING
from tests.profiler.probes.workloads import WRITES, child, work

PING = """
import os, socket, sys
ours = socket.create_connection(("127.0.0.1", int(sys.stdin.readline())))
for _ in range(17):
    ours.sendall(b"x"); ours.recv(1)
os.write(1, b"done\\n")
sys.stdin.readline()
"""
PONG = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
theirs, _ = listening.accept()
while data := theirs.recv(1):
    theirs.sendall(data)
"""


def region(*rows: tuple[int, int, int, int]) -> "np.ndarray[tuple[int, ...], np.dtype[np.void]]":
    packed = [(stamp, tid, (kind << 28) | (value & 0xFFFFFFF)) for stamp, tid, kind, value in rows]
    return np.array(packed, dtype=EVENT)


def test_regions_are_merged_in_order_of_time() -> None:
    events = decode([region((30, 1, 1, 0), (50, 1, 2, 0)), region((40, 2, 1, 0))], {1: CLIENT_APP}, dropped=0)
    assert events.stamp_ns.tolist() == [30, 40, 50]
    assert events.cpu.tolist() == [0, 1, 0]


def test_negative_return_values_survive_their_28_bits() -> None:
    events = decode([region((1, 1, SYSCALL_EXIT, -11), (2, 1, SYSCALL_EXIT, 65_536))], {}, dropped=0)
    assert events.value.tolist() == [-11, 65_536]


@pytest.mark.kernel
def test_23_writes_in_are_23_writes_counted() -> None:
    timeline = Timeline(capacity_per_cpu=1 << 16)
    last_cpu = max(os.sched_getaffinity(0))
    with child(WRITES.format(count=23)) as process, timeline:
        os.sched_setaffinity(process.pid, {last_cpu})
        timeline.reset({process.pid: CLIENT_APP})
        work(process)
        events = timeline.read()
    numbers = [number for number, family in syscall_families().items() if family == SOCKET_WRITE]
    entered = events.value[(events.kind == SYSCALL_ENTER) & np.isin(events.value, numbers)]
    timeline.close()
    assert len(entered) == 23 + 1  # and the one that says done
    assert set(events.cpu[events.kind == SYSCALL_ENTER].tolist()) == {last_cpu}


@pytest.mark.kernel
@pytest.mark.timing
def test_wake_ups_between_two_processes_name_the_waker() -> None:
    timeline = Timeline(capacity_per_cpu=1 << 16)
    with child(PONG) as server, child(PING) as client, timeline:
        assert server.stdout
        assert client.stdin
        assert client.stdout
        port = server.stdout.readline()
        timeline.reset({client.pid: CLIENT_APP, server.pid: SERVER_APP})
        client.stdin.write(port)
        client.stdin.flush()
        client.stdout.readline()
        events = timeline.read()
    timeline.close()
    wakers = set(events.value[(events.kind == WAKING) & (events.tid == server.pid)].tolist())
    assert client.pid in wakers
    assert wakers <= {client.pid, 0}  # 0: the connection was set up before the client was known


@pytest.mark.kernel
def test_processes_that_were_not_named_leave_no_events() -> None:
    timeline = Timeline(capacity_per_cpu=1 << 16)
    with child(WRITES.format(count=5)) as named, child(WRITES.format(count=5)) as stranger, timeline:
        timeline.reset({named.pid: CLIENT_APP})
        work(stranger)
        work(named)
        events = timeline.read()
    timeline.close()
    assert set(events.tid.tolist()) == {named.pid}


@pytest.mark.kernel
@pytest.mark.timing
def test_events_beyond_the_capacity_are_counted_as_dropped() -> None:
    timeline = Timeline(capacity_per_cpu=64)
    with child(WRITES.format(count=500)) as process, timeline:
        timeline.reset({process.pid: CLIENT_APP})
        work(process)
        events = timeline.read()
    timeline.close()
    assert events.dropped > 800
    assert len(events) <= 64 * 64  # regions, one per CPU


@pytest.mark.kernel
def test_a_detached_timeline_records_nothing() -> None:
    timeline = Timeline(capacity_per_cpu=1 << 12)
    with child(WRITES.format(count=5)) as process:
        timeline.reset({process.pid: CLIENT_APP})
        work(process)
        assert len(timeline.read()) == 0
    timeline.close()


@pytest.mark.kernel
def test_every_probe_says_that_it_is_attached_and_what_it_saw() -> None:
    timeline = Timeline(capacity_per_cpu=1 << 12)
    with child(WRITES.format(count=5)) as process, timeline:
        timeline.reset({process.pid: CLIENT_APP})
        work(process)
        timeline.read()
    statuses = {status.name: status for status in timeline.statuses}
    timeline.close()
    assert all(status.attached for status in statuses.values())
    assert statuses["sys_enter"].hits >= 6


@pytest.mark.parametrize(
    ("text", "count"), [("0-3\n", 4), ("0-1,4-7", 8), ("0", 1), ("", None), ("x", None), ("0-" + "9" * 50, None)]
)
def test_processor_numbers_end_with_the_last_that_is_listed(tmp_path: Path, text: str, count: int | None) -> None:
    (tmp_path / "possible").write_text(text)
    assert possible_cpus(tmp_path / "possible") == (count or os.cpu_count())
