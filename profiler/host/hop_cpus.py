"""On which CPUs hops run, and what follows where these are threads of one core (SMT)."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from profiler.host.cpu_topology import CPU_DIR, threads_of_core
from profiler.vocabulary.hop import LONGEST_CHAIN


def cores_of(cpus: Iterable[int], cpu_dir: Path = CPU_DIR) -> int:
    """How many cores these CPUs are threads of."""
    return len({threads_of_core(cpu, cpu_dir) for cpu in cpus})


def cpus_for_hops(allowed: Collection[int] | None = None, cpu_dir: Path = CPU_DIR) -> list[int]:
    """The CPUs that hops are placed on, in order: of `allowed`, by default those that this process may use.

    One CPU of each core where there are cores enough for all processes of a hop. Else all, those of different cores
    first, so that no process shares a core with its predecessor while there is another core.
    """
    cpus = sorted(os.sched_getaffinity(0) if allowed is None else allowed)
    first, others = _by_core(cpus, cpu_dir)
    return first if len(first) >= LONGEST_CHAIN else [*first, *others]


def warnings_of_cpus(cpus: Sequence[int], cpu_dir: Path = CPU_DIR) -> list[str]:
    """What to say where hops are placed on these CPUs, and figures are not those of a machine with a core for each."""
    first, others = _by_core(cpus, cpu_dir)
    if len(cpus) == 1:
        return [
            "1 CPU: client, sidecars and server take turns on it, so hand-overs to another CPU are not measured; use a "
            "machine with 2 CPUs or more, or let this program use more of them"
        ]
    if not others:
        return []
    return [
        f"{len(cpus)} CPUs are threads of {len(first)} {'core' if len(first) == 1 else 'cores'}, which is fewer cores "
        f"than the {LONGEST_CHAIN} processes of a hop: threads of one core slow each other, neighbours too, so latency "
        "and CPU time are higher; use a machine with more cores, or switch SMT off"
    ]


def _by_core(cpus: Sequence[int], cpu_dir: Path) -> tuple[list[int], list[int]]:
    """The first CPU of each core, and the others."""
    cores: dict[tuple[int, ...], int] = {}
    for cpu in cpus:
        cores.setdefault(threads_of_core(cpu, cpu_dir), cpu)
    first = list(cores.values())
    return first, [cpu for cpu in cpus if cpu not in first]
