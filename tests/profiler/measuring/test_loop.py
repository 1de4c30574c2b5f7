"""The windows of a run, before any is measured."""

import pytest

from profiler.evaluation.readings import Readings
from profiler.measuring.loop import Campaign, Step
from profiler.planning.cells import ANCHOR_HOP, COOLING_RPS, make_plan
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.variant import Variant


def labels(**settings: object) -> list[str]:
    chosen = ProfileSettings(protocols=("http1",), topologies=("both",), **settings)  # type: ignore[arg-type]
    return [step.label for step in Campaign(None, make_plan(chosen), chosen, Readings()).steps()]


WINDOWS = 2 * (1 + len(COOLING_RPS))
"""With sidecars and without, hot and at each rate."""


def test_how_sidecars_cool_is_measured_in_a_third_of_the_rounds_and_in_two_at_most() -> None:
    for repeats, rounds in ((2, 1), (5, 1), (6, 2), (10, 2)):
        found = [label for label in labels(repeats=repeats) if ": cooling, " in label]
        assert len(found) == rounds * WINDOWS
        assert {label.partition(":")[0] for label in found} == {
            f"round {number + 1} of {repeats}" for number in range(rounds)
        }


def test_at_low_rates_windows_are_long_enough_for_their_requests() -> None:
    chosen = ProfileSettings(protocols=("http1",), topologies=("both",))
    steps = Campaign(None, make_plan(chosen), chosen, Readings()).steps()
    seconds = {step.label.rpartition(", ")[2]: step.expected_s for step in steps if ": cooling, " in step.label}
    assert seconds["5/s"] > 10 / 5.0
    assert seconds["5/s"] > seconds["20/s"] > seconds["max"]


def test_each_protocol_and_tls_has_windows_of_its_own_and_applications_share_those_without_sidecars() -> None:
    chosen = ProfileSettings(protocols=("http1",), topologies=("both",), tls=("none", "mtls"), repeats=3)
    found = [step.label for step in Campaign(None, make_plan(chosen), chosen, Readings()).steps()]
    assert sum(": cooling, " in label for label in found) == 3 * (1 + len(COOLING_RPS))


@pytest.mark.parametrize(("repeats", "windows"), [(2, 2), (4, 3), (6, 5), (10, 9)])
def test_cpu_has_windows_in_all_rounds_but_one(repeats: int, windows: int) -> None:
    assert labels(repeats=repeats).count("CPU, http1-both, cold") == windows


def test_each_round_of_variants_has_new_processes_and_other_rounds_have_not() -> None:
    program = Variant("a", binary="/bin/a")
    found = [
        label for label in labels(repeats=3, variants=(program, Variant("b", binary="/bin/b"))) if "restart" in label
    ]
    assert found == [f"round {number} of 3: restarting the proxies" for number in (2, 3)]
    assert not any("restart" in label for label in labels(repeats=3))


def test_without_both_ends_there_is_nothing_between_them() -> None:
    assert not any(": cooling, " in label for label in labels(temperatures=("hot",)))
    plan = make_plan(ProfileSettings(temperatures=("hot",)))
    assert plan.cooling_points == ()


def test_cooling_is_measured_at_rates_while_cpus_are_awake() -> None:
    plan = make_plan(ProfileSettings(protocols=("grpc",), topologies=("both",)))
    assert {hop.protocol for hop, _ in plan.cooling_points} == {"grpc"}
    assert {scene.load.rate_rps for _, scene in plan.cooling_points} == {None, *COOLING_RPS}
    assert {scene.temperature for _, scene in plan.cooling_points} == {"hot"}
    assert min(COOLING_RPS) == 5.0


def test_where_cpus_sleep_the_anchor_shows_how_they_cool() -> None:
    plan = make_plan(ProfileSettings(temperatures=("natural",)))
    assert {hop for hop, _ in plan.cooling_points} == {ANCHOR_HOP}
    assert {scene.temperature for _, scene in plan.cooling_points} == {"hot", "natural"}


def test_variants_of_a_hop_are_measured_one_after_another_in_random_order() -> None:
    variants = (Variant("a", version="1.38.2"), Variant("b", version="1.40.0"))
    found_labels = labels(temperatures=("hot",), variants=variants, placements=("together",))
    orders = set()
    for kind in ("latency", "CPU"):
        found = [(at, label) for at, label in enumerate(found_labels) if f"{kind}, http1-both-together@" in label]
        pairs = list(zip(found[::2], found[1::2], strict=True))
        assert len(pairs) >= 5
        assert all(later - earlier == 1 for (earlier, _), (later, _) in pairs)
        orders |= {label.partition("@")[2][0] for (_, label), _ in pairs}
    assert orders == {"a", "b"}


@pytest.mark.parametrize(("takes_s", "expected_s"), [(5.0, [100.0, 50.0]), (7.5, [100.0, 75.0]), (2.0, [100.0, 50.0])])
def test_the_time_left_grows_on_a_machine_that_takes_longer_than_expected(
    takes_s: float, expected_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0

    def measure() -> None:
        nonlocal now_s
        now_s += takes_s

    monkeypatch.setattr("time.monotonic", lambda: now_s)
    chosen = ProfileSettings(protocols=("http1",), topologies=("both",))
    campaign = Campaign(None, make_plan(chosen), chosen, Readings())
    monkeypatch.setattr(campaign, "steps", lambda: [Step(str(number), 5.0, measure) for number in range(20)])
    left_s: list[float] = []
    campaign.run(lambda _, seconds: left_s.append(seconds))
    assert [left_s[0], left_s[10]] == pytest.approx(expected_s)
