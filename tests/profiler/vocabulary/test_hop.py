"""A hop: its name, its places, and the CPUs of its processes."""

from dataclasses import replace

import pytest

from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    CLIENT_TUNNEL,
    FILTER_SERVICE,
    SERVER_APP,
    SERVER_SIDECAR,
    SERVER_TUNNEL,
    SHARED_PROXY,
    WAYPOINT_PROXY,
)
from profiler.vocabulary.hop import NONE, Hop, is_file, label_of

DIRECT = Hop("http1", "both").baseline


def test_apart_each_process_runs_on_the_cpu_after_its_predecessors() -> None:
    hop = Hop("http1", "both", placement="apart")
    chain = (CLIENT_APP, CLIENT_SIDECAR, SERVER_SIDECAR, SERVER_APP)
    assert [hop.cpu_of(place, [0, 1]) for place in chain] == [0, 1, 0, 1]
    assert [hop.cpu_of(place, [2, 3, 5, 7]) for place in chain] == [2, 3, 5, 7]


def test_the_server_of_a_filter_runs_on_the_cpu_after_the_filters() -> None:
    hop = Hop("http1", "both", filters=("ext_authz",), placement="apart")
    assert hop.cpu_of(FILTER_SERVICE, [2, 3, 5, 7]) == 7
    assert replace(hop, topology="shared").cpu_of(FILTER_SERVICE, [2, 3, 5, 7]) == 5


def test_together_all_processes_run_on_one_cpu_and_free_none_is_pinned() -> None:
    places = (CLIENT_APP, CLIENT_SIDECAR, SERVER_SIDECAR, SERVER_APP, FILTER_SERVICE)
    together, free = (Hop("http1", "both", filters=("ext_authz",), placement=name) for name in ("together", "free"))
    assert {together.cpu_of(place, [2, 3, 5]) for place in places} == {2}
    assert {free.cpu_of(place, [2, 3, 5]) for place in places} == {None}


def test_apart_proxies_with_several_workers_are_not_pinned() -> None:
    hop = Hop("http1", "both", workers=2, placement="apart")
    assert [hop.cpu_of(place, [0, 1]) for place in (CLIENT_APP, CLIENT_SIDECAR, SERVER_APP)] == [0, None, 1]


def test_filters_are_on_the_servers_side_where_there_is_one() -> None:
    places = {
        topology: Hop("http1", topology, filters=("rbac",)).filter_place for topology in ("client", "both", "shared")
    }
    assert places == {"client": CLIENT_SIDECAR, "both": SERVER_SIDECAR, "shared": SHARED_PROXY}
    assert Hop("http1", "both").filter_place is None


def test_a_hop_is_named_by_what_is_not_as_usual() -> None:
    hop = Hop("tcp", "both", "grpc", "nginx", "mtls", ("rbac", "/x/own.yaml"), "uds", 4, "/y/boot.yaml")
    assert hop.name == "tcp-both-for-grpc-nginx-mtls-rbac+own-uds-w4-own.boot"
    assert replace(hop, placement="apart").name == f"{hop.name}-apart"
    assert (Hop("http2", "both", "http2").name, DIRECT.name) == ("http2-both", "direct")


def test_without_sidecars_application_and_placement_are_in_the_name() -> None:
    assert [Hop(NONE, NONE, spoken).name for spoken in ("http1", "grpc")] == ["direct", "direct-grpc"]
    assert Hop(NONE, NONE, "grpc", placement="together").name == "direct-grpc-together"


def test_the_baseline_has_the_same_applications_and_placement_and_nothing_else() -> None:
    hop = Hop("http2", "both", "grpc", "nginx", "mtls", ("rbac",), "uds", 4, "/y/boot.yaml", "together")
    assert hop.baseline == Hop(NONE, NONE, "grpc", placement="together")
    assert hop.baseline.baseline == hop.baseline


@pytest.mark.parametrize(
    ("topology", "places"),
    [
        ("none", ()),
        ("client", (CLIENT_SIDECAR,)),
        ("server", (SERVER_SIDECAR,)),
        ("both", (CLIENT_SIDECAR, SERVER_SIDECAR)),
        ("shared", (SHARED_PROXY,)),
        ("waypoint", (WAYPOINT_PROXY,)),
    ],
)
def test_places_are_in_the_order_a_request_meets_them(topology: str, places: tuple[str, ...]) -> None:
    assert Hop("http1", topology).sidecar_places == places


def test_the_ends_of_tunnels_are_processes_on_the_way_and_no_sidecars() -> None:
    hop = Hop("http1", "waypoint", tls="mtls", filters=("ext_authz",), placement="apart")
    chain = (CLIENT_APP, CLIENT_TUNNEL, WAYPOINT_PROXY, SERVER_TUNNEL, SERVER_APP)
    assert hop.proxy_places == chain[1:4]
    assert [hop.cpu_of(place, [2, 3, 5]) for place in chain] == [2, 3, 5, 2, 3]
    assert (hop.filter_place, hop.cpu_of(FILTER_SERVICE, [2, 3, 5])) == (WAYPOINT_PROXY, 2)
    assert Hop("http1", "both").proxy_places == Hop("http1", "both").sidecar_places


@pytest.mark.parametrize(
    ("name", "label"),
    [("rbac", "rbac"), ("/x/my filter.yaml", "my_filter"), ("./a.b.yaml", "a.b"), ("/x/" + "n" * 90, "n" * 64)],
)
def test_a_file_is_called_by_its_own_name_without_odd_characters(name: str, label: str) -> None:
    assert label_of(name) == label
    assert is_file(name) == ("/" in name)
