"""What a byte costs: overhead over the size of the answer, and whether a straight line describes it.

Usage: python experiments/size_sweep/run.py [--profile DIR|FILE] [--results DIR]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from experiments import sweep
from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.errors import MeshInsightError
from profiler.profile.types import Cell

PROTOCOLS: Final = ("tcp", "http1")
CURRENCIES: Final = {"latency": "p50_overhead_ns", "cpu": "cpu_overhead_ns_per_request"}
STRAIGHT_WITHIN: Final = 0.10
SMALLEST_NS: Final = 1000.0
"""Errors are relative to the overhead, but to no less than this."""


def extract(cells: Sequence[Cell]) -> list[sweep.Row]:
    """One row per protocol and size, each with the line of its protocol in both currencies."""
    rows: list[sweep.Row] = []
    for protocol in PROTOCOLS:
        of_protocol = [
            {"protocol": protocol, "response_bytes": cell.response_bytes, **sweep.costs(cell)}
            for cell in cells
            if cell.protocol == protocol
        ]
        for currency, key in CURRENCIES.items():
            add_line(of_protocol, currency, key)
        rows += of_protocol
    return rows


def add_line(rows: Sequence[sweep.Row], currency: str, key: str) -> None:
    """Fit overhead = base + slope × KiB to the rows, and write it and its relative residuals into them."""
    if len(rows) < 3:
        raise MeshInsightError("the profile has fewer than three sizes of a protocol; measure the whole matrix")
    sizes_kib = np.array([row["response_bytes"] / 1024 for row in rows])
    values_ns = np.array([row[key] for row in rows])
    scales_ns = np.maximum(np.abs(values_ns), SMALLEST_NS)
    slope, base_ns = np.polyfit(sizes_kib, values_ns, 1, w=1 / scales_ns)
    for row, size_kib, value_ns in zip(rows, sizes_kib, values_ns, strict=True):
        line_ns = float(base_ns + slope * size_kib)
        row[f"{currency}_line_base_ns"] = float(base_ns)
        row[f"{currency}_line_slope_ns_per_kib"] = float(slope)
        row[f"{currency}_line_ns"] = line_ns
        row[f"{currency}_residual_ratio"] = float(value_ns - line_ns) / max(abs(line_ns), SMALLEST_NS)


COLUMNS: Final[sweep.Columns] = {
    "protocol": lambda row: summaries.protocol_name(row["protocol"]),
    "answer": lambda row: numbers.size(row["response_bytes"]),
    **sweep.P50_COLUMNS,
    "line, µs": lambda row: numbers.micros(row["latency_line_ns"]),
    "off the line": lambda row: numbers.signed_percent(row["latency_residual_ratio"]),
    "+ p99, µs": lambda row: numbers.micros(row["p99_overhead_ns"]),
    "+ CPU, µs": lambda row: numbers.micros(row["cpu_overhead_ns_per_request"]),
    "CPU line, µs": lambda row: numbers.micros(row["cpu_line_ns"]),
    "CPU off the line": lambda row: numbers.signed_percent(row["cpu_residual_ratio"]),
}


def judge(rows: list[sweep.Row]) -> sweep.Finding:
    """Whether each protocol's latency overhead is a straight line over the size."""
    sentences, answers = [], []
    for protocol in PROTOCOLS:
        of_protocol = [row for row in rows if row["protocol"] == protocol]
        worst = worst_of(of_protocol, "latency")
        answers.append(abs(worst["latency_residual_ratio"]) <= STRAIGHT_WITHIN)
        line = of_protocol[0]
        sentences.append(
            f"{summaries.protocol_name(protocol)} adds {numbers.micros(line['latency_line_base_ns'])} µs and "
            f"{line['latency_line_slope_ns_per_kib'] / 1e3:.2f} µs per KiB of latency, "
            f"{numbers.micros(line['cpu_line_base_ns'])} µs and "
            f"{line['cpu_line_slope_ns_per_kib'] / 1e3:.2f} µs per KiB "
            f"of CPU; off the line by {numbers.signed_percent(worst['latency_residual_ratio'])} at most in latency "
            f"(at {numbers.size(worst['response_bytes'])}) and "
            f"{numbers.signed_percent(worst_of(of_protocol, 'cpu')['cpu_residual_ratio'])} in CPU."
        )
    published = "the latency of a sidecar is a base cost and a slope per byte (model of the paper)"
    criterion = f"where latency is nowhere off the line by more than {numbers.percent(STRAIGHT_WITHIN)}"
    text = f"On this machine {' '.join(sentences)}"
    return sweep.Finding(published, sweep.PAPER, sweep.verdict(answers), text, criterion)


def worst_of(rows: Sequence[sweep.Row], currency: str) -> sweep.Row:
    """The row that is farthest off its line."""
    return max(rows, key=lambda row: abs(row[f"{currency}_residual_ratio"]))


def draw(figure: Figure, rows: list[sweep.Row]) -> None:
    """Measured points with their intervals, and the lines, over the size; both axes logarithmic."""
    panels = figure.subplots(1, 2)
    titles = ("added latency of the median exchange, µs", "added CPU per request, µs")
    intervals = ("p50_overhead_ci95_ns", "cpu_overhead_ci95_ns_per_request")
    for axes, (currency, key), interval, title in zip(panels, CURRENCIES.items(), intervals, titles, strict=True):
        for number, protocol in enumerate(PROTOCOLS):
            shown = [row for row in rows if row["protocol"] == protocol]
            sizes_kib = [row["response_bytes"] / 1024 for row in shown]
            values_us = [row[key] / 1e3 for row in shown]
            spread_us = sweep.error_bars(values_us, [row[interval] for row in shown])
            name = summaries.protocol_name(protocol)
            axes.errorbar(
                sizes_kib, values_us, yerr=spread_us, fmt="o", capsize=3, color=f"C{number}", label=f"{name}, measured"
            )
            grid_kib = np.geomspace(min(sizes_kib), max(sizes_kib), 100)
            line_us = shown[0][f"{currency}_line_base_ns"] + shown[0][f"{currency}_line_slope_ns_per_kib"] * grid_kib
            axes.plot(grid_kib, line_us / 1e3, color=f"C{number}", linewidth=1, label=f"{name}, straight line")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("size of the answer, KiB")
        axes.set_ylabel(title)
        axes.grid(visible=True, which="both", alpha=0.2)
    panels[0].legend(frameon=False)


EXPERIMENT: Final = sweep.Experiment(
    folder=Path(__file__).parent,
    question="What does a byte cost, and is it a base cost and a slope?",
    extract=extract,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
)

if __name__ == "__main__":
    sweep.main(EXPERIMENT)
