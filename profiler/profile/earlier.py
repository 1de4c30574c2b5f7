"""Profiles of earlier format versions, made into the present one. Pure.

Version 2 had no placement: all processes were pinned apart. Version 1 had an anchored median for every component
instead of the factor of the cell, and could lack dimensions.
"""

from typing import Any, Final

from profiler.profile.types import VERSION
from profiler.vocabulary.hop import APART

_DIMENSIONS: Final = (
    "proxy", "application", "tls", "filters", "transport", "workers", "reference", "headers", "header_bytes",
    "messages", "new_connections", "extra_headers",
)  # fmt: skip


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """The document as this version has it; what is wrong in it stays wrong and is reported when it is checked."""
    version = document.get("version")
    if version not in (1, 2):
        return document
    found = {**document, "version": VERSION}
    if isinstance(cells := document.get("cells"), list):
        found["cells"] = [_pinned(cell if version == 2 else _of_first(cell)) for cell in cells]
    return found


def _pinned(cell: Any) -> Any:
    return {**cell, "placement": APART} if isinstance(cell, dict) else cell


def _of_first(cell: Any) -> Any:
    """A cell of version 1."""
    if not isinstance(cell, dict):
        return cell
    found = {name: value for name, value in cell.items() if value is not None or name not in _DIMENSIONS}
    latency = cell.get("latency")
    if not isinstance(latency, dict) or not isinstance(latency.get("components"), dict):
        return found
    components = latency["components"]
    found["latency"] = {**latency, "components": {name: _component(part) for name, part in components.items()}}
    return {**found, "anchor_factor": _factor(list(components.values()))}


def _component(part: Any) -> Any:
    return {k: v for k, v in part.items() if k != "anchored_median_ns"} if isinstance(part, dict) else part


def _factor(parts: list[Any]) -> float | None:
    """Of the largest component, whose quotient is the least rounded."""
    known = [
        (float(part["median_ns"]), float(part["anchored_median_ns"]))
        for part in parts
        if isinstance(part, dict)
        and all(isinstance(part.get(key), int | float) and part[key] for key in ("median_ns", "anchored_median_ns"))
    ]
    median_ns, anchored_ns = max(known, key=lambda pair: abs(pair[0]), default=(1.0, None))
    return None if anchored_ns is None else anchored_ns / median_ns
