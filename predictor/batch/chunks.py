"""Tables of rows cut into chunks of whole graphs. Where a chunk ends depends on the rows alone. Pure."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from predictor.batch.columns import GRAPH
from predictor.batch.decode import graph_column


def chunks(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Chunks of at most `rows` rows, more only where one graph has more; a graph may go over several tables."""
    held: list[pa.Table] = []
    count, wanted = 0, rows
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count > wanted:
            joined = pa.concat_tables(held)
            cut = _cut(joined, rows)
            if cut is None:  # one graph so far: look again when there is twice as much
                held, wanted = [joined], 2 * count
                break
            yield joined.slice(0, cut)
            held, count, wanted = [joined.slice(cut)], count - cut, rows
    if count:
        joined = pa.concat_tables(held)
        while joined.num_rows > rows and (cut := _cut(joined, rows)) is not None:
            yield joined.slice(0, cut)
            joined = joined.slice(cut)
        yield joined


def _cut(table: pa.Table, rows: int) -> int | None:
    """The last beginning of a graph within the first `rows` rows after the first, else the first one behind them."""
    _, within, _ = graph_column(table.slice(0, rows + 1).select([GRAPH]))
    if len(within) > 1:
        return int(within[-1])
    _, starts, _ = graph_column(table.select([GRAPH]))
    return int(starts[1]) if len(starts) > 1 else None
