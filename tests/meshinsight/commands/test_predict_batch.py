"""`meshinsight predict-batch`: what it writes and says, and how it ends."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import predict_batch
from predictor.predict import types
from predictor.predict.own_error import FIGURES
from profiler.errors import MeshInsightError, UsageError

ROOT = Path(__file__).parents[3]
PROFILE = ROOT / "tests" / "data" / "example-profile.json"

GRAPH = """
format: meshinsight-graph
version: 1
services: [a, b]
calls: [{caller: a, callee: b}]
ingress: [{service: a, rate_rps: 100}]
"""


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    found = tmp_path / "graphs"
    found.mkdir()
    (found / "one.yaml").write_text(GRAPH)
    return found


def run(graphs: Path, *arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    predict_batch.register(app)
    out = graphs.parent / "out.parquet"
    return CliRunner().invoke(
        app, ["predict-batch", str(PROFILE), str(graphs), "--out", str(out), *map(str, arguments)]
    )


def test_a_row_per_graph(graphs: Path) -> None:
    (graphs / "two.yaml").write_text(GRAPH.replace("rate_rps: 100", "rate_rps: 200"))
    found = run(graphs)
    assert found.exit_code == 0
    assert "2 of 2 graphs predicted" in found.output
    one, two = pq.read_table(graphs.parent / "out.parquet").to_pylist()
    assert one["graph"] == "one.yaml"
    assert two["vcpu"] > one["vcpu"] > 0
    assert one["latency_overhead_low_ns"] <= one["latency_overhead_ns"] <= one["latency_overhead_high_ns"]


def test_percentiles_on_request(
    graphs: Path, monkeypatch: pytest.MonkeyPatch, own_errors: Callable[[Mapping[str, float]], None]
) -> None:
    monkeypatch.setattr(types, "WIDEST", 1e9)
    own_errors(dict.fromkeys(FIGURES, 1.0))
    run(graphs, "--percentiles", "--samples", 2000)
    (row,) = pq.read_table(graphs.parent / "out.parquet").to_pylist()
    assert 0 < row["p50_overhead_ns"] < row["p95_with_ns"] <= row["p99_with_ns"]


def test_percentiles_that_are_not_known_are_null(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(types, "WIDEST", 1.0)
    run(graphs, "--percentiles", "--samples", 2000)
    (row,) = pq.read_table(graphs.parent / "out.parquet").to_pylist()
    assert row["p50_overhead_ns"] > 0
    assert (row["p99_without_ns"] > 0, row["p99_with_ns"], row["p99_overhead_high_ns"]) == (True, None, None)


def test_csv_has_the_figures_of_parquet(graphs: Path) -> None:
    (graphs / "=cmd().yaml").write_text(GRAPH.replace("callee: b", "callee: b, protocol: grpc"))
    run(graphs)
    out = graphs.parent / "out.CSV"
    assert run(graphs, "--out", out).exit_code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    parquet = pq.read_table(graphs.parent / "out.parquet")
    assert list(rows[0]) == parquet.column_names
    broken, one = parquet.to_pylist()
    assert [row["graph"] for row in rows] == ["'=cmd().yaml", "one.yaml"]
    assert float(rows[1]["latency_overhead_ns"]) == one["latency_overhead_ns"]
    assert (rows[0]["vcpu"], rows[0]["error"]) == ("", broken["error"])
    assert not list(graphs.parent.glob(".*unfinished"))


@pytest.mark.parametrize("name", ["out.txt", "out", "out.parquet.gz"])
def test_another_suffix_is_one_line(graphs: Path, name: str) -> None:
    error = run(graphs, "--out", graphs.parent / name).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith("--out: expected a name that ends in .csv or .parquet; found ")


def test_a_graph_that_fails_is_counted_and_told(graphs: Path) -> None:
    (graphs / "broken.yaml").write_text("services: [")
    found = run(graphs)
    assert found.exit_code == 0
    assert "1 of 2 graphs cannot be predicted, such as broken.yaml: " in found.output


def test_status_1_when_all_fail(graphs: Path) -> None:
    (graphs / "one.yaml").write_text(GRAPH.replace("callee: b", "callee: b, protocol: grpc"))
    error = run(graphs).exception
    assert isinstance(error, MeshInsightError)
    assert error.exit_code == 1
    assert "1 of 1 graphs cannot be predicted" in str(error)
    assert "meshinsight profile --protocol grpc" in str(error)


@pytest.mark.parametrize(
    "wrong", [("--rate", -1), ("--samples", 0), ("--proxy", "x"), ("--out", "/no/such/place/x.csv"), ("--out", "/")]
)
def test_wrong_options_are_refused(graphs: Path, wrong: tuple[object, ...]) -> None:
    assert isinstance(run(graphs, *wrong).exception, UsageError)


def test_a_share_that_cannot_be_predicted_is_one_line(graphs: Path) -> None:
    for share, said in (("0.5", "profile --placement free,apart,together"), ("2", "expected a number from 0 to 1")):
        found = run(graphs, "--crossing-share", share).exception
        assert isinstance(found, UsageError)
        assert str(found).startswith("--crossing-share: ")
        assert said in str(found)
