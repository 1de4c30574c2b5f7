"""Stages: from how calls of many requests lay in time, and what stages cannot express."""

from pathlib import Path

from predictor.importers.traces.calls.order import MeanCall, stages_of
from tests.predictor.importers.recorded import ROOT, Span, graph_of, span


def key(name: str) -> tuple[str, str, bool]:
    return "front", name, True


def calls(directory: Path, *intervals: tuple[str, int, int]) -> dict[str, int]:
    spans = [span(f"x{name}", name, "server", start, length, "root") for name, start, length in intervals]
    return {call.callee: call.stage for call in graph_of(directory, [ROOT, *spans]).calls}


def test_calls_that_overlap_by_a_twentieth_follow_each_other(tmp_path: Path) -> None:
    assert calls(tmp_path, ("a", 1_100, 100), ("b", 1_195, 100)) == {"a": 0, "b": 1}
    assert calls(tmp_path, ("a", 1_100, 100), ("b", 1_190, 100)) == {"a": 0, "b": 0}


def test_the_shorter_of_two_calls_says_what_little_is(tmp_path: Path) -> None:
    assert calls(tmp_path, ("a", 1_100, 500), ("b", 1_590, 20)) == {"a": 0, "b": 0}


def test_short_calls_beside_a_long_one_are_one_stage(tmp_path: Path) -> None:
    assert set(calls(tmp_path, ("a", 1_100, 500), ("b", 1_150, 100), ("c", 1_300, 100)).values()) == {0}


def test_a_chain_of_calls_that_overlap_in_part_is_divided_and_listed(tmp_path: Path) -> None:
    spans = [span(f"x{name}", name, "server", start, 200, "root")
             for name, start in (("a", 1_100), ("b", 1_270), ("c", 1_440))]  # fmt: skip
    graph = graph_of(tmp_path, [ROOT, *spans])
    assert [call.stage for call in graph.calls] == [0, 1, 2]
    listed = next(item for item in graph.assumed if item.path == "calls.front->*.group")
    assert listed.why == "calls to a, b, c overlap in part and take 0.54 ms; as stages 0.6 ms"


def test_two_calls_that_overlap_in_part_are_one_stage_and_listed(tmp_path: Path) -> None:
    spans = [span(f"x{name}", name, "server", start, 200, "root") for name, start in (("a", 1_100), ("b", 1_200))]
    graph = graph_of(tmp_path, [ROOT, *spans])
    assert [call.stage for call in graph.calls] == [0, 0]
    assert any("overlap in part and take 0.3 ms; as stages 0.2 ms" in item.why for item in graph.assumed)


def test_repeated_calls_beside_another_one_are_at_the_same_time(tmp_path: Path) -> None:
    spans = [span("x", "a", "server", 1_100, 100, "root"), span("y", "a", "server", 1_220, 100, "root"),
             span("z", "a", "server", 1_340, 100, "root"), span("b", "b", "server", 1_100, 50, "root")]  # fmt: skip
    assert {call.stage for call in graph_of(tmp_path, [ROOT, *spans]).calls} == {0}


def test_calls_in_turn_are_stages_not_at_the_same_time(tmp_path: Path) -> None:
    spans = [span(f"{name}{turn}", name, "server", 1_100 + turn * 200 + shift, 90, "root")
             for turn in range(3) for name, shift in (("a", 0), ("b", 100))]  # fmt: skip
    assert {call.callee: call.stage for call in graph_of(tmp_path, [ROOT, *spans]).calls} == {"a": 0, "b": 1}


def test_optional_calls_keep_the_order_that_requests_show(tmp_path: Path) -> None:
    def trace(*names: str) -> list[Span]:
        return [ROOT, *(span(f"x{name}", name, "server", 1_100 + place * 200, 100, "root")
                        for place, name in enumerate(names))]  # fmt: skip

    traces = [trace("c"), trace("c"), trace("a", "b", "c"), trace("b"), trace("a", "b")]
    graph = graph_of(tmp_path, *traces)
    assert {call.callee: call.stage for call in graph.calls} == {"a": 0, "b": 1, "c": 2}


def test_a_cycle_of_majorities_still_is_an_order() -> None:
    means = {key(name): MeanCall(start, start + 1.0, start) for name, start in (("a", 0.0), ("b", 1.0), ("c", 2.0))}
    follows = {(key(one), key(other)): 2 for one, other in (("a", "b"), ("b", "c"), ("c", "a"))}
    stage, partly = stages_of(means, {}, follows)
    assert (sorted(stage.values()), partly) == ([0, 1, 2], [])


def test_thousands_of_edges_are_ordered_in_linear_work() -> None:
    means = {key(str(number)): MeanCall(number, number + 0.5, number) for number in range(3_000)}
    follows = {(key(str(number)), key(str(number + 1))): 1 for number in range(2_999)}
    stage, _ = stages_of(means, {}, follows)
    assert stage[key("2999")] == 2_999
