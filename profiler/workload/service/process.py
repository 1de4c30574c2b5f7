"""The process of one service of an application: it answers requests, and makes calls of its own for each.

The server side is uvloop with httptools for HTTP/1.1 and h2 for HTTP/2 and gRPC; the calls go through
`profiler.workload.generators.connections`, each over a connection that has no other request in flight.

A request costs the service's own time, spent on the CPU, and then its calls: stage after stage, those of a stage at the
same time; calls that nobody waits for begin last of all. How long a request takes and how often a call with a fraction
of a call per request is made follow fixed sequences, so that they are the same in every variant of a deployment.

Run as `python -m profiler.workload.service.process ORDER.json`; profiler/testbed/application.py writes the order.
"""

import asyncio
import contextlib
import gc
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import httptools
import uvloop

from profiler.workload.generators.connections import Connection, Http1Connection, Http2Connection, grpc_frame
from profiler.workload.service.answer_times import AnswerTimes

_HTTP1: Final = "http1"
_GRPC: Final = "grpc"
_BACKLOG: Final = 4096
_WINDOW: Final = (1 << 31) - 1
_DEFAULT_WINDOW: Final = 65_535


class Callee:
    """Where an edge leads: connections to it, and the calls over them."""

    def __init__(self, call: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        address = call["address"]
        self._address: tuple[str, int] | str = address if isinstance(address, str) else (address[0], address[1])
        self._call = call
        self._body = b"q" * call["request_bytes"]
        if call["application"] == _GRPC:
            self._body = grpc_frame(self._body)
        self._idle: list[Connection] = []
        self._loop = loop
        self._numbers = _numbers(call["calls_per_request"])
        self.failed = 0

    async def calls(self) -> None:
        """All calls of the edge for one request."""
        number = next(self._numbers)
        if self._call["repeat"] == "parallel" and number > 1:
            await asyncio.gather(*(self._one() for _ in range(number)))
            return
        for _ in range(number):
            await self._one()

    async def _one(self) -> None:
        connection = self._idle.pop() if self._idle else self._open()
        answered: asyncio.Future[None] = self._loop.create_future()
        descriptor = connection.connected().fileno()

        def readable() -> None:
            try:
                if connection.receive() and not answered.done():
                    answered.set_result(None)
            except (OSError, ValueError) as error:
                if not answered.done():
                    answered.set_exception(error)

        self._loop.add_reader(descriptor, readable)
        try:
            waiting = connection.send()
            while waiting:
                await asyncio.sleep(0)
                waiting = connection.send_rest()
            await answered
        except (OSError, ValueError):
            self._loop.remove_reader(descriptor)
            connection.close()
            raise
        self._loop.remove_reader(descriptor)
        self._idle.append(connection)

    def _open(self) -> Connection:
        call = self._call
        authority = "localhost" if isinstance(self._address, str) else f"{self._address[0]}:{self._address[1]}"
        headers = [(name, value) for name, value in call["headers"]]
        opened: Connection
        if call["application"] == _HTTP1:
            opened = Http1Connection(self._address, call["path"], authority, headers, self._body)
        else:
            grpc = call["application"] == _GRPC
            opened = Http2Connection(self._address, call["path"], authority, headers, self._body, grpc=grpc)
        opened.open()
        return opened


def _numbers(mean: float) -> Iterator[int]:
    """Numbers of calls for one request after another: whole ones whose mean is `mean`, evenly spread."""
    total, made = 0.0, 0
    while True:
        total += mean
        number = int(total + 1e-9) - made
        made += number
        yield number


class Service:
    """What a request costs, whoever asks."""

    def __init__(self, order: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._taken = AnswerTimes(Path(order["answer_times"]))
        self._times_ns = cycle(order["service_times_ns"])
        self._stages = [[Callee(call, loop) for call in stage] for stage in order["stages"]]
        self._background = [Callee(call, loop) for call in order["background"]]
        self._running: set[asyncio.Task[None]] = set()
        self._loop = loop

    async def handle(self) -> None:
        """Handle one request."""
        began_ns = time.monotonic_ns()
        _burn(next(self._times_ns))
        for stage in self._stages:
            if len(stage) == 1:
                await stage[0].calls()
            else:
                await asyncio.gather(*(callee.calls() for callee in stage))
        self._taken.add(began_ns, time.monotonic_ns() - began_ns)
        for callee in self._background:
            task = self._loop.create_task(callee.calls())
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            sys.stderr.write(f"asynchronous call failed: {error}\n")


def _burn(time_ns: int) -> None:
    end_ns = time.monotonic_ns() + time_ns
    while time.monotonic_ns() < end_ns:
        pass


class Http1Server(asyncio.Protocol):
    """One connection of HTTP/1.1; requests on it are handled one after another."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        _no_delay(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            sys.stderr.write(f"not HTTP/1.1: {error}\n")
            self._transport.close()

    def on_message_begin(self) -> None:
        self._path = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_message_complete(self) -> None:
        task = self._loop.create_task(self._answer(_answer_bytes(self._path)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, size: int) -> None:
        status = b"200 OK"
        try:
            await self._service.handle()
        except (OSError, ValueError) as error:
            sys.stderr.write(f"a call failed: {error}\n")
            status, size = b"502 Bad Gateway", 0
        head = b"HTTP/1.1 %s\r\nserver: meshinsight\r\ncontent-length: %d\r\n\r\n" % (status, size)
        self._transport.write(head + _payload(size))


class Http2Server(asyncio.Protocol):
    """One connection of HTTP/2 by prior knowledge, requests in parallel; gRPC answers where that is asked for."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self._asked: dict[int, tuple[int, bool]] = {}
        self._unsent: dict[int, tuple[bytes, str]] = {}
        """By stream: what is left of the body, and the status that follows it in gRPC."""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        _no_delay(transport)
        window = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW}
        self._http.local_settings = h2.settings.Settings(client=False, initial_values=window)
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW - _DEFAULT_WINDOW)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            fields = dict(event.headers)
            grpc = bytes(fields.get(b"content-type", b"")).startswith(b"application/grpc")
            self._asked[event.stream_id] = (_answer_bytes(bytes(fields[b":path"])), grpc)
        elif isinstance(event, h2.events.DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.WindowUpdated):
            for stream in list(self._unsent):
                self._send(stream)
        elif isinstance(event, h2.events.StreamReset):
            self._unsent.pop(event.stream_id, None)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._transport.close()
        if isinstance(event, h2.events.StreamEnded):
            task = self._loop.create_task(self._answer(event.stream_id, *self._asked.pop(event.stream_id)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, stream: int, size: int, grpc: bool) -> None:
        status, grpc_status = "200", "0" if grpc else ""
        try:
            await self._service.handle()
        except (OSError, ValueError) as error:
            sys.stderr.write(f"a call failed: {error}\n")
            status, grpc_status = ("200", "14") if grpc else ("502", "")
        fields = [(":status", status), ("server", "meshinsight")]
        fields.append(("content-type", "application/grpc") if grpc else ("content-length", str(size)))
        body = grpc_frame(_payload(size)) if grpc else _payload(size)
        with contextlib.suppress(h2.exceptions.StreamClosedError):  # who asked does not want it any more
            self._http.send_headers(stream, fields, end_stream=not body)
            if body:
                self._unsent[stream] = (body, grpc_status)
                self._send(stream)
        self._flush()

    def _send(self, stream: int) -> None:
        """Send as much of an answer's body as the windows allow, and its end."""
        body, grpc_status = self._unsent.pop(stream)
        while body and (room := min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)):
            part, body = body[:room], body[room:]
            self._http.send_data(stream, part, end_stream=not body and not grpc_status)
        if body:
            self._unsent[stream] = (body, grpc_status)
        elif grpc_status:
            self._http.send_headers(stream, [("grpc-status", grpc_status)], end_stream=True)

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self._transport.write(data)


def _no_delay(transport: Any) -> None:
    connected = transport.get_extra_info("socket")
    if connected is not None and connected.family == socket.AF_INET:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


_payloads: dict[int, bytes] = {}


def _payload(size: int) -> bytes:
    return _payloads.setdefault(size, b"a" * size)


def _answer_bytes(path: bytes) -> int:
    """The size that a path asks for: `/1024`, or `/meshinsight.Echo/1024.grpc`."""
    last = path.rpartition(b"/")[2].removesuffix(b".grpc")
    return int(last) if last.isdigit() else 0


async def _serve(order: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    service = Service(order, loop)
    servers = []
    for entry in order["listen"]:
        protocol = Http1Server if entry["application"] == _HTTP1 else Http2Server

        def made(protocol: Any = protocol) -> asyncio.Protocol:
            return protocol(service, loop)  # type: ignore[no-any-return]

        servers.append(await loop.create_server(made, entry["host"], entry["port"], backlog=_BACKLOG))
        if entry.get("socket"):
            servers.append(await loop.create_unix_server(made, entry["socket"], backlog=_BACKLOG))
            Path(entry["socket"]).chmod(0o666)  # the sidecar is of another user
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    gc.freeze()
    gc.disable()
    await stop.wait()
    for server in servers:
        server.close()


def main(arguments: list[str]) -> None:
    """Serve as the module docstring says, until SIGTERM."""
    uvloop.run(_serve(json.loads(Path(arguments[0]).read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
