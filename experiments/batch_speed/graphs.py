"""Random call graphs as Parquet of the long form, made with numpy: as many and as large as asked for."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_ROWS_AT_ONCE: Final = 500_000
_PROTOCOLS: Final = ("http1", "grpc", "tcp", "http2")
_USUAL: Final = (0.5, 0.4, 0.1, 0.0)
_MIXED: Final = (0.4, 0.3, 0.1, 0.2)
_PARENTS: Final = 8
"""A service is called by one of so many before it, so depth grows with the logarithm of the size at most."""


def rows(graphs: int, calls: int, first: int, mixed: bool, rng: np.random.Generator) -> pa.Table:
    """Trees with one entry: sizes, protocols, stages, probabilities, replicas and own times are random.

    mTLS everywhere and three protocols, as in a mesh; `mixed`: four, with mTLS on every other edge, by chance.
    """
    count = graphs * (calls + 1)
    callee = np.tile(np.arange(calls + 1), graphs)
    caller = np.maximum(callee - 1, 0) // rng.integers(1, _PARENTS, count)
    entry = callee == 0
    services = pa.array([*(f"service-{number}" for number in range(calls + 1)), "ingress"])

    def text(codes: Any, words: Any) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words))

    return pa.table(
        {
            "graph": pa.array(np.repeat(np.arange(first, first + graphs), calls + 1)),
            "caller": text(np.where(entry, calls + 1, caller), services),
            "callee": text(callee, services),
            "rate_rps": pa.array(rng.uniform(1.0, 500.0, count), mask=~entry),
            "protocol": text(rng.choice(4, count, p=_MIXED if mixed else _USUAL), _PROTOCOLS),
            "tls": text((rng.random(count) < (0.5 if mixed else 2.0)).astype(int), ["none", "mtls"]),
            "request_bytes": np.round(rng.lognormal(6.0, 1.0, count)),
            "response_bytes": np.round(rng.lognormal(7.0, 1.0, count)),
            "calls_per_request": np.where(rng.random(count) < 0.2, rng.choice([0.25, 0.5, 2.0], count), 1.0),
            "stage": rng.integers(0, 3, count),
            "service_time_ns": np.round(rng.exponential(2e6, count)),
            "replicas": rng.integers(1, 4, count),
        }
    )


def write(path: Path, graphs: int, calls: int, mixed: bool = False) -> None:
    """Write so many graphs of so many calls."""
    rng = np.random.default_rng(29)
    at_once = max(_ROWS_AT_ONCE // (calls + 1), 1)
    writer = None
    for first in range(0, graphs, at_once):
        table = rows(min(at_once, graphs - first), calls, first, mixed, rng)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
