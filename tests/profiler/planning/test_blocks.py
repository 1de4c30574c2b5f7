from profiler.planning.blocks import make_blocks
from profiler.planning.cells import ladder, make_plan
from profiler.planning.matrix import load_matrix
from profiler.planning.settings import ProfileSettings
from profiler.proxies.filters import filter_names
from profiler.vocabulary.hop import ENDS
from tests.profiler.planning.examples import EVERYTHING

FILTERS = ProfileSettings(
    protocols=("http1",), topologies=("server",), filters=((), *((name,) for name in filter_names("envoy")))
)


def test_every_cell_that_was_asked_for_is_in_exactly_one_block() -> None:
    plan = make_plan(EVERYTHING)
    cells = [cell.id for block in make_blocks(plan.asked) for cell in block.plan.asked]
    assert sorted(cells) == sorted(cell.id for cell in plan.asked)


def test_blocks_hold_whole_ladders() -> None:
    for block in make_blocks(make_plan(EVERYTHING).asked):
        known = {(cell.hop, cell.scene) for cell in block.plan.cells}
        assert all((rung.hop, cell.scene) in known for cell in block.plan.cells for rung in ladder(cell.hop))


def test_no_block_deploys_more_hops_than_the_machine_has_room_for() -> None:
    for settings in (EVERYTHING, FILTERS):
        assert max(len(block.plan.hops) for block in make_blocks(make_plan(settings).asked)) <= 15


def test_the_default_run_is_one_block() -> None:
    default = ProfileSettings(**load_matrix("default"), ends=ENDS)
    assert len(make_blocks(make_plan(default).asked)) == 1


def test_a_block_has_the_same_name_in_every_run() -> None:
    one, other = ([block.name for block in make_blocks(make_plan(FILTERS).asked)] for _ in range(2))
    assert one == other
    assert len(set(one)) == len(one)
    assert make_blocks(make_plan(ProfileSettings()).asked)[0].name == "5fdbdb0ae284"


def test_other_cells_make_another_name() -> None:
    (one,) = make_blocks(make_plan(ProfileSettings(request_bytes=(1,))).asked)
    (other,) = make_blocks(make_plan(ProfileSettings(request_bytes=(2,))).asked)
    assert one.name != other.name


def test_each_protocol_and_tls_cools_in_one_block() -> None:
    settings = ProfileSettings(
        protocols=("tcp", "http1", "grpc"), topologies=("client", "server", "both"), tls=("none", "mtls"),
        request_bytes=(0, 1000, 9000),
    )  # fmt: skip
    cooled = [hop for block in make_blocks(make_plan(settings).asked) for hop in block.plan.cooled]
    pairs = [(hop.protocol, hop.tls) for hop in cooled]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == {(cell.hop.protocol, cell.hop.tls) for cell in make_plan(settings).asked}
    assert {hop.topology for hop in cooled} == {"both"}
    assert not any(block.plan.cooled for block in make_blocks(make_plan(settings).asked, cooling=False))


def test_no_cells_are_no_blocks() -> None:
    assert make_blocks([]) == []
