"""`meshinsight fit`: what it prints, and how it ends."""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import fit, profile, show
from predictor.models import fitting
from profiler.errors import MeshInsightError, ProfileError, UsageError
from profiler.profile.document import load_profile

PROFILE = Path(__file__).parents[2] / "data" / "example-profile.json"


def run(*arguments: object) -> Result:
    return invoke("fit", *arguments)


def invoke(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    for command in (fit, show):
        command.register(app)
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The directory of a finished run, of a time when models were not kept."""
    (tmp_path / "profile.json").write_bytes(PROFILE.read_bytes())
    return tmp_path


@pytest.fixture
def no_fitting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(document: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(fitting, "fit_profile", refused)


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


def test_a_stored_model_of_a_run_is_a_model_like_any_other(finished: Path) -> None:
    first = fit.load_model(finished).to_json()
    assert fit.load_model(finished / "model.json").to_json() == first


def test_a_finished_run_is_fitted_once(finished: Path, request: pytest.FixtureRequest) -> None:
    first = fit.load_model(finished).to_json()
    request.getfixturevalue("no_fitting")
    assert fit.load_model(finished).to_json() == first
    assert fit.load_model(finished / "profile.json").to_json() == first


def test_a_model_of_an_earlier_profile_is_made_again(finished: Path) -> None:
    fit.load_model(finished)
    before = (finished / "model.json").read_bytes()
    (finished / "profile.json").write_text(PROFILE.read_text().replace('"run_id": "', '"run_id": "x'))
    assert fit.load_model(finished).run_id.startswith("x")
    assert (finished / "model.json").read_bytes() != before


def test_a_damaged_model_is_made_again_without_a_word(finished: Path) -> None:
    first = fit.load_model(finished).to_json()
    sound = (finished / "model.json").read_bytes()
    (finished / "model.json").write_bytes(sound[:9000])
    done = run(finished, "-o", "json")
    assert json.loads(done.output) == first
    assert (finished / "model.json").read_bytes() == sound


def test_where_nothing_can_be_written_it_is_fitted_each_time(finished: Path) -> None:
    (finished / "model.json").mkdir()
    assert run(finished).exit_code == 0
    assert [path.name for path in finished.iterdir() if path.suffix == ".tmp"] == []


def test_a_lone_profile_gets_no_company(finished: Path) -> None:
    assert fit.load_model(finished / "profile.json").configurations
    assert [path.name for path in finished.iterdir()] == ["profile.json"]


def test_a_run_that_ended_early_keeps_no_model(finished: Path) -> None:
    document = json.loads(PROFILE.read_text()) | {"status": "partial"}
    (finished / "profile.json").write_text(json.dumps(document))
    assert fit.load_model(finished).configurations
    assert not (finished / "model.json").exists()


def test_a_run_keeps_the_error_in_its_profile_and_the_model_beside_it(
    finished: Path, request: pytest.FixtureRequest
) -> None:
    kept = fit.keep_model(load_profile(finished), finished)
    assert kept == load_profile(finished)
    request.getfixturevalue("no_fitting")
    model = fit.load_model(finished)
    assert [entry["median"] for entry in kept["model_error"]] == [entry.median for entry in model.held_out]


def test_the_stored_error_is_shown(finished: Path) -> None:
    document = load_profile(PROFILE)
    error = {"protocol": "grpc", "currency": "cpu", "median": 0.0731, "worst": 0.1234, "tested": 9, "untested": 4}
    (finished / "profile.json").write_text(json.dumps(document | {"model_error": [error]}))
    output = invoke("show", finished).output
    assert "foretelling a cell from the others" in output
    assert re.search(r"gRPC +cpu +7\.3 % +12\.3 % +9 +4", output)
    assert "foretelling" not in invoke("show", PROFILE).output


def test_a_run_whose_cells_no_model_can_use_is_as_it_was(finished: Path) -> None:
    document = load_profile(PROFILE)
    for cell in document["cells"]:
        cell["connections"] = 16
    assert fit.keep_model(document, finished) == document
    assert (finished / "profile.json").read_bytes() == PROFILE.read_bytes()


def test_a_model_that_cannot_be_written_is_no_reason_to_lose_a_run(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(document: object, directory: Path) -> None:
        raise MeshInsightError(f"{directory}: cannot be written: No space left on device")

    monkeypatch.setattr(fit, "keep_model", full)
    document = load_profile(finished)
    assert profile._with_model(document, finished) is document
    assert "warning: the model is not stored" in capsys.readouterr().err
