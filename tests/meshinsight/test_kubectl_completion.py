"""Completion of the kubectl plugin, as kubectl asks for it; kubectl's own completion is left alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meshinsight import cli
from meshinsight.cli import COMPLETION, PLUGIN, require_own_completion
from profiler.errors import UsageError

ROOT = Path(__file__).parents[2]
PROGRAM = "from meshinsight.kubectl_completion import main; main()"


def completed(*words: str) -> list[str]:
    command = [sys.executable, "-P", "-c", PROGRAM, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("cle",), ["cleanup"]),
        (("graph", "from-o"), ["from-otlp"]),
        (("show", "-o", ""), ["table", "json", "csv", "markdown", "html"]),
        (("predict", "p", "g", "--transport", ""), ["ip", "uds"]),
        (("predict", "a folder", "it's", "--cros"), ["--crossing-share"]),
    ],
)
def test_words_are_completed_and_no_files(words: tuple[str, ...], values: list[str]) -> None:
    *lines, directive = completed(*words)
    assert [line.split("\t")[0] for line in lines] == values
    assert directive == ":4"


def test_commands_have_their_help_after_a_tab() -> None:
    assert completed("adv")[0] == "advise\tFind the fewest changes that meet latency and CPU limits."


def test_where_nothing_is_known_the_shell_completes_files() -> None:
    assert completed("show", "") == [":0"]


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion", "--show-completion=bash"])
def test_the_plugin_does_not_replace_completion_of_kubectl(option: str) -> None:
    with pytest.raises(UsageError, match=COMPLETION):
        require_own_completion([option])


def test_the_plugin_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{PLUGIN}", "--install-completion"])
    assert cli.run() == 2
    assert capsys.readouterr().err.startswith(
        "meshinsight: error: --install-completion: is for the command meshinsight"
    )


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_itself_completes_the_plugin(tmp_path: Path) -> None:
    for name in (PLUGIN, COMPLETION):
        (tmp_path / name).write_text(
            f"#!{sys.executable} -P\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n{PROGRAM}\n"
        )
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["kubectl", "__complete", "meshinsight", "profile", "--dry"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert found == ["--dry-run\tPrint the plan and do nothing else.", ":4"]
