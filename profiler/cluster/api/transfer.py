"""Fetches a folder from a pod: packed there, sent in chunks with checksums over exec, and unpacked here.

A connection that drops is made again and goes on after the last whole chunk. The folder appears under its name only
when all of it is there and its checksum is right.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Final, Protocol

import msgspec

from profiler.cluster.api.errors import ClusterError, TransientError
from profiler.cluster.api.unpacking import unpack
from profiler.cluster.names import IN_POD
from profiler.text import one_line


class Execute(Protocol):
    """Runs a command in the pod, with `given` as its standard input, and yields its output; see Session.execute."""

    def __call__(self, argv: list[str], *, given: bytes = b"") -> Iterator[bytes]:
        """Raises ClusterError."""
        ...


_ARCHIVE: Final = "/tmp/meshinsight-result.tar.gz"  # noqa: S108 - in the profiler's container, whose /tmp nobody else sees
LARGEST_BYTES: Final = 2 << 30
"""Of a packed result: the folder that it is packed in is not larger either (manifests/run/pod.j2)."""
_LARGEST_MANIFEST: Final = 1 << 25
_ATTEMPTS: Final = 8
"""Broken connections in a row, without one chunk between them, until it is given up."""
_PAUSE_S: Final = 2.0


Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Manifest(msgspec.Struct, frozen=True):
    """What the pod says it will send: sizes in bytes, SHA-256 of the whole and of each chunk."""

    size: Annotated[int, msgspec.Meta(gt=0, le=LARGEST_BYTES)]
    sha256: Sha256
    chunk_bytes: Annotated[int, msgspec.Meta(ge=1 << 12, le=1 << 26)]
    chunks: tuple[Sha256, ...]

    def __post_init__(self) -> None:
        if len(self.chunks) != -(-self.size // self.chunk_bytes):
            raise ValueError(f"{len(self.chunks)} chunks of {self.chunk_bytes} bytes are not {self.size} bytes")


def fetch_folder(
    execute: Execute,
    folder: str,
    target: Path,
    *,
    archive: str = _ARCHIVE,
    progress: Callable[[int, int], None] = lambda done, size: None,
    pause_s: float = _PAUSE_S,
) -> None:
    """Bring `folder` of a pod to `target`, which must not exist yet.

    Args:
        execute: runs a command in the pod.
        folder: path in the pod.
        target: path here.
        archive: path in the pod where it is packed.
        progress: is told bytes fetched and bytes in all.
        pause_s: before a broken connection is made again; longer each time.

    Raises:
        ClusterError: the connection broke too often, or the content is not what the pod says; nothing is left here.
    """
    if target.exists():
        raise ClusterError(f"{target}: already exists; choose another folder for the result")
    target.parent.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(execute, folder, archive, pause_s)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        packed = Path(scratch) / "result.tar.gz"
        with packed.open("wb") as file:
            _receive(execute, manifest, archive, file, progress, pause_s)
        _check_whole(packed, manifest)
        unpacked = Path(scratch) / "result"
        unpack(packed, unpacked)
        unpacked.rename(target)


def hand_over(execute: Execute, task: bytes, *, pause_s: float = _PAUSE_S) -> None:
    """Give the command that waits in the pod its task. Raises ClusterError."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            short_output(execute([*IN_POD, "submit", f"--bytes={len(task)}"], given=task))
        except TransientError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(pause_s * attempt)
        else:
            return


def short_output(pieces: Iterable[bytes], most_bytes: int = 1 << 16) -> bytes:
    """All that a command prints. Raises ClusterError when that is more than expected: a pod is not trusted."""
    output = bytearray()
    for piece in pieces:
        output += piece
        if len(output) > most_bytes:
            raise ClusterError(f"the profiler's pod prints more than {most_bytes} bytes; use the image of this release")
    return bytes(output)


def _manifest(execute: Execute, folder: str, archive: str, pause_s: float) -> Manifest:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            said = short_output(execute([*IN_POD, "export", folder, archive]), _LARGEST_MANIFEST)
            return msgspec.json.decode(said, type=Manifest)
        except TransientError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(pause_s * attempt)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ClusterError(
                f"the pod does not answer as it should: {one_line(str(error))}; use the image of this release"
            ) from error
    raise AssertionError


def _receive(
    execute: Execute,
    manifest: Manifest,
    archive: str,
    file: IO[bytes],
    progress: Callable[[int, int], None],
    pause_s: float,
) -> None:
    done = broken = 0
    while done < len(manifest.chunks):
        before = done
        try:
            start = done * manifest.chunk_bytes
            for chunk in _chunks(execute([*IN_POD, "export_chunk", archive, f"--from={start}"]), manifest, done):
                file.write(chunk)
                done += 1
                progress(min(done * manifest.chunk_bytes, manifest.size), manifest.size)
            if done < len(manifest.chunks):
                raise TransientError(f"the result ended after {done} of {len(manifest.chunks)} chunks")
        except TransientError:
            broken = 1 if done > before else broken + 1
            if broken >= _ATTEMPTS:
                raise
            time.sleep(pause_s * broken)


def _chunks(pieces: Iterator[bytes], manifest: Manifest, first: int) -> Iterator[bytes]:
    """Whole chunks from number `first` on, each checked. Raises TransientError at one that is damaged."""
    buffer = bytearray()
    number = first
    for piece in pieces:
        buffer += piece
        while number < len(manifest.chunks) and len(buffer) >= (length := _length(manifest, number)):
            chunk = bytes(buffer[:length])
            if hashlib.sha256(chunk).hexdigest() != manifest.chunks[number]:
                raise TransientError(
                    f"chunk {number + 1} of {len(manifest.chunks)} of the result was damaged on its way"
                )
            del buffer[:length]
            number += 1
            yield chunk
        if number == len(manifest.chunks):
            return  # whatever else is sent


def _length(manifest: Manifest, number: int) -> int:
    return min(manifest.chunk_bytes, manifest.size - number * manifest.chunk_bytes)


def _check_whole(packed: Path, manifest: Manifest) -> None:
    with packed.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != manifest.sha256:
        raise ClusterError(f"the result has SHA-256 {found}, the pod said {manifest.sha256}; fetch it again")
