"""Timelines of two machines whose clocks differ, joined: hand-made ones whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from profiler.attribution.critical_path import HAND_OVER_KINDS, follow
from profiler.attribution.two_clocks import THERE, TwoTimelines, clock_offset_ns
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    IPC,
    REQUEST,
    RESPONSE,
    SERVER_APP,
    SERVER_SIDECAR,
)
from profiler.vocabulary.timeline_events import WAKING, CpuTopology, TimelineEvents
from tests.profiler.attribution.timelines import FAMILIES, Event, over_unix_socket, round_trip, timeline

CLIENT, NEAR, FAR, SERVER = 11, 22, 33, 44
PLACES = {CLIENT: CLIENT_APP, NEAR: CLIENT_SIDECAR, FAR: SERVER_SIDECAR, SERVER: SERVER_APP}
ON_SERVERS_MACHINE = (SERVER_SIDECAR, SERVER_APP)
CHAINS = [(CLIENT, NEAR, FAR, SERVER), (CLIENT, NEAR, SERVER), (CLIENT, FAR, SERVER), (CLIENT, SERVER)]
PAUSE = 40


def exchanges(chain: tuple[int, ...], count: int = 12) -> list[Event]:
    period = 22 * 2 * (len(chain) - 1) + PAUSE
    return [event for number in range(count) for event in round_trip(1000 + number * period, chain)]


def apart(events: list[Event], chain: tuple[int, ...], ahead_ns: int) -> list[TimelineEvents]:
    """The events as the machines of client and server see them, the clock there ahead by so much.

    Who hands over to the other machine is not known to the one who is woken there.
    """
    there = {thread for thread in chain if PLACES[thread] in ON_SERVERS_MACHINE}
    found = []
    for machine, shift in ((set(chain) - there, 0), (there, ahead_ns)):
        seen = [
            (stamp + shift, thread, kind, 0 if kind == WAKING and value not in machine else value)
            for stamp, thread, kind, value in events
            if thread in machine
        ]
        found.append(timeline(seen, {thread: PLACES[thread] for thread in machine}))
    return found


def joined(events: list[Event], chain: tuple[int, ...], ahead_ns: int, off_by_ns: int) -> TimelineEvents:
    here, there = apart(events, chain, ahead_ns)
    return TwoTimelines(here, there, ahead_ns + off_by_ns, FAMILIES).between(0, 1 << 40)


@pytest.mark.parametrize("chain", CHAINS)
def test_one_clock_needs_no_offset(chain: tuple[int, ...]) -> None:
    """Events stay at their times, also where what was thought of the offset is wrong."""
    here, there = apart(exchanges(chain), chain, 0)
    found = TwoTimelines(here, there, 25, FAMILIES, same_clock=True).between(0, 1 << 40)
    assert sorted(found.stamp_ns) == sorted([*here.stamp_ns, *there.stamp_ns])
    one = follow(timeline(exchanges(chain), {thread: PLACES[thread] for thread in chain}), FAMILIES)
    two = follow(found, FAMILIES)
    assert (len(two.followed), two.lost) == (len(one.followed), 0)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("ahead_ns", [0, 7_000_000_001, -3_000_000])
@pytest.mark.parametrize("off_by_ns", [0, 25, -25])
def test_the_clocks_offset_is_found_from_the_exchanges(chain: tuple[int, ...], ahead_ns: int, off_by_ns: int) -> None:
    here, there = apart(exchanges(chain), chain, ahead_ns)
    assert clock_offset_ns(here, there, ahead_ns + off_by_ns, FAMILIES) == ahead_ns


@pytest.mark.parametrize("chain", CHAINS)
def test_two_machines_tell_what_one_would_have_told(chain: tuple[int, ...]) -> None:
    events = exchanges(chain)
    one = follow(timeline(events, {thread: PLACES[thread] for thread in chain}), FAMILIES)
    two = follow(joined(events, chain, 9_000_000, 20), FAMILIES)
    assert (len(two.followed), two.lost) == (len(one.followed), 0)
    for alone, together in zip(one.followed, two.followed, strict=True):
        assert sum(together.time_ns.values()) == together.total_ns == alone.total_ns
        # Only what is between the machines may be told otherwise: who is handed to has it, not who hands over.
        assert {key: value for key, value in together.time_ns.items() if key[2] != IPC} == {
            key: value for key, value in alone.time_ns.items() if key[2] != IPC
        }
        way = sum(value for key, value in together.time_ns.items() if key[2] == IPC)
        assert way == sum(value for key, value in alone.time_ns.items() if key[2] == IPC)


def over_a_wire(wire_ns: int, count: int = 8) -> list[Event]:
    """Exchanges of a client and a server between which a message is on its way for so long, both ways."""
    events = []
    for number in range(count):
        start = 1000 + number * (44 + PAUSE + 2 * wire_ns)
        for stamp, thread, *rest in round_trip(start, (CLIENT, SERVER)):
            later = wire_ns if thread == SERVER else 2 * wire_ns if stamp >= start + 27 else 0
            events.append((stamp + later, thread, *rest))
    return events  # type: ignore[return-value]


@pytest.mark.parametrize("softirqs", [True, False])
def test_the_way_between_the_machines_is_the_receivers_ipc(softirqs: bool) -> None:
    """With a network card in between, a send call may end before any softirq runs: then that is its moment."""
    chain, wire_ns = (CLIENT, SERVER), 500
    events = over_a_wire(wire_ns) if softirqs else over_unix_socket(over_a_wire(wire_ns))
    found = follow(joined(events, chain, 77_000, 30), FAMILIES)
    assert (len(found.followed), found.lost) == (6, 0)
    for exchange in found.followed:
        assert sum(exchange.time_ns.values()) == exchange.total_ns
        there, back = exchange.time_ns[SERVER_APP, REQUEST, IPC], exchange.time_ns[CLIENT_APP, RESPONSE, IPC]
        assert there == back
        assert wire_ns < there < wire_ns + 10


def test_threads_of_the_two_machines_are_told_apart() -> None:
    chain = (CLIENT, SERVER)
    events = joined(exchanges(chain), chain, 0, 0)
    assert set(events.tid.tolist()) == {CLIENT, SERVER + THERE}
    assert events.places == {CLIENT: CLIENT_APP, SERVER + THERE: SERVER_APP}


def test_hand_overs_within_each_machine_count_and_those_over_the_wire_do_not() -> None:
    chain = (CLIENT, NEAR, FAR, SERVER)
    here, there = apart(exchanges(chain), chain, 5_000_000)
    running = np.where(there.kind == WAKING, there.value, there.tid)
    here = replace(here, topology=CpuTopology({0: 0}, {0: 0}))
    there = replace(there, cpu=np.where(running == SERVER, 1, 0), topology=CpuTopology({0: 0, 1: 1}, {0: 0, 1: 0}))
    events = TwoTimelines(here, there, 5_000_000, FAMILIES).between(0, 1 << 40)
    found = follow(events, FAMILIES).followed[1].hand_overs
    counts = {(place, way): [found[place, way, kind] for kind in HAND_OVER_KINDS] for place, way, _ in found}
    assert counts == {
        (CLIENT_SIDECAR, REQUEST): [1.0, 0.0, 0.0, 0.0],
        (SERVER_APP, REQUEST): [1.0, 1.0, 1.0, 0.0],
        (SERVER_SIDECAR, RESPONSE): [1.0, 1.0, 1.0, 0.0],
        (CLIENT_APP, RESPONSE): [1.0, 0.0, 0.0, 0.0],
    }


def test_a_path_that_never_crosses_is_lost() -> None:
    chain = CHAINS[0]
    here, _ = apart(exchanges(chain), chain, 0)
    silent = timeline([(1, FAR, WAKING, 0)], {FAR: SERVER_SIDECAR})
    assert follow(TwoTimelines(here, silent, 0, FAMILIES).between(0, 1 << 40), FAMILIES).followed == []
    assert clock_offset_ns(here, silent, 0, FAMILIES) is None


def test_what_did_not_fit_is_counted_for_both() -> None:
    chain = CHAINS[0]
    here, there = apart(exchanges(chain), chain, 0)
    assert TwoTimelines(here, there, 0, FAMILIES).dropped == here.dropped + there.dropped == 0
