"""Validation results in the report."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from msgspec import structs
from typer.testing import CliRunner, Result

from meshinsight.commands import report
from meshinsight.reports.subjects.validation import document
from predictor.predict.types import Headline
from profiler.errors import UsageError
from profiler.profile.document import load_profile, save_profile
from tests.meshinsight.reports.validations import validation

PROFILE = Path(__file__).parents[4] / "tests" / "data" / "example-profile.json"


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    report.register(app)
    return CliRunner().invoke(app, ["report", str(PROFILE), *map(str, arguments)])


def stored(tmp_path: Path, graph: str) -> Path:
    file = tmp_path / f"{graph}.json"
    file.write_text(json.dumps(document(replace(validation(graph), profile_run_id="exampl01"))))
    return file


def test_predicted_and_measured_stand_side_by_side_with_both_errors(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    files = [option for graph in ("one", "two") for option in ("--validation", stored(tmp_path, graph))]
    assert run("--out", out, *files).exit_code == 0
    text = out.read_text().replace("\N{NO-BREAK SPACE}", " ")
    for figure in ("100.0", "125.0", "150.0", "-33.3 %", "-16.7 %"):  # predicted, anchored, measured, errors
        assert f"<td>{figure}</td>" in text
    assert '<td class="text">two: plain</td>' in text
    assert "What-ifs: saved" in text
    assert text.count(">predicted, latency at the median") == 2


def test_the_document_has_the_80_percent_intervals_of_predictions() -> None:
    one = validation("one")
    predicted = Headline(100e3, 80e3, 130e3, 90e3, 115e3)
    first = replace(one.variants[0], latency={"p50": replace(one.variants[0].latency["p50"], predicted=predicted)})
    found = json.loads(json.dumps(document(replace(one, variants=(first, *one.variants[1:])))))
    assert found["latency"]["predicted_p50_ci80_ns"] == [90e3, 115e3]
    assert "anchored_p50_ci80_ns" not in found["latency"]


def test_without_validation_there_is_no_word_of_it(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert run("--out", out).exit_code == 0
    assert "Predicted against measured" not in out.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "meshinsight-profile"}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    found = run("--out", tmp_path / "report.html", "--validation", file).exception
    assert isinstance(found, UsageError)
    assert "x.json" in str(found)
    assert not (tmp_path / "report.html").exists()


HOSTILE = Path(__file__).parents[3] / "data" / "hostile"


def refusal(file: Path, out: Path) -> str:
    found = run("--out", out, "--validation", file)
    assert isinstance(found.exception, UsageError)
    assert not out.exists()
    assert "\n" not in str(found.exception)
    return str(found.exception)


@pytest.mark.parametrize("name", ["validation-empty", "validation-no-version", "validation-version-text"])
def test_hostile_validations_are_one_line(tmp_path: Path, name: str) -> None:
    assert f"{name}.json: " in refusal(HOSTILE / f"{name}.json", tmp_path / "report.html")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("graph",), None, "graph: expected str"),
        (("services",), -1, "services: expected int >= 0"),
        (("latency", "measured_p50_ns"), "1", "latency.measured_p50_ns: expected float"),
        (("latency", "measured_p50_ci95_ns"), [2.0, 1.0], "lower end is above its upper"),
        (("latency", "predicted_p50_ci95_ns"), [2.0, 1.0], "latency: an interval's lower end is above its upper"),
        (
            ("what_if", "plain", "saving", "cpu", "measured_vcpu"),
            1e-300,
            "saving: cpu: predicted and measured are too far",
        ),
        (("cpu", "anchored_ci95_vcpu"), [], "cpu.anchored_ci95_vcpu: expected array of length 2"),
        (("anchor", "factor"), 1e300, "anchor.factor: expected float <="),
        (("what_if", "plain"), {}, "what_if.plain.latency is missing"),
        (("version",), True, "version: expected a whole number"),
    ],
)
def test_a_wrong_field_of_a_validation_is_named(
    tmp_path: Path, path: tuple[str, ...], value: object, named: str
) -> None:
    file = stored(tmp_path, "one")
    found = json.loads(file.read_text())
    at = found
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    file.write_text(json.dumps(found))
    assert named in refusal(file, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"profile_run_id": "other123"}, "is of profile other123, not of exampl01"),
        ({"environment": {"machine_id_hash": "another"}}, "was measured on another machine than the profile"),
    ],
)
def test_a_validation_of_another_run_or_machine_is_refused(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    profile = load_profile(PROFILE)
    known = structs.replace(profile, environment={**profile.environment, "machine_id_hash": "this"})
    save_profile(known, tmp_path)
    file = stored(tmp_path, "one")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    out = tmp_path / "report.html"
    app = typer.Typer()
    app.callback()(lambda: None)
    report.register(app)
    found = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(out), "--validation", str(file)])
    assert isinstance(found.exception, UsageError)
    assert f"--validation {file}: {reason}" in str(found.exception)
    assert not out.exists()
