"""`meshinsight cleanup`: what it says of what it found."""

from pathlib import Path

import pytest

from meshinsight.commands.cleanup import cleanup
from profiler.testbed import leftovers
from profiler.testbed.leftovers import Leftover

DEAD = Leftover("a1b2c3d4", Path("/run/x/a1b2c3d4"), (12, 13), ("mi-a1b2c3d4-client",), ())


def refuse() -> list[Leftover]:
    raise AssertionError("a dry run removes nothing")


def test_what_was_removed_is_told_by_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(leftovers, "remove_leftovers", lambda: [DEAD])
    cleanup()
    assert capsys.readouterr().out == "run a1b2c3d4: removed 2 processes, 1 namespace, 1 file\n"


def test_dry_run_removes_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(leftovers, "find_leftovers", lambda: [DEAD])
    monkeypatch.setattr(leftovers, "remove_leftovers", refuse)
    cleanup(dry_run=True)
    assert "would remove 2 processes" in capsys.readouterr().out


def test_nothing_found_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(leftovers, "remove_leftovers", list)
    cleanup()
    assert capsys.readouterr().out.startswith("nothing to clean up")
