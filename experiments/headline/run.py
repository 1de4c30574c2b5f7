"""What sidecars cost, by protocol and topology, in latency and CPU.

Usage: python experiments/headline/run.py [--profile DIR|FILE] [--results DIR]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import sweep
from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.profile.types import Cell

PUBLISHED_LATENCY_RATIO: Final = 2.69
PUBLISHED_CPU_RATIO: Final = 1.63
TOPOLOGIES: Final = ("client", "server", "both")
CURRENCIES: Final = ("p50_overhead_ns", "cpu_overhead_ns_per_request")


def extract(cells: Sequence[Cell]) -> list[sweep.Row]:
    """One row per protocol and topology."""
    return [{"protocol": cell.protocol, "topology": cell.topology, **sweep.costs(cell)} for cell in cells]


COLUMNS: Final[sweep.Columns] = {
    "protocol": lambda row: summaries.protocol_name(row["protocol"]),
    "sidecars": lambda row: row["topology"],
    "baseline p50, µs": lambda row: numbers.micros(row["baseline_p50_ns"]),
    **sweep.P50_COLUMNS,
    "baseline p99, µs": lambda row: numbers.micros(row["baseline_p99_ns"]),
    "+ p99, µs": lambda row: numbers.micros(row["p99_overhead_ns"]),
    "+ p99": lambda row: numbers.signed_percent(row["p99_overhead_ratio"]),
    "baseline CPU, µs": lambda row: numbers.micros(row["baseline_cpu_ns_per_request"]),
    "+ CPU, µs": lambda row: numbers.micros(row["cpu_overhead_ns_per_request"]),
    "+ CPU": lambda row: numbers.signed_percent(row["cpu_overhead_ratio"]),
}


def judge(rows: list[sweep.Row]) -> sweep.Finding:
    """Whether all overheads stay within the published maxima, and TCP is the cheapest protocol in every topology."""
    latency = max(rows, key=lambda row: row["p50_overhead_ratio"] or 0.0)
    cpu = max(rows, key=lambda row: row["cpu_overhead_ratio"] or 0.0)
    both = sweep.pick(rows, protocol="http1", topology="both")
    answers = [
        (latency["p50_overhead_ratio"] or 0.0) <= PUBLISHED_LATENCY_RATIO,
        (cpu["cpu_overhead_ratio"] or 0.0) <= PUBLISHED_CPU_RATIO,
        tcp_is_cheapest(rows),
    ]
    text = (
        f"On this machine two sidecars add {numbers.micros(both['p50_overhead_ns'])} µs to the median of an HTTP/1.1 "
        f"exchange and {numbers.micros(both['cpu_overhead_ns_per_request'])} µs of CPU to each request. "
        f"The largest relative overheads are {numbers.signed_percent(latency['p50_overhead_ratio'])} latency "
        f"({name_of(latency)}) and {numbers.signed_percent(cpu['cpu_overhead_ratio'])} CPU ({name_of(cpu)}), "
        f"of an exchange that takes {numbers.micros(latency['baseline_p50_ns'])} µs and "
        f"{numbers.micros(cpu['baseline_cpu_ns_per_request'])} µs of CPU without sidecars. "
        f"TCP {'costs' if answers[2] else 'does not cost'} less than the others in every topology and currency."
    )
    published = "up to +269 % latency, +163 % vCPU; TCP costs less than HTTP"
    criterion = "if all three parts do: latency within +269 %, CPU within +163 %, TCP below the others"
    return sweep.Finding(published, sweep.PAPER, sweep.verdict(answers), text, criterion)


def tcp_is_cheapest(rows: Sequence[sweep.Row]) -> bool:
    """Whether TCP adds less than any other protocol with the same sidecars, in latency and in CPU."""
    return all(
        sweep.pick(rows, protocol="tcp", topology=row["topology"])[key] < row[key]
        for row in rows
        if row["protocol"] != "tcp"
        for key in CURRENCIES
    )


def name_of(row: sweep.Row) -> str:
    """A row in words."""
    return f"{summaries.protocol_name(row['protocol'])}, {summaries.topology_name(row['topology'])}"


def draw(figure: Figure, rows: list[sweep.Row]) -> None:
    """Grouped bars: added latency (bars p50, dots p99) and added CPU, with the percentage of the baseline."""
    left, right = figure.subplots(1, 2)
    draw_bars(left, rows, "p50_overhead", "ns")
    for row in rows:
        left.plot(place_of(rows, row), row["p99_overhead_ns"] / 1e3, "k.", markersize=5)
    left.plot([], [], "k.", label="p99")
    left.set_ylabel("added latency, µs (bars: p50)")
    draw_bars(right, rows, "cpu_overhead", "ns_per_request")
    right.set_ylabel("added CPU per request, µs")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


def draw_bars(axes: Axes, rows: Sequence[sweep.Row], name: str, unit: str) -> None:
    """One bar per row, in groups of a protocol, a colour per topology."""
    for number, topology in enumerate(TOPOLOGIES):
        shown = [row for row in rows if row["topology"] == topology]
        values_us = [row[f"{name}_{unit}"] / 1e3 for row in shown]
        spread_us = sweep.error_bars(values_us, [row[f"{name}_ci95_{unit}"] for row in shown])
        places = [place_of(rows, row) for row in shown]
        axes.bar(
            places, values_us, width=0.26, yerr=spread_us, capsize=2, color=f"C{number}", label=f"sidecar: {topology}"
        )
        for place, value_us, row in zip(places, values_us, shown, strict=True):
            text = numbers.signed_percent(row[f"{name}_ratio"])
            axes.text(place, value_us / 2, text, rotation=90, ha="center", va="center", fontsize=7, color="white")
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    axes.set_xticks(range(len(protocols)), [summaries.protocol_name(protocol) for protocol in protocols])


def place_of(rows: Sequence[sweep.Row], row: sweep.Row) -> float:
    """Where the bar of a row stands."""
    protocols = list(dict.fromkeys(entry["protocol"] for entry in rows))
    return protocols.index(row["protocol"]) + 0.28 * (TOPOLOGIES.index(row["topology"]) - 1)


EXPERIMENT: Final = sweep.Experiment(
    folder=Path(__file__).parent,
    question="What do sidecars cost in latency and CPU, by protocol and topology?",
    extract=extract,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
)

if __name__ == "__main__":
    sweep.main(EXPERIMENT)
