"""Which CPUs share a core, and which a last-level cache, as the kernel tells it below /sys.

Cores and caches are called by the lowest of their CPUs, since the kernel's own numbers repeat on each socket. A CPU of
which the kernel says nothing, as in some virtual machines, is left out.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from profiler.vocabulary.timeline_events import CpuTopology

_FOLDER: Final = Path("/sys/devices/system/cpu")
_NO_DATA: Final = ("Instruction",)
"""Types of caches that hold no data."""


def read_topology(folder: Path = _FOLDER) -> CpuTopology:
    """The topology of all CPUs that are online."""
    cores, caches = {}, {}
    for entry in folder.glob("cpu[0-9]*"):
        cpu = int(entry.name.removeprefix("cpu"))
        if (core := _lowest(entry / "topology" / "thread_siblings_list")) is not None:
            cores[cpu] = core
        if levels := sorted(_caches(entry / "cache")):
            caches[cpu] = levels[-1][1]
    return CpuTopology(cores, caches)


def _caches(folder: Path) -> Iterator[tuple[int, int]]:
    """Level and name of each cache that holds data."""
    for entry in folder.glob("index[0-9]*"):
        with suppress(OSError, ValueError):
            level, kind = int((entry / "level").read_text()), (entry / "type").read_text().strip()
            name = _lowest(entry / "shared_cpu_list")
            if kind not in _NO_DATA and name is not None:
                yield level, name


def _lowest(listing: Path) -> int | None:
    """The lowest CPU of a list such as `0-3,8`; None where there is none."""
    with suppress(OSError, ValueError):
        return int(listing.read_text().replace("-", ",").partition(",")[0])
    return None
