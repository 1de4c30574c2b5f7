from profiler.campaign.bench import Phase, sizes_of
from profiler.campaign.cells import make_plan
from profiler.campaign.settings import ProfileSettings

MS = 1_000_000


def test_the_server_is_set_up_for_the_anchor_too() -> None:
    sizes = sizes_of(make_plan(ProfileSettings(request_bytes=(0,), response_bytes=(65_536,))))
    assert sizes.response_bytes == (1024, 65_536)
    assert sizes.largest_request_bytes == 128


def test_gaps_are_the_times_after_each_burst_without_the_guards() -> None:
    phase = Phase(True, 0, 100 * MS, bursts_ns=((0, 8 * MS), (32 * MS, 40 * MS)))
    assert phase.gaps_ns() == [(11 * MS, 29 * MS), (43 * MS, 97 * MS)]


def test_a_phase_without_bursts_has_no_gaps() -> None:
    assert Phase(False, 0, 100 * MS).gaps_ns() == []
