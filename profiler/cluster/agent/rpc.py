"""Calls from one profiler to another: HTTP over mutual TLS, arguments and results as MessagePack.

Each role of a run has its own certificate and key; both sides check the other's role, so that the key of a sidecar
opens nothing here. Values are decoded by the annotations of the method that is called, so nothing but plain values
comes in. The side that is called is profiler.cluster.agent.rpc_server.
"""

import http.client
import re
import ssl
import time
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec
import numpy as np

from profiler import errors
from profiler.cluster.names import ASSISTANT
from profiler.errors import MeshInsightError, ProcessError
from profiler.testbed.certificates import role_identity
from profiler.vocabulary.addresses import Certificates

_TIMEOUT_S: Final = 180.0
"""The longest that one call may take: perf reads the samples of a window."""
_RETRY_S: Final = 0.2
FAILED: Final = 500
UNKNOWN: Final = 404

Callee = TypeVar("Callee")


class Caller:
    """The connection to the other profiler. Raises ProcessError where it cannot be reached in time."""

    def __init__(self, address: str, port: int, certificates: Certificates, what: str, role: str = ASSISTANT) -> None:
        context = context_of(ssl.PROTOCOL_TLS_CLIENT, certificates)
        self._connection = _Connection(address, port, timeout=_TIMEOUT_S, context=context)
        self._connection.role = role
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


class _Connection(http.client.HTTPSConnection):
    """Checks the other side's role each time it connects."""

    role = ""

    def connect(self) -> None:
        super().connect()
        try:
            require_identity(self.sock, self.role)
        except ssl.SSLError:
            self.close()
            raise


class _Stub:
    def __init__(self, caller: Caller, kind: type, name: str) -> None:
        self._caller = caller
        self._kind = kind
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        _, result = signature_of(getattr(self._kind, method))
        return lambda *arguments: self._caller.call(f"/{self._name}/{method}", arguments, result)


def encode(value: object) -> bytes:
    """A value as MessagePack; arrays as their bytes."""
    return msgspec.msgpack.encode(value, enc_hook=_plain)


def decode(data: bytes, kind: Any) -> Any:
    """The value of that type. Raises msgspec.ValidationError for any other."""
    try:
        return msgspec.msgpack.decode(data, type=kind, dec_hook=_array)
    except RecursionError as error:
        raise msgspec.ValidationError("nested too deep") from error


@cache
def signature_of(function: Callable[..., Any]) -> tuple[tuple[Any, ...], Any]:
    """Types of the parameters in order, and of the result."""
    hints = typing.get_type_hints(function)
    result = hints.pop("return", None)
    return tuple(hints.values()), result


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    raise NotImplementedError(f"{type(value).__name__} cannot be sent")


_NUMBERS: Final = re.compile(r"[<>=|][biuf][1248]")
"""Types of numbers as NumPy writes them; it would evaluate other texts."""


def _array(kind: type, value: Any) -> object:
    if typing.get_origin(kind) is not np.ndarray:
        raise NotImplementedError(f"{kind} cannot be received")
    match value:
        case [str(numbers), bytes(data)] if _NUMBERS.fullmatch(numbers):
            return np.frombuffer(data, np.dtype(numbers))  # a ValueError becomes a ValidationError
    raise ValueError("expected an array of numbers: their type and their bytes")


def require_identity(connected: ssl.SSLSocket, role: str) -> None:
    """Raise SSLError unless the other side's certificate is that of a role."""
    shown: Any = connected.getpeercert() or {}
    if ("URI", role_identity(role)) not in shown.get("subjectAltName", ()):
        raise ssl.SSLError(f"the other side is not the {role} of this run")


def context_of(protocol: int, certificates: Certificates) -> ssl.SSLContext:
    """TLS with certificates of the run's authority on both sides; whose they are is to be checked besides."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False  # pods are known by their run's authority and their role, not by name
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates.chain, certificates.key)
    context.load_verify_locations(certificates.authority)
    return context
