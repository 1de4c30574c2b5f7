"""What a chunk gives is what single predictions give, graph by graph."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from predictor.batch.graphs import complete_rows, graph_rows, graph_table, rebuilt, rows_table
from predictor.batch.predictor import BatchPredictor
from predictor.graph.plan import sidecar_modes
from predictor.graph.reader import load_graph
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Ingress, Service, Side, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.models.types import FittedModel
from predictor.predict.predict import predict
from profiler.errors import UsageError
from tests.predictor.batch import random_graphs
from tests.predictor.batch.random_graphs import call_graphs
from tests.predictor.models.placed import placed_cells
from tests.predictor.models.profiles import HTTP, profile, value

EXAMPLES = sorted((Path(__file__).parents[3] / "predictor" / "graph" / "examples").glob("*.yaml"))
MODEL = random_graphs.model()
MEANS = Options(samples=0)
Row = dict[str, Any]


def batch(graphs: Sequence[CallGraph], options: Options = MEANS, model: FittedModel = MODEL) -> list[Row]:
    table = graph_table((graph.name, graph) for graph in graphs)
    found: list[Row] = BatchPredictor(model, options).predict(table).to_pylist()
    return found


def single(graph: CallGraph, options: Options = MEANS, model: FittedModel = MODEL) -> Row:
    """The row that a graph should have, from its single prediction."""
    try:
        found = predict(graph, model, options)
    except UsageError:
        return {"graph": graph.name}
    rows: Row = {
        "graph": graph.name,
        "calls": len(graph.calls),
        "vcpu": found.vcpu.value,
        "vcpu_low": found.vcpu.low,
        "vcpu_high": found.vcpu.high,
        "baseline_vcpu": found.baseline_vcpu,
        "memory_bytes": found.memory_bytes,
        "extrapolated": bool(found.extrapolations),
        "saturated": any("without enough workers" in text for text in found.warnings),
    }
    for name, statistic in found.latency.items():
        start = "latency" if name == "mean" else name
        over = statistic.shown_overhead_ns
        rows |= {f"{start}_without_ns": statistic.without_ns, f"{start}_with_ns": statistic.shown_with_ns}
        rows |= {f"{start}_overhead_ns": over and over.value, f"{start}_overhead_low_ns": over and over.low}
        rows[f"{start}_overhead_high_ns"] = over and over.high
    return rows


def assert_same(found: Row, expected: Row) -> None:
    assert found.pop("error") is None
    assert found.keys() == expected.keys()
    assert found.pop("graph") == expected.pop("graph")
    for name, figure in expected.items():
        if figure is None:
            assert found[name] is None, name
            continue
        assert found[name] == pytest.approx(figure, rel=1e-9, abs=1e-6 if name.endswith("ns") else 1e-12), name


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_have_the_figures_of_single_predictions(file: Path) -> None:
    graph = replace(load_graph(file), name="x")
    assert_same(batch([graph])[0], single(graph))


@pytest.mark.parametrize(
    "options",
    [MEANS, Options(samples=0, load=False), Options(samples=0, intervals=False), replace(MEANS, cpu_model="y")],
)
def test_random_graphs_have_the_figures_of_single_predictions(options: Options) -> None:
    graphs = call_graphs(5, 150)
    rows = batch(graphs, options)
    predicted = 0
    for graph, row in zip(graphs, rows, strict=True):
        expected = single(graph, options)
        if "calls" in expected:
            assert_same(row, expected)
            predicted += 1
        else:
            assert "the profile lacks" in row["error"]
    assert predicted > 75


@pytest.mark.parametrize("share", [None, 0.0, 0.7])
def test_a_crossing_share_gives_the_figures_of_single_predictions(share: float | None) -> None:
    known = fit_profile(profile(placed_cells(rounds=4)))
    options = Options(samples=500, crossing_share=share)
    services = (Service("a"), Service("b"), Service("c", sidecar=Sidecar("http", "none")))
    calls = (Call("a->b", "a", "b", protocol="tcp"), Call("b->c", "b", "c"))
    graph = CallGraph(services, calls, (Ingress("a", 5.0),), name="x")
    assert_same(batch([graph], options, known)[0], single(graph, options, known))


def test_calls_that_bypass_a_sidecar_have_the_figures_of_single_predictions() -> None:
    sides: list[tuple[Side, ...]] = [("client",), ("server",), ("client", "server"), ()]
    for graph, some in zip(call_graphs(6, 40), sides * 10, strict=True):
        calls = tuple(replace(call, bypass=some if number % 2 else ()) for number, call in enumerate(graph.calls))
        entries = tuple(replace(entry, bypass=("server",)) for entry in graph.ingress)
        changed = replace(graph, calls=calls, ingress=entries)
        again = rebuilt(complete_rows(rows_table(graph_rows(changed, changed.name))))
        assert sidecar_modes(again) == sidecar_modes(changed)
        if "calls" in (expected := single(changed)):
            assert_same(batch([changed])[0], expected)


def test_waypoints_have_the_figures_of_single_predictions() -> None:
    predicted = 0
    for graph in call_graphs(8, 40):
        services = tuple(
            replace(service, sidecar=replace(service.sidecar, server="waypoint") if number % 2 else service.sidecar)
            for number, service in enumerate(graph.services)
        )
        changed = replace(graph, services=services)
        if "calls" in (expected := single(changed)):
            assert_same(batch([changed])[0], expected)
            predicted += len(services) > 1
    assert predicted > 10


def test_percentiles_are_those_of_single_predictions() -> None:
    options = Options(samples=2000)
    graph = CallGraph(
        (Service("a", service_time=ServiceTime.from_percentiles(((50.0, 1e6), (99.0, 9e6)))), Service("b")),
        (Call("a->b", "a", "b"),),
        (Ingress("a", 5.0),),
        name="x",
    )
    assert_same(batch([graph], options)[0], single(graph, options))


def test_a_chain_costs_the_sum_of_its_hops() -> None:
    services = [Service("s0", sidecar=Sidecar("http", "none")), *(Service(f"s{n}") for n in range(1, 40))]
    calls = tuple(Call(f"{n}", f"s{n}", f"s{n + 1}", request_bytes=100.0 * n) for n in range(39))
    graph = CallGraph(tuple(services), calls, (Ingress("s0", 10.0),), "chain", cold_weight=0.0)
    row = batch([graph], Options(samples=0, load=False))[0]
    hops_ns = 1.1 * sum(value(HTTP, (100.0 * n, 1024, 0, 0), name) for n in range(39) for name in HTTP)
    assert row["latency_without_ns"] == 40e6
    assert row["latency_overhead_ns"] == pytest.approx(1.2 * hops_ns, rel=1e-9)  # the model's mean over median
    assert row["vcpu"] == pytest.approx(10.0 * 2.0 * hops_ns * 1e-9, rel=1e-9)


def test_many_parallel_calls_take_the_longest() -> None:
    services = [Service("s0"), *(Service(f"s{n}", service_time=ServiceTime.constant(1e6 * n)) for n in range(1, 60))]
    services = [replace(service, sidecar=Sidecar("none", "none")) for service in services]
    calls = tuple(Call(f"{n}", "s0", f"s{n}", stage=n % 2) for n in range(1, 60))
    row = batch([CallGraph(tuple(services), calls, (Ingress("s0", 1.0),), "wide")])[0]
    assert row["latency_without_ns"] == row["latency_with_ns"] == 1e6 + 59e6 + 58e6
    assert (row["latency_overhead_ns"], row["vcpu"], row["memory_bytes"]) == (0.0, 0.0, 0.0)


def test_graphs_that_cannot_be_predicted_tell_why_and_others_go_on() -> None:
    good = CallGraph((Service("a"), Service("b")), (Call("a->b", "a", "b"),), (Ingress("a", 1.0),))
    cycle = replace(good, calls=(*good.calls, Call("b->a", "b", "a")))
    lacking = replace(good, calls=(Call("a->b", "a", "b", protocol="http1", filters=("wasm",)),))
    unreached = replace(good, ingress=(Ingress("b", 1.0),))
    negative = replace(good, calls=(Call("a->b", "a", "b", request_bytes=-1.0),))
    graphs = [cycle, good, lacking, unreached, negative, good]
    rows = batch([replace(graph, name=f"g{number}") for number, graph in enumerate(graphs)])
    errors = [row["error"] for row in rows]
    assert "calls form a cycle: a -> b -> a" in errors[0]
    assert "the profile lacks" in errors[2]
    assert "no request reaches" in errors[3]
    assert errors[4].startswith("request_bytes: expected between 0 and ")
    assert [error is None for error in errors] == [False, True, False, False, False, True]
    assert rows[1]["vcpu"] == rows[5]["vcpu"] > 0
    assert rows[0]["vcpu"] is None


def rows_of(*changes: Row) -> list[Row]:
    """A graph of one call; changes are of its rows: the entry, the call."""
    base: list[Row] = [
        {"graph": "g", "caller": "ingress", "callee": "a", "rate_rps": 5.0},
        {"graph": "g", "caller": "a", "callee": "b", "rate_rps": None},
    ]
    empty = dict.fromkeys(name for change in changes for name in change)
    return [{**empty, **row, **change} for row, change in zip(base, [*changes, {}, {}], strict=False)]


def predicted(rows: list[Row]) -> Row:
    found: Row = BatchPredictor(MODEL, MEANS).predict(pa.Table.from_pylist(rows)).to_pylist()[0]
    return found


def test_what_is_left_out_has_its_default() -> None:
    graph = CallGraph((Service("a"), Service("b")), (Call("a->b", "a", "b"),), (Ingress("a", 5.0),), "g")
    assert_same(predicted(rows_of()), single(graph))


def test_filters_may_be_lists_or_joined() -> None:
    lists, joined = (predicted(rows_of({}, {"filters": found})) for found in (["lua"], "lua"))
    assert lists == joined
    assert lists["vcpu"] > predicted(rows_of())["vcpu"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (({"rate_rps": None},), "rate_rps: not given"),
        (({}, {"callee": "ingress"}), "no service may be called 'ingress'"),
        (({}, {"caller": None}), "caller: not given"),
        (({}, {"protocol": "quic"}), "protocol: expected one of tcp, http1, http2, grpc; found 'quic'"),
        (({}, {"calls_per_request": float("inf")}), "calls_per_request: expected 0 or more, found inf"),
        (({"caller": "x"},), "no request reaches"),
        (({}, {"caller": "ingress", "callee": "a", "rate_rps": 1.0}), "is there twice"),
    ],
)
def test_wrong_rows_are_told(changes: tuple[Row, ...], told: str) -> None:
    assert told in predicted(rows_of(*changes))["error"]


def test_neighbours_with_one_id_are_one_graph_and_ids_keep_their_type() -> None:
    rows = [{**row, "graph": number} for number in (7, 3, 7) for row in rows_of()]
    found = BatchPredictor(MODEL, MEANS).predict(pa.Table.from_pylist(rows))
    assert found.column("graph").to_pylist() == [7, 3, 7]


def test_rows_of_a_graph_become_the_graph_again() -> None:
    for graph in call_graphs(8, 30):
        again = rebuilt(complete_rows(rows_table(graph_rows(graph, graph.name))))
        assert set(again.calls) == set(graph.calls)
        assert again.ingress == graph.ingress


def test_overloaded_graphs_have_no_times_with_sidecars() -> None:
    one = CallGraph((Service("a"), Service("b")), (Call("a->b", "a", "b"),), (Ingress("a", 1e6),), name="x")
    row = batch([one])[0]
    assert row["saturated"]
    assert row["latency_without_ns"] == 2e6
    assert row["latency_with_ns"] is row["latency_overhead_ns"] is row["latency_overhead_high_ns"] is None
    assert row["vcpu"] > 1.0


def test_figures_beyond_any_meaning_are_an_error_of_their_graph() -> None:
    services = tuple(Service(f"s{n}") for n in range(31))
    calls = tuple(Call(f"{n}", f"s{n}", f"s{n + 1}", calls_per_request=1e9) for n in range(30))
    chain = CallGraph(services, calls, (Ingress("s0", 1.0),), name="x")
    good = CallGraph((Service("a"),), (), (Ingress("a", 1.0),), name="y")
    rows = batch([chain, good])
    assert "calls multiply too often" in rows[0]["error"]
    assert rows[0]["vcpu"] is None
    assert rows[1]["error"] is None
    assert rows[1]["vcpu"] is not None


@pytest.mark.parametrize(
    ("percents", "times"),
    [([50.0], [1.0, 2.0]), ([50.0, 50.0], [1.0, 2.0]), ([0.0], [1.0]), ([50.0, 90.0], [2.0, 1.0])],
)
def test_percentiles_that_are_no_distribution_are_told(percents: list[float], times: list[float]) -> None:
    table = graph_table([("x", CallGraph((Service("a"),), (), (Ingress("a", 1.0),)))])
    row = table.to_pylist()[0] | {"service_time": "percentiles"}
    row |= {"service_time_percents": percents, "service_time_percentiles_ns": times}
    found = BatchPredictor(MODEL, MEANS).predict(pa.Table.from_pylist([row], schema=table.schema)).to_pylist()
    assert "service_time_percentiles_ns: expected as many times" in found[0]["error"]
