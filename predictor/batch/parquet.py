"""Reads Parquet files of the long form, piece by piece, and writes them. Messages name the file and the column."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
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
from profiler.errors import UsageError
from profiler.text import one_line

_DAMAGES: Final = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError)
"""What pyarrow raises for damaged files: not all of it is its own exceptions."""

_ROWS_AT_ONCE: Final = 65_536
_BUFFER_BYTES: Final = 1 << 20
"""Of each column; without, its part of a row group is read as a whole."""


class ParquetInput:
    """One file. Raises `UsageError` when it is none, lacks columns or has them in other types."""

    def __init__(self, path: Path) -> None:
        self._path = path
        opened = self._open()
        names, types = self._schema(opened)
        for name in REQUIRED:
            if name not in names:
                needed = f"needed are {', '.join(REQUIRED)} (docs/reference/batch.md)"
                raise UsageError(f"{path}: no column {name!r}; {needed}")
        # A column of nulls alone has no type, and says as much as none.
        empty = {name for name, kind in zip(names, types, strict=True) if pa.types.is_null(_plain(kind))}
        self._columns = [name for name in SCHEMA.names if name in names and (name in REQUIRED or name not in empty)]
        for name in self._columns:
            if names.count(name) > 1:
                raise UsageError(f"{path}: column {name!r} is there {names.count(name)} times; write it once")
            _check_type(path, name, types[names.index(name)])
        self._texts = [name for name in TEXTS if name in self._columns and not _is_list(types[names.index(name)])]
        self.rows = opened.metadata.num_rows
        if self.rows == 0:
            raise UsageError(f"{path}: no rows; write one row per call, and one per entry")

    def _schema(self, opened: pq.ParquetFile) -> tuple[list[str], list[pa.DataType]]:
        """Names of the columns and their types. Names that are not text belong to no column that is read."""
        schema = self._checked("cannot be read as Parquet", lambda: opened.schema_arrow)
        names = []
        for number in range(len(schema)):
            try:
                names.append(str(schema.field(number).name))
            except UnicodeDecodeError:
                raise UsageError(
                    f"{self._path}: the name of column {number + 1} is not UTF-8 text; rename it or leave it out"
                ) from None
        return names, [schema.field(number).type for number in range(len(schema))]

    def _open(self, dictionaries: Iterable[str] = ()) -> pq.ParquetFile:
        return self._checked(
            "cannot be read as Parquet",
            lambda: pq.ParquetFile(
                self._path, read_dictionary=list(dictionaries), pre_buffer=False, buffer_size=_BUFFER_BYTES
            ),
        )

    def _checked(self, problem: str, read: Callable[[], Any]) -> Any:
        """What `read` gives. Raises `UsageError` where the file is damaged, in whatever way pyarrow says so."""
        try:
            return read()
        except UnicodeDecodeError as error:
            raise UsageError(f"{self._path}: {problem}: a name in it is not UTF-8 text; write it again") from error
        except _DAMAGES as error:
            raise UsageError(f"{self._path}: {problem}: {_reason(error)}; write it again") from error

    def tables(self) -> Iterator[pa.Table]:
        """The rows in pieces. Raises `UsageError` for damage and for rows without graph."""
        seen = 0
        batches = self._batches()
        while (table := self._checked(f"damaged after row {seen}", partial(_next_sound, batches))) is not None:
            self._check_ids(table, seen)
            seen += table.num_rows
            yield table

    def _batches(self) -> Iterator[pa.RecordBatch]:
        file = self._open(self._texts)
        for group in range(file.num_row_groups):  # all at once would hold the whole file in memory
            yield from file.iter_batches(_ROWS_AT_ONCE, [group], self._columns, use_threads=False)

    def _check_ids(self, table: pa.Table, before: int) -> None:
        column = table.column(GRAPH)
        if column.null_count:
            row = before + column.is_null().to_pylist().index(True)
            raise UsageError(f"{self._path}: row {row} has no {GRAPH!r}; give every row the id of its graph")


def _next_sound(batches: Iterator[pa.RecordBatch]) -> pa.Table | None:
    """The next rows, whose values were checked. Raises `pa.ArrowInvalid` for offsets and texts that are none."""
    batch = next(batches, None)
    if batch is None:
        return None
    table = pa.Table.from_batches([batch])
    table.validate(full=True)
    return table


def _reason(error: BaseException) -> str:
    return one_line(str(error).split("\n", 1)[0]) or type(error).__name__


def _check_type(path: Path, name: str, found: pa.DataType) -> None:
    plain = _plain(found)
    text = _is_text(plain)
    number = _is_number(plain)
    if name == GRAPH:
        right, expected = text or pa.types.is_integer(plain), "text or whole numbers"
    elif name in NUMBER_BY_NAME:
        right, expected = number, "numbers"
    elif name == ASYNCHRONOUS:
        right, expected = pa.types.is_boolean(plain), "true or false"
    elif name in (PERCENTS, PERCENTILES):
        right, expected = _is_list(plain) and _is_number(plain.value_type), "lists of numbers"
    elif name == FILTERS:
        right, expected = text or (_is_list(plain) and _is_text(plain.value_type)), "text or lists of text"
    else:
        right, expected = text, "text"
    if not right:
        raise UsageError(f"{path}: column {name!r}: expected {expected}, found {found}; write it with that type")


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
