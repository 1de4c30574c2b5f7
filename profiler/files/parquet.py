"""Writing a plain table as Parquet, so that measuring needs no library of 100 MB. Reading is left to libraries.

One row group, one page per column, all values present, packed with zstd. The format: https://parquet.apache.org/docs/file-format/
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from profiler.files.zstd import zstd

Column: TypeAlias = "npt.NDArray[np.generic] | Sequence[str]"

_MAGIC: Final = b"PAR1"
_PLAIN, _RLE, _REQUIRED, _ZSTD = 0, 3, 0, 6
_TEXT: Final = (6, 0)
_KINDS: Final = {"uint16": (1, 12), "int64": (2, None), "float32": (4, None), "float64": (5, None)}
"""Physical type and, where it differs, converted type."""
_STORED: Final = {"uint16": "<i4", "int64": "<i8", "float32": "<f4", "float64": "<f8"}
_Value: TypeAlias = "_Int32 | int | str | list[_Value] | dict[int, _Value]"


class _Int32(int):
    """A number of 32 bits; others have 64."""


def parquet(columns: Mapping[str, Column]) -> bytes:
    """The table as a file. Columns are arrays of uint16, int64, float32 or float64, or texts, all of one length.

    Raises:
        ValueError: columns of several lengths.
        KeyError: an array of another type.
    """
    rows = len(next(iter(columns.values()), ()))
    if any(len(column) != rows for column in columns.values()):
        raise ValueError("columns of a table have one length")
    file, chunks = bytearray(_MAGIC), list[_Value]()
    schema: list[_Value] = [{4: "schema", 5: _Int32(len(columns))}]
    for name, column in columns.items():
        physical, converted = _kind(column)
        element: dict[int, _Value] = {1: _Int32(physical), 3: _Int32(_REQUIRED), 4: name}
        schema.append(element if converted is None else element | {6: _Int32(converted)})
        start = len(file)
        plain_bytes = _append_page(file, column)
        meta: dict[int, _Value] = {1: _Int32(physical), 2: [_Int32(_PLAIN), _Int32(_RLE)], 3: [name], 4: _Int32(_ZSTD)}
        meta |= {5: rows, 6: plain_bytes, 7: len(file) - start, 9: start}
        chunks.append({2: start, 3: meta})
    group: _Value = {1: chunks, 2: len(file) - len(_MAGIC), 3: rows}
    footer = _struct({1: _Int32(1), 2: schema, 3: rows, 4: [group] if columns else [], 6: "meshinsight"})
    return bytes(file) + footer + struct.pack("<I", len(footer)) + _MAGIC


def _kind(column: Column) -> tuple[int, int | None]:
    return _KINDS[column.dtype.name] if isinstance(column, np.ndarray) else _TEXT


def _append_page(file: bytearray, column: Column) -> int:
    """Append the column's page; returns its size with header, before packing."""
    plain = _plain(column)
    packed: bytes = zstd().compress(plain)
    about: _Value = {1: _Int32(len(column)), 2: _Int32(_PLAIN), 3: _Int32(_RLE), 4: _Int32(_RLE)}
    header = _struct({1: _Int32(0), 2: _Int32(len(plain)), 3: _Int32(len(packed)), 5: about})
    file += header + packed
    return len(header) + len(plain)


def _plain(column: Column) -> bytes:
    if isinstance(column, np.ndarray):
        return column.astype(_STORED[column.dtype.name]).tobytes()
    encoded = {text: text.encode() for text in set(column)}
    prefixed = {text: struct.pack("<I", len(data)) + data for text, data in encoded.items()}
    return b"".join(prefixed[text] for text in column)


def _struct(fields: Mapping[int, _Value]) -> bytes:
    """Thrift's compact protocol, of which the headers and the footer are made."""
    written, last = bytearray(), 0
    for number, value in fields.items():
        written += bytes([(number - last) << 4 | _code(value)]) + _written(value)
        last = number
    return bytes(written) + b"\0"


def _code(value: _Value) -> int:
    if isinstance(value, int):
        return 5 if isinstance(value, _Int32) else 6
    return 8 if isinstance(value, str) else 9 if isinstance(value, list) else 12


def _written(value: _Value) -> bytes:
    if isinstance(value, int):
        return _varint(value << 1)  # zigzag: none is negative
    if isinstance(value, str):
        data = value.encode()
        return _varint(len(data)) + data
    if isinstance(value, list):
        code = _code(value[0]) if value else 12
        head = bytes([len(value) << 4 | code]) if len(value) < 15 else bytes([0xF0 | code]) + _varint(len(value))
        return head + b"".join(map(_written, value))
    return _struct(value)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
