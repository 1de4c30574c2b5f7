"""Tables written as Parquet, read by an independent library."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from profiler.files.parquet import Column, parquet


def test_another_library_reads_values_and_types() -> None:
    columns: dict[str, Column] = {
        "cell": ["tcp", "ü" * 300, ""],
        "pieces": np.array([0, 1, 65535], np.uint16),
        "round": np.array([-1, 2**40, 3]),
        "time": np.array([0.5, -1.0, 3e9], np.float32),
        "cpu_ns": np.array([0.1, 1e300, -2.0]),
    }
    table = pq.read_table(io.BytesIO(parquet(columns)))
    assert [str(kind) for kind in table.schema.types] == ["string", "uint16", "int64", "float", "double"]
    assert table.to_pydict() == {name: list(column) for name, column in columns.items()}


@pytest.mark.parametrize("width", [1, 14, 15, 300])
@pytest.mark.parametrize("rows", [0, 1, 70_000])
def test_tables_of_any_size_are_read_back(width: int, rows: int) -> None:
    if width * rows > 2_000_000:
        width = 20
    columns: dict[str, Column] = {f"column {n}": np.arange(rows, dtype=np.int64) + n for n in range(width)}
    table = pq.read_table(io.BytesIO(parquet(columns)))
    assert (table.num_columns, table.num_rows) == (width, rows)
    assert all(np.array_equal(table[name].to_numpy(), column) for name, column in columns.items())


def test_values_that_are_no_numbers_stay() -> None:
    table = pq.read_table(io.BytesIO(parquet({"x": np.array([np.nan, np.inf], np.float32)})))
    assert np.array_equal(table["x"].to_numpy(), [np.nan, np.inf], equal_nan=True)


def test_columns_of_several_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        parquet({"a": ["x"], "b": np.zeros(2)})
