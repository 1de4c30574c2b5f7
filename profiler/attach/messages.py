"""Pairs reads with the writes that follow them: what a proxy takes from data in to data out. Pure: no I/O.

A message here is data that was read from one socket, and the write to another socket by which the same thread passed it
on. Within one turn of the event loop reads wait in the order they were made, and each write to another socket takes the
first of them. A read that got no write of its own within two turns (several requests joined in one write, data that the
proxy keeps or drops) is *joined*: counted, and of no time. Several reads from a socket before its write count from the
first, several writes to a socket up to the first.

The time is wall time from the return of the read to the begin of the write. In it the thread may well have read and
handled other connections' data: on a busy proxy it is what a message waits for and is worked on, not the work alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.attach.sockets import ACCEPTED, MADE, NO_SOCKET, UNKNOWN
from profiler.probes.calls import READ, WAIT
from profiler.vocabulary.components import REQUEST, RESPONSE

UNTOLD: Final = "untold"
"""Direction of a message between sockets of which one is not known, or both are on the same side."""
DIRECTIONS: Final = (REQUEST, RESPONSE, UNTOLD)

_DIRECTION: Final = {(ACCEPTED, MADE): REQUEST, (MADE, ACCEPTED): RESPONSE}


@dataclass
class Messages:
    """Times of messages in nanoseconds by direction, and the number of reads that were joined with others."""

    time_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    joined: int = 0

    @property
    def count(self) -> int:
        """How many messages there were."""
        return sum(map(len, self.time_ns.values()))

    def add(self, other: "Messages") -> None:
        """Take in those of another burst."""
        self.joined += other.joined
        for direction, times in other.time_ns.items():
            self.time_ns[direction].extend(times)


@dataclass
class _Read:
    fd: int
    end_ns: int
    turns: int = 0


@dataclass
class _Thread:
    reads: list[_Read] = field(default_factory=list)
    written_ns: dict[int, int] = field(default_factory=dict)
    """When each socket was last written to in this turn."""


def pair(calls: npt.NDArray[Any], sides: Mapping[tuple[int, int], str]) -> Messages:
    """The messages of one burst.

    Args:
        calls: records of `SocketCalls`, in order of their beginning.
        sides: the side of each (process, file descriptor), as `Sockets`.
    """
    found = Messages()
    threads: dict[int, _Thread] = defaultdict(_Thread)
    for start_ns, duration_ns, process, thread, fd, kind, _ in calls.tolist():
        running = threads[thread]
        side = UNKNOWN if kind == WAIT else sides.get((process, fd), UNKNOWN)
        if kind == WAIT:
            _next_turn(running, found)
        elif side == NO_SOCKET:
            continue
        elif kind == READ:
            if all(read.fd != fd for read in running.reads):
                running.reads.append(_Read(fd, start_ns + duration_ns))
        elif read := _passed_on(running, fd, start_ns):
            direction = _DIRECTION.get((sides.get((process, read.fd), UNKNOWN), side), UNTOLD)
            found.time_ns[direction].append(start_ns - read.end_ns)
    return found


def _passed_on(thread: _Thread, fd: int, start_ns: int) -> _Read | None:
    """The read that a write to `fd` passes on, taken from those that wait; None if it goes on with an earlier one."""
    written_ns = thread.written_ns.get(fd, 0)
    thread.written_ns[fd] = start_ns
    for index, read in enumerate(thread.reads):
        if read.fd != fd:
            return thread.reads.pop(index) if read.end_ns > written_ns else None
    return None


def _next_turn(thread: _Thread, found: Messages) -> None:
    late = [read for read in thread.reads if read.turns]
    found.joined += len(late)
    thread.reads = [read for read in thread.reads if not read.turns]
    for read in thread.reads:
        read.turns += 1
    thread.written_ns.clear()


def percentiles_ns(times_ns: Iterable[int]) -> dict[str, float]:
    """Median, 90th and 99th percentile; empty without times."""
    values = np.fromiter(times_ns, np.int64)
    if not len(values):
        return {}
    return dict(zip(("p50_ns", "p90_ns", "p99_ns"), np.percentile(values, [50, 90, 99]).tolist(), strict=True))
