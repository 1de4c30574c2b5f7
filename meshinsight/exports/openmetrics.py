"""OpenMetrics: the figures of a profile's cells as gauges in base units, at the time of the profile."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from profiler.profile.types import Cell, Percentiles, Profile

_CELL: Final = (
    "cell", "protocol", "topology", "temperature", "proxy", "variant", "tls", "filters", "workers", "request_bytes",
    "response_bytes", "connections", "loop", "rate_rps",
)  # fmt: skip
_SECOND: Final = 1e-9
_PERCENTILES: Final = {"0.5": "p50_ns", "0.9": "p90_ns", "0.99": "p99_ns"}
_BOUNDS: Final = ("low", "high")

Sample = tuple[tuple[str, ...], float | None]
"""Values of the labels after those of the cell, and the figure; None is left out."""


def openmetrics(profile: Profile) -> bytes:
    """The text. Each figure has the time at which the profile was made, so that it can be loaded as history."""
    registry = CollectorRegistry()
    registry.register(_Profile(profile))
    data: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]  # it has no annotations
    return data


class _Profile(Collector):
    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._at_s = datetime.fromisoformat(profile.created).timestamp()

    def collect(self) -> Iterable[Metric]:
        profile = self._profile
        info = InfoMetricFamily("meshinsight_profile", "The run that was measured.")
        about = {"run_id": profile.run_id, "status": profile.status, "version": profile.meshinsight_version}
        about |= {f"proxy_{name}": proxy.version for name, proxy in profile.proxies.items()}
        about |= {
            name: str(profile.environment[name]) for name in ("cpu_model", "kernel") if profile.environment.get(name)
        }
        info.add_metric((), about, self._at_s)
        yield info
        for name, text, unit, labels, samples in _FAMILIES:
            family = GaugeMetricFamily(f"meshinsight_{name}", text, labels=(*_CELL, *labels), unit=unit)
            for cell in profile.cells:
                for values, figure in samples(cell):
                    if figure is not None:
                        family.add_metric((*_labels(cell), *values), figure, self._at_s)
            yield family


def _labels(cell: Cell) -> Iterator[str]:
    values = {
        "cell": cell.id,
        "filters": "+".join(cell.filters),
        "rate_rps": "" if cell.rate_rps is None else f"{cell.rate_rps:g}",
    }
    return (values.get(name, str(getattr(cell, name, ""))) for name in _CELL)


def _latency(cell: Cell) -> Iterator[Sample]:
    for sidecars, found in _sides(cell):
        for quantile, name in _PERCENTILES.items():
            yield (sidecars, quantile), getattr(found, name) * _SECOND


def _mean(cell: Cell) -> Iterator[Sample]:
    return (((sidecars,), found.mean_ns * _SECOND) for sidecars, found in _sides(cell))


def _sides(cell: Cell) -> Sequence[tuple[str, Percentiles]]:
    return [("without", cell.latency.baseline), ("with", cell.latency.with_sidecars)] if cell.latency else []


def _overhead(cell: Cell) -> Iterator[Sample]:
    if cell.latency:
        yield ("0.5",), cell.latency.overhead_p50_ns * _SECOND
        yield ("0.99",), cell.latency.overhead_p99_ns * _SECOND


def _overhead_bounds(cell: Cell) -> Iterator[Sample]:
    if cell.latency:
        yield from _bounds(("0.5",), cell.latency.overhead_ci95_ns)
        yield from _bounds(("0.99",), cell.latency.overhead_p99_ci95_ns)


def _components(cell: Cell) -> Iterator[Sample]:
    found = cell.latency.components if cell.latency else {}
    return (((name,), part.median_ns * _SECOND) for name, part in found.items())


def _component_bounds(cell: Cell) -> Iterator[Sample]:
    for name, part in (cell.latency.components if cell.latency else {}).items():
        yield from _bounds((name,), part.ci95_ns)


def _cpu(cell: Cell) -> Iterator[Sample]:
    if cell.cpu:
        yield ("without",), cell.cpu.baseline_cpu_ns_per_request * _SECOND
        yield ("with",), cell.cpu.with_cpu_ns_per_request * _SECOND


def _cpu_overhead(cell: Cell) -> Iterator[Sample]:
    if cell.cpu:
        yield (), cell.cpu.overhead_ns * _SECOND


def _cpu_overhead_bounds(cell: Cell) -> Iterator[Sample]:
    return _bounds((), cell.cpu.overhead_ci95_ns if cell.cpu else None)


def _cpu_components(cell: Cell) -> Iterator[Sample]:
    found = cell.cpu.components if cell.cpu else {}
    return (((name,), part.cpu_ns_per_request * _SECOND) for name, part in found.items())


def _cpu_component_bounds(cell: Cell) -> Iterator[Sample]:
    for name, part in (cell.cpu.components if cell.cpu else {}).items():
        yield from _bounds((name,), part.ci95_ns)


def _bounds(labels: tuple[str, ...], interval: Sequence[float] | None) -> Iterator[Sample]:
    for bound, limit_ns in zip(_BOUNDS, interval or (), strict=False):
        yield (*labels, bound), limit_ns * _SECOND


def _memory(cell: Cell) -> Iterator[Sample]:
    if cell.memory:
        yield (), cell.memory.rss_bytes


def _errors(cell: Cell) -> Iterator[Sample]:
    yield (), float(len(cell.errors))


_INTERVAL: Final = "Limits of the 95 % interval of {}."
_ADDED: Final = "What sidecars add to the latency of an exchange."
_PER_REQUEST: Final = "CPU time per request of the machine."
_FAMILIES: Final = (
    ("latency_seconds", "Latency of an exchange.", "seconds", ("sidecars", "quantile"), _latency),
    ("latency_mean_seconds", "Mean latency of an exchange.", "seconds", ("sidecars",), _mean),
    ("latency_overhead_seconds", _ADDED, "seconds", ("quantile",), _overhead),
    (
        "latency_overhead_interval_seconds", _INTERVAL.format("the overhead in latency"), "seconds",
        ("quantile", "bound"), _overhead_bounds,
    ),
    (
        "latency_component_seconds", "The overhead of the median exchange by component.", "seconds", ("component",),
        _components,
    ),
    (
        "latency_component_interval_seconds", _INTERVAL.format("a component of the latency"), "seconds",
        ("component", "bound"), _component_bounds,
    ),
    ("cpu_per_request_seconds", _PER_REQUEST, "seconds", ("sidecars",), _cpu),
    ("cpu_overhead_per_request_seconds", "CPU time per request that sidecars add.", "seconds", (), _cpu_overhead),
    (
        "cpu_overhead_per_request_interval_seconds", _INTERVAL.format("the overhead in CPU time"), "seconds",
        ("bound",), _cpu_overhead_bounds,
    ),
    (
        "cpu_component_per_request_seconds", "CPU time per request that sidecars add, by component.", "seconds",
        ("component",), _cpu_components,
    ),
    (
        "cpu_component_per_request_interval_seconds", _INTERVAL.format("a component of the CPU time"), "seconds",
        ("component", "bound"), _cpu_component_bounds,
    ),
    ("proxies_memory_bytes", "Resident memory of the cell's proxies before load.", "bytes", (), _memory),
    ("cell_errors", "Reasons why the cell must not be used.", "", (), _errors),
)  # fmt: skip
"""For each family its name, help, unit, labels besides the cell's, and the samples of a cell."""
