"""`pack FOLDER ARCHIVE`: put a folder into one file and print its checksums, the whole's and one a chunk, as JSON."""

import argparse
import hashlib
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError

DEFAULT_CHUNK_BYTES: Final = 1 << 20


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError for a folder that is not there."""
    parser = argparse.ArgumentParser(prog="export")
    parser.add_argument("folder", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--chunk-bytes", type=int, default=DEFAULT_CHUNK_BYTES)
    given = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(pack(given.folder, given.archive, given.chunk_bytes)) + "\n")


def pack(folder: Path, archive: Path, chunk_bytes: int) -> dict[str, object]:
    """Write the archive, unless it is there: an answer that was lost is asked for again. Returns the checksums."""
    if not folder.is_dir():
        raise MeshInsightError(f"{folder}: no such folder in the pod; the profiler has written no result")
    if not archive.exists():
        partial = archive.with_suffix(".part")
        with tarfile.open(partial, "w:gz", compresslevel=1) as tar:
            tar.add(folder, arcname=".")
        partial.replace(archive)
    whole = hashlib.sha256()
    chunks = []
    with archive.open("rb") as file:
        while chunk := file.read(chunk_bytes):
            whole.update(chunk)
            chunks.append(hashlib.sha256(chunk).hexdigest())
    return {
        "size": archive.stat().st_size,
        "sha256": whole.hexdigest(),
        "chunk_bytes": chunk_bytes,
        "chunks": chunks,
    }
