import numpy as np

from profiler.workload.base import Load, LoadResult

RESULT = LoadResult(np.array([0, 10, 20, 30]) * 1_000_000, np.array([5, 5, 25, 5]) * 1_000_000, failed=0)


def test_latencies_are_chosen_by_when_a_request_was_due() -> None:
    assert RESULT.between(10_000_000, 30_000_000).tolist() == [5_000_000, 25_000_000]


def test_a_rate_counts_what_was_answered_in_the_time() -> None:
    assert RESULT.rate_rps(0, 40_000_000) == 75  # the request due at 20 ms was answered at 45 ms


def test_only_one_connection_is_serial() -> None:
    assert Load(1, None, 0, 0).serial
    assert not Load(2, None, 0, 0).serial
