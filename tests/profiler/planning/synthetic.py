"""Cells of a profile as the design reads them, with an overhead that the test chooses."""

from typing import Any

from msgspec.structs import replace

from profiler.profile.types import Cell
from tests.profiler.evaluation.blocks import EXAMPLE


def synthetic_cell(overhead_ns: float, error_ns: float = 1.0, **changes: Any) -> Cell:
    """A cell whose latency overhead has that standard error, with empty messages."""
    first = EXAMPLE.cells[0]
    assert first.latency is not None
    latency = replace(first.latency, overhead_p50_ns=overhead_ns, overhead_error_ns=error_ns)
    usual = {"protocol": "http1", "topology": "both", "request_bytes": 0, "response_bytes": 0, "placement": "free"}
    return replace(first, latency=latency, **(usual | changes))
