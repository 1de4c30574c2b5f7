from typing import Any

from msgspec.structs import replace

from meshinsight.reports.subjects import alternatives
from profiler.profile.types import Cell
from tests.predictor.models.profiles import cell


def measured(overhead_ns: float, half_ns: float, **changes: Any) -> Cell:
    """A cell with two sidecars, whose latency overhead has an interval of twice `half_ns`."""
    found = cell({"ipc": (overhead_ns, 0, 0, 0, 0)}, (0, 0, 0, 0), **{"topology": "both", **changes})
    assert found.latency is not None
    interval = [overhead_ns - half_ns, overhead_ns + half_ns]
    latency = replace(found.latency, overhead_p50_ns=overhead_ns, overhead_ci95_ns=interval)
    return replace(found, latency=latency, cpu=None)


QUOTED = measured(300e3, 30e3, protocol="http1")


def test_a_saving_has_the_interval_of_a_difference() -> None:
    (found,) = alternatives.alternatives(QUOTED, [QUOTED, measured(100e3, 40e3, protocol="tcp")])
    assert found.saved == {"latency": (200e3, (150e3, 250e3))}
    assert found.clear


def test_a_saving_whose_interval_holds_zero_is_not_shown() -> None:
    cells = [QUOTED, measured(280e3, 40e3, protocol="http1", topology="client")]
    assert not next(alternatives.alternatives(QUOTED, cells)).clear
    assert alternatives.section(cells).rows == []


def test_a_cell_that_differs_in_two_choices_or_in_load_is_no_alternative() -> None:
    others = [
        measured(1e3, 1, protocol="tcp", topology="client"),
        measured(1e3, 1, protocol="tcp", connections=9),
        measured(1e3, 1, protocol="tcp", temperature="cold"),
        measured(0, 1, protocol="http1", topology="none"),
    ]
    assert list(alternatives.alternatives(QUOTED, others)) == []


def test_more_features_are_no_advice() -> None:
    others = [measured(1e3, 1, protocol="http1", tls="mtls"), measured(1e3, 1, protocol="http1", filters=["rbac"])]
    assert list(alternatives.alternatives(QUOTED, others)) == []


def test_each_kind_of_change_says_what_it_gives_up() -> None:
    rich = measured(900e3, 1e3, protocol="http1", tls="mtls", filters=["rbac"])
    changes: list[dict[str, Any]] = [
        {"protocol": "tcp"}, {"topology": "client"}, {"topology": "server"}, {"topology": "shared"}, {"tls": "none"},
        {"filters": []}, {"transport": "uds"}, {"placement": "together"}, {"workers": 2},
    ]  # fmt: skip
    base = {"protocol": "http1", "tls": "mtls", "filters": ["rbac"]}
    others = [measured(100e3, 1e3, **(base | change)) for change in changes]
    found = list(alternatives.alternatives(rich, others))
    assert len(found) == len(changes)
    assert len({item.choice for item in found}) == len(changes)
    assert all(item.gives_up for item in found)
