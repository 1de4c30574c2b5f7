"""The side of profiler.cluster.agent.rpc that is called: connections side by side, calls one after the other.

Each connection has a thread, so that a silent one delays no other. The calls themselves run in the thread that serves,
since what they use (perf, namespaces, control groups) belongs to it.
"""

import http.server
import inspect
import queue
import socketserver
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import BoundedSemaphore, Thread
from typing import Any, Final

import msgspec

from profiler.cluster.agent.rpc import FAILED, UNKNOWN, context_of, decode, encode, require_identity, signature_of
from profiler.errors import MeshInsightError
from profiler.text import one_line
from profiler.vocabulary.addresses import Certificates

_HANDSHAKE_S: Final = 5.0
_MOST_CONNECTIONS: Final = 64
_LARGEST_CALL: Final = 16 << 20
"""Bytes of a call's arguments."""

Objects = Mapping[str, Callable[[], object]]
_Call = tuple[Callable[[], bytes], "Future[bytes]"]


def serve(
    port: int, certificates: Certificates, objects: Objects, caller: str, *, handshake_s: float = _HANDSHAKE_S
) -> None:
    """Answer the calls of one role until interrupted.

    Args:
        port: on all addresses of the pod.
        certificates: of the role that is called.
        objects: what is served by name; each is asked for at every call.
        caller: the role whose certificate may call; others of the same authority are turned away.
        handshake_s: how long a connection may take to show its certificate.
    """
    calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()

    class Handler(_Handler):
        def setup(self) -> None:
            self.request.settimeout(handshake_s)
            self.request.do_handshake()
            require_identity(self.request, caller)
            self.request.settimeout(None)
            super().setup()

        def answer(self, path: str, body: bytes) -> bytes:
            ended: Future[bytes] = Future()
            calls.put((lambda: _answer(objects, path, body), ended))
            return ended.result()

    with _Server(("", port), Handler) as server:
        context = context_of(ssl.PROTOCOL_TLS_SERVER, certificates)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        accepting = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        accepting.start()
        try:
            while True:
                _run(*calls.get())
        finally:
            server.shutdown()
            accepting.join()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = BoundedSemaphore(_MOST_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_: object) -> None:
        """A caller without the right certificate, or one that hung up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        if not 0 <= size <= _LARGEST_CALL:
            self.send_error(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            self.close_connection = True
            return
        body = self.rfile.read(size)
        try:
            status, answer = http.HTTPStatus.OK, self.answer(self.path, body)
        except MeshInsightError as error:
            status, answer = http.HTTPStatus(FAILED), encode((type(error).__name__, str(error)))
        except (LookupError, AttributeError, TypeError, ValueError, RecursionError, msgspec.DecodeError) as error:
            problem = one_line(f"{self.path}: {error}", 400)
            status, answer = http.HTTPStatus(UNKNOWN), encode((MeshInsightError.__name__, problem))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def answer(self, path: str, body: bytes) -> bytes:
        """The result of the call."""
        raise NotImplementedError

    def log_message(self, *_: object) -> None:
        """Say nothing: what is printed is read."""


def _run(call: Callable[[], bytes], ended: "Future[bytes]") -> None:
    try:
        ended.set_result(call())
    except BaseException as error:
        ended.set_exception(error)
        if not isinstance(error, Exception):
            raise


def _answer(objects: Objects, path: str, body: bytes) -> bytes:
    _, name, method = path.split("/")
    callee = objects[name]()
    function = None if method.startswith("_") else inspect.getattr_static(type(callee), method, None)
    if not inspect.isfunction(function):
        raise AttributeError("there is no such method")
    parameters, _ = signature_of(function)
    # Arguments may be left out at the end, where the method has values for them.
    arguments = decode(body, list[msgspec.Raw])
    values = (decode(raw, kind) for raw, kind in zip(arguments, parameters, strict=False))
    return encode(getattr(callee, method)(*values))
