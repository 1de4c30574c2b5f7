"""`export FOLDER ARCHIVE`: put a folder into one file and print its size and SHA-256 as JSON."""

import argparse
import hashlib
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from profiler.errors import MeshInsightError
from profiler.files.json_text import json_line


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError for a folder that is not there."""
    parser = argparse.ArgumentParser(prog="export")
    parser.add_argument("folder", type=Path)
    parser.add_argument("archive", type=Path)
    given = parser.parse_args(arguments)
    sys.stdout.write(json_line(pack(given.folder, given.archive)))


def pack(folder: Path, archive: Path) -> dict[str, object]:
    """Write the archive, unless it is there: an answer that was lost is asked for again. Returns what it prints."""
    if not folder.is_dir():
        raise MeshInsightError(f"{folder}: no such folder in the pod; the profiler has written no result")
    if not archive.exists():
        partial = archive.with_suffix(".part")
        with tarfile.open(partial, "w:gz", compresslevel=1) as tar:
            tar.add(folder, arcname=".")
        partial.replace(archive)
    with archive.open("rb") as file:
        return {"size": archive.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
