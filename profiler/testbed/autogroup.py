"""The scheduler's autogroups, switched off while a run measures.

With them each session is a scheduling group of its own, whose weight on a CPU follows what it runs there from moment to
moment. A run's group holds busy proxies and SCHED_IDLE neighbours, and beside it others starve: perf waited ten
seconds for a CPU that was half idle, and so did the kernel's own threads (tried on Linux 6.18). The setting is the
machine's, so what it was is kept in the run's directory and put back with the run, or by cleanup after a kill.
"""

import os
from pathlib import Path
from typing import Final

SETTING: Final = Path("/proc/sys/kernel/sched_autogroup_enabled")
_RECORD: Final = "sched_autogroup_enabled"


def suspend(directory: Path, others: list[Path], setting: Path = SETTING) -> None:
    """Switch autogroups off for the run of `directory`; `others` are the directories of all other runs.

    No effect on kernels without them, nor in a container, whose /proc/sys is read-only: its processes are in a control
    group, which takes the place of autogroups. The caller holds the registry lock.
    """
    if not setting.exists() or not os.access(setting, os.W_OK):
        return
    before = next((_recorded(other) for other in others if _recorded(other)), None) or setting.read_text().strip()
    (directory / _RECORD).write_text(before)
    setting.write_text("0")


def resume(directory: Path, others: list[Path], setting: Path = SETTING) -> None:
    """Put back what `suspend` found, unless another run still needs it so. The caller holds the registry lock."""
    before = _recorded(directory)
    if before and not any(_recorded(other) for other in others):
        setting.write_text(before)


def _recorded(directory: Path) -> str | None:
    try:
        return (directory / _RECORD).read_text().strip()
    except OSError:
        return None
