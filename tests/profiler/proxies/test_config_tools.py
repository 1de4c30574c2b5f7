"""A proxy's own check of its configuration: who runs it, what it can read, what it leaves."""

import os
import re
import stat
import sys
from pathlib import Path

import pytest

from profiler.errors import UsageError
from profiler.files.folders import can_hand_over
from profiler.measuring.profiling import check_configurations
from profiler.proxies.base import PROXY_UID
from profiler.proxies.config_tools import check_by_program
from profiler.testbed.leftovers import STATE_DIR
from profiler.vocabulary.hop import Hop

COMPLAINT = re.compile(r"said: (?P<said>.*)")
needs_root = pytest.mark.skipif(not can_hand_over(), reason="only root can become other users")


def said(directory: Path, program: str) -> str:
    with pytest.raises(UsageError) as refused:
        check_by_program("x", [sys.executable, "-I", "-c", f"{program}\nraise SystemExit(1)"], COMPLAINT, directory)
    return str(refused.value)


@pytest.mark.kernel
@needs_root
def test_it_runs_as_the_proxys_user_without_further_groups(tmp_path: Path) -> None:
    program = "import os; print('said:', os.getuid(), os.getgid(), os.getgroups())"
    assert f"{PROXY_UID} {PROXY_UID} []" in said(tmp_path, program)


@pytest.mark.kernel
@needs_root
def test_it_may_write_to_dev_stdout_and_into_its_directory(tmp_path: Path) -> None:
    (tmp_path / "envoy.yaml").write_text("x")
    program = f"open('/dev/stdout', 'a').write('said: hello '); open({str(tmp_path / 'access.log')!r}, 'w')"
    assert "hello" in said(tmp_path, program)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_one_that_succeeds_says_nothing(tmp_path: Path) -> None:
    check_by_program("x", [sys.executable, "-I", "-c", ""], COMPLAINT, tmp_path)


@pytest.mark.kernel
def test_keys_of_a_check_are_in_the_state_directory_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Path] = []

    class Watching:
        def validate(self, config: object, directory: Path) -> None:
            seen.extend([directory, *directory.parent.glob("certificates/*")])
            assert not [path for path in directory.parent.rglob("*key*") if path.stat().st_mode & 0o077]
            raise UsageError("bad")

    monkeypatch.setattr("profiler.measuring.profiling.proxy_of", lambda hop: Watching())
    with pytest.raises(UsageError, match="bad"):
        check_configurations([Hop("http1", "server", filters=("rbac",))])
    assert seen[0].parents[1] == STATE_DIR
    assert {path.name for path in seen[1:]} == {"authority.pem", "chain.pem", "key.pem"}
    assert not seen[0].parent.exists()
    assert os.geteuid() == 0
