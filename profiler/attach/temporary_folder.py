"""A temporary folder that goes when this process ends, however it ends: by SIGKILL too."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from profiler.host.programs import find_program
from profiler.host.search_path import SYSTEM

_GUARD: Final = 'trap "" INT TERM HUP; read -r _; rm -rf -- "$1"'
"""Waits for the end of its input, which this process holds open, and removes the folder."""

_END_WITHIN_S: Final = 10.0


@contextmanager
def vanishing_folder(prefix: str = "meshinsight-attach-") -> Iterator[Path]:
    """A folder that only this user can read, removed at the end."""
    folder = tempfile.mkdtemp(prefix=prefix)
    guard = subprocess.Popen(
        [find_program("sh", SYSTEM), "-c", _GUARD, "sh", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={"PATH": SYSTEM},
    )
    try:
        yield Path(folder)
    finally:
        if guard.stdin:
            guard.stdin.close()
        guard.wait(_END_WITHIN_S)
