"""Where a run may be kept."""

import os
from pathlib import Path

import pytest

from profiler.errors import MeshInsightError, UsageError
from profiler.measuring import output_folder
from profiler.measuring.output_folder import require_place

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only: gives directories to another user")


def refused(directory: Path) -> str:
    with pytest.raises(MeshInsightError) as error:
        require_place(directory, "--out")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    made = tmp_path / "foreign"
    made.mkdir()
    os.chown(made, 1337, 1337)
    return made


def test_a_new_directory_is_neither_refused_nor_made(tmp_path: Path) -> None:
    require_place(tmp_path / "a" / "b", "--out")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    require_place(tmp_path, "--out")
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert refused(file) == f"--out {file}: is a file, not a directory; choose another name"
    assert f"{file} is a file" in refused(file / "below" / "it")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    assert "is a link to nothing" in refused(tmp_path / "link")


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    assert "File name too long" in refused(tmp_path / ("a" * 300))


def test_too_little_room_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_folder, "NEEDED_BYTES", 1 << 50)
    assert "free some space or choose another place" in refused(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@as_root
def test_root_writes_below_no_directory_of_another_user(foreign: Path) -> None:
    assert "who could redirect what root writes" in refused(foreign / "run")
    assert "belongs to" in refused(foreign)


@as_root
def test_root_follows_no_link_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    require_place(link / "run", "--out")
    os.chown(link, 1337, 1337, follow_symlinks=False)
    assert "is a link of" in refused(link / "run")


@as_root
def test_where_a_link_of_roots_leads_is_looked_at_too(tmp_path: Path, foreign: Path) -> None:
    (tmp_path / "link").symlink_to(foreign)
    assert "belongs to" in refused(tmp_path / "link" / "run")


@as_root
@pytest.mark.parametrize(("mode", "right"), [(0o755, True), (0o775, True), (0o777, False), (0o1777, False)])
def test_nobody_else_writes_to_the_runs_directory(tmp_path: Path, mode: int, right: bool) -> None:
    made = tmp_path / "run"
    made.mkdir()
    made.chmod(mode)
    if right:
        require_place(made, "--out")
    else:
        assert "can be written by every user" in refused(made)


@as_root
def test_a_directory_in_one_with_the_sticky_bit_is_the_makers(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    require_place(shared / "run", "--out")


@as_root
def test_the_user_who_called_sudo_may_own_it(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "1337")
    require_place(foreign / "run", "--out")
    monkeypatch.setenv("SUDO_UID", "1338")
    with pytest.raises(UsageError):
        require_place(foreign / "run", "--out")
