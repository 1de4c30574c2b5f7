from profiler.campaign.cells import ANCHOR_HOP, make_plan
from profiler.campaign.settings import ProfileSettings
from profiler.testbed.deployment import DIRECT, Hop


def test_the_default_is_the_full_product_in_scenes() -> None:
    plan = make_plan(ProfileSettings())
    assert len(plan.cells) == 2 * 3 * 2
    assert len(plan.scenes) == 2


def test_ids_are_unique_and_say_everything() -> None:
    plan = make_plan(ProfileSettings(request_bytes=(0, 128), rates_rps=(None, 500), connections=(1, 4)))
    ids = [cell.id for cell in plan.cells]
    assert len(set(ids)) == len(ids)
    assert "http1-both-cold-q128-s1024-c4-500rps" in ids


def test_http_alone_brings_its_tcp_rung_along_marked_as_reference() -> None:
    plan = make_plan(ProfileSettings(protocols=("http1",), topologies=("both",), temperatures=("hot",)))
    http, tcp = plan.cells
    assert plan.tcp_rung(http) == tcp
    assert (http.reference, tcp.reference) == (False, True)


def test_tcp_needs_no_rung() -> None:
    plan = make_plan(ProfileSettings(protocols=("tcp",)))
    assert all(plan.tcp_rung(cell) is None for cell in plan.cells)


def test_without_sidecars_there_is_one_cell_whatever_the_protocols() -> None:
    plan = make_plan(ProfileSettings(topologies=("none",), temperatures=("hot",)))
    assert [cell.hop for cell in plan.cells] == [DIRECT]


def test_the_baseline_and_the_anchor_are_always_deployed() -> None:
    plan = make_plan(ProfileSettings(protocols=("tcp",), topologies=("client",)))
    assert set(plan.hops) == {DIRECT, ANCHOR_HOP, Hop("tcp", "client")}
