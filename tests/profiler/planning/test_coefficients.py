"""Coefficients against cells that were made with known ones."""

from typing import Any

import numpy as np
import pytest

from profiler.planning.cells import make_plan
from profiler.planning.coefficients import Coefficient, configuration_of, fit, machine_error, overhead
from profiler.planning.settings import ProfileSettings
from tests.profiler.evaluation.synthetic import synthetic_cell

TRUTH = {
    "base": 80_000.0,
    "per_request_kib": 310.0,
    "per_response_kib": 120.0,
    "per_header": 55.0,
    "per_further_message": 900.0,
    "new_connection": 400_000.0,
    "per_response_kib_beyond_64": -40.0,
}
LOADS: list[dict[str, Any]] = [
    {},
    {"request_bytes": 65_536},
    {"response_bytes": 1 << 20},
    {"response_bytes": 65_536, "request_bytes": 1024},
    {"headers": 40},
    {"messages": 10},
    {"messages": 10, "response_bytes": 1024},
    {"new_connections": True},
]


def overhead_ns(load: dict[str, Any]) -> float:
    messages = load.get("messages", 1)
    return float(
        TRUTH["base"]
        + TRUTH["per_request_kib"] * load.get("request_bytes", 0) / 1024
        + TRUTH["per_response_kib"] * load.get("response_bytes", 0) * messages / 1024
        + TRUTH["per_header"] * load.get("headers", 0)
        + TRUTH["per_further_message"] * (messages - 1)
        + TRUTH["new_connection"] * load.get("new_connections", False)
        + TRUTH["per_response_kib_beyond_64"] * max(0.0, load.get("response_bytes", 0) * messages / 1024 - 64)
    )


def found(cells: list[dict[str, Any]], currency: str = "latency", error: float = 0.0) -> dict[str, Coefficient]:
    return {entry.term: entry for entry in fit(cells, error) if entry.currency == currency}


CELLS = [synthetic_cell(overhead_ns(load), 100.0, **load) for load in LOADS]


@pytest.mark.parametrize("currency", ["latency", "cpu"])
def test_known_coefficients_are_recovered(currency: str) -> None:
    values = {term: entry.value for term, entry in found(CELLS, currency).items()}
    assert values == pytest.approx(TRUTH, rel=1e-9)


def test_an_exact_fit_is_not_called_certain() -> None:
    assert all(entry.low < TRUTH[term] < entry.high for term, entry in found(CELLS).items())


def test_a_term_that_never_varies_is_left_out() -> None:
    assert list(found([CELLS[0], CELLS[1], CELLS[4]])) == ["base", "per_request_kib", "per_header"]


def test_terms_that_the_cells_cannot_tell_apart_leave_only_the_base() -> None:
    both = synthetic_cell(overhead_ns({"headers": 40}) + 5, headers=40, new_connections=True)
    assert list(found([CELLS[0], both])) == ["base"]


def test_the_interval_widens_with_the_machines_error() -> None:
    widths = [
        found(CELLS, error=error)["base"].high - found(CELLS, error=error)["base"].low for error in (0, 0.05, 0.2)
    ]
    assert widths == sorted(widths)
    assert widths[2] > 3 * widths[1] > 6 * widths[0]


def test_one_cell_gives_its_overhead_as_the_base_with_its_own_interval() -> None:
    (base,) = found([synthetic_cell(50_000, 5000)]).values()
    assert base.value == pytest.approx(50_000)
    assert base.cells == 1
    # 5000 of the rounds and the 1 % that no cell is known better than
    assert base.high - base.value == pytest.approx(1.96 * np.hypot(5000, 500))


def test_each_configuration_and_temperature_has_coefficients_of_its_own() -> None:
    other = [{**cell, "temperature": "cold"} for cell in CELLS] + [{**cell, "tls": "mtls"} for cell in CELLS]
    groups = {(entry.configuration, entry.temperature) for entry in fit([*CELLS, *other])}
    assert groups == {("http1-both", "hot"), ("http1-both", "cold"), ("http1-both-mtls", "hot")}


@pytest.mark.parametrize("change", [{"connections": 8}, {"rate_rps": 500.0}, {"topology": "none"}])
def test_loaded_cells_and_those_without_sidecars_do_not_count(change: dict[str, Any]) -> None:
    assert fit([{**cell, **change} for cell in CELLS]) == []


def test_a_currency_that_was_not_measured_has_no_coefficients() -> None:
    assert {entry.currency for entry in fit([{**cell, "cpu": None} for cell in CELLS])} == {"latency"}


@pytest.mark.parametrize("machine", [0.0, 0.03])
def test_the_95_percent_interval_holds_the_truth_19_times_of_20(machine: float) -> None:
    random = np.random.default_rng(7)
    held = []
    for _ in range(300):
        cells = []
        for load in LOADS:
            true_ns = overhead_ns(load)
            deviation_ns = np.hypot(2000.0, true_ns * max(machine, 0.01))
            cells.append(synthetic_cell(float(true_ns + random.normal(0, deviation_ns)), 2000.0, **load))
        held += [entry.low <= TRUTH[term] <= entry.high for term, entry in found(cells, error=machine).items()]
    assert 0.93 < np.mean(held) < 0.99


def test_the_error_of_cpu_is_that_of_the_rounds_sum() -> None:
    reading = overhead(synthetic_cell(9000, 200), "cpu")
    assert reading is not None
    assert list(reading) == pytest.approx([9000, 200])  # rounds of 8800 and 9200


def test_the_machines_error_is_one_deviation_of_the_anchors_drift() -> None:
    values = np.random.default_rng(1).normal(100_000, 3000, 100_000)
    low, high = np.percentile(values, [10, 90])
    assert machine_error({"drift_ratio": (high - low) / np.median(values)}) == pytest.approx(0.03, rel=0.02)
    assert machine_error(None) == machine_error({"drift_ratio": None}) == 0


def test_configurations_are_named_by_what_is_not_as_usual() -> None:
    cell = synthetic_cell(1, tls="mtls", filters=["rbac", "lua"], transport="uds", workers=4, proxy="nginx")
    assert configuration_of(cell) == "http1-both-nginx-mtls-rbac+lua-uds-w4"
    assert configuration_of(synthetic_cell(1, protocol="tcp", application="grpc")) == "tcp-both-grpc"


def test_cells_with_other_hops_are_other_configurations() -> None:
    settings = ProfileSettings(
        protocols=("tcp", "http1", "grpc"),
        tls=("none", "mtls"),
        transports=("ip", "uds"),
        workers=(1, 2),
        filters=((), ("rbac",)),
    )
    hops = {cell.hop for cell in make_plan(settings).cells}
    keys = ("protocol", "topology", "application", "proxy", "tls", "transport", "workers")
    names = {configuration_of({**{k: getattr(hop, k) for k in keys}, "filters": list(hop.filters)}) for hop in hops}
    assert len(names) == len(hops)


def test_a_cell_measured_while_the_machine_was_slow_is_taken_to_the_runs_speed() -> None:
    slow = synthetic_cell(100_000, 2000)
    slow["latency"]["components"] = {"parsing": {"median_ns": 80_000.0, "anchored_median_ns": 40_000.0}}
    reading = overhead(slow, "latency")
    assert reading is not None
    assert list(reading) == pytest.approx([50_000, 1000], rel=0.01)
