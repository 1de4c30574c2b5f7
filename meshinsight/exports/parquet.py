"""Parquet: the rows of `show -o csv`, with typed columns. Needs the extra `export`."""

from io import BytesIO
from typing import Any, Final

from meshinsight.reports.subjects import profile_rows
from profiler.profile.types import Profile

_TEXTS: Final = frozenset({
    "run_id", "status", "cell", "protocol", "topology", "temperature", "loop", "proxy", "application", "tls", "filters",
    "transport", "placement", "variant", "currency", "component", "place", "direction", "source", "warnings", "errors",
})  # fmt: skip
_COUNTS: Final = frozenset({
    "request_bytes", "response_bytes", "connections", "rounds", "workers", "headers", "header_bytes", "messages",
    "samples", "dropped", "lost", "baseline_count", "with_count", "perf_samples",
})  # fmt: skip
_TRUTHS: Final = frozenset({"new_connections", "reference"})


def parquet(profile: Profile) -> bytes:
    """The file. What does not apply to a row is null; columns have the same types in every file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _type(name)) for name in profile_rows.COLUMNS])
    rows = [{name: row.get(name) for name in profile_rows.COLUMNS} for row in profile_rows.rows(profile)]
    file = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")
    return file.getvalue()


def _type(name: str) -> Any:
    import pyarrow as pa

    if name in _TEXTS:
        return pa.string()
    if name in _COUNTS:
        return pa.int64()
    return pa.bool_() if name in _TRUTHS else pa.float64()
