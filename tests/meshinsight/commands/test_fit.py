"""`meshinsight fit`: what it prints, and how it ends."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from meshinsight import models
from meshinsight.commands import fit, profile, report, show
from predictor.models import fitting
from profiler.errors import ProfileError, UsageError
from profiler.measuring.profiling import Outcome
from profiler.profile.document import load_profile, save_profile

PROFILE = Path(__file__).parents[2] / "data" / "example-profile.json"


def run(*arguments: object) -> Result:
    return invoke("fit", *arguments)


@pytest.fixture
def many_sizes(tmp_path: Path) -> Path:
    """The directory of a run that measured its first HTTP cell with several request sizes."""
    document = json.loads(PROFILE.read_text())
    (first,) = (cell for cell in document["cells"] if cell["id"].startswith("http1-both-hot"))
    for size in (4096, 65_536):
        slower = json.loads(json.dumps(first)) | {"id": f"q{size}", "request_bytes": size}
        latency = slower["latency"]
        latency["overhead_p50_ns"] += 2 * size
        latency["with_p50_ns"] += 2 * size
        document["cells"].append(slower)
    (tmp_path / "profile.json").write_text(json.dumps(document))
    return tmp_path


def invoke(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    for command in (fit, report, show):
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
    for text in ("http1-both-apart-cold", "base", "parsing", "95 % interval", "Leave-one-out error"):
        assert text in output


def test_it_says_which_overheads_are_raw_and_which_anchored_and_what_an_interval_holds() -> None:
    text = " ".join(run(PROFILE).output.split())
    assert "HTTP/1.1 latency: anchored" in text
    assert "TCP latency: raw, as `show` prints them" in text
    assert "holds the estimate of 95 % of other runs of the same command on this machine" in text


def test_json_is_a_model_that_reads_back(tmp_path: Path) -> None:
    stored = tmp_path / "model.json"
    stored.write_text(run(PROFILE, "-o", "json").output)
    assert models.load_model(stored).to_json() == json.loads(stored.read_text())


def test_an_unknown_output_format_is_refused() -> None:
    assert isinstance(run(PROFILE, "-o", "xml").exception, UsageError)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ProfileError):
        models.load_model(tmp_path / "x.json")


def test_a_profile_without_usable_cells_says_what_to_measure(tmp_path: Path) -> None:
    document = json.loads(PROFILE.read_text())
    for cell in document["cells"]:
        cell["connections"] = 16
    (tmp_path / "profile.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="meshinsight profile --connections 1"):
        models.load_model(tmp_path)


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(run(PROFILE, "-o", "json").output[:5000])
    with pytest.raises(UsageError, match="damaged model"):
        models.load_model(tmp_path / "model.json")


def test_a_stored_model_of_a_run_is_a_model_like_any_other(finished: Path) -> None:
    first = models.load_model(finished).to_json()
    assert models.load_model(finished / "model.json").to_json() == first


def test_a_finished_run_is_fitted_once(finished: Path, request: pytest.FixtureRequest) -> None:
    first = models.load_model(finished).to_json()
    request.getfixturevalue("no_fitting")
    assert models.load_model(finished).to_json() == first
    assert models.load_model(finished / "profile.json").to_json() == first


def test_a_model_of_an_earlier_profile_is_made_again(finished: Path) -> None:
    models.load_model(finished)
    before = (finished / "model.json").read_bytes()
    (finished / "profile.json").write_text(PROFILE.read_text().replace('"run_id": "', '"run_id": "x'))
    assert models.load_model(finished).run_id.startswith("x")
    assert (finished / "model.json").read_bytes() != before


def test_a_damaged_model_is_made_again_without_a_word(finished: Path) -> None:
    first = models.load_model(finished).to_json()
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
    assert models.load_model(finished / "profile.json").configurations
    assert [path.name for path in finished.iterdir()] == ["profile.json"]


def test_a_run_that_ended_early_keeps_no_model(finished: Path) -> None:
    document = json.loads(PROFILE.read_text()) | {"status": "partial"}
    (finished / "profile.json").write_text(json.dumps(document))
    assert models.load_model(finished).configurations
    assert not (finished / "model.json").exists()


def test_show_and_fit_give_the_same_coefficients_and_errors() -> None:
    model = models.load_model(PROFILE)
    shown = json.loads(invoke("show", PROFILE, "-o", "json").output)
    assert shown["coefficients"]
    for entry in shown["coefficients"]:
        (item,) = (item for item in model.configurations if item.name == entry["configuration"])
        cost = item.cost(entry["currency"])
        assert cost is not None
        index = cost.terms.index(entry["term"])
        assert entry["value"] == cost.coefficients[index].sum()
        assert (entry["low"] + entry["high"]) / 2 == pytest.approx(entry["value"])
        ends = np.percentile(cost.draws[:, index].sum(axis=1), (2.5, 97.5))
        assert entry["high"] - entry["low"] == pytest.approx(np.ptp(ends), rel=0.2)  # draws are normal
    terms = [len(cost.terms) for item in model.configurations for cost in (item.latency, item.cpu) if cost]
    assert len(shown["coefficients"]) == sum(terms)
    assert shown["model_error"] == [asdict(entry) for entry in model.held_out]


def test_show_report_and_fit_print_the_same_figures(many_sizes: Path) -> None:
    line = re.compile(r"^(\S+-\S+) +(latency|cpu) +(base|request_bytes\S*) +(\S+) +(\S+ … \S+) +([0-9]+)$", re.M)
    fitted = line.findall(run(many_sizes).output)
    assert {row[2] for row in fitted} >= {"base", "request_bytes"}
    shown = line.findall(invoke("show", many_sizes, "--full").output)
    several = {row[:2] for row in fitted if row[2] != "base"}  # a base alone is what the cell shows
    assert shown == [row for row in fitted if row[:2] in several]
    assert invoke("report", many_sizes, "--out", many_sizes / "x.html").exit_code == 0
    page = (many_sizes / "x.html").read_text()
    drawn = {tuple(re.findall(r">([^<>]+)</t[hd]>", line)) for line in page.splitlines() if line.startswith("<tr>")}
    assert shown
    assert set(shown) <= drawn


def test_coefficients_that_an_earlier_version_stored_are_not_shown(finished: Path) -> None:
    old: dict[str, object] = {"configuration": "old-one", "temperature": "hot", "currency": "cpu", "term": "per_header"}
    old |= {"value": 1.0, "low": 0.0, "high": 2.0, "cells": 3}
    error = {"protocol": "grpc", "currency": "cpu", "median": 0.0731, "worst": 0.1234, "tested": 9, "untested": 4}
    document = json.loads(PROFILE.read_text()) | {"coefficients": [old], "model_error": [error]}
    (finished / "profile.json").write_text(json.dumps(document))
    assert models.load_model(finished).configurations  # it is still read
    for output in ("table", "json"):
        found = invoke("show", finished, "-o", output).output
        assert "old-one" not in found
        assert "gRPC" not in found


def test_a_run_is_fitted_and_stored_once_and_saved_once(
    finished: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    profile._show(Outcome(finished / "profile.json", load_profile(PROFILE), None), profile.Shown("json", full=False))
    assert (finished / "profile.json").read_bytes() == PROFILE.read_bytes()
    request.getfixturevalue("no_fitting")
    assert models.load_model(finished).configurations
    assert json.loads(capsys.readouterr().out) == json.loads(invoke("show", finished, "-o", "json").output)


def test_a_run_whose_cells_no_model_can_use_is_shown_without_one(finished: Path) -> None:
    found = load_profile(PROFILE)
    save_profile(replace(found, cells=[replace(cell, connections=16) for cell in found.cells]), finished)
    done = invoke("show", finished, "--full")
    assert done.exit_code == 0
    assert "Leave-one-out" not in done.output
    assert not (finished / "model.json").exists()


def test_a_model_that_cannot_be_written_is_no_reason_to_lose_a_run(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "model.json").mkdir()
    profile._show(Outcome(finished / "profile.json", load_profile(finished), None), profile.Shown("table", full=False))
    assert "saved: " in capsys.readouterr().err
