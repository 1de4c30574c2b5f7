"""`meshinsight predict`: its output formats, what-if, and how it ends."""

import csv
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import predict
from profiler.errors import UsageError

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "tests" / "data" / "example-profile.json"

GRAPH = """
format: meshinsight-graph
version: 1
name: two
services: [a, b]
calls: [{caller: a, callee: b}]
ingress: [{service: a, rate_rps: 100}]
"""
WHAT_IF = [("--set", "x->y.tls=none"), ("--set", "a->b.tls"), ("--drop-filter", "lua"), ("--topology", "x")]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    file = tmp_path / "graph.yaml"
    file.write_text(GRAPH)
    return file


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    predict.register(app)
    return CliRunner().invoke(app, ["predict", str(PROFILE), *map(str, arguments)])


def test_the_table_has_every_part(graph: Path) -> None:
    output = run(graph).output
    for text in ("p99", "By component", "By service", "By edge", "Critical path", "a->b", "Assumed", "parsing"):
        assert text in output


def test_json_has_the_whole_prediction(graph: Path) -> None:
    found = json.loads(run(graph, "-o", "json").output)
    assert found["format"] == "meshinsight-prediction"
    parts = sum(item["value"] for item in found["latency_by_component_ns"].values()) + found["hidden_ns"]
    assert parts == pytest.approx(found["latency"]["mean"]["overhead_ns"]["value"])


def test_csv_rows_of_components_add_up(graph: Path) -> None:
    rows = list(csv.DictReader(run(graph, "-o", "csv").output.splitlines()))
    cpu = [row for row in rows if row["scope"] == "graph" and row["quantity"] == "cpu"]
    whole, *parts = (float(row["overhead"]) for row in cpu)
    assert sum(parts) == pytest.approx(whole)


def test_markdown_has_tables(graph: Path) -> None:
    output = run(graph, "-o", "markdown").output
    assert output.startswith("## Predicted overhead of two")
    assert "|---|--:|" in output


def test_prices_give_money(graph: Path) -> None:
    found = json.loads(run(graph, "-o", "json", "--price-per-vcpu-hour", 0.05).output)
    assert found["money_per_month"]["cpu"] == pytest.approx(found["vcpu"]["value"] * 0.05 * 730)


def test_what_the_profile_lacks_is_told_with_its_command(graph: Path) -> None:
    graph.write_text(GRAPH.replace("callee: b", "callee: b, protocol: grpc"))
    error = run(graph).exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert "meshinsight profile --protocol grpc --topology both" in str(error)


@pytest.mark.parametrize(
    "wrong", [("-o", "xml"), ("--samples", -1), ("--proxy", "x"), ("--price-per-vcpu-hour", -1), *WHAT_IF]
)
def test_wrong_options_are_refused(graph: Path, wrong: tuple[object, ...]) -> None:
    assert isinstance(run(graph, *wrong).exception, UsageError)


def overhead(*arguments: object) -> float:
    found = json.loads(run(*arguments, "-o", "json", "--samples", 0).output)
    return float(found["latency"]["mean"]["overhead_ns"]["value"])


def test_what_if_calls_were_tcp_or_had_no_sidecars(graph: Path) -> None:
    assert 0 < overhead(graph, "--set", "*.protocol=tcp") < overhead(graph)
    assert overhead(graph, "--topology", "none") == 0.0


def test_what_if_parsing_were_faster(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "faster.yaml").write_text("parsing: {L: 0.5, l: 0.5}\n")
    (tmp_path / "same.yaml").write_text("parsing: 1\n")
    assert overhead(graph, "--speedup", tmp_path / "faster.yaml") < overhead(graph)
    assert overhead(graph, "--speedup", tmp_path / "same.yaml") == overhead(graph)


@pytest.mark.parametrize("text", ["nothing: {C: 1}", "parsing: {X: 1}", "parsing: {C: -1}", "- 1"])
def test_wrong_speed_ups_are_refused(graph: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    assert isinstance(run(graph, "--speedup", tmp_path / "wrong.yaml").exception, UsageError)
