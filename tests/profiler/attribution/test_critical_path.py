"""The walk along the message's path, on timelines whose answer is known by construction."""

import math
from dataclasses import replace

import numpy as np
import pytest

from profiler.attribution.critical_path import CACHES, CORES, CROSSED, HAND_OVERS, USER, follow
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    CLIENT_TUNNEL,
    IPC,
    REQUEST,
    RESPONSE,
    SERVER_APP,
    SERVER_TUNNEL,
    SOCKET_READ,
    SOCKET_WRITE,
    WAYPOINT_PROXY,
)
from profiler.vocabulary.timeline_events import (
    SWITCH_IN,
    SWITCH_OUT,
    SYSCALL_ENTER,
    SYSCALL_EXIT,
    WAKING,
    CpuTopology,
)
from tests.profiler.attribution.timelines import FAMILIES, WAIT, WRITE, Event, over_unix_socket, round_trip, timeline

CLIENT, SIDECAR, SERVER, STRANGER = 11, 22, 33, 44
PLACES = {CLIENT: CLIENT_APP, SIDECAR: CLIENT_SIDECAR, SERVER: SERVER_APP}
PERIOD = 88  # four hand-overs of 22


def exchanges(count: int) -> list[Event]:
    return [event for number in range(count) for event in round_trip(1000 + number * PERIOD, (CLIENT, SIDECAR, SERVER))]


def test_every_nanosecond_of_an_exchange_belongs_to_one_place_and_state() -> None:
    found = follow(timeline(exchanges(23), PLACES), FAMILIES)
    assert len(found.followed) == 21  # the first and last have no complete neighbour
    assert all(sum(exchange.time_ns.values()) == exchange.total_ns == PERIOD for exchange in found.followed)
    assert found.lost == 0


def test_the_sidecar_holds_the_message_for_what_the_timeline_says() -> None:
    exchange = follow(timeline(exchanges(4), PLACES), FAMILIES).followed[0]
    sidecar = {
        state: spent
        for (place, way, state), spent in exchange.time_ns.items()
        if place == CLIENT_SIDECAR and way == REQUEST
    }
    # woken: 2 to run + 1 out of the wait, and 3 of softirq in its own write; user: 1 before the read, 10 after it
    assert sidecar == {IPC: 3 + 3, USER: 1 + 10, SOCKET_READ: 3, SOCKET_WRITE: 2}


def test_requests_end_and_responses_begin_where_the_server_sends() -> None:
    exchange = follow(timeline(exchanges(4), PLACES), FAMILIES).followed[0]
    ways = {(place, way) for place, way, _ in exchange.time_ns}
    assert (SERVER_APP, REQUEST) in ways
    assert exchange.time_ns[SERVER_APP, RESPONSE, IPC] == 3


def hand_overs(cpus: dict[int, int], topology: CpuTopology) -> dict[tuple[str, str, str], float]:
    events = replace(timeline(exchanges(4), PLACES, cpus), topology=topology)
    return follow(events, FAMILIES).followed[0].hand_overs


def test_each_step_from_a_thread_to_the_one_that_woke_it_is_a_hand_over() -> None:
    found = hand_overs({}, CpuTopology())
    counted = {(place, way) for (place, way, kind), count in found.items() if kind == HAND_OVERS and count == 1.0}
    assert counted == {
        (CLIENT_SIDECAR, REQUEST),
        (SERVER_APP, REQUEST),
        (CLIENT_SIDECAR, RESPONSE),
        (CLIENT_APP, RESPONSE),
    }
    assert {count for (_, _, kind), count in found.items() if kind != HAND_OVERS} == {0.0}


def test_hand_overs_cross_where_the_woken_thread_runs_on_another_cpu_than_its_waker() -> None:
    topology = CpuTopology({0: 0, 1: 0, 2: 2}, {0: 0, 1: 0, 2: 2})
    found = hand_overs({CLIENT: 0, SIDECAR: 1, SERVER: 2}, topology)

    def of(kind: str) -> list[float]:
        return [found[CLIENT_SIDECAR, REQUEST, kind], found[SERVER_APP, REQUEST, kind]]

    assert (of(CROSSED), of(CORES), of(CACHES)) == ([1.0, 1.0], [0.0, 1.0], [0.0, 1.0])


def test_cores_and_caches_are_unknown_where_the_topology_is_unless_no_cpu_was_crossed() -> None:
    found = hand_overs({SIDECAR: 1}, CpuTopology())
    assert found[CLIENT_SIDECAR, REQUEST, CROSSED] == 1.0
    assert math.isnan(found[CLIENT_SIDECAR, REQUEST, CORES])
    assert hand_overs({}, CpuTopology())[CLIENT_SIDECAR, REQUEST, CACHES] == 0.0


def test_over_a_unix_socket_the_answer_is_handed_over_as_a_response() -> None:
    events = timeline(over_unix_socket(exchanges(4)), PLACES, {SIDECAR: 1})
    found = follow(events, FAMILIES).followed[0].hand_overs
    assert found[CLIENT_SIDECAR, RESPONSE, HAND_OVERS] == found[CLIENT_SIDECAR, RESPONSE, CROSSED] == 1.0


def test_a_waypoint_and_the_ends_of_its_tunnels_are_places_of_the_path() -> None:
    chain = (CLIENT, 55, 66, 77, SERVER)
    places = dict(zip(chain, (CLIENT_APP, CLIENT_TUNNEL, WAYPOINT_PROXY, SERVER_TUNNEL, SERVER_APP), strict=True))
    events = [event for number in range(5) for event in round_trip(1000 + number * 2 * PERIOD, chain)]
    found = follow(timeline(events, places), FAMILIES)
    assert (len(found.followed), found.lost) == (3, 0)
    for exchange in found.followed:
        held = dict.fromkeys(places.values(), 0)
        for (place, _, _), spent_ns in exchange.time_ns.items():
            held[place] += spent_ns
        assert held[CLIENT_TUNNEL] == held[WAYPOINT_PROXY] == held[SERVER_TUNNEL] > 0


def test_a_wake_up_of_another_thread_does_not_divert_the_path() -> None:
    noise = [(1040, STRANGER, WAKING, SIDECAR), (1041, STRANGER, SWITCH_IN, 0), (1043, STRANGER, SWITCH_OUT, 1)]
    places = {**PLACES, STRANGER: CLIENT_SIDECAR}
    quiet = follow(timeline(exchanges(5), PLACES), FAMILIES)
    noisy = follow(timeline([*exchanges(5), *noise], places), FAMILIES)
    assert [exchange.time_ns for exchange in noisy.followed] == [exchange.time_ns for exchange in quiet.followed]


def woken_by(waker: int, thread: int, events: list[Event]) -> list[Event]:
    """The same, with all wake-ups of a thread by another one."""
    return [
        (stamp, tid, kind, waker if kind == WAKING and tid == thread else value) for stamp, tid, kind, value in events
    ]


@pytest.mark.parametrize("thread", [SIDECAR, SERVER, CLIENT])
def test_where_the_waker_was_not_traced_the_path_goes_on_with_who_sent_last(thread: int) -> None:
    found = follow(timeline(woken_by(0, thread, exchanges(5)), PLACES), FAMILIES)
    assert found.lost == 0
    assert [exchange.total_ns for exchange in found.followed] == [PERIOD] * 3
    assert [exchange.time_ns for exchange in found.followed] == [
        exchange.time_ns for exchange in follow(timeline(exchanges(5), PLACES), FAMILIES).followed
    ]


def test_what_is_delivered_after_the_sender_has_gone_on_is_ipc_of_the_receiver() -> None:
    late = 20  # from the wake-up that the sender did not cause to that of the next process nothing else changes
    events = [
        (stamp + (late if stamp > 1000 + 2 * PERIOD + 4 else 0), thread, kind, value)
        for stamp, thread, kind, value in exchanges(5)
    ]
    kept = [event for event in events if event[:3] != (1000 + 2 * PERIOD + 5 + late, SIDECAR, WAKING)]
    sender = [
        (1000 + 2 * PERIOD + at, CLIENT, kind, value)
        for at, kind, value in ((7, SYSCALL_EXIT, 9), (8, SYSCALL_ENTER, WAIT))
    ]
    slow = [event for event in kept if not (event[1] == CLIENT and 6 <= event[0] - 1000 - 2 * PERIOD - late <= 9)]
    asleep = [(1000 + 2 * PERIOD + 9, CLIENT, SWITCH_OUT, 1), (1000 + 2 * PERIOD + 5 + late, SIDECAR, WAKING, 0)]
    found = follow(timeline([*slow, *sender, *asleep], PLACES), FAMILIES)
    usual, changed = found.followed[0], found.followed[1]
    key = (CLIENT_SIDECAR, REQUEST, IPC)
    assert changed.total_ns == usual.total_ns + late
    assert changed.time_ns[key] > usual.time_ns[key] + late - 1


def test_an_exchange_whose_waker_was_never_seen_is_lost_and_counted() -> None:
    events = [
        (stamp, thread, kind, STRANGER if kind == WAKING and thread == SIDECAR and 1080 < stamp < 1170 else value)
        for stamp, thread, kind, value in exchanges(5)
    ]
    found = follow(timeline(events, PLACES), FAMILIES)
    assert (len(found.followed), found.lost) == (2, 1)


def test_a_walk_ends_where_events_begin_amid_an_exchange() -> None:
    events = sorted(exchanges(4), key=lambda event: event[0])
    for first in range(len(events) // 2):
        for exchange in follow(timeline(events[first:], PLACES), FAMILIES).followed:
            assert sum(exchange.time_ns.values()) == exchange.total_ns == PERIOD


def test_threads_that_are_first_seen_when_they_wake_each_other_lead_nowhere() -> None:
    woken = min(stamp for stamp, thread, kind, _ in exchanges(3) if (thread, kind) == (CLIENT, WAKING))
    events = [event for event in exchanges(3) if event[1] != CLIENT or event[0] >= woken]
    found = follow(timeline(events, PLACES), FAMILIES)
    assert [exchange.total_ns for exchange in found.followed] == [PERIOD]


def test_a_receiver_that_never_slept_keeps_its_own_time() -> None:
    # The server is still busy (user time) when the request comes: it is not woken, and its busy time is on the path.
    events = [
        event for event in exchanges(3) if not (event[1] == SERVER and 1000 + PERIOD <= event[0] < 1000 + 2 * PERIOD)
    ]
    again = [(stamp + PERIOD, thread, kind, value) for stamp, thread, kind, value in exchanges(1) if thread == SERVER]
    busy = [event for event in again if event[2] not in (WAKING, SWITCH_IN)]
    slept = [event for event in events if event[:3] == (1000 + 44 + 9, SERVER, SWITCH_OUT)]
    events = [event for event in events if event not in slept and event[1:3] != (SERVER, WAKING)]
    found = follow(timeline([*events, *busy], PLACES), FAMILIES)
    assert all(sum(exchange.time_ns.values()) == exchange.total_ns for exchange in found.followed)


def test_a_client_that_sleeps_between_requests_starts_its_exchange_when_it_wakes() -> None:
    pause = 1000
    events = []
    for number in range(4):
        start = 1000 + number * (PERIOD + pause)
        events += round_trip(start, (CLIENT, SIDECAR, SERVER))
        end = start + PERIOD
        events += [(end - 10, CLIENT, SYSCALL_ENTER, WAIT), (end - 9, CLIENT, SWITCH_OUT, 1)]
        events += [(end + pause - 5, CLIENT, WAKING, 0), (end + pause - 4, CLIENT, SWITCH_IN, 0)]
        events += [(end + pause - 3, CLIENT, SYSCALL_EXIT, 1)]
    totals = [exchange.total_ns for exchange in follow(timeline(events, PLACES), FAMILIES).followed]
    assert totals == [5 + PERIOD - 10] * len(totals)
    assert len(totals) == 2
    first_wake_up = 1000 + PERIOD + pause - 5
    late = [event for event in events if event[0] >= first_wake_up]
    assert len(follow(timeline(late, PLACES), FAMILIES).followed) == 2  # the first needs none before it


def test_segments_count_the_pieces_that_hold_a_probe_hit() -> None:
    exchange = follow(timeline(exchanges(4), PLACES), FAMILIES).followed[0]
    assert exchange.segments.keys() == exchange.time_ns.keys()
    assert exchange.segments[CLIENT_SIDECAR, REQUEST, IPC] == 3  # wait for the CPU, way out of the wait, softirq


def test_no_events_give_no_exchanges() -> None:
    found = follow(timeline([(1, CLIENT, SYSCALL_EXIT, 0)], PLACES), FAMILIES)
    assert found.followed == []


@pytest.mark.parametrize("count", [1, 2])
def test_an_exchange_needs_one_before_and_one_after_it(count: int) -> None:
    assert follow(timeline(exchanges(count), PLACES), FAMILIES).followed == []


def test_stamps_are_kept_in_order_whatever_their_order_in_the_regions() -> None:
    events = timeline(exchanges(3), PLACES)
    assert np.all(np.diff(events.stamp_ns) >= 0)


def test_a_send_over_a_unix_socket_is_known_by_whom_it_wakes() -> None:
    events = over_unix_socket(exchanges(5))
    found = follow(timeline(events, PLACES), FAMILIES)
    assert (len(found.followed), found.lost) == (3, 0)
    assert all(sum(exchange.time_ns.values()) == exchange.total_ns == PERIOD for exchange in found.followed)


def test_a_unix_socket_has_no_receive_work_in_its_sends() -> None:
    tcp, unix = (
        follow(timeline(events, PLACES), FAMILIES).followed[0].time_ns
        for events in (exchanges(4), over_unix_socket(exchanges(4)))
    )
    key = (CLIENT_SIDECAR, REQUEST, SOCKET_WRITE)
    assert unix[key] - tcp[key] == 3  # the softirq's time until the wake-up stays in the write


def test_a_send_to_a_receiver_that_is_awake_ends_with_its_call() -> None:
    # The client's writes wake nobody and raise no softirq: the sidecar polls.
    events = [
        event
        for event in over_unix_socket(exchanges(5))
        if not (event[2] == WAKING and event[1] == SIDECAR and event[3] == CLIENT)
        and not (event[1] == SIDECAR and event[2] in (SWITCH_IN, SWITCH_OUT))
    ]
    assert len(follow(timeline(events, PLACES), FAMILIES).followed) > 0


def test_a_wake_up_outside_a_send_is_no_send() -> None:
    noise = [(1000 + 2 * PERIOD + 15, SIDECAR, WAKING, SERVER), (1000 + 2 * PERIOD + 15, STRANGER, WAKING, SERVER)]
    quiet = follow(timeline(exchanges(5), PLACES), FAMILIES)
    noisy = follow(timeline([*exchanges(5), *noise], PLACES | {STRANGER: CLIENT_SIDECAR}), FAMILIES)
    assert [exchange.total_ns for exchange in noisy.followed] == [exchange.total_ns for exchange in quiet.followed]


def test_a_failed_send_is_no_send() -> None:
    again = [(1000 + PERIOD - 3, CLIENT, SYSCALL_ENTER, WRITE), (1000 + PERIOD - 2, CLIENT, SYSCALL_EXIT, -11)]
    quiet = follow(timeline(exchanges(4), PLACES), FAMILIES)
    noisy = follow(timeline([*exchanges(4), *again], PLACES), FAMILIES)
    assert len(noisy.followed) == len(quiet.followed)
