"""What is asked of a load generator."""

from dataclasses import replace

from profiler.vocabulary.load import Load

LOAD = Load(connections=1, rate_rps=None, request_bytes=128, response_bytes=1024)


def test_only_one_connection_is_serial() -> None:
    assert [replace(LOAD, connections=count).serial for count in (1, 2)] == [True, False]


def test_the_path_says_the_size_and_how_many_messages() -> None:
    assert [replace(LOAD, messages=count).answer for count in (1, 10)] == ["/1024", "/1024x10"]


def test_made_up_headers_come_first_then_those_that_filters_need() -> None:
    load = replace(LOAD, headers=2, header_bytes=3, extra_headers=("authorization: Bearer a:b", "x-empty:"))
    assert load.header_lines() == [
        ("x-header-000", "vvv"),
        ("x-header-001", "vvv"),
        ("authorization", "Bearer a:b"),
        ("x-empty", ""),
    ]
