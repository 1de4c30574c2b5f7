"""The Python interface: its page runs as written, it is loaded at first use, and it gives what the commands give."""

import contextlib
import csv
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import meshinsight
from meshinsight import cli, load_graph, load_profile, predict
from profiler.errors import MissingError
from profiler.host import extras

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/python-api.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
FIGURES_AGREE = 0.2
"""Figures of the page change with the model; beyond this it shows another result than a reader gets."""


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli.app, ["examples", "--out", "examples"]).exit_code == 0
    return tmp_path / "examples"


@pytest.mark.usefixtures("samples")
def test_the_page_prints_what_it_says() -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    names: dict[str, Any] = {}
    printed = ""
    for language, text in blocks:
        if language == "python":
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                exec(compile(text, str(PAGE), "exec"), names)  # noqa: S102 (the page of this repository)
            printed = stream.getvalue()
        elif language == "text":
            assert NUMBER.sub("#", printed) == NUMBER.sub("#", text)
            shown = [float(number) for number in NUMBER.findall(text)]
            assert [float(number) for number in NUMBER.findall(printed)] == pytest.approx(shown, rel=FIGURES_AGREE)
    assert sum(language == "text" for language, _ in blocks) > 5


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys, meshinsight; sys.exit('numpy' in sys.modules or 'msgspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = meshinsight.nothing


def csv_rows(*arguments: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(cli.app, [*arguments, "-o", "csv"])
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.output)))


def test_a_frame_of_a_prediction_has_the_rows_of_the_command(samples: Path) -> None:
    rows = csv_rows("predict", str(samples), str(samples / "bookinfo.yaml"), "--set", "*.tls=none")
    frame = predict(load_profile(samples), load_graph(samples / "bookinfo.yaml"), changes=["*.tls=none"]).to_frame()
    assert list(frame.columns) == list(rows[0])
    assert list(frame.name) == [row["name"] for row in rows]
    overheads = [float(row["overhead"]) for row in rows if row["overhead"]]
    assert frame.overhead.dropna().tolist() == pytest.approx(overheads)


def test_a_frame_of_a_profile_has_the_rows_of_the_command(samples: Path) -> None:
    rows = csv_rows("show", str(samples))
    frame = load_profile(samples).to_frame()
    assert list(frame.columns) == list(rows[0])
    assert list(frame.component) == [row["component"] for row in rows]


def test_without_pandas_a_frame_names_the_extra(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert extras.lacking("pandas") == ["pandas"]
    with pytest.raises(MissingError, match=r"^to_frame needs pandas, .*: pip install 'meshinsight\[pandas\]'$"):
        load_profile(samples).to_frame()
