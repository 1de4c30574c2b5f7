"""Chunk after chunk through the predictor, here or on a Dask cluster, and into one file."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from predictor.batch.predictor import BatchPredictor
from predictor.batch.results import result_schema
from predictor.batch.sources import BatchInput, Piece

CHUNK_ROWS: Final = 60_000
CHUNK_ROWS_SAMPLED: Final = 2_000
"""With percentiles, which take as long as all else a hundred times."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARRAYS_BYTES: Final = 64 << 20
"""Settings of glibc's `mallopt`, and a size that no array of a chunk reaches."""


@dataclass(slots=True)
class Outcome:
    """What a run did: graphs in all, those that could not be predicted, and what is wrong with the first of them."""

    graphs: int = 0
    failed: int = 0
    first_failure: str = ""

    def add(self, table: pa.Table) -> None:
        errors = table.column("error")
        failed = len(errors) - errors.null_count
        if failed and not self.first_failure:
            row = errors.is_valid().to_pylist().index(True)
            self.first_failure = f"{table.column('graph')[row]}: {errors[row]}"
        self.graphs += len(errors)
        self.failed += failed


Runner = Callable[[BatchPredictor, Iterable[Piece]], Iterator[tuple[pa.Table, float]]]
"""Results of pieces in their order, each with the part of the input that is done."""


def here(predictor: BatchPredictor, pieces: Iterable[Piece]) -> Iterator[tuple[pa.Table, float]]:
    """In this process."""
    one_thread()
    keep_memory()
    for piece in pieces:
        yield predictor.predict(piece.table), piece.done


@cache
def one_thread() -> None:
    """Products of matrices by one thread from now on: others might add up in another order."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


@cache
def keep_memory() -> None:
    """What a chunk frees stays with this process for the next one: to give it back and get it again takes a tenth of
    the time. Where the C library is not glibc nothing happens.
    """  # noqa: D205 (one sentence)
    import ctypes

    with suppress(AttributeError, OSError):
        for setting in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(setting, _ARRAYS_BYTES)


def parquet_file(path: Path, schema: pa.Schema) -> Any:
    """A Parquet file that tables are written to, as a context manager."""
    return pq.ParquetWriter(path, schema, use_dictionary=False)


def predict_batch(
    source: BatchInput, predictor: BatchPredictor, out: Path, runner: Runner, *, percentiles: bool,
    progress: Callable[[int, float], Any], file: Callable[[Path, pa.Schema], Any] = parquet_file,
) -> Outcome:  # fmt: skip
    """Predict all graphs of `source` into the file `out`, which appears when it is complete.

    `progress` gets the number of graphs and the part of the input that are done. `file` opens the file to write.
    """
    outcome = Outcome()
    unfinished = out.with_name(f".{out.name}.unfinished")
    schema = result_schema(source.id_type, percentiles)
    try:
        with file(unfinished, schema) as writer:
            for table, done in runner(predictor, source.pieces(CHUNK_ROWS_SAMPLED if percentiles else CHUNK_ROWS)):
                writer.write_table(table)
                outcome.add(table)
                progress(outcome.graphs, done)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return outcome
