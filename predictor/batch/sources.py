"""What `predict-batch` is given: a Parquet file, or a directory of call graph files, traces and Parquet files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from predictor.batch.chunks import chunks
from predictor.batch.columns import GRAPH
from predictor.batch.graphs import Row, failed_row, graph_rows, rows_table
from predictor.batch.parquet import ParquetInput
from predictor.graph.reader import load_graph
from predictor.importers.streams import open_source
from predictor.importers.traces.formats.jaeger import read_jaeger
from predictor.importers.traces.reading import TraceOptions, import_traces
from predictor.importers.traces.spans.spans import SpanBatch, Vocabulary
from profiler.errors import UsageError

_GRAPHS: Final = (".yaml", ".yml", ".json")
_TRACES: Final = (".json", ".jsonl", ".ndjson")
_PARQUET: Final = ".parquet"
_BEGINNING: Final = 4096
_OF_JAEGER: Final = re.compile(rb'"(spans|data|traceID|processes)"\s*:')
_ROWS_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some whole graphs; `done` is the part of the input that is read with them."""

    table: pa.Table
    done: float


class BatchInput:
    """The graphs of a file or directory, in order. Raises `UsageError` when there can be none."""

    def __init__(self, path: Path, traces: TraceOptions) -> None:
        self._path = path
        self._traces = traces
        if path.is_dir():
            self._files = [file for file in sorted(path.rglob("*")) if file.is_file() and _ending(file)]
            if not self._files:
                raise UsageError(
                    f"{path}: no call graphs in this directory; give one with .yaml, .yml, .json or .parquet files"
                )
        elif path.exists():
            self._files = [path]
        else:
            raise UsageError(f"{path}: no such file or directory; check the name")
        self._single = not path.is_dir()
        if self._single and path.suffix in (*_GRAPHS, *_TRACES, ".gz"):
            raise UsageError(f"{path}: expected a Parquet file or a directory; give the directory this file is in")
        self._parquet = {file: ParquetInput(file) for file in self._files if self._single or file.suffix == _PARQUET}

    @property
    def id_type(self) -> pa.DataType:
        """The type of the graphs' ids."""
        if not self._single:
            return pa.string()
        found = next(self._parquet[self._path].tables()).column(GRAPH).type
        return found.value_type if pa.types.is_dictionary(found) else found

    def pieces(self, rows: int) -> Iterator[Piece]:
        """The graphs in chunks of about so many rows, which depend on the input alone."""
        for number, file in enumerate(self._files):
            if file in self._parquet:
                yield from self._of_parquet(file, number, rows)
            elif number == 0 or self._files[number - 1] in self._parquet:
                yield from self._of_others(number, rows)

    def _of_parquet(self, file: Path, number: int, rows: int) -> Iterator[Piece]:
        source, read = self._parquet[file], 0
        tables = source.tables() if self._single else (_with_text_ids(table) for table in source.tables())
        for table in chunks(tables, rows):
            read += table.num_rows
            yield Piece(table, (number + read / source.rows) / len(self._files))

    def _of_others(self, number: int, rows: int) -> Iterator[Piece]:
        """The graphs of neighbouring files that are not Parquet."""
        waiting: list[Row] = []
        graphs: list[Row] = []
        for place in range(number, len(self._files)):
            if self._files[place] in self._parquet:
                break
            for graphs in self._graphs(self._files[place]):
                waiting += graphs
                if len(waiting) >= min(rows, _ROWS_AT_ONCE):
                    yield Piece(rows_table(waiting), (place + 1) / len(self._files))
                    waiting = []
        if waiting:
            yield Piece(rows_table(waiting), place / len(self._files))

    def _graphs(self, file: Path) -> Iterator[list[Row]]:
        """The rows of each graph of a file; where it cannot be read, one row that says so."""
        name = str(file.relative_to(self._path))
        try:
            if _has_traces(file):
                yield from self._of_traces(file, name)
            else:
                yield graph_rows(load_graph(file), name)
        except UsageError as error:
            yield [failed_row(name, str(error))]

    def _of_traces(self, file: Path, name: str) -> Iterator[list[Row]]:
        words = Vocabulary()
        number = 0
        for batch in read_jaeger([file], words):
            for trace in single_traces(batch):
                number += 1
                known = f"{name}#{number}"
                try:
                    graph = import_traces([trace], words, f"{file}, trace {number}", self._traces).graph
                except UsageError as error:
                    yield [failed_row(known, str(error))]
                else:
                    yield graph_rows(graph, known)


def single_traces(batch: SpanBatch) -> Iterator[SpanBatch]:
    """A batch's traces one by one."""
    if not batch.trace.size:
        return
    bounds = np.flatnonzero(np.diff(batch.trace, prepend=-1, append=-1)).tolist()
    for start, end in pairwise(bounds):
        rows = slice(start, end)
        one = SpanBatch(*(getattr(batch, column.name)[rows] for column in fields(batch)))
        parent = np.where(one.parent >= 0, one.parent - start, one.parent)
        yield replace(one, trace=np.zeros_like(one.trace), parent=parent)


def _ending(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith((*_GRAPHS, *_TRACES)) or file.suffix == _PARQUET


def _has_traces(file: Path) -> bool:
    """Whether a file has Jaeger's traces rather than a call graph."""
    if not file.name.removesuffix(".gz").endswith(_TRACES):
        return False
    with open_source(file) as source:
        beginning = source.peek(_BEGINNING)
    return b'"meshinsight-graph"' not in beginning and _OF_JAEGER.search(beginning) is not None


def _with_text_ids(table: pa.Table) -> pa.Table:
    column = table.column(GRAPH)
    return table.set_column(table.schema.get_field_index(GRAPH), GRAPH, column.cast(pa.string()))
