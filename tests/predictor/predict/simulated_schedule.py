"""List scheduling of calls at the same time on a few CPUs, simulated: what the approximation is compared with."""

import heapq
from collections.abc import Sequence

Segment = tuple[str, float]
"""The process that runs it, and for how long. A process runs one segment at a time."""


def makespan(calls: Sequence[Sequence[Segment]], cpus: int) -> float:
    """When the last call ends, each being segments one after another.

    Whatever is ready first gets the next free CPU, unless its process is running already, and keeps it to its end.
    """
    ready = [(0.0, number, 0) for number in range(len(calls))]
    running: list[tuple[float, int, int]] = []
    processes: set[str] = set()
    now = 0.0
    while ready or running:
        for entry in sorted(ready):
            _, number, place = entry
            process, time = calls[number][place]
            if len(running) < cpus and process not in processes:
                ready.remove(entry)
                processes.add(process)
                heapq.heappush(running, (now + time, number, place))
        now, number, place = heapq.heappop(running)
        processes.discard(calls[number][place][0])
        if place + 1 < len(calls[number]):
            ready.append((now, number, place + 1))
    return now
