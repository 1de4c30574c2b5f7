"""Writing: whole or not at all, never through a link, never under a name that others can foresee."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from profiler.errors import MeshInsightError
from profiler.files.writing import PRIVATE, write_new, write_whole


def test_a_link_of_the_targets_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out.json").symlink_to(victim)
    write_whole(tmp_path / "out.json", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "out.json").read_text() == "new"


def test_temporary_names_differ_each_time(tmp_path: Path) -> None:
    names: list[str] = []
    with patch.object(Path, "replace", autospec=True, side_effect=lambda self, _: names.append(self.name)):
        write_whole(tmp_path / "a", "x")
        write_whole(tmp_path / "a", "x")
    assert len(set(names)) == 2


def test_a_temporary_name_that_exists_is_not_written_to(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".a.00.tmp").symlink_to(victim)
    with patch("secrets.token_hex", return_value="00"), pytest.raises(MeshInsightError, match="File exists"):
        write_whole(tmp_path / "a", "x")
    assert victim.read_text() == "precious"


def test_a_failed_writing_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    full = patch.object(os, "fsync", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(MeshInsightError, match="No space left on device; free some space"):
        write_whole(tmp_path / "a", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_private_file_is_private(tmp_path: Path) -> None:
    write_whole(tmp_path / "key", b"secret", PRIVATE)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(MeshInsightError, match="it is not a regular file"):
        write_whole(tmp_path / "a", "x")


def test_a_new_file_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", "x")
    assert not (tmp_path / "elsewhere").exists()


def test_a_new_file_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_new(tmp_path / "a", "x", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
