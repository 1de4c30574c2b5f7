"""Reads paired with the writes that pass them on."""

import numpy as np

from profiler.attach.messages import UNTOLD, Messages, pair, percentiles_ns
from profiler.attach.sockets import ACCEPTED, MADE, NO_SOCKET
from profiler.probes.calls import CALL, READ, WAIT, WRITE
from profiler.vocabulary.components import REQUEST, RESPONSE

PID = 7
CLIENT, UPSTREAM, CLIENT_2, UPSTREAM_2, LOG = 10, 20, 11, 21, 30
SIDES = {
    (PID, CLIENT): ACCEPTED,
    (PID, CLIENT_2): ACCEPTED,
    (PID, UPSTREAM): MADE,
    (PID, UPSTREAM_2): MADE,
    (PID, LOG): NO_SOCKET,
}
LASTS_NS = 5


def paired(*calls: tuple[int, int, int], thread: int = 1) -> Messages:
    """The messages of calls given as (kind, file descriptor, start)."""
    rows = [(start, 0 if kind == WAIT else LASTS_NS, PID, thread, fd, kind, 100) for kind, fd, start in calls]
    return pair(np.array(rows, CALL), SIDES)


def test_a_request_lasts_from_the_end_of_its_read_to_the_begin_of_its_write() -> None:
    found = paired((READ, CLIENT, 100), (WRITE, UPSTREAM, 150))
    assert found.time_ns == {REQUEST: [150 - 100 - LASTS_NS]}


def test_an_answer_goes_the_other_way() -> None:
    assert paired((READ, UPSTREAM, 100), (WRITE, CLIENT, 150)).time_ns == {RESPONSE: [45]}


def test_writes_take_waiting_reads_in_their_order() -> None:
    found = paired((READ, CLIENT, 0), (READ, CLIENT_2, 10), (WRITE, UPSTREAM, 100), (WRITE, UPSTREAM_2, 200))
    assert found.time_ns == {REQUEST: [95, 185]}


def test_a_message_in_pieces_counts_from_its_first_read_to_its_first_write() -> None:
    found = paired((READ, CLIENT, 0), (READ, CLIENT, 10), (WRITE, UPSTREAM, 100), (WRITE, UPSTREAM, 110))
    assert found.time_ns == {REQUEST: [95]}


def test_a_second_piece_of_a_write_does_not_take_the_read_of_another_connection() -> None:
    found = paired(
        (READ, CLIENT, 0),
        (READ, CLIENT_2, 10),
        (WRITE, UPSTREAM, 100),
        (WRITE, UPSTREAM, 110),
        (WRITE, UPSTREAM_2, 200),
    )
    assert found.time_ns == {REQUEST: [95, 185]}


def test_a_connection_can_pass_on_again_within_one_turn() -> None:
    found = paired((READ, CLIENT, 0), (WRITE, UPSTREAM, 100), (READ, CLIENT, 110), (WRITE, UPSTREAM, 200))
    assert found.time_ns == {REQUEST: [95, 85]}


def test_an_answer_to_the_socket_that_was_read_passes_nothing_on() -> None:
    assert paired((READ, CLIENT, 0), (WRITE, CLIENT, 50)).count == 0


def test_a_write_in_the_next_turn_still_counts() -> None:
    assert paired((READ, CLIENT, 0), (WAIT, -1, 50), (WRITE, UPSTREAM, 100)).time_ns == {REQUEST: [95]}


def test_reads_without_a_write_of_their_own_are_joined() -> None:
    found = paired((READ, CLIENT, 0), (READ, CLIENT_2, 10), (WRITE, UPSTREAM, 100), (WAIT, -1, 110), (WAIT, -1, 120))
    assert (found.count, found.joined) == (1, 1)


def test_files_are_left_out() -> None:
    assert paired((READ, LOG, 0), (WRITE, UPSTREAM, 50), (READ, CLIENT, 60), (WRITE, LOG, 70)).count == 0


def test_threads_do_not_pass_on_what_others_read() -> None:
    rows = [(0, 5, PID, 1, CLIENT, READ, 9), (50, 5, PID, 2, UPSTREAM, WRITE, 9)]
    assert pair(np.array(rows, CALL), SIDES).count == 0


def test_between_sockets_that_are_not_known_no_direction_is_told() -> None:
    assert paired((READ, CLIENT, 0), (WRITE, 99, 50)).time_ns == {UNTOLD: [45]}


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles_ns([]) == {}
    assert percentiles_ns([1, 2, 3])["p50_ns"] == 2


def of_threads(*calls: tuple[int, int, int, int]) -> Messages:
    """The messages of calls given as (thread, kind, file descriptor, start)."""
    return pair(
        np.array([(start, LASTS_NS, PID, thread, fd, kind, 9) for thread, kind, fd, start in calls], CALL), SIDES
    )


def test_what_one_thread_reads_and_another_writes_counts_without_a_time() -> None:
    found = of_threads(
        (1, READ, CLIENT, 0), (2, WRITE, UPSTREAM, 50), (3, READ, UPSTREAM, 100), (4, WRITE, CLIENT, 150)
    )
    assert (found.count, found.untimed, found.joined) == (0, 2, 0)


def test_ends_outside_of_bursts_count_once_by_those_on_the_other_side() -> None:
    found = of_threads((1, WRITE, UPSTREAM, 0), (1, READ, UPSTREAM, 10), (1, WRITE, CLIENT, 20))
    found.add(of_threads((1, READ, CLIENT, 900)))
    assert (found.count, found.untimed) == (1, 1)


def test_the_proxy_s_own_answers_and_questions_are_no_messages() -> None:
    own_answer = of_threads((1, READ, CLIENT, 0), (2, WRITE, CLIENT, 50))
    health_check = of_threads((1, WRITE, UPSTREAM, 0), (2, READ, UPSTREAM, 50))
    assert (own_answer.untimed, health_check.untimed) == (0, 0)


def test_a_read_of_the_same_side_is_passed_over() -> None:
    found = of_threads((1, READ, CLIENT_2, 0), (1, READ, UPSTREAM, 50), (1, WRITE, CLIENT, 100))
    assert found.time_ns == {RESPONSE: [45]}


def test_a_new_turn_of_a_socket_replaces_the_read_that_another_thread_passed_on() -> None:
    found = of_threads((1, READ, CLIENT, 0), (2, WRITE, CLIENT, 40), (1, READ, CLIENT, 100), (1, WRITE, UPSTREAM, 150))
    assert found.time_ns == {REQUEST: [45]}
