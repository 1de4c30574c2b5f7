from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from profiler.errors import UsageError
from profiler.planning.cells import (
    ANCHOR_HOP,
    Cell,
    Scene,
    cells_at,
    exists,
    ladder,
    load_for,
    load_name,
    make_loads,
    make_plan,
)
from profiler.planning.settings import ProfileSettings
from profiler.profile.types import CellId
from profiler.proxies.filters import filter_names
from profiler.vocabulary.components import PARSING, PROXY_CORE, TLS
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load
from tests.profiler.planning.examples import EVERYTHING

LOAD = Load(1, None, 128, 1024)
DIRECT = ANCHOR_HOP.baseline


def http(*filters: str, topology: str = "both", tls: str = "none") -> Hop:
    return Hop("http1", topology, filters=filters, tls=tls)


def test_the_default_is_the_full_product_in_scenes() -> None:
    plan = make_plan(ProfileSettings())
    assert len(plan.cells) == 2 * 3 * 2
    assert len(plan.scenes) == 2


def test_ends_are_added_to_the_plain_hops_with_both_sidecars_hot_and_at_the_base_load() -> None:
    settings = ProfileSettings(("tcp", "http1", "http2"), tls=("none", "mtls"), response_bytes=(1024, 65536))
    base, full = make_plan(settings).asked, make_plan(replace(settings, ends=("apart", "together"))).asked
    assert full[: len(base)] == base
    assert [cell.id for cell in full[len(base) :]] == [
        f"{protocol}-both-{end}-hot-q128-s1024-c1-max" for protocol in ("tcp", "http1") for end in ("apart", "together")
    ]
    further = cells_at(replace(settings, ends=("apart",)), make_loads(settings)[1])
    assert {cell.hop.placement for cell in further} == {"free"}


def test_ends_that_were_asked_for_as_placements_are_no_further_cells() -> None:
    settings = ProfileSettings(("tcp",), ("both",), ("hot",), placements=("free", "apart"), ends=("apart", "together"))
    assert [cell.hop.placement for cell in make_plan(settings).asked] == ["free", "apart", "together"]


def test_rungs_and_baselines_are_placed_as_their_hop() -> None:
    plan = make_plan(ProfileSettings(("http1",), ("both",), ("hot",), placements=("together",)))
    assert {rung.hop.placement for rung in ladder(plan.cells[0].hop)} == {"together"}
    assert {hop.name for hop in plan.hops} == {
        "direct", "http1-both", "direct-together", "http1-both-together", "tcp-both-together"
    }  # fmt: skip


def test_ids_are_unique_and_say_everything() -> None:
    plan = make_plan(ProfileSettings(request_bytes=(0, 128), rates_rps=(None, 500), connections=(1, 4)))
    ids = [cell.id for cell in plan.cells]
    assert len(set(ids)) == len(ids)
    assert "http1-both-cold-q128-s1024-c4-500rps" in ids


def test_ids_of_all_dimensions_are_unique_and_valid_in_a_profile() -> None:
    ids = [cell.id for cell in make_plan(EVERYTHING).cells]
    assert len(ids) > 500
    assert len(set(ids)) == len(ids)
    assert all(msgspec.convert(name, CellId) for name in ids)


def test_the_id_of_a_chain_of_all_filters_is_valid_in_a_profile() -> None:
    (cell,) = make_plan(ProfileSettings(("http1",), ("server",), ("hot",), filters=(filter_names("envoy"),))).asked
    assert msgspec.convert(cell.id, CellId)


def test_a_load_is_named_by_what_is_not_as_usual() -> None:
    load = Load(2, 500.0, 1, 2, headers=3, header_bytes=4, messages=5, new_connections=True, extra_headers=("a: b",))
    assert load_name(load) == "q1-s2-c2-500rps-h3x4-m5-new-with.a"
    assert load_name(LOAD) == "q128-s1024-c1-max"


def test_http_alone_brings_its_tcp_rung_along_marked_as_reference() -> None:
    plan = make_plan(ProfileSettings(protocols=("http1",), topologies=("both",), temperatures=("hot",)))
    http_cell, tcp = plan.cells
    assert tcp.hop == Hop("tcp", "both")
    assert (http_cell.reference, tcp.reference) == (False, True)
    assert plan.asked == [http_cell]


def test_a_rung_that_was_asked_for_is_no_reference() -> None:
    plan = make_plan(ProfileSettings(protocols=("http1", "tcp"), topologies=("both",), temperatures=("hot",)))
    assert [cell.reference for cell in plan.cells] == [False, False]


def test_tcp_is_a_ladder_of_one() -> None:
    assert [(rung.component, rung.hop) for rung in ladder(Hop("tcp", "both"))] == [(PROXY_CORE, Hop("tcp", "both"))]


def test_without_sidecars_there_is_no_ladder() -> None:
    assert ladder(DIRECT) == ()


def test_the_ladder_goes_over_tcp_the_protocol_tls_and_each_filter() -> None:
    hop = http("rbac", "lua", tls="mtls")
    assert [(rung.component, rung.hop) for rung in ladder(hop)] == [
        (PROXY_CORE, Hop("tcp", "both")),
        (PARSING, http()),
        (TLS, http(tls="mtls")),
        ("filter:rbac", http("rbac", tls="mtls")),
        ("filter:lua", hop),
    ]


def test_tls_of_a_tcp_proxy_stands_on_the_tcp_proxy() -> None:
    hop = Hop("tcp", "both", tls="mtls")
    assert [rung.component for rung in ladder(hop)] == [PROXY_CORE, TLS]


def test_rungs_keep_the_application_that_the_hop_has() -> None:
    assert {rung.hop.application for rung in ladder(Hop("grpc", "both", "grpc"))} == {"grpc"}


@pytest.mark.parametrize(
    "hop", [Hop("http1", "shared"), Hop("http1", "both", transport="uds"), Hop("http1", "both", workers=3)]
)
def test_rungs_are_built_as_the_hop_is(hop: Hop) -> None:
    first = ladder(hop)[0].hop
    assert (first.topology, first.transport, first.workers) == (hop.topology, hop.transport, hop.workers)


def test_a_waypoint_is_measured_with_mutual_tls_and_its_rungs_without() -> None:
    plan = make_plan(ProfileSettings(("http1",), ("waypoint", "client"), ("hot",), tls=("none", "mtls")))
    assert [cell.hop.name for cell in plan.cells] == [
        "http1-waypoint-mtls", "http1-client", "tcp-waypoint", "http1-waypoint", "tcp-client",
    ]  # fmt: skip
    assert [rung.component for rung in ladder(plan.cells[0].hop)] == [PROXY_CORE, PARSING, TLS]


@pytest.mark.parametrize(
    ("name", "outside", "waits"),
    [("rbac", False, False), ("access_log", False, False), ("ext_authz", True, True), ("tracing-10", True, False)],
)
def test_a_filter_is_outside_if_it_asks_others_and_waits_for_answers(name: str, outside: bool, waits: bool) -> None:
    rung = ladder(http(name))[-1]
    assert (rung.outside, rung.waits) == (outside, waits)


def test_the_last_rung_is_the_cell_itself() -> None:
    assert all(ladder(cell.hop)[-1].hop == cell.hop for cell in make_plan(EVERYTHING).asked if ladder(cell.hop))


def test_a_bootstrap_of_the_users_stands_on_the_plain_tcp_proxy() -> None:
    own = Hop("tcp", "both", bootstrap="/own/envoy.yaml")
    assert [(rung.component, rung.hop) for rung in ladder(own)] == [(PROXY_CORE, Hop("tcp", "both")), (PARSING, own)]


def test_the_load_carries_what_the_filters_ask_for() -> None:
    load = load_for(http("jwt_authn", "compressor"), LOAD)
    assert load.extra_headers == ("authorization: Bearer ${token}", "accept-encoding: gzip")


def test_only_grpc_has_several_messages() -> None:
    streaming = Load(1, None, 0, 10, messages=10)
    assert load_for(Hop("http2", "both", "http2"), streaming).messages == 1
    assert load_for(Hop("grpc", "both", "grpc"), streaming).messages == 10


def test_filters_rungs_carry_the_same_load_as_the_filter() -> None:
    plan = make_plan(ProfileSettings(("http1",), ("server",), ("hot",), filters=(("jwt_authn",),)))
    assert len({cell.scene for cell in plan.cells}) == 1


def test_the_base_load_comes_first() -> None:
    settings = ProfileSettings(request_bytes=(1, 2), headers=((0, 32), (4, 32)), new_connections=(False, True))
    assert make_loads(settings)[0] == Load(1, None, 1, 1024)
    assert len(make_loads(settings)) == 8


@pytest.mark.parametrize(
    "hop",
    [
        Hop("http1", "client", tls="mtls"),
        Hop("http1", "shared", tls="mtls"),
        Hop("http1", "shared", transport="uds"),
        Hop("grpc", "both", "grpc", transport="uds"),
        Hop("tcp", "both", filters=("rbac",)),
        Hop("http1", "waypoint"),
        Hop("http1", "waypoint", tls="mtls", transport="uds"),
        Hop("http1", "waypoint", proxy="haproxy", tls="mtls"),
    ],
    ids=lambda hop: hop.name,
)
def test_what_cannot_be_built_is_left_out(hop: Hop) -> None:
    assert not exists(Cell(hop, Scene("hot", LOAD)))


def test_without_sidecars_there_is_one_cell_whatever_the_protocols() -> None:
    plan = make_plan(ProfileSettings(topologies=("none",), temperatures=("hot",)))
    assert [cell.hop for cell in plan.cells] == [DIRECT]


def test_the_baseline_and_the_anchor_are_always_deployed() -> None:
    plan = make_plan(ProfileSettings(protocols=("tcp",), topologies=("client",)))
    assert set(plan.hops) == {DIRECT, ANCHOR_HOP, Hop("tcp", "client")}


def test_each_application_has_a_baseline_of_its_own() -> None:
    plan = make_plan(ProfileSettings(protocols=("http1", "grpc"), topologies=("both",)))
    assert {hop.name for hop in plan.hops if hop.topology == "none"} == {"direct", "direct-grpc"}


def test_a_baseline_has_no_filters_tls_or_sockets() -> None:
    assert Hop("http1", "both", tls="mtls", filters=("rbac",), transport="uds", workers=2).baseline == DIRECT


def test_filter_files_of_the_same_name_are_never_taken_for_one(tmp_path: Path) -> None:
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.yaml").write_text('{name: x, typed_config: {"@type": t}}')
        names.append(str(tmp_path / folder / "own.yaml"))
    try:
        plan = make_plan(ProfileSettings(("http1",), ("server",), ("hot",), filters=tuple((name,) for name in names)))
    except UsageError:
        return  # refusing them is fine too
    assert len({cell.id for cell in plan.asked}) == 2
