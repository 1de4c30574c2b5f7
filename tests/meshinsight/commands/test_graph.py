"""`meshinsight graph`: what it writes, what it says, and how it ends."""

import gzip
import json
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import graph
from predictor.graph.reader import load_graph
from profiler.errors import UsageError

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "traces"
EXAMPLE = ROOT / "predictor" / "graph" / "examples" / "bookinfo.yaml"
INPUTS = [
    ("from-zipkin", DATA / "zipkin" / "ascend.json"),
    ("from-otlp", DATA / "otlp" / "trace.json"),
    ("from-isotope", DATA / "isotope" / "canonical.yaml"),
]


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    graph.register(app)
    return CliRunner().invoke(app, ["graph", *map(str, arguments)])


@pytest.mark.parametrize(("command", "file"), INPUTS)
def test_an_import_writes_a_file_that_checks(command: str, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "graph.yaml"
    assert run(command, file, "--out", out, "--rate", 50).exit_code == 0
    assert load_graph(out).ingress[0].rate_rps == 50.0
    assert "services" in run("check", out).output


def test_jaeger_metrics_and_manifests_have_their_commands(tmp_path: Path) -> None:
    spans = [{"spanID": "a", "startTime": 1, "duration": 5, "process": {"serviceName": "front"}}]
    (tmp_path / "t.json").write_text(json.dumps({"data": [{"spans": spans}]}))
    (tmp_path / "m.prom").write_text('istio_requests_total{destination_app="front"} 3\n')
    (tmp_path / "k.yaml").write_text("kind: Service\nmetadata: {name: front}\nspec: {ports: [{port: 1}]}\n")
    for command, name in (("from-jaeger", "t.json"), ("from-prometheus", "m.prom"), ("from-manifests", "k.yaml")):
        assert run(command, tmp_path / name, "--out", tmp_path / "g.yaml").exit_code == 0
        assert [service.name for service in load_graph(tmp_path / "g.yaml").services] == ["front"]


def test_a_dash_prints_the_graph() -> None:
    assert "format: meshinsight-graph" in run(*INPUTS[0], "--out", "-").stdout


def test_the_critical_path_is_told(tmp_path: Path) -> None:
    output = run(*INPUTS[0], "--out", tmp_path / "g.yaml").output
    assert "1 trace, 8 spans; critical path" in output
    assert "between services" in output


def test_check_says_what_a_graph_leaves_open() -> None:
    output = run("check", EXAMPLE).output
    assert "4 services, 3 calls, 100 requests per second" in output
    assert "ingress.productpage.rate_rps: chosen" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "none.yaml"),
        ("from-zipkin", "none.json", "--out", "g.yaml"),
        (*INPUTS[0], "--out", "g.yaml", "--rate", -1),
        (*INPUTS[0], "--out", "g.yaml", "--rate", 5, "--rate-from-traces"),
        (*INPUTS[0], "--out", "g.yaml", "--operation", "nothing"),
        ("from-prometheus", EXAMPLE, "--out", "g.yaml"),
        ("from-prometheus", EXAMPLE, "--out", "g.yaml", "--over", 0),
    ],
    ids=str,
)
def test_what_cannot_be_is_a_usage_error(arguments: tuple[object, ...], tmp_path: Path) -> None:
    arguments = tuple(tmp_path / part if part == "g.yaml" else part for part in arguments)
    error = run(*arguments).exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert not (tmp_path / "g.yaml").exists()


@pytest.mark.parametrize(("command", "file"), INPUTS)
@pytest.mark.parametrize("other", ["jaeger", "otlp", "zipkin", "isotope", "prometheus", "manifests"])
def test_a_file_given_to_the_wrong_command_is_told_the_right_one(command: str, file: Path, other: str) -> None:
    if command != f"from-{other}":
        error = run(f"from-{other}", file, "--out", "-").exception
        assert isinstance(error, UsageError)
        assert str(error).endswith(f"read it with `meshinsight graph {command}`")


@pytest.mark.parametrize("command", ["jaeger", "otlp", "zipkin", "isotope", "prometheus", "manifests"])
@pytest.mark.parametrize(
    "line", [b"\n", b"services:\n", b"{", b"- ", b"\x00", b'"traceId" ', b"apiVersion: 1\n"], ids=repr
)
def test_much_of_the_same_is_refused_quickly(command: str, line: bytes, tmp_path: Path) -> None:
    file = tmp_path / "much"
    file.write_bytes(line * 200_000)
    begin = time.process_time()
    assert isinstance(run(f"from-{command}", file, "--out", tmp_path / "g.yaml").exception, UsageError)
    assert time.process_time() - begin < 20


@pytest.mark.parametrize(("command", "name"), [("prometheus", "m.prom"), ("manifests", "k.yaml")])
def test_packed_text_is_read(command: str, name: str, tmp_path: Path) -> None:
    text = {"m.prom": 'istio_requests_total{destination_app="front"} 3\n',
            "k.yaml": "kind: Service\nmetadata: {name: front}\nspec: {ports: [{port: 1}]}\n"}[name]  # fmt: skip
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert "name: front" in run(f"from-{command}", tmp_path / f"{name}.gz", "--out", "-").stdout
