"""What a probe hit costs here: some thousand cheap system calls of this process, with and without probes."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from profiler.probes.calls import SocketCalls

_CALLS: Final = 500
_ROUNDS: Final = 5
_HITS_PER_CALL: Final = 2
_REHEARSED_PER_CALL: Final = 1
_COLD: Final = 2.0
"""In a busy process a hit finds colder caches than in the loop here, and is taken to cost so many times as much."""


@dataclass(frozen=True)
class HitCost:
    """What one probe hit costs in nanoseconds.

    At a system call of a process that is looked at, at one of any other, and at a wake-up (0 where those are not
    recorded).
    """

    chosen_ns: float
    other_ns: float
    waking_ns: float


def measure_hit_cost(probes: SocketCalls) -> HitCost:
    """The cost of one hit; takes a few milliseconds of CPU time. Afterwards no process is looked at.

    A wake-up takes microseconds that vary more than a hit costs, so that probe is timed at system calls instead.

    Raises:
        ProbeError: the probes did not attach.
    """
    zeros = os.open("/dev/zero", os.O_RDONLY)
    try:
        free: list[float] = []
        chosen: list[float] = []
        other: list[float] = []
        waking: list[float] = []
        for _ in range(_ROUNDS):
            free.append(_per_call_ns(zeros))
            probes.attach()
            try:
                probes.watch([os.getpid()])
                chosen.append(_per_call_ns(zeros))
                probes.watch([])
                other.append(_per_call_ns(zeros))
            finally:
                probes.detach()
            if probes.no_wake_ups is None:
                with probes.rehearsal():
                    waking.append(_per_call_ns(zeros))
    finally:
        os.close(zeros)
    without_ns = median(free)
    return HitCost(
        _cost_ns(chosen, without_ns, _HITS_PER_CALL),
        _cost_ns(other, without_ns, _HITS_PER_CALL),
        _cost_ns(waking, without_ns, _REHEARSED_PER_CALL) if waking else 0.0,
    )


def _cost_ns(times: Sequence[float], without_ns: float, hits: int) -> float:
    return _COLD * max(0.0, median(times) - without_ns) / hits


def _per_call_ns(descriptor: int, read: Callable[[int, int], bytes] = os.read) -> float:
    start_ns = time.thread_time_ns()
    for _ in range(_CALLS):
        read(descriptor, 1)
    return (time.thread_time_ns() - start_ns) / _CALLS
