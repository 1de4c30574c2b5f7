import pytest
from msgspec.structs import replace

from profiler.evaluation.block_result import BlockResult
from profiler.evaluation.merge import merged_anchor, merged_cells, merged_hit_ns, merged_noise, merged_probes
from profiler.profile.intervals import with_intervals
from profiler.profile.types import Anchor, Cell, CoolingPoint, Noise
from tests.profiler.evaluation.blocks import anchor, block_result, cell, probe


def cells_of(*results: BlockResult) -> list[Cell]:
    return merged_cells(results, merged_anchor(results))


def factors(*results: BlockResult) -> list[float | None]:
    return [entry.anchor_factor for entry in cells_of(*results)]


def anchor_of(*results: BlockResult) -> Anchor:
    found = merged_anchor(results)
    assert found is not None
    return found


def test_cells_come_in_the_order_of_measuring() -> None:
    merged = cells_of(block_result([cell("b")]), block_result([cell("a"), cell("c")]))
    assert [entry.id for entry in merged] == ["b", "a", "c"]


def test_a_rung_is_replaced_by_the_cell_that_was_asked_for() -> None:
    rung, asked = cell("a", reference=True, rounds=1), cell("a", rounds=2)
    assert [entry.rounds for entry in cells_of(block_result([rung]), block_result([asked]))] == [2]
    assert [entry.rounds for entry in cells_of(block_result([asked]), block_result([rung]))] == [2]


def test_of_two_rungs_the_first_is_kept() -> None:
    first, second = (cell("a", reference=True, rounds=rounds) for rounds in (3, 1))
    assert [entry.rounds for entry in cells_of(block_result([first]), block_result([second]))] == [3]


def test_blocks_are_scaled_to_the_anchor_of_the_whole_run() -> None:
    slow = block_result([cell("slow")], anchor=anchor(200.0))
    fast = block_result([cell("fast", anchor_factor=0.8)], anchor=anchor(100.0))
    assert factors(slow, fast) == pytest.approx([0.75, 1.2])  # both at an anchor of 150


def test_a_block_without_anchor_or_factor_stays_as_it_is() -> None:
    without, unknown = block_result([cell("a")], anchor=None), block_result([cell("b", anchor_factor=None)])
    assert factors(without, unknown) == [1.0, None]


def test_a_temperature_that_a_blocks_anchor_lacks_stays_as_it_is() -> None:
    hot, cold = block_result([cell("a")]), block_result([cell("b", temperature="cold")], anchor=anchor(300.0))
    assert factors(hot, cold) == pytest.approx([2.0, 1.0])


def test_only_the_factor_and_the_intervals_of_a_cell_change() -> None:
    one, other = block_result([cell("a")], anchor=anchor(200.0)), block_result([cell("b")])
    whole = anchor_of(one, other)
    found = [replace(entry, anchor_factor=1.0) for entry in cells_of(one, other)]
    assert found == [with_intervals(cell(name), whole) for name in ("a", "b")]


def test_intervals_hold_the_drift_between_blocks() -> None:
    one = cell("a")
    assert one.latency is not None
    steady, moved = (cells_of(block_result([one], anchor=anchor(100.0, ns)))[0].latency for ns in (100.0, 200.0))
    assert steady is not None
    assert steady.overhead_ci95_ns is not None
    assert moved is not None
    assert moved.overhead_ci95_ns is not None
    assert moved.overhead_ci95_ns[0] < steady.overhead_ci95_ns[0] < one.latency.overhead_p50_ns
    assert one.latency.overhead_p50_ns < steady.overhead_ci95_ns[1] < moved.overhead_ci95_ns[1]


def test_a_cell_without_latency_is_kept() -> None:
    assert cells_of(block_result([cell("a", latency=None)]))[0].latency is None


def test_anchor_rounds_of_all_blocks_lie_on_one_time_axis() -> None:
    merged = anchor_of(block_result(anchor=anchor(100.0, 110.0)), block_result(at_s=60.0, anchor=anchor(120.0)))
    assert [entry.at_s for entry in merged.rounds] == [0.0, 10.0, 60.0]
    assert merged.median_with_p50_ns == 110.0
    assert merged.drift_ratio == pytest.approx((118 - 102) / 110)


def test_the_anchors_temperatures_are_medians_of_the_blocks_that_have_them() -> None:
    medians = [{"hot": 100.0}, {"hot": 300.0, "cold": 500.0}, {"hot": 120.0}]
    merged = anchor_of(*(block_result(anchor=anchor(1.0, median_by_temperature_ns=found)) for found in medians))
    assert merged.median_by_temperature_ns == {"hot": 120.0, "cold": 500.0}


def test_a_block_without_anchor_adds_no_rounds() -> None:
    merged = anchor_of(block_result(anchor=None), block_result(at_s=5.0, anchor=anchor(120.0)))
    assert [(entry.at_s, entry.with_p50_ns) for entry in merged.rounds] == [(5.0, 120.0)]


def test_without_any_anchor_there_is_none() -> None:
    assert merged_anchor([block_result(anchor=None)]) is None


def test_probes_add_up_their_hits_and_drops() -> None:
    one = block_result(probes=[probe("a", 3, 1), probe("b", 5)])
    other = block_result(probes=[probe("a", 4, 2), probe("b", 0, attached=False, error="gone")])
    assert merged_probes([one, other]) == [probe("a", 7, 3), probe("b", 5, attached=False, error="gone")]


def test_noise_is_the_mean_and_judged_anew() -> None:
    noises = [Noise(steal_ratio=ratio, psi_cpu_some_ratio=psi) for ratio, psi in ((0.0, None), (0.9, 0.5))]
    merged = merged_noise(noises)
    assert (merged.steal_ratio, merged.psi_cpu_some_ratio, merged.noisy) == (0.45, 0.5, True)


@pytest.mark.parametrize("steal", [None, 0.0])
def test_noise_that_nobody_knows_stays_unknown(steal: float | None) -> None:
    merged = merged_noise([Noise(steal_ratio=steal, psi_cpu_some_ratio=None)] * 2)
    assert (merged.steal_ratio, merged.psi_cpu_some_ratio, merged.noisy) == (steal, None, False)


def test_what_probes_cost_is_the_median_of_the_blocks() -> None:
    hits = [{"in_a_loop": value, "in_place": 2 * value} for value in (100.0, 500.0, 110.0)]
    merged = merged_hit_ns([block_result(probe_hit_ns=hit) for hit in hits])
    assert merged == {"in_a_loop": 110.0, "in_place": 220.0}


def test_calibrations_that_not_all_blocks_have_are_left_out() -> None:
    other = block_result(probe_hit_ns={"in_a_loop": 300.0})
    assert merged_hit_ns([block_result(), other]) == {"in_a_loop": 200.0}


def test_how_sidecars_cool_is_the_median_of_the_blocks() -> None:
    point = CoolingPoint(temperature="hot", rate_rps=50.0, with_p50_ns=0.0, baseline_p50_ns=10.0)
    anchors = [anchor(100.0, cooling=[replace(point, with_p50_ns=ns)]) for ns in (100.0, 300.0)]
    merged = anchor_of(*(block_result([cell(name)], anchor=one) for name, one in zip("ab", anchors, strict=True)))
    assert merged.cooling == [replace(point, with_p50_ns=200.0)]


def test_points_of_cooling_differ_by_protocol_and_tls() -> None:
    point = CoolingPoint(temperature="hot", rate_rps=5.0, with_p50_ns=2.0, baseline_p50_ns=1.0)
    points = [point, replace(point, protocol="grpc"), replace(point, tls="mtls")]
    assert anchor_of(block_result(anchor=anchor(100.0, cooling=points))).cooling == points


def test_points_of_cooling_differ_by_rate_and_temperature() -> None:
    points = [
        CoolingPoint(temperature=temperature, rate_rps=rate, with_p50_ns=2.0, baseline_p50_ns=1.0)
        for temperature, rate in (("hot", 50.0), ("hot", None), ("natural", 50.0))
    ]
    assert anchor_of(block_result(anchor=anchor(100.0, cooling=points))).cooling == points
