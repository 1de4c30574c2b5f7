import os
import stat
from pathlib import Path

import pytest

from profiler.errors import UsageError
from profiler.files.cache_folder import cache_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refused() -> str:
    with pytest.raises(UsageError) as caught:
        cache_folder("envoy", "1.40.0")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_is_made_for_its_owner_alone(home: Path) -> None:
    folder = cache_folder("envoy", "1.40.0")
    assert folder == home / "meshinsight" / "envoy" / "1.40.0"
    assert {stat.S_IMODE(place.stat().st_mode) for place in (folder, *folder.parents[:2])} == {0o700}
    assert cache_folder("envoy", "1.40.0") == folder


def test_a_relative_path_of_the_environment_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("envoy") == tmp_path / ".cache" / "meshinsight" / "envoy"


def test_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home / "meshinsight").symlink_to(tmp_path / "elsewhere")
    assert "meshinsight is a link" in refused()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_others_can_look_into_is_refused(home: Path) -> None:
    (home / "meshinsight").mkdir(parents=True)
    (home / "meshinsight").chmod(0o755)
    assert "is open to other users; close it with: chmod 700" in refused()


def test_a_path_that_others_can_write_is_refused(home: Path) -> None:
    home.mkdir()
    home.chmod(0o777)
    assert "can be written by other users" in refused()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user, which takes root")
def test_a_folder_of_another_user_is_refused(home: Path) -> None:
    home.mkdir()
    os.chown(home, 1337, 1337)
    assert "belongs to the user of id 1337" in refused()
