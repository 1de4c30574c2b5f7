"""Raw samples next to the profile: Parquet for what was traced, an HdrHistogram log for latencies, sampled stacks.

Each file is written under a temporary name and renamed, so that a file that is there is whole.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.latency import COLUMNS, HAND_OVER_COLUMNS
from profiler.evaluation.readings import Point, Readings
from profiler.files.parquet import Column, parquet
from profiler.files.writing import write_whole
from profiler.planning.cells import Cell, Plan
from profiler.profile.stacks import FILES_KEY as STACKS
from profiler.profile.stacks import packed
from profiler.symbols.stacks import SampledStacks, heaviest

_LONGEST_NS: Final = 60_000_000_000
_SIGNIFICANT_DIGITS: Final = 4
"""Keeps a resolution of 1 µs or better up to 16 ms."""

FILES: Final = {
    "exchanges": "exchanges.parquet",
    "cpu": "cpu.parquet",
    "histograms": "histograms.hlog",
    STACKS: "stacks.zst",
}


def save_samples(plan: Plan, readings: Readings, directory: Path, block: int = 0) -> dict[str, str]:
    """Write all raw samples of a block into `directory`; returns its part of the `files` of the profile.

    The files of the first block have plain names, those of later ones its number in them.

    Raises:
        MeshInsightError: a file could not be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = {(cell.hop, cell.scene): cell.id for cell in plan.cells}
    for scene in plan.scenes:
        for hop in plan.hops_of(scene):
            names.setdefault((hop, scene), Cell(hop, scene).id)
    files = {_numbered(key, block): str(_numbered_file(name, block)) for key, name in FILES.items()}
    exchanges, cpu, histograms, stacks = (directory / name for name in files.values())
    write_whole(exchanges, parquet(_exchanges(readings, names)))
    write_whole(cpu, parquet(_cpu(readings, names)))
    write_whole(histograms, _histogram_log(readings, names))
    if sampled := list(_stacks(readings, names)):
        write_whole(stacks, packed(sampled))
    else:  # there is no perf
        del files[_numbered(STACKS, block)]
    return files


def _numbered(key: str, block: int) -> str:
    return f"{key}_{block + 1}" if block else key


def _numbered_file(name: str, block: int) -> Path:
    path = Path(name)
    return path.with_stem(_numbered(path.stem, block))


def _exchanges(readings: Readings, names: dict[Point, str]) -> dict[str, Column]:
    """One row per followed exchange: time on the path in ns, probes included, in how many pieces, and hand-overs."""
    columns = [".".join(column) for column in COLUMNS]
    counts = [f"{column}.pieces" for column in columns]
    hand_overs = [".".join(column) for column in HAND_OVER_COLUMNS]
    rounds = [(name, number, window.exchanges) for name, number, window in _latency_rounds(readings, names)]
    found = [(name, number, exchanges) for name, number, exchanges in rounds if exchanges is not None]
    table: dict[str, Column] = {
        "cell": [name for name, _, exchanges in found for _ in range(len(exchanges.time_ns))],
        "round": np.array([number for _, number, exchanges in found for _ in exchanges.time_ns], np.int64),
    }
    for titles, attribute, kind in (
        (columns, "time_ns", np.float32),
        (counts, "segments", np.uint16),
        (hand_overs, "hand_overs", np.float32),
    ):
        parts = [np.asarray(getattr(exchanges, attribute), kind) for _, _, exchanges in found]
        values = np.concatenate([np.empty((0, len(titles)), kind), *parts])
        table |= {title: values[:, index] for index, title in enumerate(titles)}
    return table


def _latency_rounds(readings: Readings, names: dict[Point, str]) -> Iterator[tuple[str, int, Any]]:
    for point, name in names.items():
        for number, window in enumerate(readings.latency.get(point, [])):
            yield name, number, window


def _cpu(readings: Readings, names: dict[Point, str]) -> dict[str, Column]:
    """One row per window, method, role and state (or sample class): CPU time in ns, with the requests of its phases.

    State `busy` of role `all` is what was not idle, the neighbours' or this tool's, by clocks that need no probe.
    """
    rows = list[tuple[str, int, float, str, str, str, float]]()
    for point, name in names.items():
        for number, window in enumerate(readings.cpu.get(point, [])):
            methods = {
                "none": (window.free_requests, {("all", "busy"): window.busy_ns}),
                "tracepoints": (window.requests, {("all", "busy"): window.traced_busy_ns, **window.times.time_ns}),
                "perf": (window.sampled_requests, window.samples.weights if window.samples else {}),
            }
            for method, (requests, times_ns) in methods.items():
                rows += [(name, number, requests, method, *where, ns) for where, ns in times_ns.items()]
    cells, rounds, counts, methods_used, roles, states, cpu_ns = zip(*rows, strict=True) if rows else [()] * 7
    return {
        "cell": cells,
        "round": np.array(rounds, np.int64),
        "requests": np.array(counts, np.float64),
        "method": methods_used,
        "role": roles,
        "state": states,
        "cpu_ns": np.array(cpu_ns, np.float64),
    }


def _stacks(readings: Readings, names: dict[Point, str]) -> Iterator[SampledStacks]:
    """The stacks of each cell, of all its windows together."""
    for point, name in names.items():
        windows = [window for window in readings.cpu.get(point, []) if window.samples and window.samples.stacks]
        sampled = [window.samples for window in windows if window.samples]
        if sampled:
            stacks = heaviest(stack for times in sampled for stack in times.stacks)
            yield SampledStacks(name, sampled[0].event, stacks, sum(window.sampled_requests for window in windows))


def _histogram_log(readings: Readings, names: dict[Point, str]) -> str:
    """One tagged line per round and phase kind, in the HdrHistogram log format 1.2; values in ns."""
    text = io.StringIO()
    text.write("#[Histogram log format version 1.2]\n")
    text.write('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n')
    for name, _, window in _latency_rounds(readings, names):
        for probes, latencies_ns in (("off", window.free_ns), ("on", window.burst_ns)):
            if len(latencies_ns):
                payload = _histogram(latencies_ns).encode().decode()
                longest_ms = latencies_ns.max() / 1e6
                text.write(f"Tag={name}/probes-{probes},{window.at_s:.3f},0.000,{longest_ms:.3f},{payload}\n")
    return text.getvalue()


def _histogram(latencies_ns: npt.NDArray[np.int64]) -> Any:
    from hdrh.histogram import HdrHistogram

    histogram = HdrHistogram(1, _LONGEST_NS, _SIGNIFICANT_DIGITS)
    values, counts = np.unique(latencies_ns, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(min(value, _LONGEST_NS), count)
    return histogram
