"""Hand-made timelines for tests of the critical path: every stamp is known, so is every answer."""

from itertools import pairwise

import numpy as np

from profiler.vocabulary.components import EVENT_WAIT, SOCKET_READ, SOCKET_WRITE
from profiler.vocabulary.timeline_events import (
    SOFTIRQ_ENTER,
    SOFTIRQ_EXIT,
    SWITCH_IN,
    SWITCH_OUT,
    SYSCALL_ENTER,
    SYSCALL_EXIT,
    WAKING,
    TimelineEvents,
)

READ, WRITE, WAIT = 0, 1, 232
FAMILIES = {READ: SOCKET_READ, WRITE: SOCKET_WRITE, WAIT: EVENT_WAIT}

Event = tuple[int, int, int, int]
"""Stamp, thread, kind, value."""


def timeline(events: list[Event], places: dict[int, str], cpus: dict[int, int] | None = None) -> TimelineEvents:
    """The events in time order, each on the CPU that its thread, or of a wake-up the waker, always runs on."""
    stamps, threads, kinds, values = np.array(sorted(events, key=lambda event: event[0]), dtype=np.int64).T
    running = np.where(kinds == WAKING, values, threads)
    on = np.array([(cpus or {}).get(thread, 0) for thread in running.tolist()], dtype=np.int64)
    return TimelineEvents(stamps, threads, kinds, values, on, places, dropped=0)


def received(thread: int, at: int) -> list[Event]:
    """Awake at `at`, running 2 later, out of the wait 1 later, then a read of 3."""
    return [
        (at + 2, thread, SWITCH_IN, 0),
        (at + 3, thread, SYSCALL_EXIT, 1),
        (at + 4, thread, SYSCALL_ENTER, READ),
        (at + 7, thread, SYSCALL_EXIT, 100),
    ]


def sent(thread: int, to: int, at: int) -> list[Event]:
    """A write from `at`: 2 of its own, 3 in the softirq until `to` is woken, 1 + 1 back; then asleep in a wait."""
    return [
        (at, thread, SYSCALL_ENTER, WRITE),
        (at + 2, thread, SOFTIRQ_ENTER, 0),
        (at + 5, to, WAKING, thread),
        (at + 6, thread, SOFTIRQ_EXIT, 0),
        (at + 7, thread, SYSCALL_EXIT, 100),
        (at + 8, thread, SYSCALL_ENTER, WAIT),
        (at + 9, thread, SWITCH_OUT, 1),
    ]


def round_trip(start: int, chain: tuple[int, ...]) -> list[Event]:
    """A message that goes along `chain` and back, each thread keeping it 10 of user time between read and write."""
    way = [*chain, *chain[-2::-1]]
    events = []
    at = start
    for thread, following in pairwise(way):
        events += sent(thread, following, at)
        events += received(following, at + 5)
        at += 5 + 7 + 10
    return events


def over_unix_socket(events: list[Event]) -> list[Event]:
    """The same without softirqs: a send wakes the receiver by itself."""
    return [event for event in events if event[2] not in (SOFTIRQ_ENTER, SOFTIRQ_EXIT)]
