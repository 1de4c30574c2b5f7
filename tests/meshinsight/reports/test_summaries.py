from typing import Any

from meshinsight.reports.subjects import summaries


def mutual_tls(tls_ns: float, **changes: Any) -> dict[str, Any]:
    common = {"protocol": "tcp", "topology": "both", "proxy": "envoy", "temperature": "hot", "tls": "mtls"}
    load = {"request_bytes": 0, "response_bytes": 1024, "connections": 1, "rate_rps": None, "headers": 0, "messages": 1}
    latency = {"components": {"tls": {"median_ns": tls_ns}}}
    return {**common, **load, "filters": [], "new_connections": False, "latency": latency, **changes}


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
