"""The own generator's client connections: HTTP/1.1 and HTTP/2 (so gRPC), one request in flight on each.

Only what a load generator needs, since every microsecond of it is in what is measured: requests are encoded once, and
answers are read no further than their status and end. Header blocks go through the hpack library.
"""

import socket
import struct
from collections.abc import Sequence
from typing import Final, Protocol

_CHUNK: Final = 262_144
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_INITIAL_WINDOW_SIZE: Final = 4
_LARGEST_WINDOW: Final = (1 << 31) - 1
_DEFAULT_WINDOW: Final = 65_535
_FRAME: Final = 16_384
_REFILL: Final = 1 << 29
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"

Headers = Sequence[tuple[str, str]]
OpenSocket = socket.socket


def grpc_frame(message: bytes) -> bytes:
    """A gRPC length-prefixed message, not compressed."""
    return struct.pack(">BI", 0, len(message)) + message


class Connection(Protocol):
    """One connection. `socket` is None while it is closed."""

    socket: OpenSocket | None

    def open(self) -> None:
        """Connect. Raises OSError."""

    def connected(self) -> OpenSocket:
        """The open socket. Raises ConnectionError while it is closed."""

    def close(self) -> None:
        """Close; the next request needs `open`."""

    def send(self) -> bool:
        """Send the request; True while a part of it must wait for the socket."""

    def send_rest(self) -> bool:
        """Send what is left; True while there is more."""

    @property
    def unsent(self) -> bool:
        """Whether a part of the request still waits for the socket."""

    def receive(self) -> bool:
        """Read what is there; True when the answer is complete. Raises ConnectionError for any but a good one."""


class _Socket:
    """Connecting and sending, the same for all protocols."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        self.socket: OpenSocket | None = None
        self._address = address
        self._unsent = memoryview(b"")

    def open(self) -> None:
        family = socket.AF_UNIX if isinstance(self._address, str) else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.settimeout(5)
        opened.connect(self._address)
        if family == socket.AF_INET:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setblocking(False)
        self.socket = opened
        self._unsent = memoryview(b"")

    @property
    def unsent(self) -> bool:
        return bool(self._unsent)

    def connected(self) -> OpenSocket:
        if self.socket is None:
            raise ConnectionError("not connected")
        return self.socket

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def send_rest(self) -> bool:
        connected = self.connected()
        try:
            while self._unsent:
                self._unsent = self._unsent[connected.send(self._unsent) :]
        except BlockingIOError:
            return True
        return False

    def _read(self) -> bytes:
        try:
            data = self.connected().recv(_CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionError("closed by the server")
        return data


class Http1Connection(_Socket):
    """HTTP/1.1, keep-alive."""

    def __init__(
        self, address: tuple[str, int] | str, path: str, authority: str, headers: Headers, body: bytes
    ) -> None:
        super().__init__(address)
        lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"host: {authority}", "user-agent: meshinsight"]
        lines += [f"content-length: {len(body)}"] if body else []
        lines += [f"{name}: {value}" for name, value in headers]
        self._request = "\r\n".join([*lines, "", ""]).encode() + body
        self._head = b""
        self._expected: int | None = None
        self._received = 0

    def send(self) -> bool:
        self._head, self._expected, self._received = b"", None, 0
        self._unsent = memoryview(self._request)
        return self.send_rest()

    def receive(self) -> bool:
        if not (data := self._read()):
            return False
        self._received += len(data)
        if self._expected is None:
            self._head += data
            self._expected = _message_bytes(self._head)
        elif self._expected < 0:
            self._head = self._head[-len(_LAST_CHUNK) :] + data  # the end may come in pieces too
        if self._expected is not None and self._expected < 0:
            return self._head.endswith(_LAST_CHUNK)  # nothing can follow it, one request being in flight
        return self._expected is not None and self._expected <= self._received


def _message_bytes(head: bytes) -> int | None:
    """Length of the whole message, header and body; None while the header is incomplete, -1 if it comes in chunks."""
    end = head.find(b"\r\n\r\n")
    if end < 0:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"answered {head.splitlines()[0].decode(errors='replace')}")
    fields = head[:end].lower()
    if b"\r\ntransfer-encoding: chunked" in fields:
        return -1
    start = fields.index(b"content-length:") + len(b"content-length:")
    return end + 4 + int(fields[start:].split(b"\r\n", 1)[0])


class Http2Connection(_Socket):
    """HTTP/2 by prior knowledge, and gRPC inside it: a call is good if its trailers say `grpc-status: 0`.

    What the peer is owed besides requests (acknowledgements, windows) goes out with the next request: sent while an
    answer is awaited it would look like a request to who traces us. Windows are so wide that nothing waits for it.
    """

    def __init__(
        self, address: tuple[str, int] | str, path: str, authority: str, headers: Headers, body: bytes, grpc: bool
    ) -> None:
        super().__init__(address)
        self._fields = [
            (":method", "POST" if body else "GET"),
            (":scheme", "http"),
            (":authority", authority),
            (":path", path),
            ("user-agent", "meshinsight"),
            *headers,
        ]
        self._body = body
        self._grpc = grpc

    def open(self) -> None:
        from hpack import Decoder, Encoder

        super().open()
        self._encoder, self._decoder = Encoder(), Decoder()
        self._stream = -1
        self._buffer = b""
        self._block = b""
        self._unread = 0
        self._later = b""
        self._window = self._peer_initial = _DEFAULT_WINDOW
        self._stream_window = 0
        self._body_sent = 0
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGEST_WINDOW)
        refill = struct.pack(">I", _LARGEST_WINDOW - _DEFAULT_WINDOW)
        self._queue(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, refill))

    def send(self) -> bool:
        self._stream += 2
        self._status = self._grpc_status = ""
        self._body_sent, self._stream_window = 0, self._peer_initial
        flags = _END_HEADERS | (0 if self._body else _END_STREAM)
        block = self._encoder.encode(self._fields)
        self._queue(self._later + _header_frames(block, flags, self._stream))
        self._later = b""
        return self._send_body()

    def _send_body(self) -> bool:
        """Queue as much of the body as the peer's windows allow, and send."""
        frames = []
        while self._body_sent < len(self._body) and (room := min(self._window, self._stream_window, _FRAME)) > 0:
            part = self._body[self._body_sent : self._body_sent + room]
            self._body_sent += len(part)
            self._window -= len(part)
            self._stream_window -= len(part)
            last = _END_STREAM if self._body_sent == len(self._body) else 0
            frames.append(_frame(_DATA, last, self._stream, part))
        self._queue(b"".join(frames))
        return self.send_rest()

    def _queue(self, data: bytes) -> None:
        self._unsent = memoryview(bytes(self._unsent) + data) if self._unsent else memoryview(data)

    def receive(self) -> bool:
        self._buffer += self._read()
        done, at = False, 0
        while len(self._buffer) - at >= 9:
            length = int.from_bytes(self._buffer[at : at + 3], "big")
            if len(self._buffer) - at < 9 + length:
                break
            kind, flags, stream = struct.unpack_from(">BBI", self._buffer, at + 3)
            done |= self._handle(kind, flags, stream & _LARGEST_WINDOW, self._buffer[at + 9 : at + 9 + length])
            at += 9 + length
        self._buffer = self._buffer[at:]
        if self._unsent:
            self.send_rest()
        return done

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> bool:
        """Take in one frame; True when it ends the answer."""
        if kind == _DATA:
            self._count(len(payload))
            return bool(flags & _END_STREAM) and self._finish()
        if kind in (_HEADERS, _CONTINUATION):
            self._block += _fragment(kind, flags, payload)
            if flags & _END_STREAM and kind == _HEADERS:
                self._ended = True
            if flags & _END_HEADERS:
                return self._take_block()
        elif kind == _SETTINGS and not flags & _ACK:
            self._apply_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self._later += _frame(_PING, _ACK, 0, payload)
        elif kind == _WINDOW_UPDATE:
            self._widen(stream, int.from_bytes(payload, "big") & _LARGEST_WINDOW)
        elif kind == _GOAWAY or (kind == _RST_STREAM and stream == self._stream):
            raise ConnectionError(f"the server ended the {'connection' if kind == _GOAWAY else 'stream'}")
        return False

    _ended = False

    def _take_block(self) -> bool:
        fields = {str(name): str(value) for name, value in self._decoder.decode(self._block)}
        self._block = b""
        self._status = fields.get(":status", self._status)
        self._grpc_status = fields.get("grpc-status", self._grpc_status)
        ended, self._ended = self._ended, False
        return ended and self._finish()

    def _finish(self) -> bool:
        if self._status != "200" or (self._grpc and self._grpc_status != "0"):
            grpc = f", grpc-status {self._grpc_status or 'missing'}" if self._grpc else ""
            raise ConnectionError(f"answered {self._status or 'nothing'}{grpc}")
        return True

    def _count(self, received: int) -> None:
        self._unread += received
        if self._unread >= _REFILL:
            self._later += _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._unread))
            self._unread = 0

    def _apply_settings(self, payload: bytes) -> None:
        for identifier, value in struct.iter_unpack(">HI", payload):
            if identifier == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._peer_initial
                self._peer_initial = value
        acknowledgement = _frame(_SETTINGS, _ACK, 0, b"")
        if self._body_sent < len(self._body) and self._stream > 0:
            self._queue(acknowledgement)  # the peer lets no more of the body in before it
            self._send_body()
        else:
            self._later += acknowledgement

    def _widen(self, stream: int, by: int) -> None:
        if stream == 0:
            self._window += by
        elif stream == self._stream:
            self._stream_window += by
        if self._stream > 0 and self._body_sent < len(self._body):
            self._send_body()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _header_frames(block: bytes, flags: int, stream: int) -> bytes:
    """A header block as HEADERS and, where it is long, CONTINUATION frames."""
    parts = [block[start : start + _FRAME] for start in range(0, len(block), _FRAME)]
    frames = []
    for number, part in enumerate(parts):
        last = _END_HEADERS if number == len(parts) - 1 else 0
        end = flags & _END_STREAM if number == 0 else 0
        frames.append(_frame(_CONTINUATION if number else _HEADERS, last | end, stream, part))
    return b"".join(frames)


def _fragment(kind: int, flags: int, payload: bytes) -> bytes:
    if kind == _CONTINUATION:
        return payload
    start, end = 0, len(payload)
    if flags & _PADDED:
        start, end = 1, end - payload[0]
    if flags & _PRIORITY:
        start += 5
    return payload[start:end]
