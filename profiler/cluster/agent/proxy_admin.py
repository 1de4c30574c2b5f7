"""What a running proxy says of itself, asked over HTTP of its administrative port or socket.

The proxy is not trusted: its answers are limited in size and depth.
"""

import ctypes
import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from profiler.cluster.objects.mesh import Reading
from profiler.errors import MeshInsightError
from profiler.files.json_text import decode_json
from profiler.host.netns import Namespace
from profiler.proxies.config_tools import digest

_TIMEOUT_S: Final = 10.0
_LARGEST_BYTES: Final = 64 << 20
_CHANGING: Final = "last_updated"
"""The key of an Envoy's configuration dump that differs between equal configurations."""


def ask(reading: Reading, pid: int, what: str) -> str:
    """The wanted part of a proxy's answer; empty if it is not in it.

    Args:
        reading: a port of 127.0.0.1 in the proxy's pod, or a socket in its container.
        pid: a process of the proxy, on this node.
        what: names the proxy in errors.

    Raises:
        MeshInsightError: it does not answer, or not well.
    """
    connection = http.client.HTTPConnection("localhost")
    try:
        connection.sock = _connected(reading, pid)
        connection.request("GET", reading.path)
        with connection.getresponse() as answer:
            body = answer.read(_LARGEST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        where = reading.socket or f"port {reading.port}"
        raise MeshInsightError(f"{what}: {where}{reading.path} of its proxy does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise MeshInsightError(f"{what}: {reading.path} of its proxy answers {answer.status} {answer.reason}")
    if len(body) > _LARGEST_BYTES:
        raise MeshInsightError(f"{what}: {reading.path} of its proxy answers with more than {_LARGEST_BYTES} bytes")
    return reading.of_interest(body.decode(errors="replace"))


def comparable(configuration: str) -> str:
    """A configuration without what differs between equal ones; JSON with its keys in order, what is none as it is."""
    try:
        content = decode_json(configuration)
    except ValueError:
        return configuration
    return json.dumps(_without_changing(content), indent=1, sort_keys=True)


def program_sha256(pid: int) -> str:
    """SHA-256 of the program that a process runs. Raises MeshInsightError if it cannot be read."""
    try:
        return digest(Path(f"/proc/{pid}/exe"))
    except OSError as error:
        raise MeshInsightError(f"the program of process {pid} cannot be read: {error}") from error


def _connected(reading: Reading, pid: int) -> socket.socket:
    if reading.socket:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(_connected_as_owner, Path(f"/proc/{pid}"), reading.socket).result()
    pod = Namespace(f"/proc/{pid}/ns/net")
    return pod.call(lambda: socket.create_connection(("127.0.0.1", reading.port), _TIMEOUT_S))


def _connected_as_owner(process: Path, path: str) -> socket.socket:
    """Connect to a socket of a process as its user, who may write to it. On a thread that is of no use afterwards."""
    libc, owner = ctypes.CDLL(None), process.stat()
    libc.setfsgid(owner.st_gid)
    libc.setfsuid(owner.st_uid)
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(_TIMEOUT_S)
    try:
        connected.connect(f"{process}/root{path}")
    except OSError:
        connected.close()
        raise
    return connected


def _without_changing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_changing(child) for key, child in value.items() if key != _CHANGING}
    return [_without_changing(child) for child in value] if isinstance(value, list) else value
