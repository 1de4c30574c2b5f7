"""`export_chunk ARCHIVE --from BYTE`: print the rest of a file."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PIECE_BYTES: Final = 1 << 16


def main(arguments: Sequence[str]) -> None:
    """Raises OSError when the file is gone."""
    parser = argparse.ArgumentParser(prog="export_chunk")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--from", type=int, default=0, dest="start")
    given = parser.parse_args(arguments)
    with given.archive.open("rb") as file:
        file.seek(given.start)
        shutil.copyfileobj(file, sys.stdout.buffer, _PIECE_BYTES)
    sys.stdout.buffer.flush()
