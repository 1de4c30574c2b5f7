"""Which CPUs share a core, and which a last-level cache, as the kernel tells it below /sys.

Cores and caches are called by the lowest of their CPUs, since the kernel's own numbers repeat on each socket. A CPU of
which the kernel says nothing, as in some virtual machines, is left out.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from profiler.vocabulary.timeline_events import CpuTopology

CPU_DIR: Final = Path("/sys/devices/system/cpu")
_NO_DATA: Final = ("Instruction",)
"""Types of caches that hold no data."""

_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def read_topology(folder: Path = CPU_DIR) -> CpuTopology:
    """The topology of all CPUs that are online."""
    cores, caches = {}, {}
    for entry in folder.glob("cpu[0-9]*"):
        cpu = int(entry.name.removeprefix("cpu"))
        if (core := _lowest(entry / "topology" / "thread_siblings_list")) is not None:
            cores[cpu] = core
        if levels := sorted(_caches(entry / "cache")):
            caches[cpu] = levels[-1][1]
    return CpuTopology(cores, caches)


def threads_of_core(cpu: int, cpu_dir: Path = CPU_DIR) -> tuple[int, ...]:
    """The CPUs that are threads of the core of `cpu`, in order; `cpu` alone where the kernel does not tell."""
    try:
        text = (cpu_dir / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text(errors="replace")
    except OSError:
        return (cpu,)
    return tuple(sorted({cpu} | (listed_cpus(text) or set())))


def listed_cpus(text: str) -> set[int] | None:
    """The CPUs of a list of the kernel's, as in "0-3,8"; None where it is none."""
    found: set[int] = set()
    for part in text.strip().split(","):
        numbers = _RANGE.fullmatch(part)
        if numbers is None:
            return None
        found |= set(range(int(numbers[1]), int(numbers[2] or numbers[1]) + 1))
    return found


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
    with suppress(OSError):
        return min(listed_cpus(listing.read_text(errors="replace")) or (), default=None)
    return None
