"""Call graphs as the testbed gets them."""

from dataclasses import replace

import numpy as np
import pytest

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.validation.deploying import application, applications_of, as_deployed, handling_ns_of, without_mesh
from profiler.errors import UsageError
from profiler.testbed.application import Application


def graph(*calls: Call, **sidecars: Sidecar) -> CallGraph:
    names = dict.fromkeys(name for call in calls for name in (call.caller, call.callee))
    services = tuple(Service(name, replicas=3, sidecar=sidecars.get(name, Sidecar())) for name in names)
    return CallGraph(services, calls, (Ingress("a", 50.0),))


def deployed(found: CallGraph) -> Application:
    return application(found, applications_of(found), "envoy")


def test_edges_name_what_each_side_proxies_them_as() -> None:
    calls = (Call("a->b", "a", "b", protocol="grpc"), Call("b->c", "b", "c", protocol="tcp"), Call("c->d", "c", "d"))
    sidecars = {"c": Sidecar("tcp", "http"), "d": Sidecar("none", "none")}
    edges = {edge.id: edge for _, edge in deployed(graph(*calls, **sidecars)).edges}
    assert [(edge.application, edge.client, edge.server) for edge in edges.values()] == [
        ("http1", "", "http1"), ("grpc", "grpc", "grpc"), ("http1", "tcp", "tcp"), ("http1", "tcp", ""),
    ]  # fmt: skip


def test_a_what_if_changes_what_is_proxied_but_not_what_is_spoken() -> None:
    before = graph(Call("a->b", "a", "b", protocol="grpc"))
    after = replace(before, calls=(replace(before.calls[0], protocol="tcp"),))
    edge = application(after, applications_of(before), "envoy").services[0].edges[0]
    assert (edge.application, edge.client) == ("grpc", "tcp")


def test_the_baseline_has_no_sidecar_and_is_the_same_for_what_ifs_of_sidecars() -> None:
    before = graph(Call("a->b", "a", "b", tls="mtls", filters=("rbac",)))
    after = replace(before, calls=(replace(before.calls[0], tls="none", filters=()),))
    bare = without_mesh(deployed(before))
    assert not bare.meshed
    assert bare == without_mesh(deployed(after))


def test_what_is_predicted_is_one_node_with_one_replica_at_the_rate_that_was_sent() -> None:
    found = as_deployed(graph(Call("a->b", "a", "b")), 20.0, 2, 0.3, {})
    assert [service.replicas for service in found.services] == [1, 1]
    assert found.ingress[0].rate_rps == 20.0
    assert (found.cluster.nodes, found.cluster.cpus_per_node, found.cluster.cpu_use) == (1, 2.0, 0.3)
    assert found.cold_weight is None


def test_services_take_as_long_as_they_did_without_sidecars() -> None:
    chain = graph(Call("a->b", "a", "b", calls_per_request=3.0))
    own = {service.name: service.service_time.mean_ns for service in chain.services}
    by_service = {"a": 50.0 * (own["a"] + 400_000.0) * 1e-9, "b": 150.0 * (own["b"] + 100_000.0) * 1e-9}
    handling_ns = handling_ns_of(chain, 50.0, sum(by_service.values()) + 200.0 * 30_000.0 * 1e-9, by_service)
    assert handling_ns == pytest.approx({"a": 430_000.0, "b": 130_000.0})
    found = as_deployed(chain, 50.0, 2, 0.3, handling_ns)
    assert [after.service_time.mean_ns - before.service_time.mean_ns for after, before in zip(
        found.services, chain.services, strict=True
    )] == pytest.approx([430_000.0, 130_000.0])  # fmt: skip


def test_without_figures_of_services_each_request_takes_as_long() -> None:
    chain = graph(Call("a->b", "a", "b", calls_per_request=3.0))
    working_ns = sum(each * one.service_time.mean_ns for each, one in zip((1, 3), chain.services, strict=True))
    assert handling_ns_of(chain, 50.0, 50.0 * (working_ns + 4 * 250_000.0) * 1e-9, {}) == pytest.approx(
        {"a": 250_000.0, "b": 250_000.0}
    )
    assert handling_ns_of(chain, 50.0, 0.0, {"a": 0.0}) == {"a": 0.0, "b": 0.0}


def test_service_times_fill_their_distribution() -> None:
    one = replace(graph(Call("a->b", "a", "b")).services[0], service_time=ServiceTime.exponential(1e6))
    found = graph(Call("a->b", "a", "b"))
    times = deployed(replace(found, services=(one, found.services[1]))).services[0].service_times_ns
    assert np.mean(times) == pytest.approx(1e6, rel=0.02)
    assert np.median(times) == pytest.approx(np.log(2) * 1e6, rel=0.01)
    assert np.mean(times[:50]) == pytest.approx(1e6, rel=0.1)


def test_mutual_tls_with_a_sidecar_on_one_side_only_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a->b: mTLS needs a sidecar on both sides"):
        deployed(graph(Call("a->b", "a", "b", tls="mtls"), b=Sidecar("none", "none")))


def test_a_waypoint_is_refused_with_its_edge() -> None:
    with pytest.raises(UsageError, match=r"a->b: a waypoint is not deployed here; give b another sidecar to validate"):
        deployed(graph(Call("a->b", "a", "b"), b=Sidecar("none", "waypoint")))


def test_the_baseline_is_placed_as_the_graph_is() -> None:
    one = graph(Call("a->b", "a", "b"))
    for placement in ("free", "apart"):
        made = application(one, applications_of(one), "envoy", "ip", placement)
        assert (made.placement, without_mesh(made).placement) == (placement, placement)
