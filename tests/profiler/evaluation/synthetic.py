"""Cells of a profile as the coefficients and the design read them, with an overhead that the test chooses."""

from typing import Any

Z95 = 1.96


def synthetic_cell(overhead_ns: float, error_ns: float = 1.0, **changes: Any) -> dict[str, Any]:
    """A cell whose overhead has that standard error, in latency by its interval and in CPU by two rounds."""
    return {
        "protocol": "http1",
        "topology": "both",
        "temperature": "hot",
        "proxy": "envoy",
        "application": "http1",
        "tls": "none",
        "filters": [],
        "transport": "ip",
        "workers": 1,
        "request_bytes": 0,
        "response_bytes": 0,
        "headers": 0,
        "messages": 1,
        "new_connections": False,
        "connections": 1,
        "rate_rps": None,
        "latency": {
            "overhead_p50_ns": overhead_ns,
            "overhead_ci95_ns": [overhead_ns - Z95 * error_ns, overhead_ns + Z95 * error_ns],
        },
        "cpu": {
            "baseline_cpu_ns_per_request": 1000.0,
            "with_cpu_ns_per_request": 1000.0 + overhead_ns,
            "components": {
                "ipc": {"rounds_ns": [overhead_ns - error_ns, overhead_ns]},
                "other": {"rounds_ns": [0.0, error_ns]},
            },
        },
        **changes,
    }
