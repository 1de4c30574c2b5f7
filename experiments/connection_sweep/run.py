"""What more connections do to the overhead: closed loop over 1 to 64 connections.

Usage: python experiments/connection_sweep/run.py [--profile DIR|FILE] [--results DIR]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from experiments import sweep
from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.profile.types import Cell

PROTOCOLS: Final = ("tcp", "http1")
PUBLISHED_LATENCY_RATIO: Final = 2.69


def extract(cells: Sequence[Cell]) -> list[sweep.Row]:
    """One row per protocol and number of connections."""
    return [one_count(cell) for cell in cells]


def one_count(cell: Cell) -> sweep.Row:
    """The row of a cell: latency and throughput; CPU is left out, which was measured over other connections."""
    found = {key: value for key, value in sweep.costs(cell).items() if "cpu" not in key}
    change = found["achieved_rps"] / found["baseline_achieved_rps"] - 1
    return {
        "protocol": cell.protocol,
        "connections": cell.connections,
        **found,
        "throughput_change_ratio": change,
    }


COLUMNS: Final[sweep.Columns] = {
    "protocol": lambda row: summaries.protocol_name(row["protocol"]),
    "connections": lambda row: numbers.count(row["connections"]),
    "baseline p50, µs": lambda row: numbers.micros(row["baseline_p50_ns"]),
    **sweep.P50_COLUMNS,
    "+ p99, µs": lambda row: numbers.micros(row["p99_overhead_ns"]),
    "without, 1/s": lambda row: numbers.rate(row["baseline_achieved_rps"]),
    "with, 1/s": lambda row: numbers.rate(row["achieved_rps"]),
    "throughput": lambda row: numbers.signed_percent(row["throughput_change_ratio"]),
}


def judge(rows: list[sweep.Row]) -> sweep.Finding:
    """Whether the relative overhead of the median stays within the published maximum."""
    answers = [(row["p50_overhead_ratio"] or 0.0) <= PUBLISHED_LATENCY_RATIO for row in rows]
    sentences = []
    for protocol in PROTOCOLS:
        of_protocol = [row for row in rows if row["protocol"] == protocol]
        if not of_protocol:
            continue
        first, last = of_protocol[0], of_protocol[-1]
        best = max(of_protocol, key=lambda row: float(row["achieved_rps"]))
        sentences.append(
            f"{summaries.protocol_name(protocol)} has {numbers.signed_percent(first['p50_overhead_ratio'])} latency "
            f"with {first['connections']} and {numbers.signed_percent(last['p50_overhead_ratio'])} with "
            f"{last['connections']} connections; with sidecars throughput is highest over {best['connections']} "
            f"({numbers.rate(best['achieved_rps'])}/s, {numbers.signed_percent(best['throughput_change_ratio'])})."
        )
    sentences.append(f"{sum(answers)} of {len(answers)} cells stay within +269 %.")
    text, criterion = f"On this machine {' '.join(sentences)}", "if all cells stay within +269 %, partly if some do"
    return sweep.Finding("up to +269 % latency", sweep.PAPER, sweep.verdict(answers), text, criterion)


def draw(figure: Figure, rows: list[sweep.Row]) -> None:
    """Added latency (p50 with intervals, p99) and throughput with and without sidecars, over the connections."""
    left, right = figure.subplots(1, 2)
    for number, protocol in enumerate(PROTOCOLS):
        shown = [row for row in rows if row["protocol"] == protocol]
        counts, name = [row["connections"] for row in shown], summaries.protocol_name(protocol)
        p50_us = [row["p50_overhead_ns"] / 1e3 for row in shown]
        p99_us = [row["p99_overhead_ns"] / 1e3 for row in shown]
        spread_us = sweep.error_bars(p50_us, [row["p50_overhead_ci95_ns"] for row in shown])
        colour = f"C{number}"
        left.errorbar(counts, p50_us, yerr=spread_us, fmt="o-", capsize=3, color=colour, label=f"{name}, p50")
        left.plot(counts, p99_us, "^:", color=colour, label=f"{name}, p99")
        right.plot(counts, [row["achieved_rps"] for row in shown], "o-", color=colour, label=f"{name}, with sidecars")
        without_rps = [row["baseline_achieved_rps"] for row in shown]
        right.plot(counts, without_rps, "s--", fillstyle="none", color=colour, label=f"{name}, without")
    left.set_ylabel("added latency, µs")
    right.set_ylabel("requests per second")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("connections")
        axes.grid(visible=True, which="both", alpha=0.2)
        axes.legend(frameon=False, fontsize=8)


EXPERIMENT: Final = sweep.Experiment(
    folder=Path(__file__).parent,
    question="What do more connections do to the overhead?",
    extract=extract,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
)

if __name__ == "__main__":
    sweep.main(EXPERIMENT)
