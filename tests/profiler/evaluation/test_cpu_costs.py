"""What hits of probes and hand-overs to another CPU cost, from the windows of other hops."""

from collections.abc import Mapping

import pytest

from profiler.evaluation.cpu_costs import CpuCostFit, CpuCosts
from profiler.evaluation.readings import Point
from profiler.evaluation.windows import CpuWindow
from profiler.host.accounting import Noise
from profiler.planning.cells import ANCHOR_HOP, ANCHOR_SCENE, anchor_scene
from profiler.probes.cputime import CpuTimes
from profiler.vocabulary.hop import APART, TOGETHER, Hop

HIT_NS, CROSSING_NS, OWN_NS = 50.0, 30_000.0, 15_000.0
HITS = 20
POINT: Point = (ANCHOR_HOP.baseline, ANCHOR_SCENE)


def window(free: float | None, traced: float | None, requests: float = 1000.0, hit_ns: float = HIT_NS) -> CpuWindow:
    """A window whose requests had so many hand-overs to another CPU, by kind of phase."""

    def busy_ns(crossed: float | None, count: float) -> float:
        return (OWN_NS + CROSSING_NS * (crossed or 0.0)) * count

    times = CpuTimes({}, {}, 0, hits=round(HITS * requests))
    counted = [None if crossed is None else crossed * requests * part for crossed, part in ((free, 2), (traced, 1))]
    return CpuWindow(
        requests, 1000.0, busy_ns(free, 2 * requests), times, 2 * requests,
        busy_ns(traced, requests) + hit_ns * times.hits, 0.0, None, 1.0, 1.0, Noise(0.0, None), "", *counted,
    )  # fmt: skip


def costs(windows: Mapping[Point, list[CpuWindow]]) -> CpuCosts:
    return CpuCostFit(windows).without(ANCHOR_HOP)


def test_both_costs_are_found_where_hand_overs_vary_from_phase_to_phase() -> None:
    found = costs({POINT: [window(0.1, 1.9), window(1.0, 0.4), window(2.0, 2.0)]})
    assert found.hit_ns == pytest.approx(HIT_NS)
    assert found.rescheduling_ns["hot"] == pytest.approx(CROSSING_NS)


def test_both_ends_of_placement_tell_it_without_any_variation_of_their_own() -> None:
    ends: Mapping[Point, list[CpuWindow]] = {
        (Hop("none", "none", placement=APART), ANCHOR_SCENE): [window(2.0, 2.0)] * 2,
        (Hop("none", "none", placement=TOGETHER), ANCHOR_SCENE): [window(0.0, 0.0)] * 2,
    }
    assert costs(ends).rescheduling_ns["hot"] == pytest.approx(CROSSING_NS)


def test_temperatures_have_costs_of_their_own() -> None:
    cold = (POINT[0], anchor_scene("cold"))
    found = costs({POINT: [window(0.0, 1.0), window(1.0, 0.0)], cold: [window(1.0, 1.0)] * 2})
    assert found.rescheduling_ns["hot"] == pytest.approx(CROSSING_NS)
    assert found.rescheduling_ns["cold"] == pytest.approx(0.0)


def test_without_counted_hand_overs_hits_alone_are_calibrated() -> None:
    found = costs({POINT: [window(None, None), window(None, None)]})
    assert found.hit_ns == pytest.approx(HIT_NS)
    assert found.moved_ns(window(None, None), "hot") == 0.0


def test_no_cost_is_below_zero() -> None:
    found = costs({POINT: [window(0.1, 1.9, hit_ns=-20.0), window(1.0, 0.4, hit_ns=-20.0)]})
    assert found.hit_ns == 0.0
    assert min(found.rescheduling_ns.values()) >= 0.0


def test_nothing_measured_is_no_cost() -> None:
    assert costs({}) == CpuCosts()


def test_what_moved_is_what_brings_the_traced_requests_to_the_others() -> None:
    known = CpuCosts(HIT_NS, {"hot": CROSSING_NS})
    one = window(2.0, 0.5, requests=100.0)
    assert known.moved_ns(one, "hot") == pytest.approx(1.5 * 100 * CROSSING_NS)
    assert known.moved_ns(one, "natural") == 0.0


def test_a_hop_does_not_calibrate_itself() -> None:
    own: Point = (ANCHOR_HOP, ANCHOR_SCENE)
    others = {POINT: [window(None, None), window(None, None)]}
    fit = CpuCostFit({**others, own: [window(None, None, hit_ns=500.0)] * 9})
    assert fit.without(ANCHOR_HOP).hit_ns == pytest.approx(HIT_NS)


def test_other_hops_with_sidecars_calibrate_too() -> None:
    other: Point = (Hop("tcp", "client"), ANCHOR_SCENE)
    fit = CpuCostFit({POINT: [window(None, None, hit_ns=0.0)], other: [window(None, None, hit_ns=2 * HIT_NS)]})
    assert fit.without(ANCHOR_HOP).hit_ns == pytest.approx(HIT_NS)


def test_a_hit_costs_more_where_sidecars_parse() -> None:
    parsing: Point = (Hop("http1", "client"), ANCHOR_SCENE)
    fit = CpuCostFit({POINT: [window(None, None)] * 4, parsing: [window(None, None, hit_ns=3 * HIT_NS)] * 4})
    found = fit.without(Hop("http1", "both"))
    assert found.of(POINT[0]).hit_ns == pytest.approx(HIT_NS)
    assert found.of(Hop("http1", "both")).hit_ns == pytest.approx(3 * HIT_NS)


def test_the_only_hop_that_parses_is_corrected_by_those_that_do_not() -> None:
    parsing: Point = (Hop("http1", "both"), ANCHOR_SCENE)
    fit = CpuCostFit({POINT: [window(None, None)] * 4, parsing: [window(None, None, hit_ns=9 * HIT_NS)] * 4})
    assert fit.without(parsing[0]).of(parsing[0]).hit_ns == pytest.approx(HIT_NS)
