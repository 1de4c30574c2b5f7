"""Raw samples next to the profile: Parquet for what was traced, an HdrHistogram log for latencies, sampled stacks.

Each file is written under a temporary name and renamed, so that a file that is there is whole.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.latency import COLUMNS, HAND_OVER_COLUMNS
from profiler.evaluation.readings import Point, Readings
from profiler.files.writing import write_whole
from profiler.planning.cells import Cell, Plan
from profiler.profile.stacks import FILES_KEY as STACKS
from profiler.profile.stacks import packed
from profiler.symbols.stacks import SampledStacks, heaviest

if TYPE_CHECKING:
    import pandas as pd

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
    write_whole(exchanges, _parquet(_exchanges(readings, names)))
    write_whole(cpu, _parquet(_cpu(readings, names)))
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


def _parquet(table: "pd.DataFrame") -> bytes:
    return table.to_parquet(None, index=False, compression="zstd")


def _exchanges(readings: Readings, names: dict[Point, str]) -> "pd.DataFrame":
    """One row per followed exchange: time on the path in ns, probes included, in how many pieces, and hand-overs."""
    import pandas as pd

    columns = [".".join(column) for column in COLUMNS]
    counts = [f"{column}.pieces" for column in columns]
    hand_overs = [".".join(column) for column in HAND_OVER_COLUMNS]
    parts = [
        pd.concat(
            [
                pd.DataFrame(window.exchanges.time_ns.astype(np.float32), columns=columns),
                pd.DataFrame(window.exchanges.segments, columns=counts),
                pd.DataFrame(window.exchanges.hand_overs, columns=hand_overs),
            ],
            axis=1,
        ).assign(cell=name, round=number)
        for name, number, window in _latency_rounds(readings, names)
        if window.exchanges is not None
    ]
    if not parts:
        return pd.DataFrame(columns=["cell", "round", *columns, *counts, *hand_overs])
    return pd.concat(parts, ignore_index=True)[["cell", "round", *columns, *counts, *hand_overs]]


def _latency_rounds(readings: Readings, names: dict[Point, str]) -> Iterator[tuple[str, int, Any]]:
    for point, name in names.items():
        for number, window in enumerate(readings.latency.get(point, [])):
            yield name, number, window


def _cpu(readings: Readings, names: dict[Point, str]) -> "pd.DataFrame":
    """One row per window, method, role and state (or sample class): CPU time in ns, with the requests of its phases.

    State `busy` of role `all` is what was not idle, the neighbours' or this tool's, by clocks that need no probe.
    """
    import pandas as pd

    rows = []
    for point, name in names.items():
        for number, window in enumerate(readings.cpu.get(point, [])):
            methods = {
                "none": (window.free_requests, {("all", "busy"): window.busy_ns}),
                "tracepoints": (window.requests, {("all", "busy"): window.traced_busy_ns, **window.times.time_ns}),
                "perf": (window.sampled_requests, window.samples.weights if window.samples else {}),
            }
            for method, (requests, times_ns) in methods.items():
                common = {"cell": name, "round": number, "requests": requests, "method": method}
                rows += [{**common, "role": role, "state": kind, "cpu_ns": ns} for (role, kind), ns in times_ns.items()]
    columns = ["cell", "round", "requests", "method", "role", "state", "cpu_ns"]
    return pd.DataFrame(rows, columns=columns)


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
