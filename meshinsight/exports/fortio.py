"""fortio's JSON of one cell: percentiles and histogram of its latency with sidecars. Needs the extra `export`."""

from collections.abc import Iterator
from typing import Any, Final

from profiler.files.json_text import json_line
from profiler.profile.histograms import Latencies
from profiler.profile.types import Cell, Profile
from profiler.vocabulary.protocols import GRPC, TCP

_SECOND: Final = 1e-9
_PERCENTILES: Final = (50.0, 75.0, 90.0, 99.0, 99.9)
_MOST_BUCKETS: Final = 200
"""fortio draws each bucket; its own files have about as many."""
_RUN_TYPES: Final = {TCP: "TCP", GRPC: "GRPC Ping"}


def fortio(profile: Profile, cell: Cell, found: Latencies) -> str:
    """The document that `fortio load -json` would write of this load; what fortio alone has is left out."""
    qps = cell.achieved_rps or 0.0
    document = {
        "RunType": _RUN_TYPES.get(cell.protocol, "HTTP"),
        "Labels": f"{cell.id} meshinsight {profile.run_id}",
        "StartTime": profile.created,
        "RequestedQPS": "max" if cell.rate_rps is None else f"{cell.rate_rps:g}",
        "RequestedDuration": f"exactly {found.count} calls",
        "ActualQPS": qps,
        "ActualDuration": round(found.count / qps * 1e9) if qps else 0,
        "NumThreads": cell.connections,
        "Version": f"meshinsight {profile.meshinsight_version}",
        "DurationHistogram": _histogram(found),
        "Exactly": found.count,
    }
    return json_line(document)


def _histogram(found: Latencies) -> dict[str, Any]:
    values, counts = found.values_ns * _SECOND, found.counts
    mean = float((values * counts).sum() / found.count)
    return {
        "Count": found.count,
        "Min": float(values[0]),
        "Max": float(values[-1]),
        "Sum": float((values * counts).sum()),
        "Avg": mean,
        "StdDev": float(((values - mean) ** 2 * counts).sum() / found.count) ** 0.5,
        "Data": list(_buckets(found)),
        "Percentiles": [{"Percentile": one, "Value": found.percentile_ns(one) * _SECOND} for one in _PERCENTILES],
    }


def _buckets(found: Latencies) -> Iterator[dict[str, float]]:
    """Neighbouring values together, so that there are about 200 buckets, each with at least its share of exchanges."""
    start, held, before = float(found.values_ns[0]), 0, 0
    least = found.count / _MOST_BUCKETS
    last = len(found.values_ns) - 1
    for place, (value, count) in enumerate(zip(found.values_ns.tolist(), found.counts.tolist(), strict=True)):
        held += count
        if held >= least or place == last:
            before += held
            percent = 100.0 * before / found.count
            yield {"Start": start * _SECOND, "End": value * _SECOND, "Percent": percent, "Count": held}
            start, held = float(value), 0
