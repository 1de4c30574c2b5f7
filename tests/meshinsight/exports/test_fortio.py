"""fortio's JSON, by the structure of files that fortio wrote.

`fhttp.HTTPRunnerResults` of fortio 1.75.3 decodes these documents with unknown fields disallowed (tried by hand: the
tests do not build fortio).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshinsight.exports.fortio import fortio
from profiler.profile.document import load_profile
from profiler.profile.histograms import Latencies
from profiler.workload.measured import read_measured

PROFILE = load_profile(Path(__file__).parents[2] / "data" / "example-profile.json")
CELL = next(cell for cell in PROFILE.cells if cell.protocol == "http1")
LATENCIES = Latencies(np.array([100_000, 200_000, 400_000, 9_000_000]), np.array([40, 50, 9, 1]))
FIELDS = {
    "RunType", "Labels", "StartTime", "RequestedQPS", "RequestedDuration", "ActualQPS", "ActualDuration", "NumThreads",
    "Version", "DurationHistogram", "Exactly",
}  # fmt: skip


def document(latencies: Latencies = LATENCIES) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fortio(PROFILE, CELL, latencies))
    return found


def test_the_load_is_that_of_the_cell() -> None:
    found = document()
    assert set(found) == FIELDS
    assert (found["RunType"], found["RequestedQPS"], found["NumThreads"]) == ("HTTP", "max", 1)
    assert found["ActualQPS"] == CELL.achieved_rps
    assert found["Labels"].startswith(CELL.id)
    asked = json.loads(fortio(PROFILE, replace(CELL, rate_rps=250.0, loop="open", protocol="grpc"), LATENCIES))
    assert (asked["RunType"], asked["RequestedQPS"]) == ("GRPC Ping", "250")


def test_percentiles_and_moments_are_those_of_the_latencies() -> None:
    found = document()["DurationHistogram"]
    values = np.repeat(LATENCIES.values_ns, LATENCIES.counts) / 1e9
    assert [found["Count"], found["Min"], found["Max"]] == pytest.approx([100, 0.0001, 0.009])
    assert [found["Avg"], found["StdDev"], found["Sum"]] == pytest.approx([values.mean(), values.std(), values.sum()])
    assert {entry["Percentile"]: entry["Value"] for entry in found["Percentiles"]} == pytest.approx(
        {50: 0.0002, 75: 0.0002, 90: 0.0002, 99: 0.0004, 99.9: 0.009}
    )


@given(st.dictionaries(st.integers(1, 10**9), st.integers(1, 1000), min_size=1, max_size=600))
def test_buckets_follow_each_other_and_hold_all_exchanges(counts: dict[int, int]) -> None:
    values = sorted(counts)
    latencies = Latencies(np.array(values), np.array([counts[value] for value in values]))
    data = document(latencies)["DurationHistogram"]["Data"]
    assert len(data) <= 201
    assert sum(bucket["Count"] for bucket in data) == latencies.count
    assert [bucket["Start"] for bucket in data[1:]] == [bucket["End"] for bucket in data[:-1]]
    assert all(bucket["Start"] <= bucket["End"] for bucket in data)
    held = np.cumsum([bucket["Count"] for bucket in data]) / latencies.count * 100
    assert [bucket["Percent"] for bucket in data] == pytest.approx(held)
    assert data[-1]["Percent"] == pytest.approx(100)


def test_what_is_exported_can_be_imported(tmp_path: Path) -> None:
    file = tmp_path / "cell.json"
    file.write_text(fortio(PROFILE, CELL, LATENCIES))
    found = read_measured(file)
    assert (found.tool, found.protocol, found.connections, found.count) == ("fortio", "http1", 1, 100)
    assert found.percentiles_ns == pytest.approx({50: 200_000, 90: 200_000, 99: 400_000})
