import os

import pytest

from profiler.host.search_path import SYSTEM, absolute_entries, forget_relative_entries


@pytest.mark.parametrize("path", [".:/bin", ":/bin", "/bin:", "bin:/bin:..", "./x:/bin"])
def test_only_absolute_entries_are_searched(path: str) -> None:
    assert absolute_entries(path) == "/bin"


@pytest.mark.parametrize("path", ["", ".", ":"])
def test_without_any_the_systems_are(path: str) -> None:
    assert absolute_entries(path) == SYSTEM


def test_what_is_started_later_gets_absolute_entries_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", ".:/bin:")
    forget_relative_entries()
    assert os.environ["PATH"] == "/bin"
