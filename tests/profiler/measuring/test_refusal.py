"""A proxy that refuses the load is named with the status it answers."""

import numpy as np

from profiler.measuring.bench import refusal
from profiler.vocabulary.hop import SERVER, Hop
from profiler.workload.base import LoadResult


def result(answered: int, refused: dict[int, int]) -> LoadResult:
    times = np.zeros(answered, dtype=np.int64)
    return LoadResult(times, times, sum(refused.values()), refused)


def test_a_filter_file_that_refuses_is_named_with_the_status() -> None:
    text = refusal(Hop("http1", SERVER, filters=("/x/limit.yaml",)), result(1, {429: 99, 503: 2}))
    assert text.startswith("--filter-file /x/limit.yaml: ")
    assert "HTTP status 429 answered 99 of 102 requests" in text


def test_a_bootstrap_that_refuses_is_named() -> None:
    text = refusal(Hop("http1", SERVER, bootstrap="/x/envoy.yaml"), result(0, {403: 5}))
    assert text.startswith("--proxy-config /x/envoy.yaml: ")


def test_a_few_refusals_are_no_reason_to_end() -> None:
    assert refusal(Hop("http1", SERVER), result(99, {503: 3})) == ""
