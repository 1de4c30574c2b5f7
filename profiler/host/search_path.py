"""Where programs are looked for: never in the working directory, which `.` or an empty entry of PATH would mean."""

import os
from pathlib import Path
from typing import Final

SYSTEM: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Looked at where nothing else is named; a user who is not root has no sbin in PATH."""


def absolute_entries(path: str | None = None) -> str:
    """The absolute entries of a search path, by default that of this process; the system's where there are none."""
    entries = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if Path(entry).is_absolute()) or SYSTEM


def forget_relative_entries() -> None:
    """Drop relative entries from the PATH of this process, and so from that of all programs it starts."""
    if "PATH" in os.environ:
        os.environ["PATH"] = absolute_entries()
