"""The own generator's connections against servers that answer in given pieces, on loopback."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.workload.generators.connections import Connection, Http1Connection, Http2Connection

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


@contextmanager
def answering(*pieces: bytes) -> Iterator[tuple[str, int]]:
    """A server that sends the pieces, each in a packet of its own, once something has come."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connected, _ = listening.accept()
        with connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.recv(1 << 20)
            for piece in pieces:
                connected.sendall(piece)
                time.sleep(0.01)
            connected.settimeout(2)
            connected.recv(1 << 20)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        listening.close()
        thread.join()


def http1(address: tuple[str, int]) -> Http1Connection:
    return Http1Connection(address, "/1", "x", [], b"")


def http2(address: tuple[str, int], *, grpc: bool = False) -> Http2Connection:
    return Http2Connection(address, "/1", "x", [], b"", grpc)


def exchange(connection: Connection, within_s: float = 1.0) -> bool:
    """Whether one request was answered in full; raises what `receive` raises."""
    connection.open()
    try:
        connection.send()
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            if connection.receive():
                return True
            time.sleep(0.001)
        return False
    finally:
        connection.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello",),
        (HEAD + b"content-length: 5\r\n", b"\r\nhel", b"lo"),
        (HEAD + b"Content-Length: 0\r\n\r\n",),
        (CHUNKED,),
        (CHUNKED[:30], CHUNKED[30:60], CHUNKED[60:]),
        (CHUNKED[:-7], CHUNKED[-7:]),
        (CHUNKED[:-2], CHUNKED[-2:]),
        (CHUNKED[:-1], CHUNKED[-1:]),
    ],
)
def test_an_http1_answer_is_complete_however_it_comes(pieces: tuple[bytes, ...]) -> None:
    with answering(*pieces) as address:
        assert exchange(http1(address))


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhell",),
        (CHUNKED[:-5],),
        (HEAD,),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n",),
    ],
)
def test_an_http1_answer_that_lacks_its_end_is_not_complete(pieces: tuple[bytes, ...]) -> None:
    with answering(*pieces) as address:
        assert not exchange(http1(address), within_s=0.1)


@pytest.mark.parametrize("status", [b"404 Not Found", b"503 Service Unavailable", b"302 Found"])
def test_an_http1_answer_other_than_200_is_a_failure(status: bytes) -> None:
    with (
        answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as address,
        pytest.raises(ConnectionError, match=status.decode()),
    ):
        exchange(http1(address))


def test_a_server_that_closes_is_a_failure() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    connection = http1(listening.getsockname())
    connection.open()
    listening.accept()[0].close()
    connection.send()
    time.sleep(0.1)
    with pytest.raises(ConnectionError):
        connection.receive()
    connection.close()
    listening.close()


OK = b"\x88"
"""`:status: 200` of the static table."""
NOT_FOUND = b"\x8d"


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def grpc_trailers(status: bytes) -> bytes:
    return frame(HEADERS, 5, 1, literal(b"grpc-status", status))


@pytest.mark.parametrize(
    "pieces",
    [
        (frame(SETTINGS, 0, 0), frame(HEADERS, 4, 1, OK) + frame(DATA, 1, 1, b"hello")),
        (frame(HEADERS, 5, 1, OK),),
        (frame(HEADERS, 4, 1, OK)[:5], frame(HEADERS, 4, 1, OK)[5:] + frame(DATA, 0, 1, b"a"), frame(DATA, 1, 1)),
        (frame(HEADERS, 1, 1, b""), frame(9, 4, 1, OK)),  # ended by a CONTINUATION
        (frame(HEADERS, 0x4 | 0x1 | 0x8 | 0x20, 1, b"\x02" + bytes(5) + OK + b"\0\0"),),  # padded, with a priority
        (frame(PING, 0, 0, bytes(8)), frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"), frame(HEADERS, 5, 1, OK)),
    ],
)
def test_an_http2_answer_is_complete_however_it_comes(pieces: tuple[bytes, ...]) -> None:
    with answering(*pieces) as address:
        assert exchange(http2(address))


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ((frame(HEADERS, 5, 1, NOT_FOUND),), "answered 404"),
        ((frame(GOAWAY, 0, 0, bytes(8)),), "ended the connection"),
        ((frame(3, 0, 1, bytes(4)),), "ended the stream"),
    ],
)
def test_an_http2_answer_that_is_an_error_is_a_failure(pieces: tuple[bytes, ...], message: str) -> None:
    with answering(*pieces) as address, pytest.raises(ConnectionError, match=message):
        exchange(http2(address))


def test_a_call_is_good_if_its_trailers_say_so() -> None:
    with answering(frame(HEADERS, 4, 1, OK), frame(DATA, 0, 1, bytes(5)), grpc_trailers(b"0")) as address:
        assert exchange(http2(address, grpc=True))


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (grpc_trailers(b"5"), "answered 200, grpc-status 5"),
        (frame(DATA, 1, 1, bytes(5)), "answered 200, grpc-status missing"),
    ],
)
def test_a_call_without_a_good_status_is_a_failure(last: bytes, message: str) -> None:
    with (
        answering(frame(HEADERS, 4, 1, OK), last) as address,
        pytest.raises(ConnectionError, match=message),
    ):
        exchange(http2(address, grpc=True))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, len(CHUNKED) - 1), max_size=3))
def test_a_chunked_answer_may_be_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(CHUNKED)]
    with answering(*(CHUNKED[a:b] for a, b in pairwise(places) if a < b)) as address:
        assert exchange(http1(address))
