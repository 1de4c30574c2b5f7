"""Files below a root that is not trusted."""

import os
from pathlib import Path

import pytest

from profiler.files.below import open_below


def content(root: Path, path: str) -> bytes:
    with open_below(root, path) as file:
        return os.read(file, 100)


def test_a_path_begins_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "envoy").write_bytes(b"theirs")
    assert content(tmp_path, "/usr/bin/envoy") == b"theirs"


@pytest.mark.parametrize("path", ["/file", "/folder/secret", "/relative/secret"])
def test_no_link_is_followed(tmp_path: Path, path: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"ours")
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    (root / "relative").symlink_to("../outside")
    with pytest.raises(OSError, match=r"Not a directory|no regular file"):
        content(root, path)


def test_upwards_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_bytes(b"ours")
    with pytest.raises(OSError, match="leads upwards"):
        content(tmp_path / "root", "/../secret")


def test_what_could_make_the_reader_wait_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        content(tmp_path, "/pipe")


def test_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    content(tmp_path, "/file")
    with pytest.raises(FileNotFoundError):
        content(tmp_path, "/none")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
