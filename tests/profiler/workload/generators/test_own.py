"""The own generator against servers of known behaviour, on loopback."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from profiler.errors import ProcessError
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1
from profiler.workload.base import LoadResult, Target
from profiler.workload.generators.own import OwnGenerator


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20  # an answer is one packet
    stall_once_s = 0.0
    status = 200

    def do_POST(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(type(self).stall_once_s)
        type(self).stall_once_s = 0.0
        size = int(self.path[1:])
        self.send_response(type(self).status)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"r" * size)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def server(stall_once_s: float = 0.0, status: int = 200) -> Iterator[int]:
    handler = type("Once", (Handler,), {"stall_once_s": stall_once_s, "status": status})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield listening.server_address[1]
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def run(port: int, load: Load, directory: Path, seconds: float = 0.5) -> LoadResult:
    target = Target(Address("127.0.0.1", port), HTTP1)
    argv = OwnGenerator().argv(target, load, seconds, directory)
    subprocess.run(argv, check=True, timeout=20, capture_output=True)
    return OwnGenerator().result(directory)


@pytest.mark.timing
def test_every_request_is_due_on_schedule(tmp_path: Path) -> None:
    with server() as port:
        result = run(port, Load(2, 200, 128, 1024), tmp_path)
    assert len(result.due_ns) == 100
    assert np.all(np.abs(np.diff(result.due_ns) - 5_000_000) <= 1)


@pytest.mark.timing
def test_requests_that_wait_behind_a_stall_carry_the_wait(tmp_path: Path) -> None:
    with server(stall_once_s=0.2) as port:
        result = run(port, Load(1, 100, 0, 10), tmp_path)
    late = result.latency_ns[:15] / 1e6
    assert late[0] >= 200
    assert late[10] >= 90  # due 100 ms after the first, sent only when that was answered: no coordinated omission


@pytest.mark.timing
def test_large_bodies_arrive_whole(tmp_path: Path) -> None:
    with server() as port:
        result = run(port, Load(1, 20, 300_000, 300_000), tmp_path)
    assert (len(result.due_ns), result.failed) == (10, 0)


def test_answers_that_are_errors_count_as_failed(tmp_path: Path) -> None:
    with server(status=503) as port:
        result = run(port, Load(2, 50, 0, 10), tmp_path)
    assert (len(result.due_ns), result.failed) == (0, 25)


def test_missing_samples_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no samples"):
        OwnGenerator().result(tmp_path)


@pytest.mark.timing
def test_a_closed_loop_sends_as_soon_as_it_has_the_answer(tmp_path: Path) -> None:
    with server() as port:
        result = run(port, Load(1, None, 0, 10), tmp_path)
    assert result.failed == 0
    gaps_ns = result.due_ns[1:] - (result.due_ns + result.latency_ns)[:-1]
    assert len(gaps_ns) > 20
    assert 0 <= np.median(gaps_ns) < 1_000_000


@pytest.mark.timing
def test_a_closed_loop_goes_on_after_failures(tmp_path: Path) -> None:
    with server(status=404) as port:
        result = run(port, Load(2, None, 0, 10), tmp_path, seconds=1)
    assert len(result.due_ns) == 0
    assert result.failed > 2  # more than one on each of its connections


@pytest.mark.timing
def test_a_request_that_is_never_answered_is_a_failure(tmp_path: Path) -> None:
    with server(stall_once_s=4) as port:
        result = run(port, Load(1, 10, 0, 10), tmp_path, seconds=0.2)
    assert (len(result.due_ns), result.failed) == (0, 2)


@pytest.mark.timing
def test_sigterm_ends_it_in_good_order(tmp_path: Path) -> None:
    with server() as port:
        target = Target(Address("127.0.0.1", port), HTTP1)
        process = subprocess.Popen(OwnGenerator().argv(target, Load(1, None, 0, 10), 30, tmp_path))
        while not OwnGenerator().started(tmp_path):
            time.sleep(0.01)
        time.sleep(0.3)
        process.terminate()
        assert process.wait(5) == 0
    assert len(OwnGenerator().result(tmp_path).due_ns) > 10


def test_samples_of_the_window_before_are_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "load.bin").write_bytes(b"x" * 16)
    (tmp_path / "load.started").touch()
    OwnGenerator().argv(Target(Address("127.0.0.1", 1), HTTP1), Load(1, None, 0, 10), 1, tmp_path)
    assert not OwnGenerator().started(tmp_path)
    with pytest.raises(ProcessError, match="no samples"):
        OwnGenerator().result(tmp_path)


def test_samples_that_are_cut_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    whole = (100).to_bytes(8, "little") + (7).to_bytes(8, "little")
    (tmp_path / "load.bin").write_bytes(whole + (200).to_bytes(8, "little") + b"x")
    assert OwnGenerator().result(tmp_path).latency_ns.tolist() == [7]
