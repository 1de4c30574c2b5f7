"""`reap`: at the run's deadline, delete the one object that all of it hangs on. Standard library only: it is small."""

import argparse
import http.client
import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError
from profiler.text import one_line

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LIMIT_S: Final = 20.0
_DONE: Final = (200, 202, 404, 409)
"""Deleted, being deleted, and gone before."""


def main(arguments: Sequence[str]) -> None:
    """Wait, then delete. Raises MeshInsightError when the API server refuses; the Job then tries again."""
    parser = argparse.ArgumentParser(prog="reap")
    parser.add_argument("--at", type=float, required=True, help="Unix time of the deadline, in seconds")
    parser.add_argument("--path", required=True, help="of the object, as in /api/v1/namespaces/NAME")
    given = parser.parse_args(arguments)
    wait_until(given.at)
    delete(given.path)


def wait_until(
    unix_s: float, now: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Sleep until that time, in parts: the clock may be set meanwhile."""
    while (left_s := unix_s - now()) > 0:
        sleep(min(left_s, 60.0))


def delete(path: str, account: Path = _ACCOUNT) -> None:
    """Delete the object as the pod's own account. Raises MeshInsightError."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
    connection = http.client.HTTPSConnection(host, port, timeout=_LIMIT_S, context=trusted)
    try:
        token = (account / "token").read_text()
        connection.request("DELETE", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except OSError as error:
        raise MeshInsightError(f"DELETE {path}: cannot reach the API server {host}:{port}: {error}") from error
    finally:
        connection.close()
    if answer.status not in _DONE:
        raise MeshInsightError(f"DELETE {path}: the API server answers {answer.status}: {one_line(said, 300)}")
