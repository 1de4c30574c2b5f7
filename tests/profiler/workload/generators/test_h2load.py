import time
from pathlib import Path

import pytest

from profiler.errors import ProcessError
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC, HTTP1, HTTP2
from profiler.workload.base import Target
from profiler.workload.generators.connections import grpc_frame
from profiler.workload.generators.h2load import H2load

SERVER = Address("10.99.0.10", 8080)


def write_log(directory: Path, rows: list[tuple[int, int, int]]) -> None:
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    (directory / "h2load.log").write_text(text)


def test_latencies_are_in_order_of_sending_at_the_middle_of_their_microsecond(tmp_path: Path) -> None:
    write_log(tmp_path, [(2000, 200, 30), (1000, 200, 25)])
    assert H2load().result(tmp_path).latency_ns.tolist() == [25_500, 30_500]


def test_times_are_on_the_monotonic_clock(tmp_path: Path) -> None:
    write_log(tmp_path, [(time.time_ns() // 1000, 200, 30)])
    due_ns = int(H2load().result(tmp_path).due_ns[0])
    assert abs(due_ns - time.monotonic_ns()) < 2e9


def test_requests_that_failed_are_counted_and_left_out(tmp_path: Path) -> None:
    write_log(tmp_path, [(1000, 200, 25), (2000, 503, 5), (3000, -1, 9)])
    result = H2load().result(tmp_path)
    assert (len(result.latency_ns), result.failed) == (1, 2)


def test_refused_requests_are_counted_by_status(tmp_path: Path) -> None:
    write_log(tmp_path, [(1000, 200, 25), (2000, 503, 5), (3000, -1, 9), (4000, 429, 1), (5000, 429, 1)])
    assert H2load().result(tmp_path).refused == {503: 1, 429: 2}


def test_an_empty_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="answered no request"):
        H2load().result(tmp_path)


def test_the_log_of_the_window_before_is_not_read_again(tmp_path: Path) -> None:
    write_log(tmp_path, [(1000, 200, 25)])
    H2load().argv(Target(SERVER, HTTP1), Load(1, None, 0, 64), 0.5, tmp_path)
    assert not (tmp_path / "h2load.log").exists()


def test_request_and_response_sizes_are_independent(tmp_path: Path) -> None:
    argv = H2load().argv(Target(SERVER, HTTP1), Load(4, None, 300, 2000), 0.5, tmp_path)
    assert argv[-1] == "http://10.99.0.10:8080/2000"
    assert (tmp_path / "request-http1-300").stat().st_size == 300
    assert "--clients=4" in argv


def test_one_request_is_in_flight_on_each_connection_of_http2(tmp_path: Path) -> None:
    argv = H2load().argv(Target(SERVER, HTTP2), Load(4, None, 0, 10), 0.5, tmp_path)
    assert "--max-concurrent-streams=1" in argv
    assert "--h1" not in argv


def test_a_grpc_call_is_framed_and_asks_for_trailers(tmp_path: Path) -> None:
    argv = H2load().argv(Target(SERVER, GRPC), Load(1, None, 3, 10, messages=4), 0.5, tmp_path)
    assert argv[-1].endswith("/meshinsight.Echo/10x4.grpc")
    assert {"--header=content-type: application/grpc", "--header=te: trailers"} <= set(argv)
    assert (tmp_path / "request-grpc-3").read_bytes() == grpc_frame(b"qqq")


def test_further_headers_are_sent(tmp_path: Path) -> None:
    load = Load(1, None, 0, 10, headers=2, header_bytes=3, extra_headers=("authorization: Bearer t",))
    argv = H2load().argv(Target(SERVER, HTTP1), load, 0.5, tmp_path)
    sent = [word for word in argv if word.startswith("--header=")]
    assert sent == ["--header=x-header-000: vvv", "--header=x-header-001: vvv", "--header=authorization: Bearer t"]


def test_a_unix_socket_is_the_base_uri(tmp_path: Path) -> None:
    argv = H2load().argv(Target(Address(socket=Path("/run/x.sock")), HTTP1), Load(1, None, 0, 10), 0.5, tmp_path)
    assert "--base-uri=unix:/run/x.sock" in argv
    assert argv[-1] == "http://localhost/10"


@pytest.mark.parametrize(
    "text", ["1 200\n", "1 200 5 7\n", "1 200 5\n1 200\n", "a b c\n", "1 200 5e400\n", f"1 200 {1 << 62}\n", "\xff"]
)
def test_a_log_that_is_none_of_h2load_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "h2load.log").write_bytes(text.encode("latin-1"))
    with pytest.raises(ProcessError, match=r"^h2load\.log: not a log of h2load: [^\n]*$"):
        H2load().result(tmp_path)
