"""Calls from one profiler to another: HTTP over mutual TLS, arguments and results as MessagePack.

Only objects of the run have a certificate of its authority. Values are decoded by the annotations of the method that is
called, so nothing but plain values comes in.
"""

import http.client
import http.server
import inspect
import ssl
import time
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec
import numpy as np

from profiler import errors
from profiler.errors import MeshInsightError, ProcessError
from profiler.proxies.base import Certificates

_TIMEOUT_S: Final = 180.0
"""The longest that one call may take: perf reads the samples of a window."""
_HANDSHAKE_S: Final = 10.0
_RETRY_S: Final = 0.2
_FAILED: Final = 500
_UNKNOWN: Final = 404

Callee = TypeVar("Callee")


class Caller:
    """The connection to the other profiler. Raises ProcessError where it cannot be reached in time."""

    def __init__(self, address: str, port: int, certificates: Certificates, what: str) -> None:
        self._connection = http.client.HTTPSConnection(
            address, port, timeout=_TIMEOUT_S, context=_context(ssl.PROTOCOL_TLS_CLIENT, certificates)
        )
        self._what = what

    def connect(self, within_s: float) -> None:
        """Wait until it answers. Raises ProcessError."""
        deadline_s = time.monotonic() + within_s
        while True:
            try:
                self._connection.connect()
            except OSError as error:
                if time.monotonic() > deadline_s:
                    raise self._failed(error) from error
                time.sleep(_RETRY_S)
            else:
                return

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def stub(self, kind: type[Callee], name: str) -> Callee:
        """The object that the other side serves as `name`; its methods take their arguments by position."""
        return cast(Callee, _Stub(self, kind, name))

    def call(self, path: str, arguments: tuple[Any, ...], result: Any) -> Any:
        """Call the method of that path. Raises what it raises, or ProcessError."""
        try:
            self._connection.request("POST", path, encode(arguments))
            answer = self._connection.getresponse()
            body = answer.read()
        except BaseException as error:
            self._connection.close()  # the answer may be on its way still: the next call is not to take it for its own
            if isinstance(error, OSError | http.client.HTTPException):
                raise self._failed(error) from error
            raise
        if answer.status != http.HTTPStatus.OK:
            name, message = decode(body, tuple[str, str])
            kind = getattr(errors, name, MeshInsightError)
            raise kind(f"{self._what}: {message}")
        return decode(body, result)

    def _failed(self, error: Exception) -> ProcessError:
        return ProcessError(
            f"{self._what} does not answer ({str(error) or type(error).__name__}); has its node gone away?"
        )


class _Stub:
    def __init__(self, caller: Caller, kind: type, name: str) -> None:
        self._caller = caller
        self._kind = kind
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        _, result = _signature(getattr(self._kind, method))
        return lambda *arguments: self._caller.call(f"/{self._name}/{method}", arguments, result)


def serve(port: int, certificates: Certificates, objects: Mapping[str, Callable[[], object]]) -> None:
    """Answer calls until interrupted, one after the other, all in this thread.

    `objects` are what is served by name; each is asked for at every call.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            _, name, method = self.path.split("/")
            try:
                status, answer = http.HTTPStatus.OK, _called(objects[name](), method, body)
            except MeshInsightError as error:
                status, answer = http.HTTPStatus(_FAILED), encode((type(error).__name__, str(error)))
            except (KeyError, AttributeError, TypeError, ValueError, msgspec.ValidationError) as error:
                status, answer = http.HTTPStatus(_UNKNOWN), encode((MeshInsightError.__name__, f"{self.path}: {error}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def setup(self) -> None:
            self.request.settimeout(_HANDSHAKE_S)
            self.request.do_handshake()
            self.request.settimeout(None)
            super().setup()

        def log_message(self, *_: object) -> None:
            """Say nothing: what is printed is read."""

    class Server(http.server.HTTPServer):
        def handle_error(self, *_: object) -> None:
            """A caller without a certificate, or one that hung up: wait for the next."""

    with Server(("", port), Handler) as server:
        context = _context(ssl.PROTOCOL_TLS_SERVER, certificates)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.serve_forever(poll_interval=0.1)


def encode(value: object) -> bytes:
    """A value as MessagePack; arrays as their bytes."""
    return msgspec.msgpack.encode(value, enc_hook=_plain)


def decode(data: bytes, kind: Any) -> Any:
    """The value of that type. Raises msgspec.ValidationError for any other."""
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_array)


def _called(callee: object, method: str, body: bytes) -> bytes:
    function = None if method.startswith("_") else inspect.getattr_static(type(callee), method, None)
    if not inspect.isfunction(function):
        raise AttributeError("there is no such method")
    parameters, _ = _signature(function)
    # Arguments may be left out at the end, where the method has values for them.
    arguments = decode(body, list[msgspec.Raw])
    return encode(
        getattr(callee, method)(*(decode(raw, kind) for raw, kind in zip(arguments, parameters, strict=False)))
    )


@cache
def _signature(function: Callable[..., Any]) -> tuple[tuple[Any, ...], Any]:
    """Types of the parameters in order, and of the result."""
    hints = typing.get_type_hints(function)
    result = hints.pop("return", None)
    return tuple(hints.values()), result


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    raise NotImplementedError(f"{type(value).__name__} cannot be sent")


def _array(kind: type, value: Any) -> object:
    if typing.get_origin(kind) is np.ndarray:
        dtype, data = value
        with suppress(TypeError):
            return np.frombuffer(data, np.dtype(dtype))
    raise NotImplementedError(f"{kind} cannot be received")


def _context(protocol: int, certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False  # pods are known by their run's authority, not by name
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates.chain, certificates.key)
    context.load_verify_locations(certificates.authority)
    return context
