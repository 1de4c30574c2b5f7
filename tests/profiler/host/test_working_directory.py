import os
from pathlib import Path

import pytest

from profiler.host.working_directory import away_from_working_directory


def test_meanwhile_it_is_the_root_directory_and_then_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with away_from_working_directory():
        assert Path.cwd() == Path("/")
    assert Path.cwd() == tmp_path


def test_one_that_is_no_more_is_come_back_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with away_from_working_directory():
        pass
    with pytest.raises(FileNotFoundError):
        os.getcwd()  # noqa: PTH109 (that of pathlib does the same)
