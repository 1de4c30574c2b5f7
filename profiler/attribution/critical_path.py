"""Follows the message through a timeline: which thread held it, and what that thread did meanwhile. Pure: no I/O.

The walk goes backwards, from the moment the client had the answer: time spent by a thread belongs to the message until
the thread is found asleep; then the message was with whoever woke it, at the moment of the waking. Every nanosecond of
an exchange therefore belongs to exactly one thread and state, also when messages come in pieces and when a thread
never slept. Each step from a thread to the one that woke it is a hand-over: it crossed CPUs where the woken thread then
ran on another CPU than its waker. A receiver that never slept, or that a message reaches over a wire, adds none.
Wake-ups that are not on this path (a proxy's main thread, a timer) cannot divert it.

The waker is not always traced: where a message comes in many pieces, the kernel's softirq thread delivers some of them.
The path then goes on with the place that sent last, without a hand-over that is counted. An exchange in which nobody
sent before is *lost*: dropped and counted.

Where client and server are on two machines, nobody traced wakes who gets a message from the other one: the path goes on
there, at the last send before. A receiver that did not sleep has the time itself, as on one machine.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    EVENT_WAIT,
    IPC,
    OTHER,
    PLACES,
    REQUEST,
    RESPONSE,
    SERVER_APP,
    SERVER_SIDECAR,
    SOCKET_READ,
    SOCKET_WRITE,
)
from profiler.vocabulary.timeline_events import (
    SOFTIRQ_ENTER,
    SOFTIRQ_EXIT,
    SWITCH_IN,
    SWITCH_OUT,
    SYSCALL_ENTER,
    SYSCALL_EXIT,
    WAKING,
    CpuTopology,
    TimelineEvents,
)

USER: Final = "user"
"""User time before it is split into proxy_core, parsing, …"""

_ASLEEP: Final = "asleep"
_STATES: Final = (USER, SOCKET_READ, SOCKET_WRITE, EVENT_WAIT, IPC, OTHER, _ASLEEP)
PATH_STATES: Final = _STATES[:-1]
"""States that time on the path can be in."""

HAND_OVERS, CROSSED, CORES, CACHES = "hand_overs", "crossed", "cores", "caches"
HAND_OVER_KINDS: Final = (HAND_OVERS, CROSSED, CORES, CACHES)
"""What is counted of hand-overs: all, and those to another CPU, another core, another last-level cache."""


@dataclass
class ThreadHistory:
    """Segments of one thread in time order: segment i runs from starts[i] to starts[i + 1] in states[i].

    cpus[i] is where the event that begins it was recorded: the waker's CPU for a wake-up, else the thread's own.
    """

    starts: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    cpus: list[int] = field(default_factory=list)
    wakers: dict[int, int] = field(default_factory=dict)
    """Segment index of the segment begun by a wake-up → the thread that woke it (0: not a traced one)."""

    def begin(self, stamp_ns: int, state: str, cpu: int) -> None:
        self.starts.append(stamp_ns)
        self.states.append(state)
        self.cpus.append(cpu)

    def at(self, stamp_ns: int) -> int:
        """Index of the segment that covers the instant just before `stamp_ns`; -1 before the first."""
        return bisect_right(self.starts, stamp_ns - 1) - 1

    def cpus_of_waking(self, index: int) -> tuple[int, int]:
        """The CPU of whoever woke the thread to segment `index`, and the one that it then ran on."""
        return self.cpus[index], self.cpus[min(index + 1, len(self.cpus) - 1)]

    def woken_at(self, index: int, stamp_ns: int) -> bool:
        """Whether segment `index` begins then, after a sleep; of the first one only a wake-up tells that it slept."""
        return self.starts[index : index + 1] == [stamp_ns] and (index > 0 or index in self.wakers)


@dataclass(frozen=True)
class _HandOver:
    """The thread that was woken, when, by a thread on which CPU, and the CPU it then ran on."""

    tid: int
    stamp_ns: int
    waker_cpu: int
    cpu: int

    def kinds(self, topology: CpuTopology) -> dict[str, float]:
        """Whether it counts, by kind."""
        crossed = self.waker_cpu != self.cpu
        found = {HAND_OVERS: 1.0, CROSSED: float(crossed)}
        for kind, numbers in ((CORES, topology.cores), (CACHES, topology.caches)):
            both = (numbers.get(self.waker_cpu), numbers.get(self.cpu))
            found[kind] = 0.0 if not crossed else math.nan if None in both else float(both[0] != both[1])
        return found


@dataclass
class _Running:
    """Where a thread stands while its events are replayed."""

    history: ThreadHistory = field(default_factory=ThreadHistory)
    syscall: str = USER
    resumed: bool = False
    asleep: bool = False
    sent: bool = False
    """Whether the moment at which the current send call handed its data over is known."""

    def state(self) -> str:
        # From the switch-in to the end of an event wait: the way back from the wait, part of the hand-over.
        return IPC if self.resumed and self.syscall == EVENT_WAIT else self.syscall


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    `time_ns` maps (place, direction, state) to time on the path, `segments` to the number of pieces it came in (each
    of which holds the cost of one probe hit). `hand_overs` maps (receiving place, direction, kind) to their number, NaN
    where cores or caches are not known.
    """

    start_ns: int
    end_ns: int
    time_ns: dict[tuple[str, str, str], int]
    segments: dict[tuple[str, str, str], int]
    hand_overs: dict[tuple[str, str, str], float] = field(default_factory=dict)

    @property
    def total_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class Exchanges:
    """The exchanges of one window, with the number of those whose path was lost."""

    followed: list[Exchange]
    lost: int


@dataclass
class Sends:
    """The moments at which the threads of a place handed data over, in time order, and which thread did."""

    stamps_ns: list[int] = field(default_factory=list)
    tids: list[int] = field(default_factory=list)

    def last(self, start_ns: int, end_ns: int) -> tuple[int, int] | None:
        """Stamp and thread of the last one in [start_ns, end_ns), if there is one."""
        index = bisect_right(self.stamps_ns, end_ns - 1) - 1
        if index < 0 or self.stamps_ns[index] < start_ns:
            return None
        return self.stamps_ns[index], self.tids[index]


class Replay:
    """Replays events into thread histories and notes what the threads of each place sent, and the client's reads.

    `woken_ns` are the times at which threads of a place that slept were woken by nobody traced.
    """

    def __init__(self, events: TimelineEvents, families: Mapping[int, str]) -> None:
        self.threads: dict[int, _Running] = {}
        self.finished_ns: list[int] = []
        self.sends: dict[str, Sends] = {place: Sends() for place in PLACES}
        self.woken_ns: dict[str, list[int]] = {place: [] for place in PLACES}
        self._families = families
        self._places = events.places
        self._last_read_end: int | None = None
        self._awaiting_use = False
        self._cpu = 0
        self._apply = {
            SYSCALL_ENTER: self._enter,
            SYSCALL_EXIT: self._exit,
            SOFTIRQ_ENTER: self._softirq_enter,
            SOFTIRQ_EXIT: self._softirq_exit,
            WAKING: self._waking,
            SWITCH_OUT: self._switch_out,
            SWITCH_IN: self._switch_in,
        }
        columns = (events.stamp_ns, events.tid, events.kind, events.value, events.cpu)
        for stamp_ns, tid, kind, value, cpu in zip(*(column.tolist() for column in columns), strict=True):
            thread = self.threads.get(tid)
            if thread is None:
                thread = self.threads[tid] = _Running()
            self._cpu = cpu
            self._apply[kind](thread, tid, stamp_ns, value)

    def _enter(self, thread: _Running, tid: int, stamp_ns: int, number: int) -> None:
        thread.syscall = self._families.get(number, OTHER)
        thread.resumed = thread.sent = False
        thread.history.begin(stamp_ns, thread.syscall, self._cpu)
        if self._awaiting_use and self._places.get(tid) == CLIENT_APP:
            self._last_read_end, self._awaiting_use = stamp_ns, False

    def _exit(self, thread: _Running, tid: int, stamp_ns: int, returned: int) -> None:
        if thread.syscall == SOCKET_READ and returned > 0 and self._places.get(tid) == CLIENT_APP:
            self._awaiting_use = True
        if returned > 0:  # to a receiver that was awake, over a Unix socket
            self._note_send(thread, tid, stamp_ns)
        thread.syscall = USER
        thread.resumed = False
        thread.history.begin(stamp_ns, USER, self._cpu)

    def _softirq_enter(self, thread: _Running, tid: int, stamp_ns: int, _: int) -> None:
        self._note_send(thread, tid, stamp_ns)
        thread.history.begin(stamp_ns, IPC, self._cpu)

    def _note_send(self, thread: _Running, tid: int, stamp_ns: int) -> None:
        """A send call hands over its data where its softirq begins, or, over a Unix socket, where it wakes someone."""
        if thread.syscall != SOCKET_WRITE or thread.sent:
            return
        thread.sent = True
        place = self._places.get(tid)
        if place is None:
            return
        self.sends[place].stamps_ns.append(stamp_ns)
        self.sends[place].tids.append(tid)
        if place == CLIENT_APP and self._last_read_end is not None:
            # The next request is on its way: the answer before it was complete when its last read had been used.
            self.finished_ns.append(self._last_read_end)
            self._last_read_end = None

    def _softirq_exit(self, thread: _Running, _: int, stamp_ns: int, __: int) -> None:
        thread.history.begin(stamp_ns, thread.state(), self._cpu)

    def _waking(self, thread: _Running, tid: int, stamp_ns: int, waker: int) -> None:
        if waker in self.threads:
            self._note_send(self.threads[waker], waker, stamp_ns)
        if thread.asleep or not thread.history.starts:  # first seen here, it must have been asleep since before
            thread.asleep = False
            if waker == 0 and tid in self._places:
                self.woken_ns[self._places[tid]].append(stamp_ns)
            thread.history.wakers[len(thread.history.starts)] = waker
            thread.history.begin(stamp_ns, IPC, self._cpu)

    def _switch_out(self, thread: _Running, _: int, stamp_ns: int, state: int) -> None:
        thread.asleep = state != 0
        thread.history.begin(stamp_ns, _ASLEEP if thread.asleep else IPC, self._cpu)

    def _switch_in(self, thread: _Running, _: int, stamp_ns: int, __: int) -> None:
        thread.asleep = False
        thread.resumed = True
        thread.history.begin(stamp_ns, thread.state(), self._cpu)


def follow(events: TimelineEvents, families: Mapping[int, str]) -> Exchanges:
    """Rebuild every exchange of a window in which one request was in flight at a time.

    An exchange lasts from the end of the one before it (or from the moment the client woke up to send, where it slept
    in between) to the moment the client had used its last read of the answer.

    Args:
        events: the timeline of all processes of the hop, in time order.
        families: system call number → component, as `syscall_families`.
    """
    if not len(events):
        return Exchanges([], 0)
    replay = Replay(events, families)
    client = [tid for tid, place in events.places.items() if place == CLIENT_APP and tid in replay.threads]
    wire = wire_ends(events.places.values()) if events.wired else None
    followed, lost = [], 0
    for end_ns in replay.finished_ns[:1]:  # whole only if the client woke up for it after the events begin
        begin_ns = int(events.stamp_ns[0]) - 1
        exchange = _walk(replay, events, client, begin_ns, end_ns, wire)
        if exchange is not None and exchange.start_ns > begin_ns:
            followed.append(exchange)
    for start_ns, end_ns in pairwise(replay.finished_ns):
        exchange = _walk(replay, events, client, start_ns, end_ns, wire)
        if exchange is None:
            lost += 1
        else:
            followed.append(exchange)
    return Exchanges(followed, lost)


def wire_ends(places: Iterable[str]) -> tuple[str, str]:
    """Of a hop on two machines, the place on the client's and that on the server's that talk to each other."""
    known = set(places)
    return (
        CLIENT_SIDECAR if CLIENT_SIDECAR in known else CLIENT_APP,
        SERVER_SIDECAR if SERVER_SIDECAR in known else SERVER_APP,
    )


def _walk(
    replay: Replay,
    events: TimelineEvents,
    client: list[int],
    start_ns: int,
    end_ns: int,
    wire: tuple[str, str] | None,
) -> Exchange | None:
    answered = replay.sends[SERVER_APP].last(start_ns, end_ns)
    if answered is None:
        return None
    answered_ns, _ = answered
    time_ns: dict[tuple[str, str, str], int] = {}
    segments: dict[tuple[str, str, str], int] = {}
    hand_overs: list[_HandOver] = []
    reached = end_ns
    active = _active_at(replay.threads, client, end_ns)
    for tid, first, last, state in _path(replay, active, start_ns, end_ns, events.places, wire, hand_overs):
        if tid == 0:
            return None
        place = events.places[tid]
        for direction, spent in ((REQUEST, min(last, answered_ns) - first), (RESPONSE, last - max(first, answered_ns))):
            if spent > 0:
                key = (place, direction, state)
                time_ns[key] = time_ns.get(key, 0) + spent
                segments[key] = segments.get(key, 0) + 1
        reached = first
    return Exchange(reached, end_ns, time_ns, segments, _counted(hand_overs, answered_ns, events))


def _counted(
    hand_overs: list[_HandOver], answered_ns: int, events: TimelineEvents
) -> dict[tuple[str, str, str], float]:
    """How many there were, by the place that got the message, direction and kind."""
    counts: dict[tuple[str, str, str], float] = {}
    for found in hand_overs:
        direction = REQUEST if found.stamp_ns < answered_ns else RESPONSE
        for kind, count in found.kinds(events.topology).items():
            key = (events.places[found.tid], direction, kind)
            counts[key] = counts.get(key, 0.0) + count
    return counts


def _active_at(threads: Mapping[int, _Running], client: list[int], end_ns: int) -> int:
    """The client thread that ended the exchange: the one whose segment begins there."""
    for tid in client:
        starts = threads[tid].history.starts
        index = bisect_right(starts, end_ns) - 1
        if index >= 0 and starts[index] == end_ns:
            return tid
    return 0


def _path(
    replay: Replay,
    tid: int,
    start_ns: int,
    end_ns: int,
    places: Mapping[int, str],
    wire: tuple[str, str] | None,
    hand_overs: list[_HandOver],
) -> Iterator[tuple[int, int, int, str]]:
    """Segments (thread, from, to, state) of the path, latest first. A thread of 0 says that the path is lost.

    Hand-overs on it are added to `hand_overs`.
    """
    client, now = tid, end_ns
    crossings = [wire, wire[::-1]] if wire else []  # receiver's and sender's place, of the answer and of the request
    while now > start_ns:
        history = replay.threads[tid].history if tid in replay.threads else ThreadHistory()
        index = history.at(now)
        state = history.states[index] if index >= 0 else _ASLEEP
        if state is not _ASLEEP:
            first = max(history.starts[index], start_ns)
            yield tid, first, now, state
            now = first
            continue
        if not history.woken_at(index + 1, now):
            yield 0, start_ns, now, OTHER
            return
        if waker := history.wakers.get(index + 1, 0):
            hand_overs.append(_HandOver(tid, now, *history.cpus_of_waking(index + 1)))
            tid = waker
            continue
        if crossings and places[tid] == crossings[0][0]:
            sent = replay.sends[crossings.pop(0)[1]].last(start_ns, now)
        elif tid == client and replay.sends[CLIENT_APP].last(start_ns, now) is None:
            break  # the client slept of its own accord (its timer woke it): the exchange begins here
        else:
            sent = _last_sent(replay, places[tid], start_ns, now)
        if sent is None:
            yield 0, start_ns, now, OTHER
            return
        yield tid, sent[0], now, IPC
        now, tid = sent


def _last_sent(replay: Replay, receiver: str, start_ns: int, now: int) -> tuple[int, int] | None:
    """When the message left the place that sent last before `now`, other than the receiver's, and the thread there.

    While that thread is still sending, or waits for a CPU in its call, that is `now`.
    """
    sent = [replay.sends[place].last(start_ns, now) for place in PLACES if place != receiver]
    stamp_ns, tid = max(filter(None, sent), default=(0, 0))
    if tid == 0:
        return None
    history = replay.threads[tid].history
    since = history.states[history.at(stamp_ns + 1) : history.at(now) + 1]
    return (now if {*since} <= {SOCKET_WRITE, IPC} else stamp_ns), tid
