"""Parquet files that are damaged, odd, or not of the long form: one line each."""

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from predictor.batch.graphs import graph_table
from predictor.batch.parquet import ParquetInput
from predictor.graph.types import Call, CallGraph, Ingress, Service
from profiler.errors import UsageError

HOSTILE = Path(__file__).parents[2] / "data" / "hostile"
GRAPH = CallGraph((Service("a"), Service("b")), (Call("a->b", "a", "b"),), (Ingress("a", 5.0),), name="x")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pq.write_table(graph_table([("x", GRAPH), ("y", GRAPH)]), tmp_path / "graphs.parquet")
    return tmp_path / "graphs.parquet"


def refused(file: Path) -> str:
    with pytest.raises(UsageError) as error:
        list(ParquetInput(file).tables())
    assert "\n" not in str(error.value)
    return str(error.value)


def with_column(file: Path, name: str, column: Any) -> Path:
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(name), name, column), file)
    return file


def test_a_column_that_is_there_twice_is_named() -> None:
    assert "column 'headers' is there 2 times; write it once" in refused(HOSTILE / "batch-column-twice.parquet")


def test_names_that_are_not_utf_8_are_one_line() -> None:
    assert "not UTF-8" in refused(HOSTILE / "batch-column-not-utf8.parquet")


def test_damage_anywhere_is_one_line_or_none(file: Path) -> None:
    whole, chooser = file.read_bytes(), random.Random(3)  # noqa: S311 (the same damage in every run)
    for _ in range(150):
        damaged = bytearray(whole)
        place = chooser.randrange(len(damaged))
        if chooser.random() < 0.5:
            damaged[place] ^= 1 << chooser.randrange(8)
        else:
            del damaged[place : place + chooser.randrange(1, 400)]
        file.write_bytes(bytes(damaged))
        with suppress(UsageError):
            list(ParquetInput(file).tables())


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("rate_rps", pa.array(["1"] * 4), "expected numbers, found string"),
        ("filters", pa.array([[1]] * 4), "expected text or lists of text"),
        ("service_time_percents", pa.array([["50"]] * 4), "expected lists of numbers"),
        ("caller", pa.array([b"\xff"] * 4), "expected text, found binary"),
    ],
)
def test_columns_of_another_type_are_named(file: Path, name: str, column: Any, expected: str) -> None:
    assert f"column {name!r}: {expected}" in refused(with_column(file, name, column))


def test_a_column_of_nulls_alone_is_as_if_left_out(file: Path) -> None:
    with_column(file, "asynchronous", pa.nulls(4))
    tables = list(ParquetInput(file).tables())
    assert "asynchronous" not in tables[0].column_names


def test_a_closed_loop_has_no_rate_to_be_written() -> None:
    with pytest.raises(UsageError, match="ingress->a: predict-batch takes no connections"):
        graph_table([("x", replace(GRAPH, ingress=(Ingress("a", connections=2),)))])
