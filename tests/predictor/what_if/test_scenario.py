"""Changes of a graph."""

from dataclasses import replace

import pytest

from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Factors
from predictor.what_if.scenario import Changes, changed, factors
from profiler.errors import UsageError

GRAPH = CallGraph(
    (Service("a"), Service("b")),
    (Call("a->b", "a", "b", tls="mtls", filters=("lua", "cors")),),
    (Ingress("a", 1.0, tls="mtls"),),
)


def test_an_edge_or_all_edges_are_set() -> None:
    one = changed(GRAPH, Changes(("a->b.tls=none",)))
    assert (one.calls[0].tls, one.ingress[0].tls) == ("none", "mtls")
    assert changed(GRAPH, Changes(("*.tls=none",))).ingress[0].tls == "none"
    assert changed(GRAPH, Changes(("a->b.request_bytes=4KiB",))).calls[0].request_bytes == 4096.0


def test_a_filter_is_dropped() -> None:
    assert changed(GRAPH, Changes(dropped_filters=("lua",))).calls[0].filters == ("cors",)


def test_server_side_sidecars_only() -> None:
    assert changed(GRAPH, Changes(topology="server")).services[0].sidecar == Sidecar("none", "http")


def test_all_services_behind_waypoints_have_no_sidecars() -> None:
    found = changed(GRAPH, Changes(topology="waypoint"))
    assert {service.sidecar for service in found.services} == {Sidecar("none", "waypoint")}


def test_a_wrong_value_is_one_line() -> None:
    with pytest.raises(UsageError, match="expected one of none, mtls; found 'x'"):
        changed(GRAPH, Changes(("a->b.tls=x",)))


def test_one_factor_stands_for_all_four() -> None:
    assert factors({"parsing": 0.5}, "f") == {"parsing": Factors(0.5, 0.5, 0.5, 0.5)}


def test_more_load_is_more_connections_of_a_closed_loop() -> None:
    closed = replace(GRAPH, ingress=(Ingress("a", connections=4),))
    assert changed(closed, Changes(load=1.5)).ingress[0].connections == 6
    with pytest.raises(UsageError, match=r"--load 0.1: 4 connections times 0.1 are not a whole number"):
        changed(closed, Changes(load=0.1))
