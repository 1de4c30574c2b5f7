"""Fetches a folder from a pod: packed there, sent in chunks with checksums over exec, and unpacked here.

A connection that drops is made again and goes on after the last whole chunk. The folder appears under its name only
when all of it is there and its checksum is right.
"""

import hashlib
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from profiler.cluster.errors import ClusterError, TransientError
from profiler.cluster.plan import IN_POD

Execute = Callable[[list[str]], Iterator[bytes]]
"""Runs a command in the pod and yields its output; see Session.execute."""

_ARCHIVE: Final = "/tmp/meshinsight-result.tar.gz"  # noqa: S108 - in the profiler's container, whose /tmp nobody else sees
_ATTEMPTS: Final = 8
"""Broken connections in a row, without one chunk between them, until it is given up."""
_PAUSE_S: Final = 2.0


@dataclass(frozen=True)
class Manifest:
    """What the pod says it will send: sizes in bytes, SHA-256 of the whole and of each chunk."""

    size: int
    sha256: str
    chunk_bytes: int
    chunks: tuple[str, ...]


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
        raise ClusterError(f"{target}: is there already; choose another folder for the result")
    target.parent.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(execute, folder, archive, pause_s)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        packed = Path(scratch) / "result.tar.gz"
        with packed.open("wb") as file:
            _receive(execute, manifest, archive, file, progress, pause_s)
        _check_whole(packed, manifest)
        unpacked = Path(scratch) / "result"
        _unpack(packed, unpacked)
        unpacked.rename(target)


def _manifest(execute: Execute, folder: str, archive: str, pause_s: float) -> Manifest:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            said = b"".join(execute([*IN_POD, "pack", folder, archive]))
            found = json.loads(said)
            return Manifest(found["size"], found["sha256"], found["chunk_bytes"], tuple(found["chunks"]))
        except TransientError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(pause_s * attempt)
        except (ValueError, KeyError) as error:
            raise ClusterError(
                f"the profiler's pod does not answer as it should: {error}; use its own --image"
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
            for chunk in _chunks(execute([*IN_POD, "send", archive, f"--from={start}"]), manifest, done):
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


def _length(manifest: Manifest, number: int) -> int:
    return min(manifest.chunk_bytes, manifest.size - number * manifest.chunk_bytes)


def _check_whole(packed: Path, manifest: Manifest) -> None:
    with packed.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != manifest.sha256:
        raise ClusterError(f"the result has SHA-256 {found}, the pod said {manifest.sha256}; fetch it again")


def _unpack(packed: Path, folder: Path) -> None:
    try:
        with tarfile.open(packed) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ClusterError(f"the result cannot be unpacked: {error}") from error
