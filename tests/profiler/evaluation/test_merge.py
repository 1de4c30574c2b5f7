from typing import Any

import pytest

from profiler.evaluation.merge import merge


def cell(name: str, reference: bool = False, anchored_ns: float | None = 1000.0, **more: Any) -> dict[str, Any]:
    component = {"median_ns": 900.0, "anchored_median_ns": anchored_ns}
    latency = {"components": {"ipc": component}}
    return {"id": name, "temperature": "hot", "reference": reference, "latency": latency, **more}


def anchor(*medians_ns: float) -> dict[str, Any]:
    rounds = [{"at_s": 10.0 * n, "with_p50_ns": ns, "baseline_p50_ns": 1.0} for n, ns in enumerate(medians_ns)]
    return {
        "protocol": "http1",
        "topology": "both",
        "temperature": "hot",
        "rounds": rounds,
        "median_with_p50_ns": sorted(medians_ns)[len(medians_ns) // 2],
        "median_by_temperature_ns": {"hot": sorted(medians_ns)[len(medians_ns) // 2]},
        "drift_ratio": 0.0,
    }


def probe(name: str, hits: int, dropped: int = 0, attached: bool = True, error: str | None = None) -> dict[str, Any]:
    return {
        "program": "timeline",
        "name": name,
        "attached": attached,
        "hits": hits,
        "dropped": dropped,
        "error": error,
    }


def result(*cells: dict[str, Any], at_s: float = 0.0, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": f"run-{at_s:g}",
        "at_s": at_s,
        "cells": list(cells),
        "probe_hit_ns": {"in_a_loop": 100.0, "in_place": 200.0},
        "anchor": anchor(100.0),
        "noise": {"steal_ratio": 0.0, "psi_cpu_some_ratio": None, "noisy": False},
        "probes": [],
        "repeated_windows": 1,
        "files": {},
        **changes,
    }


def anchored(merged: dict[str, Any]) -> list[float | None]:
    return [entry["latency"]["components"]["ipc"]["anchored_median_ns"] for entry in merged["cells"]]


def test_cells_come_in_the_order_of_measuring() -> None:
    merged = merge([result(cell("b")), result(cell("a"), cell("c"))])
    assert [entry["id"] for entry in merged["cells"]] == ["b", "a", "c"]


def test_a_rung_is_replaced_by_the_cell_that_was_asked_for() -> None:
    rung, asked = cell("a", reference=True, number=1), cell("a", number=2)
    assert merge([result(rung), result(asked)])["cells"][0]["number"] == 2
    assert merge([result(asked), result(rung)])["cells"][0]["number"] == 2
    assert merge([result({**rung, "number": 3}), result(rung)])["cells"][0]["number"] == 3


def test_blocks_are_scaled_to_the_anchor_of_the_whole_run() -> None:
    slow, fast = result(cell("slow"), anchor=anchor(200.0)), result(cell("fast"), anchor=anchor(100.0))
    assert anchored(merge([slow, fast])) == pytest.approx([750.0, 1500.0])  # both at an anchor of 150


def test_a_block_without_anchor_or_anchored_medians_stays_as_it_is() -> None:
    merged = merge([result(cell("a"), anchor=None), result(cell("b", anchored_ns=None))])
    assert anchored(merged) == [1000.0, None]


def test_a_cell_without_latency_is_kept() -> None:
    assert merge([result({**cell("a"), "latency": None})])["cells"][0]["latency"] is None


def test_anchor_rounds_of_all_blocks_lie_on_one_time_axis() -> None:
    merged = merge([result(anchor=anchor(100.0, 110.0)), result(at_s=60.0, anchor=anchor(120.0))])["anchor"]
    assert [entry["at_s"] for entry in merged["rounds"]] == [0.0, 10.0, 60.0]
    assert merged["median_with_p50_ns"] == 110.0
    assert merged["drift_ratio"] == pytest.approx((118 - 102) / 110)


def test_without_any_anchor_there_is_none() -> None:
    assert merge([result(anchor=None)])["anchor"] is None


def test_probes_add_up_their_hits_and_drops() -> None:
    one = result(probes=[probe("a", 3, 1), probe("b", 5)])
    other = result(probes=[probe("a", 4, 2), probe("b", 0, attached=False, error="gone")])
    assert merge([one, other])["probes"] == [probe("a", 7, 3), probe("b", 5, attached=False, error="gone")]


def test_noise_is_the_mean_and_judged_anew() -> None:
    noises = [
        {"steal_ratio": ratio, "psi_cpu_some_ratio": psi, "noisy": False} for ratio, psi in ((0.0, None), (0.9, 0.5))
    ]
    merged = merge([result(noise=noise) for noise in noises])["noise"]
    assert merged == {"steal_ratio": 0.45, "psi_cpu_some_ratio": 0.5, "noisy": True}


def test_what_probes_cost_is_the_median_of_the_blocks() -> None:
    hits = [{"in_a_loop": value, "in_place": 2 * value} for value in (100.0, 500.0, 110.0)]
    merged = merge([result(probe_hit_ns=hit) for hit in hits])
    assert merged["calibration"] == {"probe_hit_ns": {"in_a_loop": 110.0, "in_place": 220.0}}


def test_repeated_windows_add_up_and_files_are_all_named() -> None:
    merged = merge([result(files={"cpu": "cpu.parquet"}), result(files={"cpu_2": "cpu_2.parquet"})])
    assert merged["repeated_windows"] == 2
    assert merged["files"] == {"cpu": "cpu.parquet", "cpu_2": "cpu_2.parquet"}


def test_the_run_has_the_id_of_its_first_block() -> None:
    assert merge([result(at_s=0.0), result(at_s=9.0)])["run_id"] == "run-0"


def test_how_sidecars_cool_is_the_median_of_the_blocks() -> None:
    point = {"temperature": "hot", "rate_rps": 50.0, "baseline_p50_ns": 10.0}
    anchors = [{**anchor(100.0), "cooling": [{**point, "with_p50_ns": ns}]} for ns in (100.0, 300.0)]
    merged = merge([result(cell(name), anchor=one) for name, one in zip("ab", anchors, strict=True)])
    assert merged["anchor"]["cooling"] == [{**point, "with_p50_ns": 200.0}]


def test_calibrations_that_not_all_blocks_have_are_left_out() -> None:
    other = result(probe_hit_ns={"in_a_loop": 300.0})
    assert merge([result(), other])["calibration"] == {"probe_hit_ns": {"in_a_loop": 200.0}}
