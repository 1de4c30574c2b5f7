"""The plan of a profile for call graphs: it predicts them, and holds nothing that they do not need."""

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from experiments.random_graphs.generator import random_graph
from predictor.graph.plan import sidecar_modes
from predictor.graph.reader import load_graph
from predictor.graph.types import CLIENT_MODES, SIDECAR_MODES, Call, CallGraph, Ingress, Service, Sidecar, SidecarMode
from predictor.hop_costs.costs import kinds_of
from predictor.hop_costs.hops import LackingError, Resolver
from predictor.hop_costs.needs import Kind, Need, needs_of
from predictor.hop_costs.options import Options
from predictor.hop_costs.profile_plan import settings_for
from predictor.importers.metrics.prometheus import read_prometheus
from predictor.models.types import FittedModel
from predictor.predict.predict import predict
from profiler.errors import UsageError
from profiler.planning.cells import make_plan
from profiler.planning.choice import HopChoice, dimensions_of, hop_exists
from profiler.planning.matrix import load_matrix
from profiler.planning.settings import LARGEST_MESSAGE_BYTES, ProfileSettings
from profiler.vocabulary.hop import ENDS, Hop
from tests.predictor.hop_costs.planned import planned_model
from tests.predictor.importers.metrics.lines import line

ROOT = Path(__file__).parents[3]
FILES = sorted([*(ROOT / "predictor/graph/examples").glob("*.yaml"), *(ROOT / "tests/data/graphs").glob("*.yaml")])
GRAPHS = {file.stem: load_graph(file) for file in FILES} | {
    f"seed-{seed}": random_graph(seed).graph for seed in range(1001, 1051)
}
KINDS = [
    Kind(client, server, protocol, tls, filters)
    for client, server in product(CLIENT_MODES, SIDECAR_MODES)
    for protocol, tls, filters in product(("tcp", "http1", "grpc"), ("none", "mtls"), ((), ("rbac",), ("lua", "rbac")))
]


def planned(*graphs: CallGraph) -> ProfileSettings:
    return ProfileSettings(**settings_for(graphs), ends=ENDS)


def two(request: float = 100, response: float = 100, **call: object) -> CallGraph:
    services = (Service("a"), Service("b"))
    calls = (Call("a->b", "a", "b", request_bytes=request, response_bytes=response, **call),)  # type: ignore[arg-type]
    return CallGraph(services, calls, (Ingress("a", 10.0),))


def sizes(graph: CallGraph) -> dict[str, tuple[tuple[int, int], ...]]:
    return {hop.name: hop.sizes for hop in planned(graph).hops}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_profile_of_the_planned_cells_predicts_the_graph(name: str) -> None:
    found = predict(GRAPHS[name], planned_model(planned(GRAPHS[name])), Options(samples=0))
    assert found.vcpu.value > 0.0


@pytest.mark.parametrize("name", GRAPHS)
def test_every_planned_hop_is_one_that_the_graph_needs(name: str) -> None:
    graph, settings = GRAPHS[name], planned(GRAPHS[name])
    edges = (*(entry.as_call() for entry in graph.ingress), *graph.calls)
    model = planned_model(settings)
    parts = Resolver(model, None, "ip").resolve(kinds_of(edges, sidecar_modes(graph)))
    used = {
        (item.protocol, item.topology, item.tls, item.filters)
        for of_kind in parts.values()
        for part in of_kind
        for _, item in part.points
    }
    assert used == {(hop.protocol, hop.topology, hop.tls, hop.filters) for hop in settings.hops}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_any_kind_of_hop_needs_can_be_measured_and_is_enough(kind: Kind) -> None:
    needs = needs_of(kind)
    assert all(
        hop_exists(Hop(need.protocol, need.topology, need.protocol, tls=need.tls, filters=need.filters))
        for need in needs
    )
    assert Resolver(_model(needs), None, "ip").resolve([kind]).keys() == {kind}
    if needs:
        with pytest.raises(LackingError) as lacking:
            Resolver(_model((Need("http2", "shared"),)), None, "ip").resolve([kind])
        assert str(lacking.value).startswith(f"the profile lacks {', '.join(map(str, needs))}; measure with: ")


@cache
def _model(needs: tuple[Need, ...]) -> FittedModel:
    """A model of the hops alone."""
    hops = [HopChoice(need.protocol, need.topology, need.tls, need.filters) for need in needs or (Need("tcp", "both"),)]
    return planned_model(ProfileSettings(**dimensions_of(hops), temperatures=("hot",)))


def test_mutual_tls_with_a_sidecar_on_one_side_is_asked_for_between_two() -> None:
    assert needs_of(Kind("none", "http", "http1", "mtls", ())) == (Need("http1", "both", "mtls"),)


def test_a_shared_proxy_with_mutual_tls_costs_what_tls_costs_a_sidecar_more() -> None:
    graph = two(tls="mtls")
    services = tuple(replace(service, sidecar=Sidecar("none", "shared")) for service in graph.services)
    with_tls = replace(graph, services=services, ingress=(Ingress("a", 10.0),))
    plain = replace(with_tls, calls=tuple(replace(call, tls="none") for call in graph.calls))
    model = planned_model(planned(with_tls))
    costs = [
        dict(predict(one, model, Options(samples=0, load=False)).edges[-1].by_component_ns) for one in (with_tls, plain)
    ]
    assert costs[0].pop("tls") > 0.0
    assert costs[0] == pytest.approx(costs[1])


def test_a_waypoint_is_needed_with_mutual_tls_whatever_the_call_says() -> None:
    assert needs_of(Kind("none", "waypoint", "http1", "none", ("lua",))) == (
        Need("http1", "waypoint", "mtls", ("lua",)),
    )


def test_a_sidecar_in_front_of_a_waypoint_costs_what_both_do() -> None:
    model = _model((Need("http1", "client"), Need("http1", "waypoint", "mtls")))

    def components(client: SidecarMode, server: SidecarMode) -> dict[str, float]:
        services = (Service("a", sidecar=Sidecar(client, "none")), Service("b", sidecar=Sidecar("none", server)))
        graph = replace(two(), services=services)
        found = predict(graph, model, Options(samples=0, load=False))
        assert ("added up" in "".join(found.assumptions)) == (client == "http" and server == "waypoint")
        return dict(found.edges[-1].by_component_ns)

    alone = [components("http", "none"), components("none", "waypoint")]
    assert components("http", "waypoint") == pytest.approx(
        {name: sum(part.get(name, 0.0) for part in alone) for name in {**alone[0], **alone[1]}}
    )


def test_small_messages_need_the_usual_sizes_alone() -> None:
    assert set(sizes(two(0, 9000)).values()) == {((128, 1024),)}


def test_the_cost_of_a_byte_is_measured_where_messages_are_large_and_for_those_hops_only() -> None:
    assert sizes(two(65536, 300_000)) == {
        "http1-both": ((128, 1024), (65536, 1024), (128, 300_000)),
        "http1-server": ((128, 1024),),
    }
    loads = {
        (c.scene.load.request_bytes, c.scene.load.response_bytes) for c in make_plan(planned(two(65536, 9e5))).asked
    }
    assert loads == {(128, 1024), (65536, 1024), (128, 900_000)}


def test_messages_beyond_what_can_be_measured_are_measured_at_the_largest_size() -> None:
    assert (128, LARGEST_MESSAGE_BYTES) in sizes(two(0, 2.0**40))["http1-both"]


def test_several_graphs_share_their_cells() -> None:
    settings = planned(two(), two(protocol="grpc"), two())
    assert [hop.name for hop in settings.hops] == ["grpc-both", "http1-both", "http1-server"]


def test_cold_cells_are_not_for_a_graph_that_is_hot() -> None:
    assert planned(two()).temperatures == ("hot", "cold")
    assert planned(replace(two(), cold_weight=0.0)).temperatures == ("hot",)


def test_the_ends_of_placement_are_of_one_hop_at_least() -> None:
    graph = replace(two(protocol="grpc"), ingress=(Ingress("a", 10.0, "grpc"),))
    ends = [cell.hop.name for cell in make_plan(planned(graph)).asked if cell.hop.placement in ENDS]
    assert ends == ["tcp-both-for-grpc-apart", "tcp-both-for-grpc-together"]


def test_a_graph_without_sidecars_needs_no_profile() -> None:
    bare = replace(two(), services=tuple(Service(name, sidecar=Sidecar("none", "none")) for name in "ab"))
    with pytest.raises(UsageError, match="--for: no call of the graph passes a sidecar"):
        settings_for([bare])


MUTUAL = {"connection_security_policy": "mutual_tls"}
METRICS = [
    line("istio_requests_total", "unknown", "front", 600, request_protocol="http"),
    line("istio_requests_total", "front", "cart", 900, request_protocol="grpc", **MUTUAL),
    line("istio_requests_total", "front", "page", 900, request_protocol="http", **MUTUAL),
    line("istio_tcp_connections_opened_total", "cart", "store", 90, request_protocol="tcp", **MUTUAL),
]


def test_the_default_profile_predicts_the_examples_and_what_a_mesh_with_mutual_tls_reports(tmp_path: Path) -> None:
    (tmp_path / "m.prom").write_text("".join(METRICS))
    metrics = read_prometheus([tmp_path / "m.prom"], over_s=10.0)
    edges = {(call.protocol, call.tls) for call in metrics.calls}
    assert edges == {("grpc", "mtls"), ("http1", "mtls"), ("tcp", "mtls")}
    model = planned_model(ProfileSettings(**load_matrix("default"), ends=ENDS))
    for graph in (metrics, *(GRAPHS[name] for name in ("bookinfo", "hotel-reservation", "online-boutique"))):
        assert predict(graph, model, Options(samples=0)).vcpu.value > 0.0


def test_the_quick_profile_predicts_the_example_with_mutual_tls() -> None:
    model = planned_model(ProfileSettings(**load_matrix("quick")))
    assert predict(GRAPHS["bookinfo"], model, Options(samples=0)).vcpu.value > 0.0


def test_filters_of_files_are_planned_with_their_files() -> None:
    hops = settings_for([two(filters=("own",))], ["/some/own.yaml"])["hops"]
    assert ("/some/own.yaml",) in {hop.filters for hop in hops}
    with pytest.raises(UsageError, match=r"--filter-file /some/other.yaml: no call of the graph has a filter other"):
        settings_for([two(filters=("own",))], ["/some/own.yaml", "/some/other.yaml"])
