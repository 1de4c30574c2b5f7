"""Chunks as tasks of a Dask cluster: the same arithmetic on the same chunks, so the same numbers."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from predictor.batch.predictor import BatchPredictor
from predictor.batch.run import one_thread
from predictor.batch.sources import Piece
from profiler.errors import MeshInsightError, UsageError

_CONNECT_S: Final = 5.0
_PER_THREAD: Final = 2
"""Chunks under way for each thread of the cluster; more would only fill memory."""


class DaskRunner:
    """Runs chunks on the cluster whose scheduler is at `address`. Raises `UsageError` when it does not answer."""

    def __init__(self, address: str, timeout_s: float = _CONNECT_S) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise UsageError("--scheduler needs Dask; install it with: pip install 'meshinsight[dask]'") from error
        try:
            # Dask annotates some functions and not others.
            self._client: Any = Client(address, timeout=timeout_s, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"--scheduler {address}: no Dask scheduler answers there within {timeout_s:g} s; check the address "
                "(tcp://HOST:8786) and that `dask scheduler` runs"
            ) from error

    def __enter__(self) -> "DaskRunner":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, predictor: BatchPredictor, pieces: Iterable[Piece]) -> Iterator[tuple[pa.Table, float]]:
        """Results in the order of the pieces. Raises `MeshInsightError` when the cluster fails."""
        threads = sum(self._client.nthreads().values())
        if not threads:
            raise UsageError("--scheduler: its cluster has no workers; start some with: dask worker ADDRESS")
        model = self._client.scatter(predictor, broadcast=True, hash=False)
        waiting: deque[tuple[Any, float]] = deque()
        for piece in pieces:
            waiting.append((self._client.submit(_predict, model, _packed(piece.table), pure=False), piece.done))
            if len(waiting) > _PER_THREAD * threads:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


def _result(future: Any, done: float) -> tuple[pa.Table, float]:
    try:
        return _unpacked(future.result()), done
    except MeshInsightError:
        raise
    except Exception as error:
        raise MeshInsightError(f"the Dask cluster failed: {type(error).__name__}: {error}; see its logs") from error


def _predict(predictor: BatchPredictor, table: bytes) -> bytes:
    """The task."""
    one_thread()
    return _packed(predictor.predict(_unpacked(table)))


def _packed(table: pa.Table) -> bytes:
    """A table as Arrow's stream; nothing but its own rows goes over the wire."""
    table = table.combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _unpacked(packed: bytes) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()
