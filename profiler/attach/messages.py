"""Pairs reads with the writes that follow them: what a proxy takes from data in to data out. Pure: no I/O.

A message here is data that was read from one socket, and the write to another socket by which the same thread passed it
on. Within one turn of the event loop reads wait in the order they were made, and each write to another socket takes the
first of them. A read that got no write of its own within two turns (several requests joined in one write, data that the
proxy keeps or drops) is *joined*: counted, and of no time. Several reads from a socket before its write count from the
first, several writes to a socket up to the first.

Some messages have no such pair: another thread writes what one has read (goroutines move between threads), or one of
the two calls lies outside of the burst. They are counted without a time, by the turns of conversations: a request that
is passed on begins the proxy's turn on a connection it made, an answer begins the server's turn there. As many count as
have an end left over on both sides of the proxy, so neither the proxy's own answers nor its health checks do.

The time is wall time from the return of the read to the begin of the write. In it the thread may well have read and
handled other connections' data: on a busy proxy it is what a message waits for and is worked on, not the work alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.attach.sockets import ACCEPTED, MADE, NO_SOCKET, UNKNOWN
from profiler.probes.calls import READ, WAIT, WRITE
from profiler.vocabulary.components import REQUEST, RESPONSE

UNTOLD: Final = "untold"
"""Direction of a message between sockets of which one is not known, or both are on the same side."""
DIRECTIONS: Final = (REQUEST, RESPONSE, UNTOLD)

_DIRECTION: Final = {(ACCEPTED, MADE): REQUEST, (MADE, ACCEPTED): RESPONSE}


@dataclass
class Messages:
    """Times of messages in nanoseconds by direction.

    `late` counts the reads that got no write within two turns. `alone` counts, by side and kind, the calls without a
    counterpart that began a turn of a conversation.
    """

    time_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    late: int = 0
    alone: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many messages have a time."""
        return sum(map(len, self.time_ns.values()))

    @property
    def untimed(self) -> int:
        """How many further messages there were, of which no thread had both ends within a burst."""
        requests = min(self.alone[ACCEPTED, READ], self.alone[MADE, WRITE])
        return requests + min(self.alone[MADE, READ], self.alone[ACCEPTED, WRITE])

    @property
    def joined(self) -> int:
        """How many reads were passed on together with others, or not at all."""
        return max(0, self.late - self.untimed)

    def add(self, other: "Messages") -> None:
        """Take in those of another burst."""
        self.late += other.late
        self.alone.update(other.alone)
        for direction, times in other.time_ns.items():
            self.time_ns[direction].extend(times)


@dataclass
class _Read:
    fd: int
    side: str
    end_ns: int
    begins: bool
    """Whether it began a turn of the conversation on its socket."""
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
    latest: dict[tuple[int, int], int] = {}
    for start_ns, duration_ns, process, thread, fd, kind, _ in calls.tolist():
        running = threads[thread]
        if kind == WAIT:
            _next_turn(running, found)
            continue
        side = sides.get((process, fd), UNKNOWN)
        if side == NO_SOCKET:
            continue
        begins = latest.get((process, fd)) != kind
        latest[process, fd] = kind
        if kind == READ:
            _keep(running, _Read(fd, side, start_ns + duration_ns, begins), found)
        elif read := _passed_on(running, fd, side, start_ns):
            found.alone[read.side, READ] -= read.begins
            found.time_ns[_DIRECTION.get((read.side, side), UNTOLD)].append(start_ns - read.end_ns)
        else:
            found.alone[side, WRITE] += begins
    return found


def _keep(thread: _Thread, read: _Read, found: Messages) -> None:
    """Let a read wait for its write. It replaces one of the same socket that a turn of the other end has come after."""
    found.alone[read.side, READ] += read.begins
    waiting = next((index for index, earlier in enumerate(thread.reads) if earlier.fd == read.fd), None)
    if waiting is not None and read.begins:
        del thread.reads[waiting]
        found.late += 1
    if waiting is None or read.begins:
        thread.reads.append(read)


def _passed_on(thread: _Thread, fd: int, side: str, start_ns: int) -> _Read | None:
    """The read that a write to `fd` passes on, taken from those that wait; None if it goes on with an earlier one.

    It is the first of the other side of the proxy; where there is none, the first of another socket.
    """
    written_ns = thread.written_ns.get(fd, 0)
    thread.written_ns[fd] = start_ns
    others = [index for index, read in enumerate(thread.reads) if read.fd != fd]
    across = (index for index in others if (thread.reads[index].side, side) in _DIRECTION)
    index = next(across, next(iter(others), None))
    if index is None or thread.reads[index].end_ns <= written_ns:
        return None
    return thread.reads.pop(index)


def _next_turn(thread: _Thread, found: Messages) -> None:
    late = [read for read in thread.reads if read.turns]
    found.late += len(late)
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
