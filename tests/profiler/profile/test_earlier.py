"""Profiles of format version 1 are read as the present version has them."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiler.errors import ProfileError
from profiler.profile.document import plain, profile_of
from profiler.profile.earlier import upgraded
from profiler.profile.types import VERSION, Cell

DATA = Path(__file__).parents[2] / "data"
FIRST: dict[str, Any] = json.loads((DATA / "example-profile.json").read_text(encoding="utf-8"))
DEFAULTS: dict[str, Any] = {
    "proxy": "envoy", "tls": "none", "filters": [], "transport": "ip", "workers": 1, "reference": False, "headers": 0,
    "header_bytes": 0, "messages": 1, "new_connections": False, "extra_headers": [],
}  # fmt: skip


def first_cell(change: Callable[[dict[str, Any]], object]) -> Cell:
    """The first cell of the version 1 example after a change."""
    cell = copy.deepcopy(FIRST["cells"][0])
    change(cell)
    return profile_of({**FIRST, "cells": [cell]}, "made").cells[0]


def parts(cell: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = cell["latency"]["components"]
    return found


@pytest.mark.parametrize("name", ["example-profile.json", "example-partial-profile.json"])
def test_a_profile_of_version_1_becomes_one_of_this_version(name: str) -> None:
    document = json.loads((DATA / name).read_text(encoding="utf-8"))
    found = profile_of(document, name)
    assert (document["version"], found.version) == (1, VERSION)
    assert "anchored_median_ns" not in json.dumps(plain(found))
    assert [cell.id for cell in found.cells] == [cell["id"] for cell in document["cells"]]


def test_every_figure_that_both_versions_have_stays() -> None:
    for before, after in zip(FIRST["cells"], plain(profile_of(FIRST, "made"))["cells"], strict=True):
        for name in ("rounds", "achieved_rps", "perturbation", "noise"):
            assert after[name] == before[name]
        for component, part in ((before["latency"] or {}).get("components") or {}).items():
            now = after["latency"]["components"][component]
            for key in part.keys() - {"anchored_median_ns", "ci95_ns"}:
                assert now[key] == part[key]


def test_intervals_of_one_run_become_those_of_another_run() -> None:
    before, after = FIRST["cells"][0]["latency"]["components"]["ipc"], profile_of(FIRST, "made").cells[0].latency
    assert after is not None
    now = after.components["ipc"]
    assert now.ci95_ns is not None
    error_ns = (before["ci95_ns"][1] - before["ci95_ns"][0]) / 3.92 * (5 / 4) ** 0.5 * 2.78 / 1.96
    half_ns = 1.96 * 2**0.5 * math.hypot(error_ns, FIRST["anchor"]["drift_ratio"] / 2.56 * before["median_ns"])
    assert now.ci95_ns == pytest.approx([before["median_ns"] - half_ns, before["median_ns"] + half_ns])


def test_the_factor_is_that_of_the_largest_component() -> None:
    for before, after in zip(FIRST["cells"], profile_of(FIRST, "made").cells, strict=True):
        if before["latency"] is not None:
            largest = max(parts(before).values(), key=lambda part: abs(part["median_ns"]))
            assert after.anchor_factor == pytest.approx(largest["anchored_median_ns"] / largest["median_ns"], rel=1e-12)


def test_the_factor_takes_each_component_to_its_anchored_median() -> None:
    for before, after in zip(FIRST["cells"], profile_of(FIRST, "made").cells, strict=True):
        for part in parts(before).values() if before["latency"] is not None else ():
            assert part["median_ns"] * (after.anchor_factor or 0) == pytest.approx(part["anchored_median_ns"], abs=1.0)


def test_without_anchored_medians_there_is_no_factor() -> None:
    assert first_cell(lambda cell: [part.update(anchored_median_ns=None) for part in parts(cell).values()]
                      ).anchor_factor is None  # fmt: skip
    assert first_cell(lambda cell: parts(cell).clear()).anchor_factor is None
    assert first_cell(lambda cell: cell.update(latency=None)).anchor_factor is None


def test_components_of_nothing_are_no_factor() -> None:
    def change(cell: dict[str, Any]) -> None:
        for name, part in parts(cell).items():
            part.update({"median_ns": 10.0, "anchored_median_ns": 20.0} if name == "ipc" else {"median_ns": 0})

    assert first_cell(change).anchor_factor == 2.0


def test_a_negative_component_has_the_factor_too() -> None:
    def change(cell: dict[str, Any]) -> None:
        parts(cell)["other"].update(median_ns=-1e9, anchored_median_ns=-5e8)

    assert first_cell(change).anchor_factor == 0.5


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_dimension_that_is_not_there_is_as_usual(name: str) -> None:
    assert getattr(first_cell(lambda cell: cell.pop(name, None)), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_dimension_that_is_null_is_as_usual(name: str) -> None:
    assert getattr(first_cell(lambda cell: cell.update({name: None})), name) == DEFAULTS[name]


@pytest.mark.parametrize(("protocol", "application"), [("tcp", "http1"), ("none", "http1"), ("grpc", "grpc")])
@pytest.mark.parametrize("change", [{}, {"application": None}])
def test_the_usual_application_is_the_protocols(protocol: str, application: str, change: dict[str, Any]) -> None:
    def without(cell: dict[str, Any]) -> None:
        del cell["application"]
        cell.update(change, protocol=protocol)

    assert first_cell(without).application == application


def test_a_dimension_that_is_there_stays() -> None:
    assert first_cell(lambda cell: cell.update(proxy="nginx", tls="mtls", workers=4)).workers == 4


def test_what_is_null_in_this_version_is_refused() -> None:
    document = plain(profile_of(FIRST, "made"))
    document["cells"][0]["tls"] = None
    with pytest.raises(ProfileError, match=r"cells\[0\]\.tls: expected str, got null"):
        profile_of(document, "made")


def test_a_document_of_this_version_is_left_alone() -> None:
    document = plain(profile_of(FIRST, "made"))
    assert upgraded(document) is document


def test_the_document_that_is_given_does_not_change() -> None:
    before = copy.deepcopy(FIRST)
    upgraded(FIRST)
    assert before == FIRST


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"cells": None}, "cells: expected array, got null"),
        ({"cells": [7]}, "cells[0]: expected object, got int"),
        ({"cells": [{**FIRST["cells"][0], "latency": 7}]}, "cells[0].latency: expected "),
        (
            {"cells": [{**FIRST["cells"][0], "latency": {**FIRST["cells"][0]["latency"], "components": [1]}}]},
            "cells[0].latency.components: expected object, got array",
        ),
        (
            {"cells": [{**FIRST["cells"][0], "latency": {**FIRST["cells"][0]["latency"], "components": {"ipc": 1}}}]},
            "cells[0].latency.components.ipc: expected object, got int",
        ),
    ],
)
def test_what_is_wrong_in_it_is_named_as_in_any_other(change: dict[str, Any], where: str) -> None:
    with pytest.raises(ProfileError) as error:
        profile_of({**FIRST, **change}, "made")
    assert f"made: {where}" in str(error.value)


@pytest.mark.parametrize(("key", "value"), [("median_ns", "fast"), ("samples", -1), ("ci95_ns", [1.0])])
def test_a_wrong_field_of_a_component_is_named(key: str, value: object) -> None:
    with pytest.raises(ProfileError, match=rf"cells\[0\]\.latency\.components\.ipc\.{key}: expected "):
        first_cell(lambda cell: parts(cell)["ipc"].update({key: value}))


def test_an_anchored_median_that_is_no_number_is_no_factor() -> None:
    cell = first_cell(lambda cell: [part.update(anchored_median_ns="fast") for part in parts(cell).values()])
    assert cell.anchor_factor is None
