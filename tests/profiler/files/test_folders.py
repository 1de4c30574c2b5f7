"""Folders given to another user, and their removal while that user does what it can."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.files.folders import hand_over, read_regular, remove_entry, write_private

UID = 1337
SWAPS = """
import os, sys
folder, target, depth = sys.argv[1], sys.argv[2], 0
os.chdir(folder)
print("ready", flush=True)
while True:
    for name in ("envoy.yaml", "admin.sock", "access.log", "inner"):
        try:
            try:
                os.rename(name, f"old{depth % 50}")
            except OSError:
                pass
            os.symlink(target, name)
            os.mkdir(f"d{depth % 50}")
            os.symlink(target, f"d{depth % 50}/link")
        except OSError:
            pass
        depth += 1
"""


@contextmanager
def swapping(folder: Path, target: Path) -> Iterator[None]:
    """A process of the proxy's user that puts links into its folder without end."""
    argv = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", sys.executable, "-I", "-c", SWAPS]
    with subprocess.Popen([*argv, str(folder), str(target)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.kill()


class TestWrite:
    def test_only_the_owner_can_read_it(self, tmp_path: Path) -> None:
        old = os.umask(0)
        try:
            write_private(tmp_path / "key", "secret")
        finally:
            os.umask(old)
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600

    def test_a_link_in_its_place_is_replaced_and_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "victim").write_text("precious")
        (tmp_path / "file").symlink_to(tmp_path / "victim")
        write_private(tmp_path / "file", "new")
        assert (tmp_path / "victim").read_text() == "precious"
        assert (tmp_path / "file").read_text() == "new"


class TestRead:
    def test_a_regular_file_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("content")
        assert read_regular(tmp_path / "file") == b"content"

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("/etc/passwd")
        assert read_regular(tmp_path / "link") is None

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert read_regular(tmp_path / "pipe") is None


class TestRemove:
    def test_a_file_and_a_link_and_nothing_can_be_removed(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "keep").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "keep")
        for name in ("file", "link", "nothing", "no/folder"):
            remove_entry(tmp_path / name)
        assert [path.name for path in tmp_path.iterdir()] == ["keep"]

    def test_links_inside_are_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "keep").mkdir()
        (tmp_path / "keep" / "file").touch()
        (tmp_path / "folder" / "deep").mkdir(parents=True)
        (tmp_path / "folder" / "deep" / "link").symlink_to(tmp_path / "keep")
        remove_entry(tmp_path / "folder")
        assert (tmp_path / "keep" / "file").exists()
        assert not (tmp_path / "folder").exists()

    def test_folders_deeper_than_any_path_go(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        descriptor = os.open(tmp_path / "folder", os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("d" * 20, dir_fd=descriptor)
            inner = os.open("d" * 20, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        os.close(descriptor)
        remove_entry(tmp_path / "folder")
        assert not (tmp_path / "folder").exists()


@pytest.mark.kernel
class TestHandOver:
    def test_everything_is_the_users_and_nobody_elses(self, state_dir: Path) -> None:
        folder = state_dir / "own"
        (folder / "inner").mkdir(parents=True)
        for name in ("key", "inner/file"):
            (folder / name).write_text("secret")
        hand_over(folder, UID)
        for path in (folder, *folder.rglob("*")):
            assert path.stat().st_uid == path.stat().st_gid == UID
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    def test_what_a_link_leads_to_is_not_given_away(self, state_dir: Path) -> None:
        (state_dir / "victim").write_text("precious")
        (state_dir / "own").mkdir()
        (state_dir / "own" / "link").symlink_to(state_dir / "victim")
        hand_over(state_dir / "own", UID)
        assert (state_dir / "victim").stat().st_uid == 0
        assert (state_dir / "own" / "link").lstat().st_uid == UID

    def test_a_folder_that_is_a_link_is_refused(self, state_dir: Path) -> None:
        (state_dir / "victim").mkdir()
        (state_dir / "own").symlink_to(state_dir / "victim")
        with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
            hand_over(state_dir / "own", UID)
        assert (state_dir / "victim").stat().st_uid == 0

    def test_a_user_that_swaps_links_while_root_writes_gets_nothing(self, state_dir: Path) -> None:
        victim, folder = state_dir / "victim", state_dir / "own"
        victim.write_text("precious")
        folder.mkdir()
        hand_over(folder, UID)
        with swapping(folder, victim):
            for _ in range(300):
                try:
                    write_private(folder / "envoy.yaml", "new")
                except FileExistsError:  # refused, where the link came first
                    continue
        assert victim.read_text() == "precious"
        assert victim.stat().st_uid == 0
        remove_entry(folder)

    def test_a_user_that_swaps_links_while_root_removes_does_not_keep_it_from_it(self, state_dir: Path) -> None:
        victim, folder = state_dir / "victim", state_dir / "own"
        victim.mkdir()
        (victim / "precious").touch()
        for _ in range(5):
            folder.mkdir()
            hand_over(folder, UID)
            with swapping(folder, victim):
                remove_entry(folder)
                assert not folder.exists()
        assert (victim / "precious").exists()
        assert victim.stat().st_uid == 0
