"""`meshinsight advise`: its output formats, exit statuses, and that its check gives the promised figures."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import advise, predict
from profiler.errors import UsageError

ROOT = Path(__file__).parents[3]
PROFILE = ROOT / "tests" / "data" / "example-profile.json"

GRAPH = """
format: meshinsight-graph
version: 1
name: three
services: [a, b, c]
calls: [{caller: a, callee: b}, {caller: a, callee: c}]
ingress: [{service: a, rate_rps: 100}]
"""
BAD_LIMITS = [
    ("--slo", "p99"), ("--slo", "p96=1ms"), ("--slo", "p99=5"), ("--slo", "p99=-1ms"), ("--max-overhead", "mean=0ms"),
    ("--max-cpu", 0), ("--max-cpu", -1), ("--max-cpu", "nan"), ("--max-cpu", "inf"), ("--max-memory", "x"),
    ("--max-cpu", "1Mi"),
]  # fmt: skip
CPU = ("--max-cpu", 1)
BAD_OPTIONS = [
    (*CPU, "-o", "xml"), (*CPU, "--allow", "tsl"), (*CPU, "--keep", "x->y"), (*CPU, "--proxy", "x"),
    (*CPU, "--samples", -1), (), ("--slo", "p99=1s", "--samples", 0),
]  # fmt: skip


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    file = tmp_path / "graph.yaml"
    file.write_text(GRAPH)
    return file


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    advise.register(app)
    predict.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def advice(graph: Path, *arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("advise", PROFILE, graph, *arguments, "-o", "json").output)
    return found


def half(graph: Path) -> float:
    """Half of the CPU as it is."""
    return float(advice(graph, "--max-cpu", 100)["before"]["vcpu"]["value"]) / 2


def test_the_table_says_what_changes_and_what_it_gives_up(graph: Path) -> None:
    result = run("advise", PROFILE, graph, "--max-cpu", half(graph))
    assert result.exit_code == 0
    for text in ("met by", "move as TCP", "What it gives up", "To check it", "Not considered", "--allow none"):
        assert text in result.output


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (("--max-cpu", "250m"), ("--max-cpu", 0.25)),
        (("--max-memory", "1Gi"), ("--max-memory", "1024MiB")),
        (("--slo", "p95=1s"), ("--slo", "p95=1000ms")),
    ],
)
def test_limits_as_kubernetes_writes_them(graph: Path, written: tuple[str, object], same: tuple[str, object]) -> None:
    (one,), (two,) = advice(graph, *written)["limits"], advice(graph, *same)["limits"]
    assert {**one, "option": ""} == {**two, "option": ""}


def test_markdown_has_tables(graph: Path) -> None:
    output = run("advise", PROFILE, graph, "--max-cpu", half(graph), "-o", "markdown").output
    assert output.startswith("## Limits of three: met by")
    assert "|---|--:|" in output


def test_met_as_it_is_says_by_how_much(graph: Path) -> None:
    result = run("advise", PROFILE, graph, "--max-cpu", 100)
    assert result.exit_code == 0
    assert "met as it is" in result.output
    assert "--max-cpu 100: met by" in result.output


def test_a_limit_below_the_services_own_time_is_an_answer_of_no(graph: Path) -> None:
    result = run("advise", PROFILE, graph, "--slo", "mean=1ms")
    assert result.exit_code == 1
    assert "cannot be met" in result.output
    assert "services take 3.000 ms themselves, which no sidecar changes" in result.output


@pytest.mark.parametrize("limits", [("--max-cpu", "half"), ("--max-overhead", "p50=half")])
def test_the_check_gives_the_promised_figures(graph: Path, limits: tuple[str, str]) -> None:
    now = advice(graph, "--max-cpu", 100)["before"]
    bound = now["vcpu"]["value"] / 2 if limits[0] == "--max-cpu" else now["latency"]["p50"]["overhead_ns"]["value"] / 2
    found = advice(graph, limits[0], limits[1].replace("half", f"{bound}{'ns' * (limits[0] != '--max-cpu')}"))
    assert found["met"]
    checked = json.loads(run(*shlex.split(found["check"])[1:], "-o", "json").output)
    assert checked["vcpu"] == found["after"]["vcpu"]
    assert checked["latency"] == found["after"]["latency"]


def test_changes_of_services_are_checked_by_the_graph_that_is_written(graph: Path, tmp_path: Path) -> None:
    file = tmp_path / "advised.yaml"
    arguments = ("--max-cpu", half(graph) / 10, "--allow", "none", "--out", file)
    found = advice(graph, *arguments)
    assert {change["kind"] for change in found["changes"]} & {"none", "client"}
    assert found["check"].split()[3] == str(file)
    checked = json.loads(run(*shlex.split(found["check"])[1:], "-o", "json").output)
    assert checked["vcpu"] == found["after"]["vcpu"]


@pytest.mark.parametrize("wrong", [*BAD_LIMITS, *BAD_OPTIONS])
def test_wrong_requests_are_one_line(graph: Path, wrong: tuple[object, ...]) -> None:
    error = run("advise", PROFILE, graph, *wrong).exception
    assert isinstance(error, UsageError)
    assert "\n" not in str(error)
