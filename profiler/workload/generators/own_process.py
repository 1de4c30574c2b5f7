"""The own generator's process: request k is due at start + k / rate, and its latency counts from there.

Without a rate it is a closed loop: a request is due when the one before on its connection was answered. Imports nothing
heavy, so that it starts at once. A timerfd wakes it when a request is due; a request whose turn comes while all
connections are busy waits, and the wait counts. With a new connection per request connecting is part of the latency.

Run as `python -m profiler.workload.generators.own_process ORDER.json`; profiler/workload/generators/own.py writes the
order. Ends after its duration, or at once and in good order on SIGTERM. Its result is pairs of little-endian int64: due
time and latency, in ns of the monotonic clock; latency -1 is a failure.
"""

import array
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

from profiler.workload.generators.connections import Connection, Http1Connection, Http2Connection

_CLOCK_MONOTONIC: Final = 1
_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_TIMER_ABSTIME: Final = 1
_NS: Final = 1_000_000_000
_LEAD_NS: Final = 5_000_000
_NEVER_NS: Final = 0
_GRACE_NS: Final = 2 * _NS
_HTTP1: Final = "http1"
_GRPC: Final = "grpc"


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


class _Slot:
    """One connection and the request that is in flight on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.due_ns = -1

    @property
    def descriptor(self) -> int:
        return self.connection.connected().fileno()


class _Generator:
    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._new_connections: bool = order["new_connections"]
        self._body = Path(order["body"]).read_bytes()
        self._timer = _Timer()
        self._epoll = select.epoll()
        self._epoll.register(self._timer.descriptor, select.EPOLLIN)
        self._open: dict[int, _Slot] = {}
        self._idle = [_Slot(self._connection()) for _ in range(order["connections"])]
        self._due: deque[int] = deque()
        self.samples = array.array("q")
        if not self._new_connections:
            for slot in self._idle:
                self._connect(slot)

    def _connection(self) -> Connection:
        order = self._order
        address = order["address"]
        where = address if isinstance(address, str) else (address[0], address[1])
        authority = "localhost" if isinstance(address, str) else f"{address[0]}:{address[1]}"
        headers = [(name, value) for name, value in order["headers"]]
        if order["application"] == _HTTP1:
            return Http1Connection(where, order["path"], authority, headers, self._body)
        return Http2Connection(where, order["path"], authority, headers, self._body, grpc=order["application"] == _GRPC)

    def _connect(self, slot: _Slot) -> None:
        slot.connection.open()
        self._open[slot.descriptor] = slot
        self._epoll.register(slot.descriptor, select.EPOLLIN)

    def _disconnect(self, slot: _Slot) -> None:
        if slot.connection.socket is not None:
            self._epoll.unregister(slot.descriptor)
            del self._open[slot.descriptor]
            slot.connection.close()

    def run_closed(self, duration_s: float) -> None:
        """Send one request after another on every connection for the duration."""
        end_ns = time.monotonic_ns() + int(duration_s * _NS)
        while (now_ns := time.monotonic_ns()) < end_ns:
            while self._idle:
                self._send(self._idle.pop(), time.monotonic_ns())
            for descriptor, mask in self._epoll.poll(min(0.5, (end_ns - now_ns) / _NS)):
                self._serve(self._open[descriptor], mask)

    def run_open(self, rate_rps: float, duration_s: float) -> None:
        """Send rate × duration requests on schedule and wait for their answers, but no longer than the grace."""
        total = round(rate_rps * duration_s)
        start_ns = time.monotonic_ns() + _LEAD_NS
        give_up_ns = start_ns + int(duration_s * _NS) + _GRACE_NS
        sent = 0
        self._timer.arm(start_ns)
        while len(self.samples) < 2 * total and time.monotonic_ns() < give_up_ns:
            for descriptor, mask in self._epoll.poll(0.5):
                if descriptor != self._timer.descriptor:
                    self._serve(self._open[descriptor], mask)
            now_ns = time.monotonic_ns()
            while sent < total and (due_ns := start_ns + int(sent * _NS / rate_rps)) <= now_ns:
                self._due.append(due_ns)
                sent += 1
            # Arming also clears the timer: reading it would look like the read of an answer to who traces us.
            self._timer.arm(start_ns + int(sent * _NS / rate_rps) if sent < total else _NEVER_NS)
            while self._due and self._idle:
                self._send(self._idle.pop(), self._due.popleft())
        for due_ns in [*self._due, *(slot.due_ns for slot in self._open.values() if slot.due_ns >= 0)]:
            self.samples.extend((due_ns, -1))

    def _send(self, slot: _Slot, due_ns: int) -> None:
        slot.due_ns = due_ns
        try:
            if slot.connection.socket is None:
                self._connect(slot)
            if slot.connection.send():
                self._epoll.modify(slot.descriptor, select.EPOLLIN | select.EPOLLOUT)
        except OSError as error:
            self._fail(slot, error)

    def _serve(self, slot: _Slot, mask: int) -> None:
        try:
            if mask & select.EPOLLOUT and not slot.connection.send_rest():
                self._epoll.modify(slot.descriptor, select.EPOLLIN)
            answered = bool(mask & ~select.EPOLLOUT) and slot.connection.receive()
            if slot.connection.unsent:  # what came let more of the request go than the socket takes
                self._epoll.modify(slot.descriptor, select.EPOLLIN | select.EPOLLOUT)
            if not answered:
                return
        except (OSError, ValueError) as error:
            self._fail(slot, error)
            return
        if slot.due_ns < 0:
            return  # an answer that nobody waits for: settings and the like
        self.samples.extend((slot.due_ns, time.monotonic_ns() - slot.due_ns))
        slot.due_ns = -1
        if self._new_connections:
            self._disconnect(slot)
        self._idle.append(slot)

    def _fail(self, slot: _Slot, error: Exception) -> None:
        sys.stderr.write(f"request failed: {error}\n")
        if slot.due_ns >= 0:
            self.samples.extend((slot.due_ns, -1))
        self._disconnect(slot)
        if slot.due_ns >= 0:
            self._idle.append(slot)
        slot.due_ns = -1
        if not self._new_connections:
            self._connect(slot)


def main(arguments: list[str]) -> None:
    """Run the generator as the module docstring says."""
    order = json.loads(Path(arguments[0]).read_text())
    generator = _Generator(order)
    gc.disable()
    out = Path(order["out"])
    started_mark(out).touch()
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.suppress(_Stopped):
        if order["rate_rps"] is None:
            generator.run_closed(float(order["duration_s"]))
        else:
            generator.run_open(float(order["rate_rps"]), float(order["duration_s"]))
    out.write_bytes(generator.samples.tobytes())


class _Stopped(Exception):  # noqa: N818 - not an error
    """SIGTERM: what was asked for has been seen. Requests in flight are neither answered nor failed."""


def _stop(signum: int, frame: object) -> None:
    raise _Stopped


if __name__ == "__main__":
    main(sys.argv[1:])
