"""Reads Parquet files of the long form, piece by piece, and writes them. Messages name the file and the column."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from predictor.batch.columns import (
    ASYNCHRONOUS,
    FILTERS,
    GRAPH,
    NUMBER_BY_NAME,
    PERCENTILES,
    PERCENTS,
    REQUIRED,
    SCHEMA,
    TEXTS,
)
from predictor.batch.graphs import graph_table
from predictor.graph.types import CallGraph
from profiler.errors import UsageError

_ROWS_AT_ONCE: Final = 65_536
_GRAPHS_AT_ONCE: Final = 1_000
_BUFFER_BYTES: Final = 1 << 20
"""Of each column; without, its part of a row group is read as a whole."""


class ParquetInput:
    """One file. Raises `UsageError` when it is none, lacks columns or has them in other types."""

    def __init__(self, path: Path) -> None:
        self._path = path
        schema = self._open().schema_arrow
        for name in REQUIRED:
            if name not in schema.names:
                raise UsageError(f"{path}: no column {name!r}; needed are {', '.join(REQUIRED)} (docs/batch.md)")
        self._columns = [name for name in SCHEMA.names if name in schema.names]
        for name in self._columns:
            _check_type(path, name, schema.field(name).type)
        self._texts = [name for name in TEXTS if name in self._columns and not _is_list(schema.field(name).type)]
        self.rows = self._open().metadata.num_rows
        if self.rows == 0:
            raise UsageError(f"{path}: no rows; write one row per call, and one per entry")

    def _open(self, dictionaries: Iterable[str] = ()) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(
                self._path, read_dictionary=list(dictionaries), pre_buffer=False, buffer_size=_BUFFER_BYTES
            )
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{self._path}: cannot be read as Parquet: {reason}; write it again") from error

    def tables(self) -> Iterator[pa.Table]:
        """The rows in pieces. Raises `UsageError` for damage and for rows without graph."""
        seen = 0
        file = self._open(self._texts)
        try:
            for group in range(file.num_row_groups):  # all at once would hold the whole file in memory
                for batch in file.iter_batches(_ROWS_AT_ONCE, [group], self._columns, use_threads=False):
                    table = pa.Table.from_batches([batch])
                    self._check_ids(table, seen)
                    seen += table.num_rows
                    yield table
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{self._path}: damaged behind row {seen}: {reason}; write it again") from error

    def _check_ids(self, table: pa.Table, before: int) -> None:
        column = table.column(GRAPH)
        if column.null_count:
            row = before + column.is_null().to_pylist().index(True)
            raise UsageError(f"{self._path}: row {row} has no {GRAPH!r}; give every row the id of its graph")


def _check_type(path: Path, name: str, found: pa.DataType) -> None:
    plain = found.value_type if pa.types.is_dictionary(found) else found
    text = pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain)
    if pa.types.is_null(plain) and name not in REQUIRED:
        return
    number = pa.types.is_integer(plain) or pa.types.is_floating(plain) or pa.types.is_decimal(plain)
    if name == GRAPH:
        right, expected = text or pa.types.is_integer(plain), "text or whole numbers"
    elif name in NUMBER_BY_NAME:
        right, expected = number, "numbers"
    elif name == ASYNCHRONOUS:
        right, expected = pa.types.is_boolean(plain), "true or false"
    elif name in (PERCENTS, PERCENTILES):
        right, expected = _is_list(plain), "lists of numbers"
    elif name == FILTERS:
        right, expected = text or _is_list(plain), "text or lists of text"
    else:
        right, expected = text, "text"
    if not right:
        raise UsageError(f"{path}: column {name!r}: expected {expected}, found {found}; write it with that type")


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def write_graphs(path: Path, graphs: Iterable[tuple[str, CallGraph]]) -> None:
    """Write named graphs as a Parquet file of the long form."""
    waiting: list[tuple[str, CallGraph]] = []
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for item in graphs:
            waiting.append(item)
            if len(waiting) == _GRAPHS_AT_ONCE:
                writer.write_table(graph_table(waiting))
                waiting = []
        if waiting:
            writer.write_table(graph_table(waiting))
