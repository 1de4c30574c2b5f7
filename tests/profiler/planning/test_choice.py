"""Hops that were chosen one by one."""

import json

import pytest

from profiler.errors import UsageError
from profiler.planning.cells import make_plan
from profiler.planning.choice import HopChoice, dimensions_of
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.hop import ENDS

LARGE = ((128, 1024), (65_536, 1024), (128, 9000))
SOME = (
    HopChoice("grpc", "both", "mtls", ("lua",)),
    HopChoice("http1", "server", sizes=LARGE),
    HopChoice("tcp", "both"),
)


def settings(*hops: HopChoice) -> ProfileSettings:
    return ProfileSettings(**dimensions_of(hops), temperatures=("hot",))


def asked(chosen: ProfileSettings) -> list[str]:
    return sorted(cell.id.removesuffix("-c1-max") for cell in make_plan(chosen).asked)


def test_only_these_are_measured_of_all_combinations() -> None:
    assert asked(settings(SOME[0], SOME[2])) == ["grpc-both-mtls-lua-hot-q128-s1024", "tcp-both-hot-q128-s1024"]


def test_sizes_of_a_hop_are_its_own_and_no_corner_of_them_is_measured() -> None:
    of_http1 = [name for name in asked(settings(*SOME)) if name.startswith("http1")]
    assert of_http1 == [f"http1-server-hot-q{request}-s{response}" for request, response in sorted(LARGE)]


def test_a_hop_without_sizes_has_all_of_the_run() -> None:
    assert len([name for name in asked(settings(*SOME)) if name.startswith("tcp")]) == 4


def test_without_sidecars_is_a_hop_too() -> None:
    assert asked(settings(HopChoice("http1", "none"), HopChoice("tcp", "both"))) == [
        "none-direct-hot-q128-s1024", "tcp-both-hot-q128-s1024"
    ]  # fmt: skip


def test_settings_come_back_from_a_file_the_same() -> None:
    chosen = settings(*SOME)
    assert ProfileSettings.from_json(json.loads(json.dumps(chosen.as_json()))) == chosen


def test_ends_without_a_plain_tcp_or_http1_hop_are_of_the_lowest_rung() -> None:
    found = ProfileSettings(**dimensions_of([HopChoice("http1", "both", "mtls")]), temperatures=("hot",), ends=ENDS)
    assert [cell.hop.name for cell in make_plan(found).asked] == [
        "http1-both-mtls", "tcp-both-apart", "tcp-both-together"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hops", "message"),
    [
        (
            (HopChoice("http1", "server", "mtls"), HopChoice("tcp", "both")),
            "--hops: http1-server-mtls cannot be measured",
        ),
        ((HopChoice("tcp", "both", filters=("lua",)), HopChoice("http1", "both")), "--hops: tcp-both-lua cannot be"),
    ],
)
def test_a_hop_that_cannot_be_measured_is_refused(hops: tuple[HopChoice, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings(*hops)


def test_a_hop_outside_of_the_dimensions_is_refused() -> None:
    with pytest.raises(UsageError, match="--hops: grpc-both: not among the combinations of the run"):
        ProfileSettings(hops=(HopChoice("grpc", "both"),))
