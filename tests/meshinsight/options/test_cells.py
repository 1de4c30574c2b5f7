"""`--cell` of all commands: ids, and the labels in tables of any of the profiles."""

import pytest

from meshinsight.options.cells import with_matching_cells
from meshinsight.reports.subjects.summaries import cell_labels
from profiler.errors import UsageError
from profiler.profile.types import Profile
from tests.meshinsight.reports.profiles import default_profile
from tests.profiler.comparison.profiles import drawn


def ids(profiles: list[Profile]) -> list[list[str]]:
    return [[cell.id for cell in profile.cells] for profile in profiles]


def test_without_a_pattern_all_cells_stay() -> None:
    profile = drawn(1)
    assert with_matching_cells([("a", profile)], None) == [profile]


def test_ids_match_in_each_profile() -> None:
    given = [("a", drawn(1)), ("a", drawn(2, cells=2))]
    assert ids(with_matching_cells(given, "*s1025*")) == [["http1-both-hot-q128-s1025-c1-max"]] * 2


def test_a_label_of_one_profile_chooses_the_cell_in_all() -> None:
    profile = default_profile()
    name, label = next((name, label) for name, label in cell_labels(profile.cells).items() if name != label)
    alone = [cell for cell in profile.cells if cell.id == name]
    other = type(profile)(**{**{key: getattr(profile, key) for key in profile.__struct_fields__}, "cells": alone})
    assert ids(with_matching_cells([("a", profile), ("b", other)], label)) == [[name], [name]]


def test_no_match_names_the_pattern_and_the_cells() -> None:
    with pytest.raises(UsageError, match=r"--cell x\*: no cell matches; first has http1-both-hot"):
        with_matching_cells([("first", drawn(1)), ("b", drawn(2))], "x*")
