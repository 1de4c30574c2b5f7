"""Every command block of the pages: all of them parse, and those that need nothing special run.

A block runs unless an HTML comment before it names what it needs:

    <!-- needs: a cluster -->

Blocks of one page run in one directory, in order, after `meshinsight examples` where the page uses its files.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.documentation.commands import SHELL, complaint, simple_commands
from tests.documentation.pages import PAGES, README, ROOT, Block, blocks

MEASUREMENT: Final = "a measurement"
NEEDS: Final = frozenset(
    {MEASUREMENT, "a cluster", "a file of yours", "a package index", "a profile of yours", "a running sidecar"}
)
BLOCKS: Final = [block for page in PAGES for block in blocks(page) if block.language in SHELL]
RUN_PAGES: Final = sorted({block.page for block in BLOCKS if not block.needs})


def named(block: Block) -> str:
    return f"{block.place}{f' needs {block.needs}' if block.needs else ''}"


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_every_command_parses(block: Block) -> None:
    assert [found for words in simple_commands(block.text) if (found := complaint(words))] == []
    assert block.needs in {None, *NEEDS}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("meshinsight predict a b --no-such-option", "predict"),
        ("sudo X=1 meshinsight no-such-command", "no-such-command"),
        ("meshinsight graph check", "check"),
        ("cd x && make no-such-target OUT=x", "no-such-target"),
        ("python experiments/none.py", "experiments/none.py"),
        ("unknown-program --option", "unknown-program"),
    ],
)
def test_a_wrong_command_is_found(text: str, found: str) -> None:
    complaints = [complaint(words) for words in simple_commands(text)]
    assert found in str(complaints[-1])


def test_commands_are_cut_at_operators_and_comments() -> None:
    text = "a b | c > file  # d\nsudo e \\\n  f && g 'h; i'\n"
    assert list(simple_commands(text)) == [["a", "b"], ["c", ">", "file"], ["e", "f"], ["g", "h; i"]]


def programs(folder: Path) -> Path:
    """A directory of programs as the pages name them: `.venv/bin/meshinsight` and `make` of this checkout."""
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    program(binaries / "meshinsight", f'exec {shlex.quote(sys.executable)} -m meshinsight "$@"')
    program(binaries / "python", f'exec {shlex.quote(sys.executable)} "$@"')
    program(binaries / "make", f'exec /usr/bin/make --no-print-directory -C {shlex.quote(str(ROOT))} "$@"')
    return binaries


def program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def run(folder: Path, text: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run commands with bash in a directory, `meshinsight` and `make` being those of this checkout."""
    path = f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"
    environment: Mapping[str, str] = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **more}
    argv = ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_need_nothing_run_in_order(page: Path, tmp_path: Path) -> None:
    programs(tmp_path)
    if page != README and "tutorial" not in page.parts:
        assert run(tmp_path, "meshinsight examples").returncode == 0
    for block in BLOCKS:
        if block.page == page and not block.needs:
            done = run(tmp_path, block.text)
            assert done.returncode == 0, f"{block.place}: {done.stderr[-500:]}"


@pytest.mark.kernel
@pytest.mark.timing
@pytest.mark.timeout(900)
def test_the_measuring_commands_of_the_readme_run_among_the_others(tmp_path: Path) -> None:
    if not (ROOT / ".venv").exists():
        pytest.skip("this checkout has no .venv; run: make setup")
    programs(tmp_path)
    for block in BLOCKS:
        if block.page == README and block.needs in (None, MEASUREMENT):
            done = run(tmp_path, block.text, OUT=str(tmp_path / "profile-out"))
            assert done.returncode == 0, f"{block.place}: {done.stderr[-500:]}"
    assert (tmp_path / "profile-out" / "report.html").exists()
