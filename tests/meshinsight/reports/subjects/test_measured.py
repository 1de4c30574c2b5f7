"""What a load generator measured next to the cell that fits its load."""

from dataclasses import replace as changed
from pathlib import Path

import pytest
from msgspec.structs import replace

from meshinsight.reports.subjects.measured import fitting, report
from profiler.errors import UsageError
from profiler.profile.document import load_profile
from profiler.profile.types import Cell
from profiler.workload.measured import Measured
from tests.meshinsight.reports.profiles import default_profile

PROFILE = load_profile(Path(__file__).parents[3] / "data" / "example-profile.json")
MEASURED = Measured(
    tool="fortio", protocol="http1", connections=1, rate_rps=None, achieved_rps=4000.0, count=9000, failed=0,
    mean_ns=250_000.0, percentiles_ns={50.0: 240_000.0, 99.0: 900_000.0},
)  # fmt: skip


def both_hot(protocol: str = "http1") -> Cell:
    return next(
        cell for cell in PROFILE.cells if (cell.protocol, cell.topology, cell.temperature) == (protocol, "both", "hot")
    )


def test_the_cell_is_of_the_measured_protocol_hot_and_with_both_sidecars() -> None:
    assert fitting(MEASURED, default_profile().cells).id == both_hot().id
    assert fitting(changed(MEASURED, protocol="tcp"), default_profile().cells).id == both_hot("tcp").id


def test_the_nearest_load_comes_first() -> None:
    base = both_hot()
    cells = [
        base,
        replace(base, id="c8", connections=8, temperature="cold"),
        replace(base, id="r100", rate_rps=100.0, achieved_rps=100.0, loop="open"),
        replace(base, id="r1000", rate_rps=1000.0, achieved_rps=999.0, loop="open"),
    ]
    assert fitting(MEASURED, cells).id == base.id
    assert fitting(changed(MEASURED, connections=6), cells).id == "c8"
    assert fitting(changed(MEASURED, rate_rps=150.0, achieved_rps=149.0), cells).id == "r100"
    assert fitting(changed(MEASURED, rate_rps=2000.0, achieved_rps=900.0), cells).id == "r1000"


def test_a_cell_with_answers_of_the_measured_size_is_nearer() -> None:
    cells = [both_hot(), replace(both_hot(), id="s64k", response_bytes=65_536)]
    assert fitting(changed(MEASURED, response_bytes=60_000.0), cells).id == "s64k"
    assert fitting(changed(MEASURED, response_bytes=0.0), cells).id == both_hot().id


def test_a_coarse_resolution_is_a_warning() -> None:
    def lines(resolution_ns: float) -> str:
        notes = report(changed(MEASURED, resolution_ns=resolution_ns), PROFILE, PROFILE.cells).notes
        return "\n".join(notes[-1][1])

    assert "! fortio rounded latencies to 1,000.0 µs" in lines(1e6)
    assert "rounded" not in lines(10_000.0)


def test_cells_without_latency_or_with_errors_are_not_chosen() -> None:
    base = both_hot()
    wrong = replace(base, id="wrong", errors=["its rate was not reached"])
    empty = replace(base, id="empty", latency=None, errors=["x"])
    assert fitting(MEASURED, [empty, wrong, base]).id == base.id


def test_a_protocol_that_was_not_profiled_says_how_to_measure_it() -> None:
    with pytest.raises(UsageError, match=r"fortio measured grpc, of which there is no cell here .*--protocol grpc"):
        fitting(changed(MEASURED, protocol="grpc"), PROFILE.cells)


def test_figures_stand_next_to_each_other_with_the_difference() -> None:
    cell = both_hot()
    assert cell.latency is not None
    found = report(MEASURED, PROFILE, PROFILE.cells)
    p50, p99, mean = found.sections[0].rows
    assert p50[:2] == ("p50", "240.0")
    assert p50[2] == f"{cell.latency.with_p50_ns / 1000:,.1f}"
    assert p50[3] == f"{240_000 / cell.latency.with_p50_ns * 100 - 100:+.0f} %"
    assert p50[4] == f"{cell.latency.baseline_p50_ns / 1000:,.1f}"
    assert (p99[0], p99[1], mean[0], mean[1]) == ("p99", "900.0", "mean", "250.0")
    assert found.title.startswith("fortio measured p50 = 240.0 µs; the profile has ")
    document = found.document()
    assert (document["format"], document["cell"]) == ("meshinsight-measured", cell.id)
    assert document["measured"]["percentiles_ns"] == {"p50": 240_000.0, "p99": 900_000.0}
    assert [row["statistic"] for row in found.rows()] == ["p50", "p99", "mean"]


def test_what_differs_between_the_loads_is_listed() -> None:
    loads = changed(MEASURED, connections=4, rate_rps=200.0, achieved_rps=199.0, failed=3, response_bytes=2000.2)
    ((_, lines), *_) = report(loads, PROFILE, PROFILE.cells).notes
    assert lines[0] == "connections: 4 measured, 1 in the cell"
    assert lines[1] == "response bytes: 2,000 measured, 1,024 in the cell"
    assert lines[2] == "rate asked for: 200/s measured, as fast as answers came in the cell"
    assert lines[-1] == "3 of the 9,000 measured requests failed"
