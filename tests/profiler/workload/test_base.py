from pathlib import Path

import numpy as np
import pytest

from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC, HTTP1
from profiler.workload.base import LoadResult, Target
from profiler.workload.generators.connections import grpc_frame

RESULT = LoadResult(np.array([0, 10, 20, 30]) * 1_000_000, np.array([5, 5, 25, 5]) * 1_000_000, failed=0)


def test_latencies_are_chosen_by_when_a_request_was_due() -> None:
    assert RESULT.between(10_000_000, 30_000_000).tolist() == [5_000_000, 25_000_000]


def test_a_rate_counts_what_was_answered_in_the_time() -> None:
    assert RESULT.rate_rps(0, 40_000_000) == 75  # the request due at 20 ms was answered at 45 ms


def test_only_one_connection_is_serial() -> None:
    assert Load(1, None, 0, 0).serial
    assert not Load(2, None, 0, 0).serial


def test_a_grpc_message_has_a_prefix_of_flag_and_length() -> None:
    assert grpc_frame(b"") == bytes(5)
    assert grpc_frame(b"q" * 258) == b"\0\0\0\1\2" + b"q" * 258


def test_http_asks_for_the_size_and_sends_bare_bytes() -> None:
    target, load = Target(Address("127.0.0.1", 1), HTTP1), Load(1, None, 3, 1024)
    assert (target.path(load), target.body(load), target.header_lines(load)) == ("/1024", b"qqq", [])


def test_grpc_asks_by_a_method_name_and_sends_a_frame() -> None:
    target = Target(Address("127.0.0.1", 1), GRPC)
    assert target.path(Load(1, None, 0, 7)) == "/meshinsight.Echo/7.grpc"
    assert target.path(Load(1, None, 0, 7, messages=10)) == "/meshinsight.Echo/7x10.grpc"
    assert target.body(Load(1, None, 0, 7)) == grpc_frame(b"")
    assert dict(target.header_lines(Load(1, None, 0, 7)))["content-type"] == "application/grpc"


def test_header_values_have_the_length_asked_for() -> None:
    lines = Load(1, None, 0, 0, headers=90, header_bytes=17).header_lines()
    assert len(dict(lines)) == 90
    assert {len(value) for _, value in lines} == {17}
    assert all(name == name.lower() for name, _ in lines)


def test_a_filters_header_may_hold_colons() -> None:
    assert Load(1, None, 0, 0, extra_headers=("a: b:c",)).header_lines() == [("a", "b:c")]


def test_addresses_are_written_as_people_do() -> None:
    assert str(Address("127.0.0.1", 80)) == "127.0.0.1:80"
    assert str(Address(socket=Path("/x.sock"))) == "unix:/x.sock"


def test_a_request_counts_in_a_time_by_its_part_in_there() -> None:
    result = LoadResult(np.array([0, 100, 200]), np.array([40, 80, 80]), 0)
    assert result.served(100, 240) == pytest.approx(1 + 0.5)
    assert result.served(300, 400) == 0
    assert result.served(0, 110) + result.served(110, 300) == pytest.approx(3)
