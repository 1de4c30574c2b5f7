"""What load does to the overhead: open-loop rates up to saturation, and the closed loop.

Usage: python experiments/rate_sweep/run.py [--profile DIR|FILE] [--results DIR]
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import sweep
from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.profile.bounds import REACHED_RATIO
from profiler.profile.types import Cell

PROTOCOLS: Final = ("tcp", "http1")
PUBLISHED_VCPU: Final = 0.20
PUBLISHED_RATE_RPS: Final = 1000.0
WITHIN_FACTOR: Final = 2.0
STEADY_WITHIN: Final = 0.25
SIDECARS: Final = 2


def extract(cells: Sequence[Cell]) -> list[sweep.Row]:
    """One row per protocol and rate, the closed loop last."""
    return [one_rate(cell) for cell in cells]


def one_rate(cell: Cell) -> sweep.Row:
    """The row of a cell: costs, and whether the offered rate was reached with sidecars and without."""
    row = {"protocol": cell.protocol, "rate_rps": cell.rate_rps, **sweep.costs(cell)}
    least_rps = REACHED_RATIO * (cell.rate_rps or 0.0)
    row["reached"] = row["achieved_rps"] >= least_rps
    row["baseline_reached"] = row["baseline_achieved_rps"] >= least_rps
    rate_rps = cell.rate_rps
    busy_ns = row["cpu_overhead_ns_per_request"]
    row["vcpu_per_sidecar"] = busy_ns * 1e-9 * rate_rps / SIDECARS if rate_rps and row["reached"] else None
    return row


COLUMNS: Final[sweep.Columns] = {
    "protocol": lambda row: summaries.protocol_name(row["protocol"]),
    "offered, 1/s": lambda row: numbers.rate(row["rate_rps"]) if row["rate_rps"] else "max",
    "achieved": lambda row: numbers.rate(row["achieved_rps"]),
    "without": lambda row: numbers.rate(row["baseline_achieved_rps"]),
    **sweep.P50_COLUMNS,
    "+ p99, µs": lambda row: numbers.micros(row["p99_overhead_ns"]),
    "+ CPU, µs": lambda row: numbers.micros(row["cpu_overhead_ns_per_request"]),
    "vCPU per sidecar": lambda row: numbers.vcpus(row["vcpu_per_sidecar"]),
}


def judge(rows: list[sweep.Row]) -> sweep.Finding:
    """Whether a sidecar's vCPU is near the published one, and CPU is in proportion to the rate (HTTP/1.1)."""
    published = sweep.pick(rows, protocol="http1", rate_rps=PUBLISHED_RATE_RPS)
    vcpu = published["vcpu_per_sidecar"]
    near = vcpu is not None and PUBLISHED_VCPU / WITHIN_FACTOR <= vcpu <= PUBLISHED_VCPU * WITHIN_FACTOR
    reached = [row for row in rows if row["protocol"] == "http1" and row["rate_rps"] and row["reached"]]
    cpu_ns = [row["cpu_overhead_ns_per_request"] for row in reached]
    typical_ns = statistics.median(cpu_ns) if cpu_ns else 0.0
    steady = bool(cpu_ns) and all(abs(value - typical_ns) <= STEADY_WITHIN * typical_ns for value in cpu_ns)
    ends = f"{numbers.micros(min(cpu_ns))} to {numbers.micros(max(cpu_ns))}" if cpu_ns else numbers.UNKNOWN
    text = (
        f"On this machine one HTTP/1.1 sidecar at 1000 requests/s keeps {numbers.vcpus(vcpu)} vCPU busy. "
        f"Two of them need {ends} µs of CPU per request at the rates that were reached. "
        f"{'; '.join(saturation(rows, protocol) for protocol in PROTOCOLS)}."
    )
    criterion = (
        f"if the vCPU is within a factor of {WITHIN_FACTOR:g} of {PUBLISHED_VCPU:.2f} "
        f"({'it is' if near else 'it is not'}) and CPU per request within {numbers.percent(STEADY_WITHIN)} of its "
        f"median everywhere ({'it is' if steady else 'it is not'})"
    )
    statement = "1000 rps, 1 KB: a sidecar needs 0.20 vCPU"
    return sweep.Finding(statement, "Istio 1.24 docs", sweep.verdict([near, steady]), text, criterion)


def saturation(rows: Sequence[sweep.Row], protocol: str) -> str:
    """Where the protocol's rates are no longer reached, as part of a sentence."""
    offered = [row for row in rows if row["protocol"] == protocol and row["rate_rps"]]
    missed = [row for row in offered if not row["reached"]]
    name = summaries.protocol_name(protocol)
    if not missed:
        return f"{name} reaches every offered rate"
    first = min(missed, key=lambda row: row["rate_rps"])
    without = "is reached" if first["baseline_reached"] else "is not reached either"
    return (
        f"{name} misses {numbers.rate(first['rate_rps'])} requests/s with sidecars "
        f"({numbers.rate(first['achieved_rps'])} achieved), which {without} without"
    )


def draw(figure: Figure, rows: list[sweep.Row]) -> None:
    """Added p50, p99 and CPU over the rate that was achieved; hollow where the offered one was missed."""
    panels = figure.subplots(1, 3)
    draw_rates(panels[0], rows, "p50_overhead_ns", "p50_overhead_ci95_ns")
    draw_rates(panels[1], rows, "p99_overhead_ns", None)
    draw_rates(panels[2], rows, "cpu_overhead_ns_per_request", "cpu_overhead_ci95_ns_per_request")
    for axes, title in zip(panels, ("added p50, µs", "added p99, µs", "added CPU per request, µs"), strict=True):
        axes.set_xlabel("achieved with sidecars, requests per second")
        axes.set_ylabel(title)
        axes.grid(visible=True, alpha=0.2)
    for axes in panels[:2]:
        axes.set_yscale("symlog", linthresh=100)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)


def draw_rates(axes: Axes, rows: Sequence[sweep.Row], key: str, interval: str | None) -> None:
    """One quantity over the achieved rate; the closed loop is a star, and has no place beside CPU at fixed rates."""
    for number, protocol in enumerate(PROTOCOLS):
        for label, marker, filled, shown in groups(rows, protocol):
            if marker == "*" and key.startswith("cpu"):
                continue
            values_us = [row[key] / 1e3 for row in shown]
            spread_us = sweep.error_bars(values_us, [row[interval] if interval else None for row in shown])
            axes.errorbar(
                [row["achieved_rps"] for row in shown],
                values_us,
                yerr=spread_us,
                fmt=marker,
                color=f"C{number}",
                capsize=3,
                fillstyle="full" if filled else "none",
                label=f"{summaries.protocol_name(protocol)}, {label}",
            )


def groups(rows: Sequence[sweep.Row], protocol: str) -> list[tuple[str, str, bool, list[sweep.Row]]]:
    """A protocol's rows as (label, marker, filled, rows): rates reached, rates missed, the closed loop."""
    of_protocol = [row for row in rows if row["protocol"] == protocol]
    offered = [row for row in of_protocol if row["rate_rps"]]
    found = [
        ("open loop", "o-", True, [row for row in offered if row["reached"]]),
        ("rate missed", "s", False, [row for row in offered if not row["reached"]]),
        ("closed loop", "*", True, [row for row in of_protocol if not row["rate_rps"]]),
    ]
    return [group for group in found if group[3]]


EXPERIMENT: Final = sweep.Experiment(
    folder=Path(__file__).parent,
    question="What does load do to the overhead, up to saturation?",
    extract=extract,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
    size_inches=(12.0, 4.4),
)

if __name__ == "__main__":
    sweep.main(EXPERIMENT)
