from typing import Any

from meshinsight.reports.subjects import summaries
from profiler.profile.types import Cell
from tests.predictor.models.profiles import cell


def mutual_tls(tls_ns: float, **changes: Any) -> Cell:
    return cell({"tls": (tls_ns, 0, 0, 0, 0)}, (0, 1024, 0, 0), **{"protocol": "tcp", "tls": "mtls", **changes})


def test_records_cost_the_slope_from_the_smallest_to_the_largest_message() -> None:
    small, large = mutual_tls(5000), mutual_tls(69_000, response_bytes=65 * 1024)
    assert summaries.record_costs([large, small]) == [(small, large, 1000.0)]


def test_one_size_tells_nothing_of_records() -> None:
    assert summaries.record_costs([mutual_tls(5000), mutual_tls(5000, temperature="cold")]) == []


def test_a_handshake_is_a_new_connection_against_a_kept_one_as_tcp_proxies() -> None:
    kept, new = mutual_tls(5000), mutual_tls(1_400_000, new_connections=True)
    pooled = [mutual_tls(5000, protocol="http1"), mutual_tls(6000, protocol="http1", new_connections=True)]
    assert summaries.handshakes([kept, new, *pooled]) == [(new, kept)]


def test_an_interval_that_holds_zero_does_not_tell_from_it() -> None:
    assert not summaries.tells_from_zero([-1.0, 2.0])
    assert not summaries.tells_from_zero(None)
    assert summaries.tells_from_zero([0.5, 2.0])
