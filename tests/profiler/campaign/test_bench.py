from dataclasses import replace

import pytest

from profiler.campaign.bench import Phase, paced
from profiler.campaign.cells import ANCHOR_HOP, Scene, make_plan
from profiler.campaign.profiling import default_toolbox
from profiler.campaign.settings import ProfileSettings
from profiler.campaign.testbeds import answers_of
from profiler.proxies.base import PROTOCOLS, TCP
from profiler.testbed.deployment import Hop
from profiler.workload.base import Load

MS = 1_000_000


def test_the_server_is_set_up_for_the_anchor_too() -> None:
    answers = answers_of(make_plan(ProfileSettings(request_bytes=(0,), response_bytes=(65_536,))), ANCHOR_HOP)
    assert answers.sizes == ((1024, 1), (65_536, 1))
    assert answers.largest_request_bytes == 128


def test_a_grpc_server_is_set_up_for_the_grpc_loads_only() -> None:
    plan = make_plan(ProfileSettings(protocols=("http1", "grpc"), messages=(1, 10), response_bytes=(0, 7)))
    assert answers_of(plan, Hop("grpc", "both", "grpc")).sizes == ((0, 1), (0, 10), (7, 1), (7, 10))
    assert answers_of(plan, ANCHOR_HOP).sizes == ((0, 1), (7, 1), (1024, 1))


def test_every_application_has_a_server() -> None:
    served = {name for server in default_toolbox().servers for name in server.applications}
    assert served == {name for name in PROTOCOLS if name != TCP}


def test_gaps_are_the_times_after_each_burst_without_the_guards() -> None:
    phase = Phase(True, 0, 100 * MS, bursts_ns=((0, 8 * MS), (32 * MS, 40 * MS)))
    assert phase.gaps_ns() == [(11 * MS, 29 * MS), (43 * MS, 97 * MS)]


def test_a_phase_without_bursts_has_no_gaps() -> None:
    assert Phase(False, 0, 100 * MS).gaps_ns() == []


ONE = Load(connections=1, rate_rps=None, request_bytes=128, response_bytes=1024)


@pytest.mark.parametrize("temperature", ["cold", "cold-50", "natural"])
def test_one_request_at_a_time_leaves_neighbours_and_sleep_their_time(temperature: str) -> None:
    assert paced(Scene(temperature, ONE)) == replace(ONE, rate_rps=500.0)


@pytest.mark.parametrize(
    ("temperature", "load"),
    [
        ("hot", ONE),
        ("cold", replace(ONE, connections=16)),
        ("cold", replace(ONE, rate_rps=100.0)),
        ("cold", replace(ONE, new_connections=True)),
    ],
)
def test_every_other_load_is_as_it_was_asked_for(temperature: str, load: Load) -> None:
    assert paced(Scene(temperature, load)) == load
