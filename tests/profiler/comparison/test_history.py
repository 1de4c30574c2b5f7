"""Histories of profiles whose truth is known, machines that differ, and folders with foreign files."""

import json
import os
import statistics
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from profiler.comparison.figures import CPU, LATENCY, P50, PER_REQUEST, TOTAL, Key
from profiler.comparison.history import MEAN, Course, Machine, Run, histories, run_of, share_of, without_sidecars
from profiler.comparison.history_reading import read_folder
from profiler.errors import UsageError
from profiler.profile.document import save_profile
from profiler.profile.types import Profile
from tests.profiler.comparison.profiles import drawn, with_environment

START = datetime(2026, 1, 1, tzinfo=UTC)
PARSING = Key(LATENCY, "parsing", P50)


def runs(seed: int, injected: Mapping[str, float], since: int = 18, count: int = 30, **drawing: Any) -> list[Run]:
    """A profile each day; from day `since` on with the injected cost."""
    return [
        run_of(
            f"day-{day}",
            START + timedelta(days=day),
            drawn(1000 * seed + day, injected=injected if day >= since else None, **drawing),
        )
        for day in range(count)
    ]


def course(machine: Machine, key: Key, cell: str = MEAN) -> Course:
    return next(each for each in machine.courses if (each.cell, each.key) == (cell, key))


def test_profiles_that_do_not_change_rarely_have_a_change() -> None:
    """Over all figures of a history; twelve of them and the means in each."""
    alarms = sum(bool(histories(runs(seed, {}, cells=1, rounds=4))[0].changed) for seed in range(60))
    assert alarms <= 3


def test_a_shift_of_three_sigma_in_one_component_is_found_there_and_nowhere_else() -> None:
    found, elsewhere = 0, 0
    for seed in range(30):
        (cell,) = (each for each in histories(runs(seed, {}, cells=1))[0].courses if each.cell and each.key == PARSING)
        shift = 3 * statistics.stdev(cell.values)
        (machine,) = histories(runs(500 + seed, {"parsing": shift}, cells=1))
        (point, *others) = course(machine, PARSING).changes or (None,)
        found += point is not None and not others and abs(point.at - 18) <= 1
        elsewhere += any(each.changes for each in machine.courses if each.key.component not in ("parsing", TOTAL))
    assert found >= 27
    assert elsewhere <= 2


def test_the_mean_over_cells_and_each_cell_have_the_change_in_both_currencies() -> None:
    (machine,) = histories(runs(1, {"parsing": 15_000.0}))
    for key in (PARSING, Key(CPU, "parsing", PER_REQUEST), Key(LATENCY, TOTAL, P50)):
        assert [point.at for point in course(machine, key).changes] == [18]
    in_cells = [each for each in machine.courses if each.cell and each.key == PARSING]
    assert [len(each.changes) for each in in_cells] == [1] * 4
    (point,) = in_cells[0].changes
    assert point.difference.value == pytest.approx(15_000.0, rel=0.2)
    assert share_of(in_cells[0], point) == pytest.approx(0.14, abs=0.03)


def test_what_the_machine_changed_is_next_to_a_change() -> None:
    history = runs(1, {"parsing": 15_000.0})
    slower = [
        run if day < 18 else run_of(run.name, run.at, _with_baseline(drawn(1000 + day, injected={"parsing": 15_000.0})))
        for day, run in enumerate(history)
    ]
    for given, ratio in ((history, 1.0), (slower, 1.5)):
        (machine,) = histories(given)
        found = course(machine, PARSING)
        assert without_sidecars(machine, found, found.changes[0]) == pytest.approx(ratio)


def _with_baseline(profile: Profile) -> Profile:
    cells = [
        replace(cell, latency=replace(cell.latency, baseline_p50_ns=45_000)) for cell in profile.cells if cell.latency
    ]
    return replace(profile, cells=cells)


def test_runs_are_ordered_by_time_not_by_name() -> None:
    given = runs(1, {"parsing": 15_000.0})
    (machine,) = histories(given[::-1])
    assert [run.name for run in machine.runs] == [f"day-{day}" for day in range(30)]


def test_kinds_of_machine_have_separate_histories() -> None:
    """The second machine is faster by half, which is no change of anything."""
    other = [
        run_of(f"other-{day}", START + timedelta(days=day, hours=1), with_environment(profile, cpu_model="Other"))
        for day, profile in enumerate(drawn(day, injected={"parsing": 15_000.0}) for day in range(12))
    ]
    found = histories([*runs(1, {}, count=12), *other])
    assert [machine.runs[0].name for machine in found] == ["other-0", "day-0"]
    assert [machine.changed for machine in found] == [[], []]


def test_what_else_differs_at_a_change_is_known() -> None:
    given = runs(1, {"parsing": 15_000.0})
    later = [
        run
        if day < 18
        else run_of(
            run.name, run.at, replace(drawn(1000 + day, injected={"parsing": 15_000.0}), meshinsight_version="9")
        )
        for day, run in enumerate(given)
    ]
    (machine,) = histories(later)
    assert any("→ 9" in str(change) for change in machine.differences(18))
    assert machine.differences(17) == []


def test_cells_that_some_runs_lack_have_courses_of_the_others() -> None:
    given = runs(1, {}, count=10)
    short = given[3].figures
    given[3] = run_of("day-3", given[3].at, replace(drawn(1003), cells=drawn(1003).cells[1:]))
    (machine,) = histories(given)
    lacking = next(iter(short))
    assert list(course(machine, PARSING, lacking).numbers) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert lacking not in {each.cell for each in histories(given, [])[0].courses}


def labels(cells: Any) -> dict[str, str]:
    return {cell.id: "" for cell in cells}


def test_a_folder_has_runs_and_files_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    first = save_profile(replace(drawn(1), run_id="a"), tmp_path / "run")
    (tmp_path / "file.json").write_text(first.read_text().replace('"run_id": "a"', '"run_id": "b"'))
    (tmp_path / "same.json").write_text(first.read_text())
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "foreign.json").write_text(json.dumps({"format": "other"}))
    (tmp_path / "old.json").write_text(json.dumps({**json.loads(first.read_text()), "version": 2}))
    (tmp_path / "notes.txt").write_text("no JSON")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.json").symlink_to(first)
    os.mkfifo(tmp_path / "pipe.json")
    found = read_folder(tmp_path, labels)
    assert [run.name for run in found.runs] == ["file.json", "run"]
    assert [line.partition(":")[0] for line in found.left_out] == [
        "broken.json",
        "foreign.json",
        "old.json",
        "same.json",
    ]
    assert found.left_out[-1] == "same.json: the same run as run"
    assert "version 2, which measures differently" in found.left_out[2]


def test_partial_profiles_are_left_out(tmp_path: Path) -> None:
    save_profile(replace(drawn(1), status="partial"), tmp_path / "part")
    with pytest.raises(UsageError, match="no profile that can be read: part: the profile is partial"):
        read_folder(tmp_path, labels)


@pytest.mark.parametrize("name", ["gone", "file", "empty"])
def test_a_folder_without_any_profile_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        read_folder(tmp_path / name, labels)
    assert "\n" not in str(caught.value)
    assert "give a folder of profiles" in str(caught.value)
