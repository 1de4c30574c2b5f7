"""Fetches a folder from a pod: packed there, sent over exec with its SHA-256, and unpacked here.

A connection that drops is made again and goes on where it ended. The folder appears under its name only when all of
it is there and its checksum is right.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeVar

import msgspec

from profiler.cluster.api.errors import ClusterError, TransientError
from profiler.cluster.api.unpacking import unpack
from profiler.cluster.names import IN_POD
from profiler.text import error_line


class Execute(Protocol):
    """Runs a command in the pod, with `given` as its standard input, and yields its output; see Session.execute."""

    def __call__(self, argv: list[str], *, given: bytes = b"") -> Iterator[bytes]:
        """Raises ClusterError."""
        ...


_ARCHIVE: Final = "/tmp/meshinsight-result.tar.gz"  # noqa: S108 - in the profiler's container, whose /tmp nobody else sees
LARGEST_BYTES: Final = 2 << 30
"""Of a packed result: the folder that it is packed in is not larger either (manifests/run/pod.j2)."""
_ATTEMPTS: Final = 8
"""Broken connections in a row, without one byte between them, until it is given up."""
_PAUSE_S: Final = 2.0

T = TypeVar("T")


class Manifest(msgspec.Struct, frozen=True):
    """What the pod says it will send: its size in bytes and its SHA-256."""

    size: Annotated[int, msgspec.Meta(gt=0, le=LARGEST_BYTES)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def fetch_folder(
    execute: Execute, folder: str, target: Path, *, archive: str = _ARCHIVE, pause_s: float = _PAUSE_S
) -> None:
    """Bring `folder` of a pod to `target`, which must not exist yet.

    Args:
        execute: runs a command in the pod.
        folder: path in the pod.
        target: path here.
        archive: path in the pod where it is packed.
        pause_s: before a broken connection is made again; longer each time.

    Raises:
        ClusterError: the connection broke too often, or the content is not what the pod says; nothing is left here.
    """
    if target.exists():
        raise ClusterError(f"{target}: already exists; choose another folder for the result")
    target.parent.mkdir(parents=True, exist_ok=True)
    manifest = _again(lambda: _manifest(execute, folder, archive), pause_s)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        packed, unpacked = Path(scratch) / "result.tar.gz", Path(scratch) / "result"
        # What was damaged on its way is sent once more.
        found = [_received(execute, manifest.size, archive, packed, pause_s)]
        if found != [manifest.sha256]:
            found.append(_received(execute, manifest.size, archive, packed, pause_s))
        if found[-1] != manifest.sha256:
            raise ClusterError(f"the result has SHA-256 {found[-1]}, the pod said {manifest.sha256}; fetch it again")
        unpack(packed, unpacked)
        unpacked.rename(target)


def hand_over(execute: Execute, task: bytes, *, pause_s: float = _PAUSE_S) -> None:
    """Give the command that waits in the pod its task. Raises ClusterError."""
    _again(lambda: short_output(execute([*IN_POD, "submit", f"--bytes={len(task)}"], given=task)), pause_s)


def short_output(pieces: Iterable[bytes], most_bytes: int = 1 << 16) -> bytes:
    """All that a command prints. Raises ClusterError when that is more than expected: a pod is not trusted."""
    output = bytearray()
    for piece in pieces:
        output += piece
        if len(output) > most_bytes:
            raise ClusterError(f"the profiler's pod prints more than {most_bytes} bytes; use the image of this release")
    return bytes(output)


def _again(ask: Callable[[], T], pause_s: float) -> T:
    """What `ask` returns, asked again where the connection breaks. Raises ClusterError."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return ask()
        except TransientError:
            time.sleep(pause_s * attempt)
    return ask()


def _manifest(execute: Execute, folder: str, archive: str) -> Manifest:
    try:
        return msgspec.json.decode(short_output(execute([*IN_POD, "export", folder, archive])), type=Manifest)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ClusterError(
            f"the pod does not answer as it should: {error_line(error)}; use the image of this release"
        ) from error


def _received(execute: Execute, size: int, archive: str, packed: Path, pause_s: float) -> str:
    """Write `size` bytes of the archive to `packed`, however often the connection breaks; their SHA-256."""
    broken = 0
    with packed.open("w+b") as file:
        while (start := file.tell()) < size:
            try:
                for piece in execute([*IN_POD, "export_chunk", archive, f"--from={start}"]):
                    file.write(piece[: size - file.tell()])
                    if file.tell() == size:
                        break  # whatever else is sent
                else:
                    raise TransientError(f"the result ended after {file.tell()} of {size} bytes")
            except TransientError:
                broken = 1 if file.tell() > start else broken + 1
                if broken >= _ATTEMPTS:
                    raise
                time.sleep(pause_s * broken)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()
