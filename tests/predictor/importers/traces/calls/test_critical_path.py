"""Own times and the critical path on small traces: shapes of CRISP's public test set, rebuilt.

Each case is spans `(id, service, start, duration, parent)` and what every service adds to the critical path, in µs;
what adds nothing is left out. The values are the published ones; cases that differ in error tags alone are one here.
"""

from pathlib import Path
from typing import Any

import pytest

from predictor.importers.traces.reading import TraceImport
from tests.predictor.importers.recorded import imported, written

Short = tuple[str, str, int, int, str]
CASES: dict[str, tuple[list[Short], dict[str, float]]] = {
    "one request": ([("a", "s1", 0, 100, "")], {"s1": 100}),
    "one call": ([("a", "s1", 0, 100, ""), ("b", "s2", 10, 50, "a")], {"s1": 50, "s2": 50}),
    "a call that takes all the time": ([("a", "s1", 0, 100, ""), ("b", "s2", 0, 100, "a")], {"s2": 100}),
    "a call in a call": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 10, 50, "a"), ("c", "s3", 20, 10, "b")],
        {"s1": 50, "s2": 40, "s3": 10},
    ),
    "gaps between calls are the caller's": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 10, 20, "a"), ("c", "s3", 40, 10, "a"), ("d", "s4", 60, 30, "a")],
        {"s1": 40, "s2": 20, "s3": 10, "s4": 30},
    ),
    "a call that ends a little late is cut": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 10, 100, "a"), ("c", "s3", 40, 10, "b")],
        {"s1": 10, "s2": 80, "s3": 10},
    ),
    "a call half of which is late is cut, two levels down": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 10, 60, "a"), ("c", "s3", 20, 100, "b")],
        {"s1": 40, "s2": 10, "s3": 50},
    ),
    "a call after its caller's end, and what it calls, is not waited for": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 110, 50, "a"), ("c", "s3", 120, 30, "b"), ("d", "s4", 60, 30, "a")],
        {"s1": 70, "s4": 30},
    ),
    "calls that overlap by a clock's tick follow each other": (
        [("a", "s1", 0, 1000, ""), ("b", "s2", 10, 200, "a"), ("c", "s3", 209, 100, "a"), ("d", "s4", 308, 300, "a")],
        {"s1": 400, "s2": 200, "s3": 100, "s4": 300},
    ),
    "calls that overlap by a twentieth follow each other": (
        [("a", "s1", 0, 600, ""), ("b", "s2", 10, 200, "a"), ("c", "s3", 205, 100, "a"), ("d", "s4", 300, 300, "a")],
        {"s2": 200, "s3": 100, "s4": 300},
    ),
    "of two calls at the same time the later end counts": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 10, 60, "a"), ("c", "s3", 25, 20, "b"), ("d", "s4", 30, 20, "b")],
        {"s1": 40, "s2": 40, "s4": 20},
    ),
    "of a chain of overlaps every second one counts": (
        [("a", "s1", 0, 80, ""), ("b", "s2", 10, 20, "a"), ("c", "s3", 20, 25, "a"), ("d", "s4", 40, 25, "a")],
        {"s1": 35, "s2": 20, "s4": 25},
    ),
    "chain, then calls one by one": (
        [("a", "s1", 0, 110, ""), ("b", "s2", 10, 10, "a"), ("c", "s3", 15, 20, "a"), ("d", "s4", 30, 10, "a"),
         ("e", "s5", 50, 10, "a"), ("f", "s6", 70, 30, "a"), ("g", "s7", 80, 10, "f")],
        {"s1": 50, "s2": 10, "s4": 10, "s5": 10, "s6": 20, "s7": 10},
    ),
    "the same services again": (
        [("a", "s1", 0, 700, ""), ("b", "s2", 50, 300, "a"), ("c", "s3", 100, 50, "b"), ("d", "s3", 200, 50, "b"),
         ("e", "s3", 300, 50, "b"), ("f", "s2", 400, 300, "a"), ("g", "s3", 450, 50, "f"), ("h", "s3", 550, 50, "f"),
         ("i", "s3", 650, 50, "f")],
        {"s1": 100, "s2": 300, "s3": 300},
    ),
    "four levels, several calls in each": (
        [("a", "s1", 0, 250, ""), ("b", "s2", 10, 100, "a"), ("c", "s3", 30, 10, "b"), ("d", "s4", 50, 10, "b"),
         ("e", "s5", 70, 10, "b"), ("f", "s6", 120, 100, "a"), ("g", "s7", 140, 60, "f"), ("h", "s8", 150, 20, "g"),
         ("i", "s9", 180, 10, "g")],
        {"s1": 50, "s2": 70, "s3": 10, "s4": 10, "s5": 10, "s6": 40, "s7": 30, "s8": 20, "s9": 10},
    ),
    "one service three times": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 10, 20, "a"), ("c", "s2", 40, 10, "a"), ("d", "s2", 60, 30, "a")],
        {"s1": 40, "s2": 60},
    ),
    "one service until the end": (
        [("a", "s1", 0, 300, ""), ("b", "s2", 50, 50, "a"), ("c", "s2", 150, 50, "a"), ("d", "s2", 250, 50, "a")],
        {"s1": 150, "s2": 150},
    ),
    "a call in a call, then one more": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 20, 50, "a"), ("c", "s3", 30, 20, "b"), ("d", "s4", 80, 10, "a")],
        {"s1": 40, "s2": 30, "s3": 20, "s4": 10},
    ),
    "a call that takes all the time, in it one at the end": (
        [("a", "s1", 0, 100, ""), ("b", "s2", 0, 100, "a"), ("c", "s3", 70, 30, "b")],
        {"s2": 70, "s3": 30},
    ),
    "a call at the end": ([("a", "s1", 0, 100, ""), ("b", "s2", 70, 30, "a")], {"s1": 70, "s2": 30}),
}  # fmt: skip


def imported_case(directory: Path, spans: list[Short], kinds: dict[str, str] | None = None) -> TraceImport:
    def one(span: Short) -> dict[str, Any]:
        name, service, start, duration, parent = span
        tags = [{"key": "span.kind", "value": kinds[name]}] if kinds and name in kinds else []
        references = [{"refType": "CHILD_OF", "spanID": parent}] if parent else []
        return {"spanID": name, "operationName": name, "startTime": start, "duration": duration, "tags": tags,
                "references": references, "process": {"serviceName": service}}  # fmt: skip

    return imported(written(directory, {"data": [{"traceID": "t", "spans": [one(span) for span in spans]}]}))


def on_path(found: TraceImport) -> dict[str, float]:
    return {share.service: share.own_ns_per_trace / 1000 for share in found.path if share.own_ns_per_trace}


@pytest.mark.parametrize(("spans", "expected"), CASES.values(), ids=CASES)
def test_the_critical_path_is_that_of_the_public_cases(
    tmp_path: Path, spans: list[Short], expected: dict[str, float]
) -> None:
    assert on_path(imported_case(tmp_path, spans)) == expected


@pytest.mark.parametrize("name", ["a call that ends a little late is cut",
                                  "calls that overlap by a twentieth follow each other"])  # fmt: skip
def test_own_times_add_up_to_what_was_observed(tmp_path: Path, name: str) -> None:
    spans = CASES[name][0]
    graph = imported_case(tmp_path, spans).graph
    assert sum(service.service_time.mean_ns for service in graph.services) == spans[0][3] * 1000


def test_client_and_server_clocks_that_disagree_a_little(tmp_path: Path) -> None:
    """The server's span is longer than the client's, which cuts it; another one began too early, which moves it."""
    spans = [
        ("r", "s1", 0, 1000, ""), ("a", "s1", 100, 500, "r"), ("s", "s2", 105, 504, "a"), ("x", "s2", 550, 59, "s"),
        ("b", "s1", 750, 200, "r"), ("t", "s3", 745, 200, "b"),
    ]  # fmt: skip
    found = imported_case(tmp_path, spans, {"a": "client", "b": "client", "s": "server", "t": "server"})
    times = {service.name: service.service_time.mean_ns / 1000 for service in found.graph.services}
    assert times == {"s1": 300, "s2": 495, "s3": 200}
    assert any("clock moved" in item.why and item.path == "services.s3.service_time" for item in found.graph.assumed)


def test_a_child_of_the_same_host_before_its_parent_is_not_waited_for(tmp_path: Path) -> None:
    spans = [{"spanID": "a", "startTime": 10, "duration": 20, "process": {"serviceName": "s1", "tags": TAGS}},
             {"spanID": "b", "startTime": 1, "duration": 4, "references": [{"spanID": "a"}],
              "process": {"serviceName": "s2", "tags": TAGS}}]  # fmt: skip
    found = imported(written(tmp_path, {"data": [{"traceID": "t", "spans": spans}]}))
    assert found.graph.calls[0].asynchronous
    assert on_path(found) == {"s1": 20}


TAGS = [{"key": "hostname", "value": "one"}]


def test_what_is_cut_and_what_is_not_waited_for_is_listed_with_counts(tmp_path: Path) -> None:
    cut = imported_case(tmp_path, CASES["a call half of which is late is cut, two levels down"][0]).graph
    assert any("in 1 of 1 requests the part outside the call" in item.why and item.path == "services.s3.service_time"
               for item in cut.assumed)  # fmt: skip
    late = imported_case(
        tmp_path, CASES["a call after its caller's end, and what it calls, is not waited for"][0]
    ).graph
    assert any(item.path == "calls.s1->s2.asynchronous" and "1 of 1 calls" in item.why for item in late.assumed)
