"""OpenMetrics, read back by the parser of prometheus-client."""

from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from meshinsight.exports.openmetrics import openmetrics
from profiler.profile.document import load_profile
from profiler.profile.types import Cell, Profile

EXAMPLE = Path(__file__).parents[2] / "data" / "example-profile.json"


@pytest.fixture
def profile() -> Profile:
    return load_profile(EXAMPLE)


def read(profile: Profile) -> dict[str, Metric]:
    text = openmetrics(profile).decode()
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # it has no annotations
    return {family.name: family for family in families}


def value(found: Metric, cell: Cell, **labels: str) -> float:
    wanted = {"cell": cell.id, **labels}
    (only,) = [sample for sample in found.samples if wanted.items() <= sample.labels.items()]
    return float(only.value)


def test_figures_are_those_of_the_profile_in_seconds(profile: Profile) -> None:
    found = read(profile)
    for cell in profile.cells:
        assert cell.latency is not None
        assert cell.cpu is not None
        latency, cpu = cell.latency, cell.cpu
        p99_s = latency.with_sidecars.p99_ns / 1e9
        assert value(found["meshinsight_latency_seconds"], cell, sidecars="with", quantile="0.99") == pytest.approx(
            p99_s
        )
        overhead = found["meshinsight_latency_overhead_seconds"]
        assert value(overhead, cell, quantile="0.5") == pytest.approx(latency.overhead_p50_ns / 1e9)
        component = found["meshinsight_latency_component_seconds"]
        assert value(component, cell, component="ipc") == pytest.approx(latency.components["ipc"].median_ns / 1e9)
        cpu_overhead = found["meshinsight_cpu_overhead_per_request_seconds"]
        assert value(cpu_overhead, cell) == pytest.approx(cpu.overhead_ns / 1e9)
        interval = found["meshinsight_latency_overhead_interval_seconds"]
        if latency.overhead_ci95_ns is not None:
            limits = [value(interval, cell, quantile="0.5", bound=bound) for bound in ("low", "high")]
            assert limits == pytest.approx([limit / 1e9 for limit in latency.overhead_ci95_ns])


def test_every_sample_is_of_the_time_of_the_profile(profile: Profile) -> None:
    at_s = datetime.fromisoformat(profile.created).timestamp()
    assert {float(str(sample.timestamp)) for family in read(profile).values() for sample in family.samples} == {at_s}


def test_the_run_is_an_information_of_its_own(profile: Profile) -> None:
    (sample,) = read(profile)["meshinsight_profile"].samples
    assert sample.labels["run_id"] == profile.run_id
    assert sample.labels["proxy_envoy"] == profile.proxies["envoy"].version


def test_what_was_not_measured_has_no_sample(profile: Profile) -> None:
    cell = replace(profile.cells[0], latency=None, memory=None, errors=["its rate was not reached"])
    found = read(replace(profile, cells=[cell]))
    assert found["meshinsight_latency_seconds"].samples == []
    assert found["meshinsight_proxies_memory_bytes"].samples == []
    assert value(found["meshinsight_cell_errors"], cell) == 1.0


def test_foreign_text_stays_in_its_label(profile: Profile) -> None:
    odd = 'a"b\\c\nd'
    found = read(replace(profile, meshinsight_version=odd))
    assert found["meshinsight_profile"].samples[0].labels["version"] == odd
