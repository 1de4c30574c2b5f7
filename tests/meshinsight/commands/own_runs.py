"""The runs of commands that a test started. Other runs on this machine are none of its business."""

import subprocess
import threading
import time
from pathlib import Path

from profiler.host.netns import namespace_names
from profiler.testbed.leftovers import STATE_DIR, read_owner, run_directories, run_processes

_IDS: set[str] = set()
_POLL_S = 0.1


def noted(process: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """Note the ids of the runs that a process owns, as long as it runs."""

    def note() -> None:
        running = True
        while running:
            running = process.poll() is None
            for directory in run_directories(STATE_DIR) if STATE_DIR.is_dir() else []:
                owner = read_owner(directory)
                if owner is not None and owner.pid == process.pid:
                    _IDS.add(directory.name)
            time.sleep(_POLL_S)

    threading.Thread(target=note, daemon=True).start()
    return process


def processes(program: str = "") -> list[int]:
    """Processes of these runs: all, or those whose name or a word of whose command line is `program`."""
    found = [pid for run_id in sorted(_IDS) for pid in run_processes(run_id)]
    return [pid for pid in found if not program or program in _words(pid)]


def namespaces() -> list[str]:
    """Network namespaces of these runs."""
    return [name for run_id in sorted(_IDS) for name in namespace_names(f"mi-{run_id}-")]


def directories() -> list[str]:
    """Directories of these runs."""
    return [run_id for run_id in sorted(_IDS) if (STATE_DIR / run_id).exists()]


def bpf_owners() -> list[int]:
    """Processes of these runs that hold BPF programs."""
    found = []
    for pid in processes():
        try:
            if any("bpf-prog" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()):
                found.append(pid)
        except OSError:  # it has ended
            continue
    return found


def _words(pid: int) -> list[str]:
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return [name, *Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")]
    except OSError:
        return []
