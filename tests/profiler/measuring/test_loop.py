"""The windows of a run, before any is measured."""

import pytest

from profiler.evaluation.readings import Readings
from profiler.measuring.loop import Campaign
from profiler.planning.cells import ANCHOR_HOP, COOLING_RPS, anchor_scene, make_plan
from profiler.planning.settings import ProfileSettings


def labels(**settings: object) -> list[str]:
    chosen = ProfileSettings(protocols=("http1",), topologies=("both",), **settings)  # type: ignore[arg-type]
    return [step.label for step in Campaign(None, make_plan(chosen), chosen, Readings()).steps()]


def test_the_anchor_tells_how_sidecars_cool_in_a_third_of_the_rounds() -> None:
    found = [label for label in labels(repeats=10) if ": cooling, " in label]
    assert len(found) == 3 * 2 * len(COOLING_RPS)  # with sidecars and without; both ends are measured anyway
    assert {label.partition(":")[0] for label in found} == {f"round {number} of 10" for number in (1, 2, 3)}
    assert sum(": cooling, " in label for label in labels(repeats=4)) == 2 * len(COOLING_RPS)


@pytest.mark.parametrize(("repeats", "windows"), [(2, 2), (4, 3), (6, 5), (10, 9)])
def test_cpu_has_windows_in_all_rounds_but_one(repeats: int, windows: int) -> None:
    assert labels(repeats=repeats).count("CPU, http1-both, cold") == windows


def test_without_both_ends_there_is_nothing_between_them() -> None:
    assert not any(": cooling, " in label for label in labels(temperatures=("hot",)))
    plan = make_plan(ProfileSettings(temperatures=("hot",)))
    assert plan.cooling_scenes == ()


def test_cooling_is_the_anchor_at_a_rate_beside_awake_cpus() -> None:
    scene = anchor_scene("hot", 50.0)
    assert (scene.temperature, scene.load.rate_rps, scene.load.connections) == ("hot", 50.0, 1)
    plan = make_plan(ProfileSettings(protocols=("grpc",), topologies=("both",)))
    assert scene in plan.cooling_scenes
    assert ANCHOR_HOP in plan.hops
