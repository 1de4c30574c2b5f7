"""Scenarios beside the graph as it is: savings worked out by hand, and intervals of pairs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Factors, Options
from predictor.models.fitting import fit_profile
from predictor.models.types import UNEXPLAINED
from predictor.what_if.comparison import Comparison, Row, compare
from predictor.what_if.scenario import Changes
from predictor.what_if.scenarios import Scenario
from profiler.errors import UsageError
from profiler.profile.types import Profile
from tests.predictor.models.profiles import HTTP, LOADS, TCP, cell, known_profile, profile

GRAPH = CallGraph(
    (Service("a", sidecar=Sidecar("http", "none")), Service("b", sidecar=Sidecar("none", "http"))),
    (Call("a->b", "a", "b", request_bytes=1000.0, response_bytes=2000.0),),
    (Ingress("a", 100.0),),
    name="two",
)
MODEL = fit_profile(known_profile())
EXACT = Options(samples=0, load=False)
NOTHING = Changes(topology="none")
ALL = ("ipc", "parsing")


def noisy() -> Profile:
    """Rounds that differ, and a machine whose speed drifts."""
    cells = [cell(HTTP, load, rounds=(0.8, 1.0, 1.3)) for load in LOADS]
    return profile([*cells, *(cell(TCP, load, rounds=(0.9, 1.0, 1.1), protocol="tcp") for load in LOADS)], drift=0.2)


def compared(*scenarios: Scenario, options: Options = EXACT, model: Any = MODEL) -> Comparison:
    return compare(GRAPH, model, options, scenarios)


def only(scenario: Scenario, **options: Any) -> Row:
    return compared(scenario, **options).rows[1]


def test_a_saving_is_the_difference_of_two_hops() -> None:
    """HTTP: 70 µs at base, 1.5 and 2.25 ns per request and response byte; TCP: 15 µs, 1.25 and 1.5 ns."""
    row = only(Scenario("tcp", Changes(("*.protocol=tcp",))))
    assert row.saving is not None
    saved_ns = (70e3 + 1.5 * 1000 + 2.25 * 2000) - (15e3 + 1.25 * 1000 + 1.5 * 2000)
    assert row.saving.latency_ns["mean"].value == pytest.approx(saved_ns, rel=1e-9)
    assert row.saving.vcpu.value == pytest.approx(100 * 2 * saved_ns * 1e-9, rel=1e-9)


def test_more_load_adds_cpu_in_proportion() -> None:
    comparison = compared(Scenario("more", Changes(load=3.0)))
    base, more = comparison.rows
    assert base.prediction is not None
    assert more.saving is not None
    assert more.saving.vcpu.value == pytest.approx(-2 * base.prediction.vcpu.value, rel=1e-9)


def test_memory_saved_is_that_of_both_proxies() -> None:
    row = only(Scenario("none", NOTHING))
    assert row.saving is not None
    assert row.saving.memory_bytes == pytest.approx(2 * 60e6 + 2 * 1e4)


@pytest.mark.usefixtures("no_own_error")
def test_the_interval_is_that_of_pairs() -> None:
    """Half of every draw is saved, so the interval is half of the whole; two intervals subtracted would be wider."""
    half = Scenario("half", speedup=dict.fromkeys((*ALL, UNEXPLAINED), Factors(0.5, 0.5, 0.5, 0.5)))
    base, row = compared(half, model=fit_profile(noisy())).rows
    assert base.prediction is not None
    assert row.prediction is not None
    assert row.saving is not None
    whole, rest = base.prediction.vcpu, row.prediction.vcpu
    assert whole.high > 1.1 * whole.value
    for end in ("value", "low", "high"):
        assert getattr(row.saving.vcpu, end) == pytest.approx(getattr(whole, end) / 2, rel=1e-6)
    assert whole.high - rest.low > 1.2 * row.saving.vcpu.high


def test_all_is_saved_with_the_interval_of_all(own_errors: Callable[[Mapping[str, float]], None]) -> None:
    own_errors({"p50": 1.2, "p90": 1.3, "p99": 1.4, "cpu": 1.1})
    base, row = compared(Scenario("none", NOTHING), model=fit_profile(noisy()), options=Options()).rows
    assert base.prediction is not None
    assert row.saving is not None
    assert {"mean", "p50"} <= set(row.saving.latency_ns)
    for name in row.saving.latency_ns:
        whole, saved = base.prediction.latency[name].overhead_ns, row.saving.latency_ns[name]
        assert (saved.value, saved.low, saved.high) == pytest.approx((whole.value, whole.low, whole.high))


def test_a_scenario_that_changes_nothing_saves_exactly_nothing() -> None:
    """Percentiles too: all are sampled from one seed."""
    row = only(Scenario("same", Changes(("*.tls=none",))), model=fit_profile(noisy()), options=Options())
    assert row.saving is not None
    for saved in (*row.saving.latency_ns.values(), row.saving.vcpu):
        assert (saved.value, saved.low, saved.high) == (0.0, 0.0, 0.0)


def test_what_the_profile_lacks_is_told_in_the_row_and_others_go_on() -> None:
    found = compared(
        Scenario("grpc", Changes(("*.protocol=grpc",))),
        Scenario("nginx", proxy="nginx"),
        Scenario("tcp", Changes(("*.protocol=tcp",))),
    )
    _, grpc, nginx, tcp = found.rows
    assert "meshinsight profile --protocol grpc" in grpc.lacking
    assert "meshinsight profile --proxy nginx --protocol http1" in nginx.lacking
    assert (grpc.prediction, nginx.saving) == (None, None)
    assert tcp.prediction is not None
    assert found.lacking == ""


def test_a_graph_that_the_profile_lacks_may_have_scenarios_that_it_has() -> None:
    graph = CallGraph(GRAPH.services, (Call("a->b", "a", "b", tls="mtls"),), GRAPH.ingress)
    base, plain = compare(graph, MODEL, EXACT, [Scenario("plain", Changes(("*.tls=none",)))]).rows
    assert "--tls mtls" in base.lacking
    assert plain.prediction is not None
    assert plain.saving is None


def test_where_no_scenario_can_be_predicted_the_reason_is_kept() -> None:
    assert "grpc" in compared(Scenario("grpc", Changes(("*.protocol=grpc",)))).lacking


def test_a_change_that_fits_nothing_ends_the_comparison() -> None:
    with pytest.raises(UsageError, match="no edge has it"):
        compared(Scenario("x", Changes(dropped_filters=("lua",)), place="s.yaml:4"))


def test_scenarios_are_of_the_very_same_requests() -> None:
    """Service times that vary are drawn alike, whatever sidecars there are."""
    varying = replace(
        GRAPH, services=tuple(replace(one, service_time=ServiceTime.exponential(1e6)) for one in GRAPH.services)
    )
    scenarios = (Scenario("none", NOTHING), Scenario("tcp", Changes(("*.protocol=tcp",))))
    rows = compare(varying, fit_profile(noisy()), Options(samples=3000), scenarios).rows
    baselines = [[part.without_ns for part in row.prediction.latency.values()] for row in rows if row.prediction]
    assert len(baselines) == 3
    assert baselines[0] == baselines[1] == baselines[2]
