from pathlib import Path

import pytest

from profiler.testbed import autogroup


@pytest.fixture
def setting(tmp_path: Path) -> Path:
    path = tmp_path / "sched_autogroup_enabled"
    path.write_text("1\n")
    return path


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    directories = [tmp_path / "a", tmp_path / "b"]
    for directory in directories:
        directory.mkdir()
    return directories


def test_what_was_set_is_put_back(setting: Path, runs: list[Path]) -> None:
    autogroup.suspend(runs[0], [], setting)
    assert setting.read_text() == "0"
    autogroup.resume(runs[0], [], setting)
    assert setting.read_text() == "1"


def test_the_last_of_two_runs_puts_back_what_the_first_found(setting: Path, runs: list[Path]) -> None:
    first, second = runs
    autogroup.suspend(first, [], setting)
    autogroup.suspend(second, [first], setting)
    autogroup.resume(first, [second], setting)
    assert setting.read_text() == "0"
    (first / "sched_autogroup_enabled").unlink()
    autogroup.resume(second, [first], setting)
    assert setting.read_text() == "1"


def test_a_run_that_suspended_nothing_changes_nothing(setting: Path, runs: list[Path]) -> None:
    autogroup.resume(runs[0], [], setting)
    assert setting.read_text() == "1\n"


def test_a_kernel_without_autogroups_is_left_alone(tmp_path: Path, runs: list[Path]) -> None:
    autogroup.suspend(runs[0], [], tmp_path / "missing")
    assert list(runs[0].iterdir()) == []
