"""The figures as a table: one row per graph, in the order of the graphs. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from predictor.batch.decode import Booleans, Indices

FIGURES: Final = (
    "latency_without_ns", "latency_with_ns", "latency_overhead_ns", "latency_overhead_low_ns",
    "latency_overhead_high_ns", "vcpu", "vcpu_low", "vcpu_high", "baseline_vcpu", "memory_bytes",
)  # fmt: skip
FLAGS: Final = ("extrapolated", "saturated")
STATISTICS: Final = ("p50", "p90", "p95", "p99")
_MAY_BE_UNKNOWN: Final = ("memory_bytes", *(f"{statistic}_" for statistic in STATISTICS))
PARTS: Final = ("without_ns", "with_ns", "overhead_ns", "overhead_low_ns", "overhead_high_ns")


def result_schema(names: pa.DataType, percentiles: bool) -> pa.Schema:
    """The columns of the output; `names` is the type of the graphs' ids."""
    more = [f"{statistic}_{part}" for statistic in STATISTICS for part in PARTS] if percentiles else []
    return pa.schema(
        [
            ("graph", names),
            ("calls", pa.int64()),
            *((name, pa.float64()) for name in (*FIGURES, *more)),
            *((name, pa.bool_()) for name in FLAGS),
            ("error", pa.string()),
        ]
    )


def result_table(
    names: pa.Array,
    kept: Indices,
    figures: Mapping[str, Any],
    errors: Mapping[int, str],
    endless: Booleans,
    percentiles: bool,
) -> pa.Table:
    """The table; `figures` are of the graphs `kept`, the others have `errors`, which some of these may have too.

    Times of `endless` graphs (by place in `kept`), whose sidecars have more work than time, are null.
    """
    schema = result_schema(names.type, percentiles)
    columns: list[Any] = [names]
    missing = np.ones(len(names), dtype=np.bool_)
    missing[kept] = False
    missing[list(errors)] = True
    without_end = np.zeros(len(names), dtype=np.bool_)
    without_end[kept] = endless
    for column in schema:
        if column.name in ("graph", "error"):
            continue
        values = np.zeros(len(names), dtype=column.type.to_pandas_dtype())
        if len(kept):
            values[kept] = figures[column.name]
        unknown = missing | np.isnan(values) if column.name.startswith(_MAY_BE_UNKNOWN) else missing
        if column.name.endswith("_ns") and not column.name.endswith("without_ns"):
            unknown = unknown | without_end
        columns.append(pa.array(values, column.type, mask=unknown if unknown.any() else None))
    texts = [errors.get(number) for number in range(len(names))] if errors else [None] * len(names)
    columns.append(pa.array(texts, pa.string()))
    return pa.Table.from_arrays(columns, schema=schema)
