"""Files in, one file out: chunks, kinds of input, a Dask cluster."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from predictor.batch import run
from predictor.batch.chunks import chunks
from predictor.batch.dask import DaskRunner
from predictor.batch.graphs import graph_table
from predictor.batch.parquet import ParquetInput
from predictor.batch.predictor import BatchPredictor
from predictor.batch.run import Outcome, here, predict_batch
from predictor.batch.sources import BatchInput
from predictor.graph.writer import save_graph
from predictor.hop_costs.options import Options
from predictor.importers.traces.calls.merge import Rates
from predictor.importers.traces.reading import TraceOptions
from profiler.errors import UsageError
from tests.predictor.batch.random_graphs import call_graphs, model
from tests.predictor.importers.recorded import ROOT, jaeger, rpc

PREDICTOR = BatchPredictor(model(), Options(samples=0))
TRACES = TraceOptions(Rates(2.0))


def outcome(source: Path, out: Path, runner: Any = here) -> Outcome:
    return predict_batch(
        BatchInput(source, TRACES), PREDICTOR, out, runner, percentiles=False, progress=lambda *_: None
    )


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    file = tmp_path / "graphs.parquet"
    pq.write_table(graph_table((graph.name, graph) for graph in call_graphs(2, 60)), file)
    return file


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
def test_chunks_hold_whole_graphs_wherever_tables_end(size: int) -> None:
    table = graph_table((graph.name, graph) for graph in call_graphs(3, 30))
    whole = list(chunks([table], 40))
    pieces = [table.slice(start, size) for start in range(0, table.num_rows, size)]
    assert [chunk.to_pylist() for chunk in chunks(pieces, 40)] == [chunk.to_pylist() for chunk in whole]
    owners = [set(chunk.column("graph").to_pylist()) for chunk in whole]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 30
    assert len(whole) > 2


def test_a_graph_longer_than_a_chunk_is_one_chunk() -> None:
    table = graph_table((graph.name, graph) for graph in call_graphs(4, 8))
    assert len(list(chunks([table], 1))) == 8


def test_the_figures_do_not_depend_on_the_size_of_chunks(
    graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome(graphs, tmp_path / "one.parquet")
    monkeypatch.setattr(run, "CHUNK_ROWS", 50)
    outcome(graphs, tmp_path / "many.parquet")
    one, many = (pq.read_table(tmp_path / name).to_pandas() for name in ("one.parquet", "many.parquet"))
    assert len(one) == 60
    for name in one.columns:
        numbers = one[name].dtype.kind == "f"
        same = abs(one[name] - many[name]) <= 1e-12 * abs(one[name]) if numbers else one[name] == many[name]
        assert (same | one[name].isna()).all()


def test_nothing_stays_behind_when_a_run_fails(graphs: Path, tmp_path: Path) -> None:
    def broken(*_: object) -> Iterator[tuple[pa.Table, float]]:
        yield PREDICTOR.predict(next(ParquetInput(graphs).tables())), 1.0
        raise UsageError("no")

    with pytest.raises(UsageError):
        outcome(graphs, tmp_path / "out.parquet", broken)
    assert list(tmp_path.iterdir()) == [graphs]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Graph files, a Parquet file, traces, and what can be none of these."""
    found = tmp_path / "many"
    found.mkdir()
    for number, graph in enumerate(call_graphs(6, 3)):
        save_graph(graph, found / f"a{number}.yaml")
    pq.write_table(graph_table((graph.name, graph) for graph in call_graphs(7, 4)), found / "b.parquet")
    calls = rpc("c1", "front", "back", 1_100, 300, "root", host="h")
    (found / "c.json").write_text(json.dumps(jaeger([ROOT, *calls], [ROOT])))
    (found / "d.json").write_text("[1, 2")
    (found / "readme.txt").write_text("not read")
    return found


def test_a_directory_gives_its_graphs_in_order(directory: Path, tmp_path: Path) -> None:
    done = outcome(directory, tmp_path / "out.parquet")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    names = ["a0.yaml", "a1.yaml", "a2.yaml", "g0", "g1", "g2", "g3", "c.json#1", "c.json#2", "d.json"]
    assert [row["graph"] for row in rows] == names
    assert [row["calls"] for row in rows[-3:]] == [1, 0, None]
    assert done.graphs == 10
    assert "d.json" in rows[-1]["error"]


def test_a_trace_has_its_own_times(directory: Path, tmp_path: Path) -> None:
    outcome(directory, tmp_path / "out.parquet")
    one, other = pq.read_table(tmp_path / "out.parquet").to_pylist()[-3:-1]
    assert other["latency_without_ns"] == 1e6
    assert one["latency_without_ns"] == pytest.approx(1e6 - 20e3)  # without the way to the callee
    assert other["baseline_vcpu"] == pytest.approx(2.0 * 1e-3)


def test_inputs_without_graphs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    for path, told in (
        (tmp_path, "no call graphs"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "x.txt", "Parquet"),
    ):
        with pytest.raises(UsageError, match=told):
            BatchInput(path, TRACES)


COLUMNS = {"graph": ["g"], "caller": ["ingress"], "callee": ["a"], "rate_rps": [1.0]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"caller": None}, "no column 'caller'"),
        ({"rate_rps": ["x"]}, "'rate_rps': expected numbers, found string"),
        ({"caller": [1]}, "'caller': expected text, found int64"),
        ({"asynchronous": [1]}, "'asynchronous': expected true or false"),
        ({"graph": [1.5]}, "'graph': expected text or whole numbers"),
        ({name: [] for name in COLUMNS}, "'graph': expected text or whole numbers, found null"),
    ],
)
def test_columns_that_are_wrong_are_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    columns = {name: values for name, values in {**COLUMNS, **changes}.items() if values is not None}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match=told):
        ParquetInput(tmp_path / "x.parquet")


def test_rows_without_graph_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({**COLUMNS, "graph": pa.array([None], pa.string())}), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="row 0 has no 'graph'"):
        list(ParquetInput(tmp_path / "x.parquet").tables())


def test_files_that_are_damaged_are_told(graphs: Path, tmp_path: Path) -> None:
    data = graphs.read_bytes()
    (tmp_path / "noise.parquet").write_bytes(random.Random(1).randbytes(1000))  # noqa: S311
    (tmp_path / "short.parquet").write_bytes(data[: len(data) // 2])
    holes = bytearray(data)
    holes[200 : len(data) // 2] = bytes(len(data) // 2 - 200)
    (tmp_path / "holes.parquet").write_bytes(holes)
    for name in ("noise", "short", "holes"):
        with pytest.raises(UsageError, match=f"{name}.parquet: "):
            outcome(tmp_path / f"{name}.parquet", tmp_path / "out.parquet")


def test_a_dask_cluster_gives_the_same_file_bit_for_bit(
    graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(run, "CHUNK_ROWS", 30)  # many more chunks than may be under way at once
    outcome(graphs, tmp_path / "here.parquet")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        DaskRunner(cluster.scheduler_address) as runner,
    ):
        outcome(graphs, tmp_path / "there.parquet", runner)
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


def test_a_scheduler_that_does_not_answer_is_told() -> None:
    with pytest.raises(UsageError, match="no Dask scheduler answers there within 1 s"):
        DaskRunner("tcp://127.0.0.1:1", timeout_s=1.0)


def test_without_dask_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(UsageError, match="pip install 'meshinsight"):
        DaskRunner("tcp://127.0.0.1:1")


def test_files_are_read_when_their_turn_comes(tmp_path: Path) -> None:
    """So memory holds a chunk, not the input."""
    for number in range(3):
        pq.write_table(graph_table([(f"g{number}", call_graphs(number, 1)[0])]), tmp_path / f"{number}.parquet")
    pieces = BatchInput(tmp_path, TRACES).pieces(20)
    next(pieces)
    pq.write_table(graph_table([("late", call_graphs(2, 1)[0])]), tmp_path / "2.parquet")
    assert [set(piece.table.column("graph").to_pylist()) for piece in pieces] == [{"g1"}, {"late"}]
