"""Profiles of earlier format versions, made into the present one. Pure.

Version 2 had no placement: all processes were pinned apart. Version 1 had an anchored median for every component
instead of the factor of the cell, and could lack dimensions. Both had
intervals that were bootstrapped over the rounds of one run, without its drift: `renewed` makes them this version's.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from profiler.attribution.intervals import FEWEST_ROUNDS, Z95, student
from profiler.profile.intervals import Component, with_intervals
from profiler.profile.types import VERSION, Cell, Profile
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


def renewed(profile: Profile) -> Profile:
    """A profile of an earlier version with intervals as this version means them."""
    return replace(profile, cells=[with_intervals(_with_errors(cell), profile.anchor) for cell in profile.cells])


def _with_errors(cell: Cell) -> Cell:
    """The cell with the errors that its intervals tell, where it did not keep the rounds."""
    latency, cpu = cell.latency, cell.cpu
    if latency is not None:
        latency = replace(
            latency,
            overhead_error_ns=_error_ns(latency.overhead_ci95_ns, cell.rounds),
            components=_told(latency.components, cell.rounds),
        )
    if cpu is not None:
        cpu = replace(
            cpu,
            components=_told(cpu.components, cell.rounds),
            perf_components=_told(cpu.perf_components, cell.rounds),
        )
    return replace(cell, latency=latency, cpu=cpu)


def _told(components: Mapping[str, Component], rounds: int) -> dict[str, Component]:
    return {
        name: entry if entry.rounds_ns else replace(entry, error_ns=_error_ns(entry.ci95_ns, rounds))
        for name, entry in components.items()
    }


def _error_ns(interval: list[float] | None, rounds: int) -> float:
    """The standard error behind a bootstrapped interval, which is too narrow for few rounds."""
    if interval is None or rounds < FEWEST_ROUNDS:
        return 0.0
    return abs(interval[1] - interval[0]) / (2 * Z95) * math.sqrt(rounds / (rounds - 1)) * student(rounds, lent=0.0)
