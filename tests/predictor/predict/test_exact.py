"""Predictions that were worked out by hand, and the defects that the original tool had (facts.md, 1 to 7 and 13)."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Cluster, Ingress, Service, Sidecar
from predictor.hop_costs.options import Factors, Options
from predictor.models.fitting import fit_profile
from predictor.predict.predict import predict
from predictor.predict.schedule import CALLER_SHARE, uneven, usable
from predictor.predict.types import Prediction
from tests.predictor.graph.graphs import call_graphs
from tests.predictor.models.profiles import HTTP, TCP, Coefficients, known_profile, profile, scaled, value

MODEL = fit_profile(known_profile())
EXACT = Options(samples=0, load=False)


def hop(
    request: float, response: float, headers: float = 0, new: float = 0, coefficients: Coefficients = HTTP
) -> float:
    """Latency of a hop with two sidecars, in ns; its CPU is twice that."""
    return sum(value(coefficients, (request, response, headers, new), name) for name in coefficients)


def service(name: str, own_ns: float = 1e6, **further: object) -> Service:
    return Service(name, service_time=ServiceTime.constant(own_ns), **further)  # type: ignore[arg-type]


def call(caller: str, callee: str, **further: object) -> Call:
    return Call(f"{caller}->{callee}", caller, callee, **further)  # type: ignore[arg-type]


def graph(services: list[Service], calls: list[Call], rate: float = 10.0) -> CallGraph:
    """The entry passes no sidecar of its own, so figures are those of the calls."""
    first = replace(services[0], sidecar=Sidecar("http", "none"))
    return CallGraph((first, *services[1:]), tuple(calls), (Ingress(services[0].name, rate),), cold_weight=0.0)


def added(found: Prediction) -> float:
    return found.latency["mean"].overhead_ns.value


def test_one_call_costs_its_hop_in_latency_and_cpu() -> None:
    """Defects 1, 2 and 6: parsing is in it, CPU grows with size and rate, both sizes of each edge count."""
    found = predict(
        graph([service("a"), service("b")], [call("a", "b", request_bytes=5000, response_bytes=700)]), MODEL, EXACT
    )
    assert added(found) == pytest.approx(hop(5000, 700), rel=1e-9)
    assert found.vcpu.value == pytest.approx(10 * 2 * hop(5000, 700) * 1e-9, rel=1e-9)
    parsing = found.latency_by_component_ns["parsing"].value
    assert parsing == pytest.approx(value(HTTP, (5000, 700, 0, 0), "parsing"), rel=1e-9)


def test_headers_and_new_connections_cost() -> None:
    found = predict(
        graph([service("a"), service("b")], [call("a", "b", headers=20.0, new_connections=0.5)]), MODEL, EXACT
    )
    assert added(found) == pytest.approx(hop(1024, 1024, 20, 0.5), rel=1e-9)


def test_parallel_calls_take_the_longest_and_cost_the_cpu_of_all() -> None:
    """Defect 5: CPU off the path counts."""
    calls = [call("a", "b", request_bytes=9000), call("a", "c", request_bytes=100)]
    found = predict(graph([service("a"), service("b"), service("c")], calls), MODEL, EXACT)
    behind = CALLER_SHARE * hop(100, 1024) / 2  # half of a hop is the caller's sidecar's, which both calls pass
    assert added(found) == pytest.approx(hop(9000, 1024) + behind, rel=1e-9)
    assert found.vcpu.value == pytest.approx(10 * 2e-9 * (hop(9000, 1024) + hop(100, 1024)), rel=1e-9)


@pytest.mark.parametrize("cpus", [1.0, 2.0, 3.0, 8.0, None])
def test_calls_at_the_same_time_wait_for_cpus(cpus: float | None) -> None:
    """Three equal calls are work for three CPUs: on fewer they take longer, without sidecars and with."""
    cluster = Cluster(nodes=1, cpus_per_node=cpus)
    names = ("b", "c", "d")
    services = [service(name) for name in ("a", *names)]
    apart = replace(graph(services, [call("a", name) for name in names]), cluster=cluster)
    again = graph([service("a"), service("b")], [call("a", "b", calls_per_request=3.0, repeat="parallel")])
    for one in (apart, replace(again, cluster=cluster)):
        found = predict(one, MODEL, replace(EXACT, samples=200))
        counted = usable(cpus or math.inf)
        share, part = 3.0 / counted, uneven(counted)
        share, part, kept = (share, part, part) if share + part > 1.0 else (1.0, 0.0, 1.0)
        behind = kept * CALLER_SHARE * 2 * hop(1024, 1024) / 2
        assert added(found) == pytest.approx((share + part) * hop(1024, 1024) + behind, rel=1e-9)
        assert found.latency["mean"].without_ns == pytest.approx(1e6 + (share + part) * 1e6, rel=1e-9)
        assert found.latency["p50"].overhead_ns.value == pytest.approx(added(found), rel=1e-3)
        assert sum(found.latency_by_component_ns[name].value for name in HTTP) == pytest.approx(added(found), rel=1e-9)


def test_one_call_after_another_does_not_wait_for_cpus() -> None:
    calls = [call("a", "b", stage=0), call("a", "c", stage=1), call("b", "d", calls_per_request=3.0)]
    services = [service(name) for name in "abcd"]
    free = graph(services, calls)
    tight = replace(free, cluster=Cluster(nodes=1, cpus_per_node=1.0))
    assert added(predict(tight, MODEL, EXACT)) == pytest.approx(added(predict(free, MODEL, EXACT)), rel=1e-12)


def test_asynchronous_calls_take_no_time_but_cpu() -> None:
    found = predict(graph([service("a"), service("b")], [call("a", "b", asynchronous=True)]), MODEL, EXACT)
    assert added(found) == 0.0
    assert found.vcpu.value == pytest.approx(10 * 2e-9 * hop(1024, 1024), rel=1e-9)


@pytest.mark.parametrize("cpus", [1.0, 2.0, 16.0, None])
@pytest.mark.parametrize(("own_ns", "rest_ns"), [(0.2e6, 3e6), (3e6, 0.2e6)])
def test_asynchronous_calls_share_cpus_with_the_rest_of_the_request(
    cpus: float | None, own_ns: float, rest_ns: float
) -> None:
    """b is done, then c works while the request goes on with d: a part of what fits delays it, on one CPU all."""
    calls = [call("a", "b", stage=0), call("a", "d", stage=1), call("b", "c", asynchronous=True)]
    services = [service("a"), service("b"), service("c", own_ns), service("d", rest_ns)]
    one = replace(graph(services, calls), cluster=Cluster(nodes=1, cpus_per_node=cpus))
    found, each = predict(one, MODEL, replace(EXACT, samples=200)), hop(1024, 1024)
    share = 1.0 / usable(cpus or math.inf)
    without, with_ = share * min(own_ns, rest_ns), share * (min(own_ns, rest_ns) + each)
    assert found.latency["mean"].without_ns == pytest.approx(2e6 + rest_ns + without, rel=1e-9)
    assert found.latency["mean"].with_ns == pytest.approx(2e6 + rest_ns + 2 * each + with_, rel=1e-9)
    assert found.latency["p50"].overhead_ns.value == pytest.approx(added(found), rel=1e-3)
    parts = sum(found.latency_by_component_ns[name].value for name in HTTP)
    assert parts + found.hidden_ns == pytest.approx(added(found), rel=1e-9)


def test_each_asynchronous_call_gets_as_far_as_the_rest_of_the_request() -> None:
    """Of CPUs that are shared by the rest and three calls, all four have done 1 ms when the rest is done."""
    calls = [call("a", "b", stage=0), call("a", "d", stage=1)]
    calls += [call("b", "c", asynchronous=True, calls_per_request=2.0), call("b", "e", asynchronous=True)]
    services = [service("a"), service("b"), service("c", 5e6), service("d", 1e6), service("e", 3e6)]
    found = predict(replace(graph(services, calls), cluster=Cluster(nodes=1, cpus_per_node=2.0)), MODEL, EXACT)
    assert found.latency["mean"].without_ns == pytest.approx(2e6 + 1e6 + 3 * 1e6 / usable(2.0), rel=1e-9)


@pytest.mark.parametrize("repeat", ["sequential", "parallel"])
def test_asynchronous_calls_delay_the_calls_that_follow_in_a_stage(repeat: str) -> None:
    """Of 5 calls, each has half of the others behind it on average; nothing follows the last service's own."""
    calls = [call("a", "b", calls_per_request=5.0, repeat=repeat), call("b", "c", asynchronous=True)]
    last = [call("a", "b", calls_per_request=5.0, repeat=repeat), call("a", "c", asynchronous=True)]
    services, one_cpu = [service("a"), service("b"), service("c")], Cluster(nodes=1, cpus_per_node=1.0)
    waited, late = (predict(replace(graph(services, each), cluster=one_cpu), MODEL, EXACT) for each in (calls, last))
    delay_ns = 5 * (1e6 + hop(1024, 1024))
    assert waited.latency["mean"].with_ns - late.latency["mean"].with_ns == pytest.approx(delay_ns, rel=1e-9)


def test_repeated_calls_follow_each_other_or_run_together() -> None:
    for repeat, times in (("sequential", 3.0), ("parallel", 1.0 + 2 * CALLER_SHARE / 2)):
        calls = [call("a", "b", calls_per_request=3.0, repeat=repeat)]
        found = predict(graph([service("a"), service("b")], calls), MODEL, EXACT)
        assert added(found) == pytest.approx(times * hop(1024, 1024), rel=1e-9)
        assert found.vcpu.value == pytest.approx(30 * 2e-9 * hop(1024, 1024), rel=1e-9)


def test_the_path_moves_to_where_the_overhead_is() -> None:
    """b is longer by 0.05 ms; c's large request makes it the longer branch, and what b hid is not counted twice."""
    calls = [call("a", "b", request_bytes=0, response_bytes=0), call("a", "c", request_bytes=200_000, response_bytes=0)]
    found = predict(graph([service("a"), service("b", 2.05e6), service("c", 2e6)], calls), MODEL, EXACT)
    assert (found.path_before[1], found.path_after[1]) == ("a->b", "a->c")
    assert found.hidden_ns == pytest.approx(-0.05e6, rel=1e-9)
    behind = CALLER_SHARE * hop(0, 0) / 2
    assert added(found) == pytest.approx(hop(200_000, 0) + behind - 0.05e6, rel=1e-9)


def test_a_call_with_a_probability_counts_that_often() -> None:
    calls = [call("a", "b", calls_per_request=0.25), call("a", "c", calls_per_request=0.5)]
    found = predict(graph([service("a"), service("b", 9e6), service("c", 1e6)], calls), MODEL, EXACT)
    behind = CALLER_SHARE * 0.25 * 0.5 / 2  # both happen, and then c is not the longest
    assert added(found) == pytest.approx((0.25 + 0.75 * 0.5 + behind) * hop(1024, 1024), rel=1e-9)


@pytest.mark.parametrize("often", [5e-324, 1e-310, 1e-200, 1e-13])
@pytest.mark.parametrize("rate", [0.0, 5e-324, 1e-100, 10.0])
def test_a_call_that_nobody_will_see_takes_no_latency(often: float, rate: float) -> None:
    calls = [call("a", "b", calls_per_request=often), call("a", "c"), call("c", "d", calls_per_request=often)]
    with_rare, without = (
        predict(graph([service(name) for name in "abcd"], some, rate), MODEL, Options(samples=0))
        for some in (calls, calls[1:2])
    )
    assert added(with_rare) == added(without)
    assert with_rare.vcpu.value == pytest.approx(without.vcpu.value, rel=1e-9)


def test_a_speed_up_halves_what_it_names() -> None:
    """Defect 3: each of the four factors is a factor, of its own component alone."""
    one = graph([service("a"), service("b")], [call("a", "b", request_bytes=4000, response_bytes=0)])
    for factors, saved in (
        (Factors(latency_base=0.5), 25e3),
        (Factors(latency_slope=0.5), 0.25 * 4000),
        (Factors(cpu_base=0.5), 0.0),
    ):
        found = predict(one, MODEL, replace(EXACT, speedup={"parsing": factors}))
        assert added(predict(one, MODEL, EXACT)) - added(found) == pytest.approx(saved, abs=1e-4)


def test_internal_work_is_no_hop() -> None:
    """Defect 4: a service without calls costs nothing but its own entry."""
    assert added(predict(graph([service("a", 5e6)], []), MODEL, EXACT)) == 0.0


def test_a_tcp_sidecar_moves_http_as_bytes() -> None:
    """Defect 7: what is not known to be HTTP is TCP, and has a price."""
    tcp = Sidecar("tcp", "tcp")
    services = (service("a", sidecar=tcp), service("b", sidecar=tcp))
    found = predict(CallGraph(services, (call("a", "b"),), (Ingress("a", 10.0),), cold_weight=0.0), MODEL, EXACT)
    both = hop(1024, 1024, coefficients=TCP)
    assert added(found) == pytest.approx(1.5 * both, rel=1e-9)  # the entry passes one side of it


def test_mixed_sides_take_each_its_share() -> None:
    services = (service("a", sidecar=Sidecar("tcp", "none")), service("b"))
    one = CallGraph(services, (call("a", "b"),), (Ingress("a", 10.0),), cold_weight=0.0)
    shared = fit_profile(known_profile(client_share=0.25))
    expected = 0.25 * hop(1024, 1024, coefficients=TCP) + 0.75 * hop(1024, 1024)
    assert added(predict(one, shared, EXACT)) == pytest.approx(expected, rel=1e-9)


def test_temperatures_are_mixed() -> None:
    cold = [scaled(item, latency=3.0) for item in known_profile(temperature="cold").cells]
    both = profile([*known_profile().cells, *cold])
    one = replace(graph([service("a"), service("b")], [call("a", "b")]), cold_weight=0.25)
    assert added(predict(one, fit_profile(both), EXACT)) == pytest.approx(1.5 * hop(1024, 1024), rel=1e-9)


def test_waiting_grows_with_the_rate_as_pollaczek_and_khinchine_say() -> None:
    """Each side's sidecar works S per call at rate λ: W = λ S² / (1 − λ S) with exponential work."""
    rate, work = 4000.0, hop(1024, 1024) * 1e-9  # seconds: half of the hop's CPU, which is twice its latency
    one = graph([service("a"), service("b")], [call("a", "b")], rate)
    wait = rate * work**2 / (1 - rate * work) * 1e9
    found = predict(one, MODEL, Options(samples=0))
    assert found.latency_by_component_ns["queueing"].value == pytest.approx(2 * wait, rel=1e-9)


def test_a_saturated_sidecar_is_told() -> None:
    one = graph([service("a"), service("b")], [call("a", "b")], 1e6)
    assert any("without enough workers" in text for text in predict(one, MODEL, EXACT).warnings)


@settings(deadline=None, max_examples=40)
@given(call_graphs(), st.floats(0, 4))
def test_adding_a_call_never_lowers_cpu(one: CallGraph, number: float) -> None:
    more = replace(
        one,
        services=(*one.services, Service("new")),
        calls=(*one.calls, Call("s0->new", "s0", "new", calls_per_request=number)),
    )
    fixed = [replace(each, cold_weight=0.0) for each in (one, more)]
    less, most = (predict(each, MODEL, EXACT).vcpu.value for each in fixed)
    assert most >= less * (1 - 1e-12)


@settings(deadline=None, max_examples=40)
@given(call_graphs())
def test_a_speed_up_of_one_changes_nothing(one: CallGraph) -> None:
    factors = {name: Factors() for name in ("ipc", "parsing", "proxy_core")}
    assert predict(one, MODEL, replace(EXACT, speedup=factors)) == predict(one, MODEL, EXACT)


@settings(deadline=None, max_examples=40)
@given(call_graphs())
def test_components_services_and_edges_sum_to_the_total(one: CallGraph) -> None:
    found = predict(one, MODEL, Options(samples=0))
    shares = [item.value for item in found.latency_by_component_ns.values()]
    if found.latency["mean"].finite:
        assert sum(shares) + found.hidden_ns == pytest.approx(added(found), rel=1e-9, abs=1e-3)
    assert sum(item.latency_ns.value for item in found.services) == pytest.approx(sum(shares), rel=1e-9, abs=1e-3)
    assert sum(e.path_weight * e.latency_ns.value for e in found.edges) == pytest.approx(
        sum(shares), rel=1e-9, abs=1e-3
    )
    for parts in (found.vcpu_by_component.values(), (s.vcpu for s in found.services), (e.vcpu for e in found.edges)):
        assert sum(item.value for item in parts) == pytest.approx(found.vcpu.value, rel=1e-9, abs=1e-12)
