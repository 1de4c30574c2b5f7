"""Graphs from the field whose predictions were wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from predictor.graph.reader import load_graph
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Ingress, Service
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.predict.predict import predict
from predictor.predict.types import Prediction
from profiler.errors import UsageError
from tests.predictor.models.profiles import HTTP, cell, known_profile, profile

DATA = Path(__file__).parents[2] / "data"
MODEL = fit_profile(known_profile(mean_ratio=1.1))
ONE_SIZE = fit_profile(profile([cell(HTTP, (128, 1024, 0, 0))]))
EXACT = Options(samples=0)


def field(name: str) -> CallGraph:
    return load_graph(DATA / "field" / f"{name}.yaml")


def fan_out(number: float) -> CallGraph:
    one = field("predict-fanout-mean-below-median")
    return replace(one, calls=(replace(one.calls[0], calls_per_request=number),))


def width(found: Prediction) -> float:
    over = found.latency["mean"].overhead_ns
    return (over.high - over.low) / over.value


@pytest.mark.parametrize("number", [10.0, 30.0, 200.0])
def test_the_mean_of_a_fan_out_is_that_of_the_longest_call(number: float) -> None:
    found = predict(fan_out(number), MODEL, Options(samples=40_000)).latency
    assert found["mean"].with_ns == pytest.approx(found["p50"].with_ns, rel=0.15)
    assert found["mean"].with_ns > found["p50"].with_ns  # as of all that is skewed to the right


def test_a_wider_fan_out_takes_longer() -> None:
    times = [predict(fan_out(number), MODEL, EXACT).latency["mean"].with_ns for number in (1.0, 3.0, 10.0, 30.0)]
    assert times == sorted(times)
    assert times[3] > 1.2 * times[0]


@pytest.mark.parametrize("own", [ServiceTime.exponential(1e6), ServiceTime.lognormal(1e6, 0.5)])
def test_services_that_vary_make_the_longest_of_several_longer_too(own: ServiceTime) -> None:
    """The sampled mean without sidecars, exactly as for three exponential times: 1 + 1/2 + 1/3 means."""
    names = ("b", "c", "d")
    services = (Service("a", service_time=ServiceTime.constant(0.0)), *(Service(n, service_time=own) for n in names))
    one = CallGraph(services, tuple(Call(f"a->{n}", "a", n) for n in names), (Ingress("a", 1.0),))
    mean = predict(one, MODEL, EXACT).latency["mean"].without_ns
    assert mean == pytest.approx({"exponential": 1.833e6, "lognormal": 1.435e6}[own.kind], rel=0.05)


def test_components_edges_and_services_add_up_for_a_fan_out() -> None:
    found = predict(fan_out(30.0), MODEL, EXACT)
    over = found.latency["mean"].overhead_ns.value
    assert sum(e.value for e in found.latency_by_component_ns.values()) + found.hidden_ns == pytest.approx(over)
    assert sum(e.path_weight * e.latency_ns.value for e in found.edges) + found.hidden_ns == pytest.approx(over)
    assert sum(s.latency_ns.value for s in found.services) + found.hidden_ns == pytest.approx(over)


def test_an_overloaded_sidecar_has_no_finite_latency_but_a_rate_it_can_carry() -> None:
    one = field("predict-overloaded-sidecar")
    found = predict(one, MODEL, Options(samples=100))
    assert all(part.shown_with_ns is None and part.shown_overhead_ns is None for part in found.latency.values())
    assert found.carried_rps is not None
    assert any("they can carry about" in text for text in found.warnings)
    below = replace(one, ingress=(replace(one.ingress[0], rate_rps=0.9 * found.carried_rps),))
    assert predict(below, MODEL, EXACT).latency["mean"].finite
    beyond = replace(one, ingress=(replace(one.ingress[0], rate_rps=1.1 * found.carried_rps),))
    assert not predict(beyond, MODEL, EXACT).latency["mean"].finite


def test_figures_of_an_overloaded_graph_leave_endless_waiting_out() -> None:
    found = predict(field("predict-overloaded-sidecar"), MODEL, EXACT)
    assert all(edge.latency_ns.value < 1e6 for edge in found.edges)
    assert "queueing" not in found.latency_by_component_ns


def test_who_waits_for_no_overloaded_sidecar_has_a_finite_latency() -> None:
    services = tuple(Service(name, service_time=ServiceTime.constant(1e5)) for name in "ab")
    services = (replace(services[0], replicas=100), services[1])
    call = Call("a->b", "a", "b", calls_per_request=5.0, asynchronous=True)
    one = CallGraph(services, (call,), (Ingress("a", 10_000.0),))
    assert predict(one, MODEL, EXACT).latency["mean"].finite
    assert not predict(replace(one, calls=(replace(call, asynchronous=False),)), MODEL, EXACT).latency["mean"].finite


def test_bodies_of_nothing_are_about_as_sure_as_the_measured_ones() -> None:
    empty = field("predict-empty-body-interval")
    call = replace(empty.calls[0], request_bytes=128.0, response_bytes=1024.0)
    entry = replace(empty.ingress[0], request_bytes=128.0, response_bytes=1024.0)
    same = replace(empty, calls=(call,), ingress=(entry,))
    bare, full = (predict(one, ONE_SIZE, EXACT) for one in (empty, same))
    assert width(bare) == pytest.approx(width(full), rel=0.1, abs=0.01)
    assert bare.latency["mean"].with_ns == pytest.approx(full.latency["mean"].with_ns, rel=0.01)


def test_a_size_far_from_the_measured_one_costs_what_bytes_cost_elsewhere() -> None:
    """262,144 bytes more in one direction: 0.1 to 1 ns each."""
    empty = field("predict-empty-body-interval")
    large = replace(empty, calls=(replace(empty.calls[0], request_bytes=262144.0),))
    over = [predict(one, ONE_SIZE, EXACT).latency["mean"].overhead_ns for one in (empty, large)]
    assert 0.1 * 262144 < over[1].value - over[0].value < 1.0 * 262144
    assert over[1].high - over[0].value > 0.7 * 262144


def test_calls_that_multiply_without_bound_are_one_line() -> None:
    with pytest.raises(UsageError, match=r"s2->s3: calls multiply to more than 1e\+30"):
        predict(load_graph(DATA / "hostile" / "graph-overflow.yaml"), MODEL)


def test_figures_that_are_not_finite_are_one_line() -> None:
    one = field("predict-empty-body-interval")
    with pytest.raises(UsageError, match="is beyond what can be predicted"):
        predict(replace(one, calls=(replace(one.calls[0], headers=1e305),)), MODEL)
