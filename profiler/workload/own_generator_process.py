"""The open-loop generator's own process: request k is due at start + k / rate, and its latency counts from there.

Imports nothing heavy, so that it starts at once. A timerfd wakes it when a request is due; a request whose
turn comes while all connections are busy waits, and the wait counts. Run as:

    python -m profiler.workload.openloop_process ADDRESS PORT PATH CONNECTIONS RATE_RPS DURATION_S REQUEST_BYTES OUT

Ends after DURATION_S, or at once and in good order on SIGTERM. OUT becomes pairs of little-endian int64: due time and
latency, in ns of the monotonic clock; latency -1 is a failure.
"""

import array
import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

_CLOCK_MONOTONIC: Final = 1
_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_TIMER_ABSTIME: Final = 1
_NS: Final = 1_000_000_000
_LEAD_NS: Final = 5_000_000
_NEVER_NS: Final = 0
_GRACE_NS: Final = 2 * _NS


def started_mark(out: Path) -> Path:
    """The file whose presence says that the generator has begun to send."""
    return out.with_suffix(".started")


class _Timer:
    """A timerfd on the monotonic clock."""

    class _Spec(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_long) for name in ("interval_s", "interval_ns", "s", "ns"))

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def arm(self, at_ns: int) -> None:
        """Expire at `at_ns` of the monotonic clock, or never if 0; what has expired before is forgotten."""
        spec = self._Spec(0, 0, at_ns // _NS, at_ns % _NS)
        self._libc.timerfd_settime(self.descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)


class _Connection:
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due_ns = -1
        self._request = request
        self._unsent = memoryview(b"")
        self._head = b""
        self._expected = -1
        self._received = 0

    def send(self, due_ns: int) -> bool:
        """Send the request; True while a part of it must wait for the socket."""
        self.due_ns, self._expected, self._received, self._head = due_ns, -1, 0, b""
        self._unsent = memoryview(self._request)
        return self.send_rest()

    def send_rest(self) -> bool:
        """Send what is left; True while there is more."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return True
        return False

    def receive(self) -> bool:
        """Read what is there; True when the answer is complete.

        Raises:
            ConnectionError: closed, or an answer that is not 200.
        """
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionError("closed by the server")
        self._received += len(data)
        if self._expected < 0:
            self._head += data
            self._expected = _message_bytes(self._head)
        return 0 <= self._expected <= self._received


def _message_bytes(head: bytes) -> int:
    """Length of the whole message, header and body, or -1 while the header is incomplete."""
    end = head.find(b"\r\n\r\n")
    if end < 0:
        return -1
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"answered {head.splitlines()[0].decode(errors='replace')}")
    start = head[:end].lower().index(b"content-length:") + len(b"content-length:")
    return end + 4 + int(head[start:end].split(b"\r\n", 1)[0])


class _Generator:
    def __init__(self, address: tuple[str, int], request: bytes, connections: int) -> None:
        self._address = address
        self._request = request
        self._timer = _Timer()
        self._epoll = select.epoll()
        self._epoll.register(self._timer.descriptor, select.EPOLLIN)
        self._busy: dict[int, _Connection] = {}
        self._idle = [self._open() for _ in range(connections)]
        self._due: deque[int] = deque()
        self.samples = array.array("q")

    def _open(self) -> _Connection:
        connection = _Connection(self._address, self._request)
        self._busy[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket.fileno(), select.EPOLLIN)
        return connection

    def run(self, rate_rps: float, duration_s: float) -> None:
        """Send rate × duration requests on schedule and wait for their answers, but no longer than the grace."""
        total = round(rate_rps * duration_s)
        start_ns = time.monotonic_ns() + _LEAD_NS
        give_up_ns = start_ns + int(duration_s * _NS) + _GRACE_NS
        sent = 0
        self._timer.arm(start_ns)
        while len(self.samples) < 2 * total and time.monotonic_ns() < give_up_ns:
            for descriptor, mask in self._epoll.poll(0.5):
                if descriptor != self._timer.descriptor:
                    self._serve(self._busy[descriptor], mask)
            now_ns = time.monotonic_ns()
            while sent < total and (due_ns := start_ns + int(sent * _NS / rate_rps)) <= now_ns:
                self._due.append(due_ns)
                sent += 1
            # Arming also clears the timer: reading it would look like the read of an answer to who traces us.
            self._timer.arm(start_ns + int(sent * _NS / rate_rps) if sent < total else _NEVER_NS)
            self._send_due()
        for due_ns in [*self._due, *(c.due_ns for c in self._busy.values() if c.due_ns >= 0)]:
            self.samples.extend((due_ns, -1))

    def _send_due(self) -> None:
        while self._due and self._idle:
            connection = self._idle.pop()
            if connection.send(self._due.popleft()):
                self._epoll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _serve(self, connection: _Connection, mask: int) -> None:
        try:
            if mask & select.EPOLLOUT and not connection.send_rest():
                self._epoll.modify(connection.socket.fileno(), select.EPOLLIN)
            if not mask & ~select.EPOLLOUT or not connection.receive():
                return
        except (ConnectionError, ValueError) as error:
            self._replace(connection, error)
            return
        self.samples.extend((connection.due_ns, time.monotonic_ns() - connection.due_ns))
        connection.due_ns = -1
        self._idle.append(connection)

    def _replace(self, connection: _Connection, error: Exception) -> None:
        sys.stderr.write(f"request failed: {error}\n")
        descriptor = connection.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._busy[descriptor]
        connection.socket.close()
        if connection.due_ns >= 0:
            self.samples.extend((connection.due_ns, -1))
        elif connection in self._idle:
            self._idle.remove(connection)
        self._idle.append(self._open())


def main(arguments: list[str]) -> None:
    """Run the generator as the module docstring says."""
    address, port, path, connections, rate_rps, duration_s, request_bytes, out = arguments
    method, body = ("POST", b"q" * int(request_bytes)) if int(request_bytes) else ("GET", b"")
    head = f"{method} {path} HTTP/1.1\r\nhost: {address}:{port}\r\nuser-agent: meshinsight\r\n"
    length = f"content-length: {len(body)}\r\n" if body else ""
    generator = _Generator((address, int(port)), f"{head}{length}\r\n".encode() + body, int(connections))
    gc.disable()
    started_mark(Path(out)).touch()
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.suppress(_Stopped):
        generator.run(float(rate_rps), float(duration_s))
    Path(out).write_bytes(generator.samples.tobytes())


class _Stopped(Exception):  # noqa: N818 - not an error
    """SIGTERM: what was asked for has been seen. Requests in flight are neither answered nor failed."""


def _stop(signum: int, frame: object) -> None:
    raise _Stopped


if __name__ == "__main__":
    main(sys.argv[1:])
