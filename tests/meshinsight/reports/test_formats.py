"""Every subject in every format, and in one that is added as docs/how-to/adding-a-report-format.md says."""

import csv
import importlib
import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import pytest
import typer
from typer.testing import CliRunner

from meshinsight import models
from meshinsight.commands import fit
from meshinsight.console import prepare_streams
from meshinsight.reports.formats import FORMATS, row_formats, text_formats
from meshinsight.reports.renderers import csv_document, markdown, terminal
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects import (
    advice,
    attached,
    comparison,
    history,
    model,
    prediction,
    profile,
    profile_comparison,
    profile_summary,
    validation,
)
from meshinsight.reports.subjects.prediction import Prices
from predictor.advise.advise import advise
from predictor.advise.candidates import rules
from predictor.advise.limits import parse_cpu_limit
from predictor.graph.reader import load_graph
from predictor.graph.types import CallGraph
from predictor.hop_costs.options import Options
from predictor.predict.predict import predict
from predictor.what_if.comparison import compare
from predictor.what_if.scenarios import parse_scenarios
from profiler.comparison.compare import compare as compare_profiles
from profiler.comparison.history import histories, run_of
from tests.meshinsight.commands.attached import FOUND
from tests.meshinsight.reports.profiles import default_profile
from tests.meshinsight.reports.validations import validation as validated
from tests.profiler.comparison.profiles import drawn

ROOT = Path(__file__).parents[3]
PROFILE = ROOT / "tests" / "data" / "example-profile.json"
PAGE = ROOT / "docs" / "how-to" / "adding-a-report-format.md"
PRICES = Prices(0.05, 0.01)
OPTIONS = Options(samples=100)

GRAPH = """
format: meshinsight-graph
version: 1
name: "two | \\x1b[1m"
services: [a, b]
calls: [{caller: a, callee: b}]
ingress: [{service: a, rate_rps: 100}]
"""
SCENARIOS = """
format: meshinsight-scenarios
version: 1
scenarios: [{name: no sidecars, topology: none}]
"""
SUBJECTS = (
    "prediction", "comparison", "advice", "model", "attached", "validation", "profile", "profile_summary",
    "profile_comparison", "history",
)  # fmt: skip
Made = Callable[[str], Report]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """The report of a subject."""
    file = tmp_path / "graph.yaml"
    file.write_text(GRAPH)
    graph = load_graph(file)
    return lambda subject: _report(subject, graph)


@cache
def _model() -> Any:
    return models.load_model(PROFILE)


def _report(subject: str, graph: CallGraph) -> Report:
    if subject == "prediction":
        return prediction.report(predict(graph, _model(), OPTIONS), PRICES)
    if subject == "comparison":
        return comparison.report(compare(graph, _model(), OPTIONS, parse_scenarios(SCENARIOS, "x.yaml")), PRICES)
    if subject == "advice":
        limits = [parse_cpu_limit("--max-cpu", "1u")]
        return advice.report(advise(graph, _model(), limits, rules(graph, ("all",), ()), OPTIONS), "")
    others = {
        "model": lambda: model.report(_model()),
        "attached": lambda: attached.report(FOUND),
        "validation": lambda: validation.report(validated("x | y")),
        "profile": lambda: profile.report(default_profile()),
        "profile_summary": lambda: profile_summary.report(default_profile()),
        "profile_comparison": lambda: profile_comparison.report(
            "old", [("new", compare_profiles(drawn(1), drawn(2), 0.02))]
        ),
        "history": lambda: history.report(
            "x | y",
            histories([run_of(f"<{day}>", datetime(2026, 1, day, tzinfo=UTC), drawn(day)) for day in (1, 2)]),
            (),
        ),
    }
    return others[subject]()


def written(render: Callable[[Report, TextIO], None], report: Report) -> str:
    stream = io.StringIO()
    render(report, stream)
    return stream.getvalue()


def example_format() -> Callable[[Report, TextIO], None]:
    """The renderer on the page."""
    code = PAGE.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 (our own page)
    render: Callable[[Report, TextIO], None] = names["render"]
    return render


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_format_that_is_added_renders_every_subject(
    made: Made, monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    monkeypatch.setitem(FORMATS, "asciidoc", example_format())
    report = made(subject)
    text = written(FORMATS["asciidoc"], report)
    assert text.count("|===\n") == 2 * sum(bool(section.rows) for section in report.sections) > 0
    assert all(line.isprintable() for line in text.splitlines())


def test_a_format_that_is_added_is_an_output_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(FORMATS, "asciidoc", example_format())
        app = typer.Typer()
        app.callback()(lambda: None)
        importlib.reload(fit).register(app)
        done = CliRunner().invoke(app, ["fit", str(PROFILE), "-o", "asciidoc"])
    importlib.reload(fit)
    assert done.output.startswith("= Model of profile")


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("name", ["table", "markdown"])
def test_every_section_and_note_is_in_the_text(made: Made, subject: str, name: str) -> None:
    report = made(subject)
    text = written(FORMATS[name], report)
    titles = [section.title for section in report.sections] + [title for title, _ in report.notes]
    assert "\x1b" not in text
    assert all(title in text for title in titles)


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("name", ["table", "markdown"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_subject_is_printed_in_encodings_that_lack_our_characters(
    made: Made, monkeypatch: pytest.MonkeyPatch, subject: str, name: str, encoding: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    prepare_streams()
    FORMATS[name](made(subject), sys.stdout)
    sys.stdout.flush()
    assert "?" not in raw.getvalue().decode(encoding)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_json_is_the_document(made: Made, subject: str) -> None:
    report = made(subject)
    assert json.loads(written(FORMATS["json"], report)) == json.loads(json.dumps(report.document()))


def test_csv_is_for_subjects_with_rows(made: Made) -> None:
    with_rows = {subject for subject in SUBJECTS if list(made(subject).rows())}
    assert with_rows == {"prediction", "comparison", "profile", "profile_summary", "profile_comparison", "history"}
    assert text_formats() == ["table", "json", "markdown", "html"]


def test_junit_is_for_subjects_with_checks(made: Made) -> None:
    assert {subject for subject in SUBJECTS if list(made(subject).checks())} == {"profile_comparison"}
    assert row_formats() == ["table", "json", "csv", "markdown", "html"]


def report_of(*sections: Section, notes: tuple[tuple[str, list[str]], ...] = (), **fields: Any) -> Report:
    return Report("title", sections, notes, document=dict, **fields)


def test_empty_sections_and_notes_are_left_out() -> None:
    report = report_of(Section("empty", ("a", "b")), Section("kept", detail=": 1"), notes=(("none", []), ("", ["x"])))
    assert [section.title for section in report.sections] == ["kept"]
    assert report.notes == [("", ["x"])]


UNTITLED = report_of(
    Section("first", ("a", "b"), [("x", "1")], detail=": 2 vCPU"),
    Section("", ("c", "d"), [("y", "10")], lines=["z"]),
    notes=(("", ["plain"]), ("titled", ["item"])),
)


def test_a_section_without_title_continues_the_one_before() -> None:
    assert written(terminal.render, UNTITLED).splitlines() == [
        "title", "", "first: 2 vCPU", "a  b", "────", "x  1", "c   d", "─────", "y  10", "z", "", "plain", "", "titled",
        "  item",
    ]  # fmt: skip


def test_in_markdown_lines_are_lists_and_tables_stay_apart() -> None:
    text = written(markdown.render, UNTITLED)
    assert "### first: 2 vCPU\n\n| a | b |\n|---|--:|\n| x | 1 |\n\n| c | d |" in text
    assert text.endswith("\n- z\n\n- plain\n\n**titled**\n\n- item\n")


def test_without_columns_those_of_the_longest_row_come_first() -> None:
    report = report_of(rows=lambda: [{"b": 1}, {"a": 2, "b": 3}])
    assert list(csv.reader(io.StringIO(written(csv_document.render, report)))) == [["a", "b"], ["", "1"], ["2", "3"]]
