"""Modules of ours run from where they are installed, whatever lies in the working directory."""

import ast
import subprocess
from pathlib import Path

import pytest

from profiler.host.interpreter import module_command

PACKAGES = ("profiler", "predictor", "meshinsight")
ROOT = Path(__file__).parents[3]
HOSTILE = "import pathlib\npathlib.Path({mark!r}).write_text('ran')\nraise SystemExit(66)\n"


@pytest.mark.parametrize("name", ["profiler/__init__.py", "json.py", "runpy.py", "sitecustomize.py", "typing.py"])
def test_nothing_of_the_working_directory_is_imported(tmp_path: Path, name: str) -> None:
    hostile, mark = tmp_path / "cwd" / name, tmp_path / "mark"
    hostile.parent.mkdir(parents=True)
    hostile.write_text(HOSTILE.format(mark=str(mark)))
    command = module_command("profiler.host.where", "--anything")
    done = subprocess.run(
        command,
        cwd=tmp_path / "cwd",
        env={"PYTHONPATH": str(tmp_path / "cwd")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named profiler.host.where" in done.stderr  # of ours, which has none
    assert not mark.exists()


def test_arguments_and_exit_status_are_the_modules_own(tmp_path: Path) -> None:
    done = subprocess.run(
        module_command("meshinsight", "--version"), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("meshinsight ")


def own_interpreters(file: Path) -> list[int]:
    """Lines that name the interpreter's own program."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return [node.lineno for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable"]


def test_no_other_code_starts_an_interpreter() -> None:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    found = [str(file.relative_to(ROOT)) for file in files if own_interpreters(file)]
    assert found == ["profiler/host/interpreter.py"]
