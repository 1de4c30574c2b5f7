"""A profile as CSV in long form: one row per cell, currency and component, units in the column names.

Currencies: `latency` (the exchange), `latency_by_place` (the same, split by place and direction), `cpu_ebpf` and
`cpu_perf`. Sum one currency at a time. Columns that do not apply to a row are empty. A cell that holds no component
keeps one row, so that no cell vanishes.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from meshinsight.reports.subjects.summaries import anchored_overhead_ns, ordered
from profiler.profile.types import DIMENSIONS, Cell, Cpu, CpuComponent, Latency, LatencyComponent, Profile

_CELL: Final = (
    "protocol", "topology", "temperature", "request_bytes", "response_bytes", "connections", "loop", "rate_rps",
    "achieved_rps", "baseline_achieved_rps", "rounds",
)  # fmt: skip
_FURTHER: Final = (*(name for name in DIMENSIONS if name != "extra_headers"), "reference")
_OWN: Final = (
    "currency", "component", "place", "direction", "median_ns", "anchored_median_ns", "mean_ns", "p99_ns",
    "cpu_ns_per_request", "vcpu_per_1000_rps", "share", "ci95_low_ns", "ci95_high_ns", "disagreement_points", "samples",
    "dropped", "lost", "source",
)  # fmt: skip
_MEMORY: Final = ("rss_bytes", "per_connection_bytes")
_NOT_COLUMNS: Final = ("ci95_ns", "rounds_ns", "error_ns")
_LATENCY: Final = ("baseline_p50_ns", "with_p50_ns", "overhead_p50_ns")
_HAND_OVERS: Final = ("count", "crossed", "cores", "caches")
_PERCENTILES: Final = ("p90_ns", "p99_ns", "mean_ns", "count")
_CPU: Final = ("baseline_cpu_ns_per_request", "with_cpu_ns_per_request", "perf_unresolved_share", "perf_samples")
_PERTURBATION: Final = ("latency_ratio", "throughput_ratio", "proxy_cpu_ratio")
_NOISE: Final = ("steal_ratio", "psi_cpu_some_ratio")
_MEASURED: Final = (
    *_LATENCY, "anchored_overhead_p50_ns", "overhead_ci95_low_ns", "overhead_ci95_high_ns",
    "overhead_p99_ns", "overhead_p99_ci95_low_ns", "overhead_p99_ci95_high_ns",
    *(f"baseline_{name}" for name in _PERCENTILES), *(f"with_{name}" for name in _PERCENTILES),
    *(f"baseline_hand_overs_{name}" for name in _HAND_OVERS), *(f"hand_overs_{name}" for name in _HAND_OVERS),
    "latency_closure_residual", "cpu_rate_rps", *_CPU, "cpu_overhead_ns", "cpu_overhead_ci95_low_ns",
    "cpu_overhead_ci95_high_ns", "cpu_closure_residual",
    *(f"perturbation_{name}" for name in _PERTURBATION), *_NOISE,
)  # fmt: skip

COLUMNS: Final = ("run_id", "status", "cell", *_CELL, *_FURTHER, *_MEMORY, *_OWN, *_MEASURED, "warnings", "errors")
"""Every column, in order."""


def rows(profile: Profile) -> Iterator[dict[str, object]]:
    """The rows as dictionaries; columns left out are empty."""
    for cell in profile.cells:
        whole = {"run_id": profile.run_id, "status": profile.status, **_cell_columns(cell)}
        own = [*_latency_rows(cell), *_place_rows(cell), *_cpu_rows(cell)]
        for row in own or [{}]:
            yield {**whole, **row}


def _cell_columns(cell: Cell) -> dict[str, object]:
    columns = {"cell": cell.id, **{name: getattr(cell, name) for name in _CELL}}
    columns |= {name: _text(getattr(cell, name)) for name in _FURTHER}
    columns |= {name: getattr(cell.memory, name, None) for name in _MEMORY}
    columns |= {f"perturbation_{name}": getattr(cell.perturbation, name) for name in _PERTURBATION}
    columns |= {name: getattr(cell.noise, name) for name in _NOISE}
    columns |= {name: "; ".join(getattr(cell, name)) for name in ("warnings", "errors")}
    columns["anchored_overhead_p50_ns"] = anchored_overhead_ns(cell)
    return columns | _latency_columns(cell.latency) | _cpu_columns(cell.cpu)


def _text(value: Any) -> Any:
    return "+".join(map(str, value)) if isinstance(value, list) else value


def _latency_columns(latency: Latency | None) -> dict[str, object]:
    if latency is None:
        return {}
    columns = {name: getattr(latency, name) for name in (*_LATENCY, "overhead_p99_ns")}
    for side, found in (("baseline", latency.baseline), ("with", latency.with_sidecars)):
        columns |= {f"{side}_{name}": getattr(found, name) for name in _PERCENTILES}
    for side in ("baseline_hand_overs", "hand_overs"):
        columns |= {f"{side}_{name}": getattr(getattr(latency, side), name, None) for name in _HAND_OVERS}
    columns["latency_closure_residual"] = latency.closure_residual
    columns |= _interval(latency.overhead_p99_ci95_ns, "overhead_p99_ci95")
    return columns | _interval(latency.overhead_ci95_ns, "overhead_ci95")


def _cpu_columns(cpu: Cpu | None) -> dict[str, object]:
    if cpu is None:
        return {}
    own: dict[str, object] = {"cpu_rate_rps": cpu.rate_rps, "cpu_closure_residual": cpu.closure_residual}
    own |= {"cpu_overhead_ns": cpu.overhead_ns, **{name: getattr(cpu, name) for name in _CPU}}
    return own | _interval(cpu.overhead_ci95_ns, "cpu_overhead_ci95")


def _interval(interval: list[float] | None, prefix: str) -> dict[str, object]:
    return {} if interval is None else {f"{prefix}_low_ns": interval[0], f"{prefix}_high_ns": interval[1]}


def _numbers(component: LatencyComponent | CpuComponent) -> dict[str, object]:
    found = {name: value for name, value in msgspec.structs.asdict(component).items() if name not in _NOT_COLUMNS}
    return found | _interval(component.ci95_ns, "ci95")


def _latency_rows(cell: Cell) -> Iterator[dict[str, object]]:
    components = cell.latency.components if cell.latency else {}
    for name in ordered(components):
        median_ns = components[name].median_ns
        anchored_ns = None if cell.anchor_factor is None else median_ns * cell.anchor_factor
        own = {"component": name, "anchored_median_ns": anchored_ns}
        yield {"currency": "latency", **own, **_numbers(components[name])}


def _place_rows(cell: Cell) -> Iterator[dict[str, object]]:
    for place in cell.latency.by_place if cell.latency else []:
        where = {"place": place.place, "direction": place.direction}
        for name in ordered(place.components):
            yield {"currency": "latency_by_place", "component": name, **where, "median_ns": place.components[name]}


def _cpu_rows(cell: Cell) -> Iterator[dict[str, object]]:
    if cell.cpu is None:
        return
    for currency, components in (("cpu_ebpf", cell.cpu.components), ("cpu_perf", cell.cpu.perf_components)):
        for name in ordered(components):
            points = cell.cpu.disagreement_points.get(name)
            own = {"component": name, "disagreement_points": points}
            yield {"currency": currency, **own, **_numbers(components[name])}
