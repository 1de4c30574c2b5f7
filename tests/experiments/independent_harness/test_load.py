import json

import pytest

from experiments.independent_harness import paced_client
from experiments.independent_harness.load import (
    grouped_median,
    idle_and_steal_ns,
    of_paced_client,
    of_wrk,
    own_time_ns,
)
from profiler.errors import ProcessError

STAT = """\
cpu  30 0 30 700 30 0 0 7 0 0
cpu0 10 0 10 100 10 0 0 2 0 0
cpu1 10 0 10 200 10 0 0 4 0 0
cpu2 10 0 10 400 10 0 0 1 0 0
intr 1
"""


def test_median_lies_within_its_bin_in_proportion() -> None:
    assert grouped_median({10: 2, 11: 4, 12: 2}) == 11.0
    assert grouped_median({10: 1, 11: 4, 12: 3}) == pytest.approx(10.5 + 3 / 4)


def test_wrk_gives_the_median_in_nanoseconds_and_the_rate() -> None:
    sent = of_wrk("Running 2s test\nsummary 8 4000000 0\nbin 10 2\nbin 11 4\nbin 12 2\n")
    assert (sent.p50_ns, sent.rate_rps) == (11_000.0, 2.0)


@pytest.mark.parametrize("summary", ["8 4000000 1", "0 4000000 0"])
def test_failed_requests_of_wrk_are_an_error(summary: str) -> None:
    with pytest.raises(ProcessError, match="requests failed"):
        of_wrk(f"summary {summary}\nbin 10 8\n")


def test_first_requests_of_the_paced_client_do_not_count() -> None:
    text = json.dumps({"latencies_ns": [9000] * 2 + [100, 200, 300], "late": 0, "elapsed_ns": 500_000_000})
    assert of_paced_client(text).p50_ns == 200.0


def test_a_paced_client_that_is_late_has_its_real_rate() -> None:
    sent = of_paced_client(json.dumps({"latencies_ns": [100] * 10, "late": 4, "elapsed_ns": 2_000_000_000}))
    assert (sent.rate_rps, sent.late) == (5.0, 0.4)


def test_idle_and_stolen_time_are_those_of_the_cpus_used() -> None:
    assert idle_and_steal_ns(STAT, {0, 1}) == (320 * 10_000_000, 6 * 10_000_000)


def test_a_disturbed_step_counts_as_much_as_the_others() -> None:
    assert own_time_ns([(900, 9, 10), (400, 4, 4)]) == 1000 + 400


class Pieces:
    """A connection that gives an answer in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def recv(self, _: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def test_paced_client_reads_an_answer_to_its_end() -> None:
    connection = Pieces(b"HTTP/1.1 200 OK\r\nconte", b"nt-length: 1024\r\n\r\n", b"x" * 1000, b"x" * 24, b"next")
    paced_client.receive(connection)  # type: ignore[arg-type] # all of a socket that is used
    assert connection.pieces == [b"next"]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000], "closed in the middle"),
        ([b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + b"x" * 1024], "503 Service Unavailable"),
    ],
)
def test_paced_client_refuses_any_other_answer(pieces: list[bytes], message: str) -> None:
    with pytest.raises(ConnectionError, match=message):
        paced_client.receive(Pieces(*pieces))  # type: ignore[arg-type] # all of a socket that is used
