import json
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from experiments.random_graphs import run
from experiments.random_graphs.calibration import own_errors, scored
from experiments.random_graphs.generator import (
    MOST_SIZE,
    RATES_RPS,
    SERVICE_TIMES_US,
    Kinds,
    RandomGraph,
    random_graph,
)
from experiments.random_graphs.summary import not_scored, rows_of
from predictor.graph.checks import check_graph
from predictor.graph.reader import parse_graph
from predictor.graph.types import PROTOCOLS, Call
from predictor.graph.writer import graph_text
from predictor.predict.predict import predict
from predictor.predict.types import Prediction
from predictor.validation.deploying import application, applications_of
from profiler.errors import UsageError
from profiler.proxies.filters import check_filter
from profiler.vocabulary.temperature import APPLICATION_TEMPERATURES
from tests.predictor.batch import random_graphs

SOME = [random_graph(seed) for seed in range(1, 200)]
CALLS = list(chain.from_iterable(one.graph.calls for one in SOME))


def test_a_seed_gives_the_same_graph_again() -> None:
    assert random_graph(7) == random_graph(7)
    assert random_graph(7) != random_graph(8)


def test_the_graph_of_a_seed_stays_what_it_is() -> None:
    graph = random_graph(3).graph
    assert [call.id for call in graph.calls][:2] == ["service-0->service-2", "service-0->service-1"]
    assert graph.ingress[0].rate_rps == 880.0


@pytest.mark.parametrize("one", SOME[:60], ids=lambda one: one.graph.name)
def test_every_graph_can_be_deployed_and_read_back(one: RandomGraph) -> None:
    check_graph(one.graph)
    application(one.graph, applications_of(one.graph), "envoy")
    read = parse_graph(graph_text(one.graph), "file")
    assert (read.services, read.ingress) == (one.graph.services, one.graph.ingress)


@pytest.mark.parametrize(
    "occurs",
    [
        lambda call: call.asynchronous,
        lambda call: call.calls_per_request < 1.0,
        lambda call: call.repeat == "parallel",
        lambda call: call.repeat == "sequential" and call.calls_per_request >= 2.0,
        lambda call: call.tls == "mtls",
        lambda call: len(call.filters) == 2,
        lambda call: call.response_bytes > 32_768,
        lambda call: call.request_bytes < 64,
    ],
)
def test_every_kind_of_call_occurs(occurs: Callable[[Call], bool]) -> None:
    assert any(map(occurs, CALLS))


def test_all_protocols_and_temperatures_and_numbers_of_services_occur() -> None:
    assert {call.protocol for call in CALLS} == set(PROTOCOLS)
    assert {one.temperature for one in SOME} == set(APPLICATION_TEMPERATURES)
    assert {len(one.graph.services) for one in SOME} == set(range(2, 11))


def test_values_are_within_what_was_asked_for() -> None:
    assert max(max(call.request_bytes, call.response_bytes) for call in CALLS) <= MOST_SIZE
    times_us = [service.service_time.mean_ns * 1e-3 for one in SOME for service in one.graph.services]
    assert SERVICE_TIMES_US[0] <= min(times_us)
    assert max(times_us) <= SERVICE_TIMES_US[1]
    rates = [one.graph.ingress[0].rate_rps for one in SOME]
    assert RATES_RPS[0] <= min(rates) < 10.0
    assert max(rates) <= RATES_RPS[1]


def test_mutual_tls_has_a_sidecar_on_both_sides() -> None:
    for one in SOME:
        bare = {service.name for service in one.graph.services if service.sidecar.client == "none"}
        assert not [call for call in one.graph.calls if call.tls == "mtls" and {call.caller, call.callee} & bare]


def test_filters_are_known_to_envoy_and_on_edges_of_http_only() -> None:
    for name in Kinds().filters:
        check_filter("envoy", name)
    assert not [call for call in CALLS if call.filters and call.protocol == "tcp"]


def test_kinds_restrict_what_occurs() -> None:
    kinds = Kinds(protocols=("tcp",), tls=("none",), filters=(), temperatures=("hot",))
    graphs = [random_graph(seed, kinds) for seed in range(20)]
    calls = [call for one in graphs for call in one.graph.calls]
    assert {(call.protocol, call.tls, call.filters) for call in calls} == {("tcp", "none", ())}
    assert {one.temperature for one in graphs} == {"hot"}


def validation(predicted: float, measured: float, span: tuple[float, float]) -> dict[str, Any]:
    latency = {
        f"{kind}_{name}_{ending}": value
        for name in ("p50", "p90", "p99")
        for kind in ("predicted", "anchored")
        for ending, value in (
            ("ns", predicted),
            ("ci95_ns", list(span)),
            ("ci80_ns", [predicted - 1.0, predicted + 1.0]),
        )
    }
    latency |= {f"measured_{name}_ns": measured for name in ("p50", "p90", "p99")}
    cpu = {"predicted_vcpu": predicted, "predicted_ci95_vcpu": list(span), "measured_vcpu": measured}
    return {"latency": latency, "cpu": cpu | {"anchored_vcpu": predicted, "anchored_ci95_vcpu": list(span)}}


def test_a_summary_has_mean_and_worst_error_coverage_and_half_width() -> None:
    found = rows_of({"a": validation(110.0, 100.0, (99.0, 121.0)), "b": validation(50.0, 100.0, (40.0, 60.0))})
    first = found[0]
    assert (first.figure, first.kind, first.graphs, first.worst_graph) == ("p50", "raw", 2, "b")
    assert first.mean_error == pytest.approx(0.3)
    assert first.worst_error == pytest.approx(0.5)
    assert first.coverage == 0.5
    assert first.half_width == pytest.approx((0.1 + 0.2) / 2)
    assert first.inner_coverage == 0.0
    assert first.inner_half_width == pytest.approx((1 / 110 + 1 / 50) / 2)
    assert [row.figure for row in found] == ["p50", "p50", "p90", "p90", "p99", "p99", "cpu", "cpu"]


def measured(found: Prediction, factor: float, seconds: float = 40.0, doubt: float = 0.1) -> dict[str, Any]:
    """A validation of that prediction in which all was so many times what was predicted, with 10 requests/s."""

    def figure(name: str, unit: str, predicted: float) -> dict[str, Any]:
        value = factor * predicted
        ends = [(1.0 - doubt) * value, (1.0 + doubt) * value]
        return {f"measured_{name}{unit}": value, f"measured_{name and name + '_'}ci95_{unit.strip('_')}": ends}

    latency: dict[str, Any] = {}
    for name in ("p50", "p90", "p99"):
        latency |= figure(name, "_ns", found.latency[name].overhead_ns.value)
    cpu = figure("", "vcpu", found.vcpu.value)
    return {"latency": latency, "cpu": cpu, "rate_rps": 10.0, "rounds": 1, "seconds": seconds}


def test_an_error_is_learnt_of_what_was_measured_well_enough() -> None:
    found = predict(random_graphs.call_graphs(5, 1)[0], random_graphs.model())
    assert set(scored(measured(found, 1.1), found)) == {"p50", "p90", "p99", "cpu"}
    assert set(scored(measured(found, 1.1, seconds=39.0), found)) == {"p50", "p90", "cpu"}
    assert set(scored(measured(found, 1.1, doubt=0.6), found)) == set()
    assert set(scored(measured(found, -1.0), found)) == set()


def test_a_seed_is_taken_from_the_first_version_that_has_it(tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "seed-1.json").write_text(json.dumps({"number": number}))
    (folders[1] / "seed-2.json").write_text(json.dumps({"number": 1}))
    found, files = run.measured(folders, [1, 2, 3])
    assert {name: document["number"] for name, document in found.documents.items()} == {"seed-1": 0, "seed-2": 1}
    assert files == {"seed-1": folders[0] / "seed-1.json", "seed-2": folders[1] / "seed-2.json"}
    assert list(found.missing[run.FAILED]) == ["seed-3"]


def test_the_largest_of_19_errors_is_that_of_the_model() -> None:
    graph, model = random_graphs.call_graphs(5, 1)[0], random_graphs.model()
    found = predict(graph, model)
    graphs = {f"seed-{number}": scored(measured(found, 1.0 + number), found) for number in range(1, 20)}
    errors = own_errors(graphs)
    assert errors["cpu"]["graphs"] == 19
    assert errors["cpu"]["log_error_95"] == graphs["seed-19"]["cpu"].error(0.95)
    assert errors["cpu"]["log_error_80"] == graphs["seed-16"]["cpu"].error(0.8)
    del graphs["seed-1"]
    with pytest.raises(UsageError, match="at least 19 are needed for 95%; measure more"):
        own_errors(graphs)


def test_reporting_seeds_are_not_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reporting seeds"):
        run.calibrate([tmp_path], [1, 101], [tmp_path])


def test_what_has_no_measured_overhead_is_listed_and_not_scored() -> None:
    documents = {"a": validation(110.0, -1.0, (99.0, 121.0))}
    assert rows_of(documents) == []
    assert len(not_scored(documents)) == 4


def test_graphs_that_cannot_be_predicted_or_fail_are_counted_and_listed() -> None:
    found = run.Found({"a": validation(1.0, 1.0, (0.9, 1.1))})
    found.missing[run.LACKING]["b"] = "the profile lacks grpc-both-mtls"
    found.missing[run.FAILED]["c"] = "requests failed"
    text = "\n".join(run.summary(found))
    assert "1 of 3 graphs were validated" in text
    assert "1 cannot be predicted:\n- b: the profile lacks grpc-both-mtls" in text
    assert "1 failed:\n- c: requests failed" in text


@pytest.mark.parametrize(("rate_rps", "seconds"), [(5.0, 40.0), (5.0, 300.0), (60.0, 40.0), (1000.0, 120.0)])
def test_windows_fit_into_the_time_of_a_graph(rate_rps: float, seconds: float) -> None:
    window_s, rounds = run.windows(rate_rps, seconds)
    assert run._SETUP_S + rounds * (run._WINDOWS * window_s + run._ROUND_S) <= seconds + 0.1
    assert rounds >= 4
    assert window_s >= 0.5


def test_low_rates_have_longer_windows_where_there_is_time() -> None:
    assert run.windows(5.0, 300.0)[0] == 2.0
    assert run.windows(1000.0, 300.0)[0] == 0.5


@pytest.mark.parametrize(
    ("kinds", "version", "text"),
    [(Kinds(tls=("none",)), "abc", "leave --protocol"), (Kinds(), "abc-changed", "commit the changes")],
)
def test_reporting_seeds_are_as_they_are_and_of_one_version(kinds: Kinds, version: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        run._refuse([20, 101], kinds, version)
    run._refuse([1, 20], kinds, version)


@pytest.mark.parametrize(
    "arguments", [["--seeds", "5-1"], ["--seeds", "x"], ["--protocol", "udp"], ["--seconds", "nan"], []]
)
def test_wrong_options_are_one_line(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(Path(run.__file__)), "--results", str(tmp_path), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(run.__file__).parents[2])
    assert ran.returncode == 2
    assert "run.py: error:" in ran.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_results_of_another_graph_of_a_seed_are_not_kept(tmp_path: Path) -> None:
    one = random_graph(7)
    run._save(tmp_path, "seed-7", one)
    measured = tmp_path / "seed-7.json"
    measured.write_text("{}")
    run._save(tmp_path, "seed-7", one)
    assert measured.exists()
    run._save(tmp_path, "seed-7", random_graph(8))
    assert not measured.exists()
