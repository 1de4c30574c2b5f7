"""Parquet files: tables with other columns, types and values, and changed bytes, of the footer mostly."""

import io
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.mutators.binary import mutate_bytes
from tests.fuzz.mutators.values import NUMBERS, TEXTS, Raw

_FOOTER_BYTES: Final = 8
_TYPES: Final[Sequence[pa.DataType]] = (
    pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(),
    pa.bool_(),
    pa.list_(pa.float64()), pa.list_(pa.string()), pa.dictionary(pa.int32(), pa.string()), pa.null(), pa.date32(),
    pa.timestamp("ns"), pa.decimal128(20, 3), pa.struct([("a", pa.int64())]), pa.large_list(pa.float64()), pa.float16(),
)  # fmt: skip
_PLAIN_TEXTS: Final = tuple(text for text in TEXTS if not isinstance(text, Raw) and len(text) < 1000)
_PLAIN_NUMBERS: Final = (*(number for number in NUMBERS if not isinstance(number, Raw)), float("nan"), float("inf"))


def written(table: pa.Table) -> bytes:
    """A table as a Parquet file."""
    target = io.BytesIO()
    pq.write_table(table, target, compression="NONE")
    return target.getvalue()


def mutate_parquet(data: bytes, rng: random.Random) -> bytes:
    """Half of the time the table, else the footer, names in it, or bytes anywhere."""
    kind = rng.random()
    if kind < 0.6:
        try:
            return written(_changed(pq.read_table(io.BytesIO(data)), rng))
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError):
            return mutate_bytes(data, rng)
    if kind < 0.9 and len(data) > _FOOTER_BYTES:
        return _other_footer(data, rng)
    return mutate_bytes(data, rng)


def _other_footer(data: bytes, rng: random.Random) -> bytes:
    """The same length of footer, so that it is parsed; seldom another length."""
    size = int.from_bytes(data[-_FOOTER_BYTES:-4], "little")
    begin = max(0, len(data) - _FOOTER_BYTES - size)
    footer = bytearray(data[begin:-_FOOTER_BYTES])
    for _ in range(rng.choice((1, 1, 2, 8))):
        if footer:
            footer[rng.randrange(len(footer))] = rng.randrange(256)
    if rng.random() < 0.1:
        size = rng.choice((0, size - 1, size + 1, 2**31, 2**32 - 1)) % 2**32
    return data[:begin] + bytes(footer) + size.to_bytes(4, "little") + data[-4:]


def _changed(table: pa.Table, rng: random.Random) -> pa.Table:
    changes: Sequence[Callable[[pa.Table, random.Random], pa.Table]] = (
        _renamed, _doubled, _removed, _cast, _values, _values, _values, _values, _shuffled, _rows,
    )  # fmt: skip
    for _ in range(rng.choice((1, 1, 2))):
        table = rng.choice(changes)(table, rng)
    return table


def _renamed(table: pa.Table, rng: random.Random) -> pa.Table:
    names = list(table.column_names)
    if names:
        names[rng.randrange(len(names))] = rng.choice((*_PLAIN_TEXTS, *names))
    return table.rename_columns(names)


def _doubled(table: pa.Table, rng: random.Random) -> pa.Table:
    at = rng.randrange(table.num_columns)
    return table.append_column(rng.choice((table.field(at).name, "other")), table.column(at))


def _removed(table: pa.Table, rng: random.Random) -> pa.Table:
    return table.remove_column(rng.randrange(table.num_columns))


def _cast(table: pa.Table, rng: random.Random) -> pa.Table:
    at, kind = rng.randrange(table.num_columns), rng.choice(_TYPES)
    try:
        column = table.column(at).cast(kind)
    except (pa.ArrowException, NotImplementedError):
        column = pa.nulls(table.num_rows, kind)
    return table.set_column(at, table.field(at).name, column)


def _values(table: pa.Table, rng: random.Random) -> pa.Table:
    at = rng.randrange(table.num_columns)
    values = table.column(at).to_pylist()
    for _ in range(rng.choice((1, 1, 3))):
        if values:
            values[rng.randrange(len(values))] = _like(rng.choice(values), rng)
    try:
        column = pa.array(values, table.field(at).type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        column = pa.array([str(value) for value in values])
    return table.set_column(at, table.field(at).name, column)


def _like(old: Any, rng: random.Random) -> Any:
    if rng.random() < 0.15:
        return None
    if isinstance(old, str):
        return rng.choice(_PLAIN_TEXTS)
    if isinstance(old, list):
        return rng.choice(([], [None], [*old, *old], old[::-1], [rng.choice(_PLAIN_NUMBERS)] * 3))
    if isinstance(old, bool):
        return not old
    return rng.choice((*_PLAIN_NUMBERS, -1, 0, 2))


def _shuffled(table: pa.Table, rng: random.Random) -> pa.Table:
    order = list(range(table.num_rows))
    rng.shuffle(order)
    return table.take(order)


def _rows(table: pa.Table, rng: random.Random) -> pa.Table:
    return rng.choice((table.slice(0, 0), table.slice(1), pa.concat_tables([table] * rng.choice((2, 50)))))
