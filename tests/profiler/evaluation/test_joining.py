"""Several profiles as one: one machine, one speed, all cells."""

from typing import Any

import pytest
from msgspec.structs import replace

from profiler.errors import UsageError
from profiler.evaluation.joining import joined_profiles
from profiler.profile.types import AnchorRound, Profile, Proxy
from tests.predictor.models.profiles import HTTP, anchor, cell, profile


def run(run_id: str, speed_ns: float = 100.0, **changes: Any) -> Profile:
    rounds = [AnchorRound(at_s=at_s, with_p50_ns=speed_ns, baseline_p50_ns=50.0) for at_s in (0.0, 1.0)]
    one = replace(
        anchor(),
        rounds=rounds,
        median_with_p50_ns=speed_ns,
        median_by_temperature_ns={"hot": speed_ns},
        drift_ratio=0.0,
    )
    found = profile([cell(HTTP, (128, 1024, 0, 0), id=f"of-{run_id}", anchor_factor=1.0)])
    return replace(found, **{"run_id": run_id, "anchor": one, **changes})


def joined(*profiles: Profile) -> Profile:
    return joined_profiles({f"{number}": one for number, one in enumerate(profiles)})


def test_cells_of_all_are_kept_and_brought_to_one_speed() -> None:
    found = joined(run("a", 80.0), run("b", 120.0))
    assert [one.id for one in found.cells] == ["of-a", "of-b"]
    assert [one.anchor_factor for one in found.cells] == pytest.approx([100.0 / 80.0, 100.0 / 120.0])


def test_the_drift_is_that_between_the_runs_too() -> None:
    assert (joined(run("a")).anchor or anchor()).machine_error == 0.0
    assert (joined(run("a", 80.0), run("b", 120.0)).anchor or anchor()).drift_ratio == pytest.approx(0.4)


def test_the_same_cell_of_two_runs_counts_twice() -> None:
    cells = [cell(HTTP, (128, 1024, 0, 0))]
    assert len(joined(run("a", cells=cells), run("b", cells=cells)).cells) == 2


def test_a_joined_profile_is_complete_where_all_are() -> None:
    assert joined(run("a"), run("b")).status == "complete"
    assert joined(run("a"), run("b", status="partial")).status == "partial"
    assert joined(run("a"), run("b")).run_id == "a+b"


def test_profiles_without_an_anchor_are_joined_as_measured() -> None:
    found = joined(run("a", anchor=None), run("b", anchor=None))
    assert [one.anchor_factor for one in found.cells] == [1.0, 1.0]
    assert found.anchor is None


ENVOY = {"envoy": Proxy(version="1.40.0")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"environment": {"cpu_model": "other", "kernel": "6"}},
            r"0 and 1 differ in CPU model \(imagined and other\);",
        ),
        (
            {"environment": {"cpu_model": "imagined", "kernel": "7"}},
            r"kernel \(6 and 7\); give profiles of one machine",
        ),
        ({"proxies": {"envoy": Proxy(version="1.41.0")}}, r"version of envoy \(1.40.0 and 1.41.0\)"),
    ],
)
def test_another_machine_or_proxy_is_refused_by_what_differs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        joined(run("a", proxies=ENVOY), run("b", **{"proxies": ENVOY, **changes}))


def test_proxies_of_one_run_alone_may_have_any_version() -> None:
    assert joined(run("a", proxies=ENVOY), run("b", proxies={"nginx": Proxy(version="1.22")})).cells


def test_the_same_run_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="0 and 1 are the same run a; give it once"):
        joined(run("a"), run("a"))
