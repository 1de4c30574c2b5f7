"""Bursts stand for a part of the whole: by the counter that goes with the messages."""

import os
import time
from pathlib import Path

import pytest

from profiler.attach.work import Work, added, read_work, stand_for_s, tcp_segments

SNMP = "Ip: A B\nIp: 1 2\nTcp: RtoMin MaxConn InSegs OutSegs\nTcp: 200 -1 40 2\nUdp: A\nUdp: 1\n"
SECOND = 10**9
LATE_S = 0.05


def test_segments_are_those_received_and_sent() -> None:
    assert tcp_segments(SNMP) == 42


@pytest.mark.parametrize("text", ["", "Tcp: InSegs\n", "Tcp: InSegs\nTcp: -5\n", "Tcp: a\nTcp: 1 2 3\n"])
def test_a_table_without_segments_has_none(text: str) -> None:
    assert tcp_segments(text) == 0


def test_bursts_stand_for_as_long_as_their_segments_take_on_average() -> None:
    bursts = [Work(SECOND, SECOND, segments) for segments in (10, 40, 20, 30)]
    assert stand_for_s([1, 4, 2, 3], bursts, Work(100 * SECOND, 50 * SECOND, 2000)) == pytest.approx(5)


def test_segments_of_others_do_not_count_where_cpu_time_goes_with_the_messages() -> None:
    bursts = [Work(SECOND, part * SECOND, segments) for part, segments in ((1, 50), (2, 3), (3, 900))]
    assert stand_for_s([10, 20, 30], bursts, Work(100 * SECOND, 60 * SECOND, 10)) == pytest.approx(10)


def test_segments_count_where_something_else_goes_with_the_messages_a_little_more_closely() -> None:
    bursts = [Work(part * SECOND, part * SECOND, segments) for part, segments in ((1, 49), (2, 101), (3, 150))]
    assert stand_for_s([12, 22, 31], bursts, Work(100 * SECOND, 30 * SECOND, 3000)) == pytest.approx(10)


def test_few_bursts_stand_for_as_long_as_their_segments_take() -> None:
    assert stand_for_s([5], [Work(SECOND, SECOND, 30)], Work(100 * SECOND, SECOND, 1000)) == pytest.approx(3)


def test_bursts_without_messages_stand_for_their_own_time() -> None:
    assert stand_for_s([0], [Work(SECOND, SECOND, 9)], Work(10 * SECOND, SECOND, 99)) == 1
    assert stand_for_s([], [], Work()) == 0


def test_where_no_segments_are_shown_cpu_time_counts() -> None:
    assert stand_for_s([5], [Work(SECOND, SECOND)], Work(10 * SECOND, 5 * SECOND)) == pytest.approx(2)


def test_a_reading_that_was_interrupted_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / str(os.getpid()) / "net" / "snmp"
    table.parent.mkdir(parents=True)
    table.write_text(SNMP)
    real, calls, started_ns = os.pread, [], time.monotonic_ns()

    def read(descriptor: int, length: int, offset: int) -> bytes:
        calls.append(length)
        text = real(descriptor, length, offset)
        if len(calls) == 1:
            time.sleep(LATE_S)
            return text.replace(b"40 2", b"30 2")
        return text

    monkeypatch.setattr(os, "pread", read)
    work = read_work(os.getpid(), tmp_path)
    assert work.segments == 42
    assert started_ns + LATE_S * 1e9 <= work.passed_ns <= time.monotonic_ns()
    assert work.run_ns > 0


def test_a_process_without_a_table_has_its_cpu_time(tmp_path: Path) -> None:
    work = read_work(os.getpid(), tmp_path)
    assert work.segments == 0
    assert work.run_ns > 0


def test_work_of_processes_adds_up_in_the_same_time() -> None:
    assert added([Work(5, 1, 2), Work(4, 3, 4)]) == Work(5, 4, 6)
