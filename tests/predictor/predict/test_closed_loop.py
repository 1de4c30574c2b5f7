"""Entries with connections instead of a rate: the rate follows from the latency."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Cluster, Ingress, Service, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.predict.predict import predict
from predictor.predict.types import ClosedLoop, Prediction
from predictor.what_if.comparison import compare
from predictor.what_if.scenario import Changes
from predictor.what_if.scenarios import Scenario
from profiler.errors import UsageError
from tests.predictor.graph.graphs import call_graphs
from tests.predictor.models.profiles import known_profile

MODEL = fit_profile(known_profile())
POINT = Options(samples=0, intervals=False)
OWN_NS = 1e6


def pair(connections: int | None, rate_rps: float = 0.0, own_ns: float = OWN_NS, **further: object) -> CallGraph:
    services = tuple(
        Service(name, sidecar=sidecar, service_time=ServiceTime.constant(own_ns))
        for name, sidecar in (("a", Sidecar("http", "none")), ("b", Sidecar()))
    )
    entry = Ingress("a", rate_rps, connections=connections)
    return CallGraph(services, (Call("a->b", "a", "b"),), (entry,), cold_weight=0.0, **further)  # type: ignore[arg-type]


def loop_of(found: Prediction) -> ClosedLoop:
    assert found.closed_loop is not None
    return found.closed_loop


def test_with_one_connection_nothing_waits_and_the_rate_is_one_over_the_latency() -> None:
    found = predict(pair(1), MODEL, POINT)
    alone = predict(pair(None, 1e-6), MODEL, replace(POINT, load=False)).latency["mean"]
    assert found.latency["mean"].with_ns == pytest.approx(alone.with_ns, rel=1e-12)
    assert loop_of(found).with_rps == pytest.approx(1e9 / alone.with_ns)
    assert loop_of(found).without_rps == pytest.approx(1e9 / (2 * OWN_NS))
    assert found.latency_by_component_ns.get("queueing") is None


@pytest.mark.parametrize("connections", [2, 3, 10])
def test_a_connection_meets_the_requests_of_the_others(connections: int) -> None:
    found = predict(pair(connections), MODEL, POINT)
    rate_rps = loop_of(found).with_rps
    met = predict(pair(None, rate_rps * (connections - 1) / connections), MODEL, POINT)
    assert met.latency["mean"].with_ns > predict(pair(1), MODEL, POINT).latency["mean"].with_ns
    assert rate_rps * met.latency["mean"].with_ns * 1e-9 == pytest.approx(connections)


def test_many_connections_get_no_more_than_sidecars_can_carry() -> None:
    found = predict(pair(500, own_ns=1e5), MODEL, POINT)
    carried_rps = predict(pair(None, 1.0, own_ns=1e5), MODEL, POINT).carried_rps
    assert carried_rps is not None
    assert loop_of(found).with_rps == pytest.approx(carried_rps, rel=0.02)
    assert found.latency["mean"].finite
    assert found.latency["mean"].with_ns == pytest.approx(500 * 1e9 / loop_of(found).with_rps)
    assert "busy all the time" in found.warnings[0]


def test_cpus_bound_the_rate_where_they_are_known() -> None:
    found = predict(pair(16, cluster=Cluster(nodes=1, cpus_per_node=2.0)), MODEL, POINT)
    assert found.baseline_vcpu + found.vcpu.value == pytest.approx(2.0)
    assert loop_of(found).without_rps == pytest.approx(2.0 / (2 * OWN_NS * 1e-9))
    assert any("keep all CPUs busy" in text for text in found.warnings)


@settings(max_examples=25, deadline=None)
@given(call_graphs(), st.integers(1, 200))
def test_rate_times_latency_is_the_number_of_connections(graph: CallGraph, connections: int) -> None:
    entry = replace(graph.ingress[0], rate_rps=0.0, connections=connections)
    found = predict(replace(graph, ingress=(entry,)), MODEL, POINT)
    assert loop_of(found).with_rps * found.latency["mean"].with_ns * 1e-9 == pytest.approx(connections, rel=1e-6)


def test_a_graph_with_its_rate_worked_out_is_predicted_at_that_rate() -> None:
    graph = pair(4)
    known = replace(graph, ingress=(replace(graph.ingress[0], rate_rps=321.0),))
    assert predict(known, MODEL, POINT).edges[0].rate_rps == 321.0


def test_a_what_if_has_its_own_rate() -> None:
    rows = compare(pair(4), MODEL, POINT, [Scenario("bare", Changes(topology="none"))]).rows
    before, after = (loop_of(row.prediction) for row in rows if row.prediction is not None)
    assert after.with_rps == pytest.approx(after.without_rps)
    assert before.with_rps < after.with_rps == pytest.approx(before.without_rps)


def test_requests_that_take_no_time_have_no_rate() -> None:
    with pytest.raises(UsageError, match="ingress->a: requests take no time without sidecars"):
        predict(pair(1, own_ns=0.0), MODEL, POINT)
