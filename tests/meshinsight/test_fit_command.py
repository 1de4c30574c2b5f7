"""`meshinsight fit`: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import fit
from profiler.errors import ProfileError, UsageError

PROFILE = Path(__file__).parents[1] / "data" / "example-profile.json"


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    fit.register(app)
    return CliRunner().invoke(app, ["fit", *map(str, arguments)])


def test_the_table_has_coefficients_components_and_errors() -> None:
    output = run(PROFILE).output
    for text in ("http1-both-cold", "base", "parsing", "95 % interval", "Error of foretelling"):
        assert text in output


def test_json_is_a_model_that_reads_back(tmp_path: Path) -> None:
    stored = tmp_path / "model.json"
    stored.write_text(run(PROFILE, "-o", "json").output)
    assert fit.load_model(stored).to_json() == json.loads(stored.read_text())


def test_an_unknown_output_format_is_refused() -> None:
    assert isinstance(run(PROFILE, "-o", "xml").exception, UsageError)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ProfileError):
        fit.load_model(tmp_path / "x.json")


def test_a_profile_without_usable_cells_says_what_to_measure(tmp_path: Path) -> None:
    document = json.loads(PROFILE.read_text())
    for cell in document["cells"]:
        cell["connections"] = 16
    (tmp_path / "profile.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="meshinsight profile --connections 1"):
        fit.load_model(tmp_path)


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(run(PROFILE, "-o", "json").output[:5000])
    with pytest.raises(UsageError, match="damaged model"):
        fit.load_model(tmp_path / "model.json")
