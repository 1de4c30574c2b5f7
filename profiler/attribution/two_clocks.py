"""Joins the timelines of two machines into one. Pure: no I/O.

The clocks of two machines are not equal and do not run alike, so nothing is taken from them but what each says of its
own machine. A request leaves the client's machine at t1 and comes to the server's at t2; its answer leaves there at t3
and is back at t4. Between the two they spend (t4 - t1) - (t3 - t2), whatever the clocks show. How that divides into
there and back no clock tells: half each is assumed, as NTP does (RFC 5905, section 8), so the offset of the clocks is
((t2 - t1) + (t3 - t4)) / 2, the median over the exchanges of a few milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.critical_path import Replay, wire_ends
from profiler.vocabulary.timeline_events import WAKING, CpuTopology, TimelineEvents

THERE: Final = 1 << 30
"""Added to the numbers of threads and CPUs of the second machine; greater than any of Linux."""

_MARGIN_NS: Final = 2_000_000
"""How far beyond a window the other machine's events are looked at, before its clock is known well."""

_SENT, _WOKEN = "sent", "woken"


@dataclass(frozen=True)
class TwoTimelines:
    """What two machines recorded, `here` with the client and `there` with the server.

    `offset_ns` is the clock there less the one here, to within half of an exchange; it does not count with
    `same_clock`, where both have one. `families` are as for `follow`.
    """

    here: TimelineEvents
    there: TimelineEvents
    offset_ns: int
    families: Mapping[int, str]
    same_clock: bool = False

    @property
    def dropped(self) -> int:
        """Events that did not fit, of both."""
        return self.here.dropped + self.there.dropped

    def between(self, start_ns: int, end_ns: int) -> TimelineEvents:
        """The events in [start_ns, end_ns) of the clock here, in one order."""
        here = self.here.between(start_ns, end_ns)
        if self.same_clock:
            return joined(here, self.there.between(start_ns, end_ns), 0)
        first_ns, last_ns = start_ns + self.offset_ns - _MARGIN_NS, end_ns + self.offset_ns + _MARGIN_NS
        there = self.there.between(first_ns, last_ns)
        found = clock_offset_ns(here, there, self.offset_ns, self.families)
        return joined(here, there, self.offset_ns if found is None else found).between(start_ns, end_ns)


def joined(here: TimelineEvents, there: TimelineEvents, offset_ns: int) -> TimelineEvents:
    """Both in the time of `here`. Threads and CPUs there have `THERE` added to their numbers."""
    woken_by = (there.kind == WAKING) & (there.value > 0)
    stamps = np.concatenate([here.stamp_ns, there.stamp_ns - offset_ns])
    order = np.argsort(stamps, kind="stable")
    return TimelineEvents(
        stamps[order],
        np.concatenate([here.tid, there.tid + THERE])[order],
        np.concatenate([here.kind, there.kind])[order],
        np.concatenate([here.value, np.where(woken_by, there.value + THERE, there.value)])[order],
        np.concatenate([here.cpu, there.cpu + THERE])[order],
        {**here.places, **{tid + THERE: place for tid, place in there.places.items()}},
        here.dropped + there.dropped,
        CpuTopology(
            _both(here.topology.cores, there.topology.cores), _both(here.topology.caches, there.topology.caches)
        ),
        wired=True,
    )


def _both(here: Mapping[int, int], there: Mapping[int, int]) -> dict[int, int]:
    return {**here, **{cpu + THERE: number + THERE for cpu, number in there.items()}}


def clock_offset_ns(
    here: TimelineEvents, there: TimelineEvents, roughly_ns: int, families: Mapping[int, str]
) -> int | None:
    """The clock there less the one here, in ns; None where no exchange tells.

    Args:
        here: the events of the client's machine, one request in flight at a time.
        there: those of the server's.
        roughly_ns: the same to within half of the time between two exchanges, to know which belong together.
        families: as for `follow`.
    """
    near, far = wire_ends([*here.places.values(), *there.places.values()])
    asked = _spans(Replay(here, families), near, _SENT)
    served = _spans(Replay(there, families), far, _WOKEN)
    if not len(asked) or not len(served):
        return None
    middles = asked.mean(axis=1)
    offsets = []
    for start_ns, end_ns in served:
        middle = (start_ns + end_ns) / 2
        nearest = int(np.argmin(np.abs(middles - (middle - roughly_ns))))
        if asked[nearest, 1] - asked[nearest, 0] >= end_ns - start_ns:  # an answer was not there before its request
            offsets.append(middle - middles[nearest])
    return round(float(np.median(offsets))) if offsets else None


def _spans(replay: Replay, place: str, begins_with: str) -> npt.NDArray[np.int64]:
    """Times (from, to) between what the place sent to the other machine and what woke it from there, or the reverse.

    Of several sends in a row the last begins an exchange, and ends one; of several wakings it is the first.
    """
    events = merge(
        ((stamp_ns, _SENT) for stamp_ns in replay.sends[place].stamps_ns),
        ((stamp_ns, _WOKEN) for stamp_ns in replay.woken_ns[place]),
    )
    turns = []
    for kind, group in groupby(events, key=lambda event: event[1]):
        stamps = [stamp_ns for stamp_ns, _ in group]
        turns.append((kind, stamps[-1] if kind == _SENT else stamps[0]))
    if turns and turns[0][0] != begins_with:
        turns = turns[1:]
    pairs = [(first, last) for (_, first), (_, last) in zip(turns[::2], turns[1::2], strict=False)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
