"""Profiles with known coefficients: what a perfect measurement of them would have been."""

from collections.abc import Mapping, Sequence
from typing import Any

Coefficients = Mapping[str, tuple[float, ...]]
"""By component: ns at base, per request byte, per response byte, per header, per new connection."""

LOADS = ((0, 0, 0, 0), (1000, 0, 0, 0), (0, 1000, 0, 0), (3000, 2000, 10, 0), (500, 700, 0, 1), (9000, 8000, 4, 0))
"""Request bytes, response bytes, headers, new connections."""

HTTP: Coefficients = {"ipc": (20e3, 1.0, 2.0, 0.0, 0.0), "parsing": (50e3, 0.5, 0.25, 300.0, 9e3)}
TCP: Coefficients = {"ipc": (10e3, 1.0, 1.0, 0.0, 0.0), "proxy_core": (5e3, 0.25, 0.5, 10.0, 8e3)}


def value(coefficients: Coefficients, load: tuple[float, ...], name: str) -> float:
    base, *slopes = coefficients[name]
    return base + sum(slope * amount for slope, amount in zip(slopes, load, strict=True))


def cell(
    coefficients: Coefficients, load: tuple[float, ...], rounds: Sequence[float] = (), **dimensions: Any
) -> dict[str, Any]:
    """A cell whose latency is `coefficients`, its CPU twice that; `rounds` are factors, one per round."""
    found = {name: value(coefficients, load, name) for name in coefficients}
    client = dimensions.pop("client_share", 0.5)
    ratio = dimensions.pop("mean_ratio", 1.0)
    total = sum(found.values())
    latency = {
        name: {"median_ns": ns, "mean_ns": ratio * ns, **({"rounds_ns": [ns * f for f in rounds]} if rounds else {})}
        for name, ns in found.items()
    }
    cpu = {
        name: {"cpu_ns_per_request": 2 * ns, **({"rounds_ns": [2 * ns * f for f in rounds]} if rounds else {})}
        for name, ns in found.items()
    }
    sides = (("client_sidecar", client), ("server_sidecar", 1 - client))
    places = [
        {"place": place, "direction": "request", "components": {name: ns * share for name, ns in found.items()}}
        for place, share in sides
    ]
    request, response, headers, new = load
    return {
        "id": "x", "protocol": "http1", "topology": "both", "temperature": "hot", "request_bytes": request,
        "response_bytes": response, "headers": headers, "new_connections": bool(new), "connections": 1,
        "rate_rps": None, "errors": [], "warnings": [],
        "latency": {"overhead_p50_ns": total, "components": latency, "by_place": places},
        "cpu": {"baseline_cpu_ns_per_request": 0.0, "with_cpu_ns_per_request": 2 * total, "components": cpu},
        "memory": {"rss_bytes": 120e6, "per_connection_bytes": 2e4},
        **dimensions,
    }  # fmt: skip


def profile(cells: Sequence[dict[str, Any]], drift: float = 0.0) -> dict[str, Any]:
    return {
        "run_id": "synthetic",
        "environment": {"cpu_model": "imagined", "kernel": "6"},
        "anchor": {"drift_ratio": drift},
        "warnings": [],
        "cells": list(cells),
    }


def known_profile(**dimensions: Any) -> dict[str, Any]:
    """HTTP and TCP hops with both sidecars, at all loads."""
    http = [cell(HTTP, load, **dimensions) for load in LOADS]
    return profile([*http, *(cell(TCP, load, protocol="tcp", **dimensions) for load in LOADS)])
