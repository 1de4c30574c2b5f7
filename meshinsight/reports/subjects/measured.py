"""What another load generator measured next to the cell of a profile that fits its load best. Pure: no I/O."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects.summaries import cell_labels
from profiler.errors import UsageError
from profiler.profile.types import Cell, Percentiles, Profile
from profiler.vocabulary.hop import BOTH, PLAIN
from profiler.workload.measured import Measured, as_json

FORMAT: Final = "meshinsight-measured"
VERSION: Final = 1

_COLUMNS: Final = ("latency, µs", "measured", "cell with sidecars", "measured − with", "cell without sidecars")
_COARSE: Final = 0.05
"""The share of the median that a resolution may be."""
_STATISTICS: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "mean": None}


def fitting(measured: Measured, cells: Sequence[Cell]) -> Cell:
    """The cell of the measured protocol whose load is nearest; of several the usual one: hot, plain, both sidecars.

    Raises:
        UsageError: no cell of that protocol has latencies without errors.
    """
    usable = [cell for cell in cells if cell.latency is not None and not cell.errors]
    known = [cell for cell in usable if cell.protocol == measured.protocol]
    if not known:
        have = ", ".join(dict.fromkeys(cell.protocol for cell in usable)) or "no cells"
        raise UsageError(
            f"--measured: {measured.tool} measured {measured.protocol}, of which there is no cell here (but {have}); "
            f"measure one with: meshinsight profile --protocol {measured.protocol}"
        )
    return min(known, key=lambda cell: _distance(measured, cell))


def _distance(measured: Measured, cell: Cell) -> tuple[float, ...]:
    unusual = (cell.reference, cell.temperature != "hot", cell.tls != PLAIN, cell.topology != BOTH)
    return (round(_load_distance(measured, cell), 3), *map(float, unusual), float(len(cell.filters)))


def _load_distance(measured: Measured, cell: Cell) -> float:
    """How many times the loads differ, as a logarithm: connections, sizes, and the rate where either had one."""
    distance = _times(measured.connections, cell.connections)
    if measured.response_bytes is not None:
        distance += _times(measured.response_bytes, cell.response_bytes)
    if measured.rate_rps is None and cell.rate_rps is None:
        return distance
    return distance + _times(measured.achieved_rps, cell.achieved_rps or 0.0)


def _times(one: float, other: float) -> float:
    return abs(math.log(max(one, _LEAST) / max(other, _LEAST)))


_LEAST: Final = 0.1
"""What is less counts as this, so that nothing is not infinitely far."""


def report(measured: Measured, profile: Profile, cells: Sequence[Cell]) -> Report:
    """The figures next to each other. `cells` are those of the profile to choose from."""
    cell = fitting(measured, cells)
    label = cell_labels(profile.cells)[cell.id]
    rows = [row for row in _rows(measured, cell) if row["measured_ns"] is not None]
    shown = [
        (
            row["statistic"],
            numbers.micros(row["measured_ns"]),
            numbers.micros(row["with_ns"]),
            numbers.signed_percent(row["measured_ns"] / row["with_ns"] - 1 if row["with_ns"] else None),
            numbers.micros(row["without_ns"]),
        )
        for row in rows
    ]
    return Report(
        _answer(measured, rows[0], label),
        [Section("", _COLUMNS, shown, lines=[f"Cell: {cell.id}."])],
        [
            ("What differs between the loads", list(_differences(measured, cell))),
            ("", [*_inexact(measured), _SCOPE, _OTHER]),
        ],
        document=lambda: _document(measured, cell, rows),
        rows=lambda: [{"tool": measured.tool, "cell": cell.id, **row} for row in rows],
    )


_SCOPE: Final = (
    "The file does not hold whether sidecars were on the path: compare it with both columns. A load generator counts "
    "its own delays too."
)
_OTHER: Final = "The cell is the one of this protocol with the nearest load; choose others with --cell."


def _answer(measured: Measured, median: dict[str, Any], label: str) -> str:
    return (
        f"{measured.tool} measured p50 = {numbers.micros(median['measured_ns'])} µs; the profile has "
        f"{numbers.micros(median['with_ns'])} µs with sidecars and {numbers.micros(median['without_ns'])} µs without "
        f"({label})."
    )


def _rows(measured: Measured, cell: Cell) -> Iterator[dict[str, Any]]:
    latency = cell.latency
    if latency is None:
        return
    for name, percent in _STATISTICS.items():
        value_ns = measured.mean_ns if percent is None else measured.percentiles_ns.get(percent)
        yield {
            "statistic": name,
            "measured_ns": value_ns,
            "with_ns": _figure(latency.with_sidecars, latency.with_p50_ns, name),
            "without_ns": _figure(latency.baseline, latency.baseline_p50_ns, name),
        }


def _figure(found: Percentiles, p50_ns: float, name: str) -> float:
    return p50_ns if name == "p50" else float(getattr(found, f"{name}_ns"))


def _differences(measured: Measured, cell: Cell) -> Iterator[str]:
    values = {
        "connections": (numbers.count(measured.connections), numbers.count(cell.connections)),
        "response bytes": (_bytes(measured.response_bytes), numbers.count(cell.response_bytes)),
        "rate asked for": (_asked_for(measured.rate_rps), _asked_for(cell.rate_rps)),
        "requests/s reached": (numbers.rate(measured.achieved_rps), numbers.rate(cell.achieved_rps)),
    }
    for name, (here, there) in values.items():
        if here not in (there, numbers.UNKNOWN):
            yield f"{name}: {here} measured, {there} in the cell"
    if measured.failed:
        yield f"{numbers.count(measured.failed)} of the {numbers.count(measured.count)} measured requests failed"


def _inexact(measured: Measured) -> Iterator[str]:
    """A warning where the load generator rounded too coarsely, as fortio does by default."""
    if measured.resolution_ns > _COARSE * measured.percentiles_ns[50.0]:
        yield (
            f"! {measured.tool} rounded latencies to {numbers.micros(measured.resolution_ns)} µs, so its percentiles "
            "are inexact by as much (the mean is not); measure with: fortio load -r 0.00001"
        )


def _asked_for(rate_rps: float | None) -> str:
    return "as fast as answers came" if rate_rps is None else f"{numbers.rate(rate_rps)}/s"


def _bytes(value: float | None) -> str:
    return numbers.UNKNOWN if value is None else numbers.count(round(value))


def _document(measured: Measured, cell: Cell, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "measured": as_json(measured), "cell": cell.id, "latency": list(rows)}
