"""What each filter of Envoy costs, in latency and CPU.

Usage: python experiments/filter_costs/run.py [--profile DIR|FILE] [--results DIR]
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import sweep
from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.profile.types import Cell
from profiler.vocabulary.components import filter_component, filter_server_component, filter_wait_component

PLAIN: Final = "none"


def extract(cells: Sequence[Cell]) -> list[sweep.Row]:
    """One row per filter, the plain proxy first, then by latency."""
    rows = [one_filter(cell) for cell in cells]
    return sorted(rows, key=lambda row: (row["filter"] != PLAIN, -(row["latency_ns"] or 0.0)))


def one_filter(cell: Cell) -> sweep.Row:
    """What the filter of a cell costs; None where there is none or it could not be told."""
    name = "+".join(cell.filters) or PLAIN
    whole, cpu_whole = sweep.measured(cell)
    latency, cpu = whole.components, cpu_whole.components
    own, own_cpu = latency.get(filter_component(name)), cpu.get(filter_component(name))
    return {
        "filter": name,
        "latency_ns": own.median_ns if own else None,
        "latency_ci95_ns": own.ci95_ns if own else None,
        "wait_ns": part(latency, filter_wait_component(name), "median_ns"),
        "cpu_ns_per_request": own_cpu.cpu_ns_per_request if own_cpu else None,
        "cpu_ci95_ns_per_request": own_cpu.ci95_ns if own_cpu else None,
        "server_cpu_ns_per_request": part(cpu, filter_server_component(name), "cpu_ns_per_request"),
        "source": own.source if own else None,
        "hop_p50_overhead_ns": whole.overhead_p50_ns,
        "hop_p50_overhead_ci95_ns": whole.overhead_ci95_ns,
        "hop_cpu_overhead_ns_per_request": sweep.cpu_overhead(cell)[0],
    }


def part(components: Mapping[str, Any], name: str, key: str) -> float:
    """A component's figure, zero for one that the filter does not have."""
    return float(getattr(components[name], key)) if name in components else 0.0


def how(row: sweep.Row) -> str:
    """Where the filter's figure comes from, in a word."""
    source = row["source"]
    return numbers.UNKNOWN if source is None else "ladder" if source.startswith("ladder") else "functions"


COLUMNS: Final[sweep.Columns] = {
    "filter": lambda row: row["filter"],
    "latency, µs": lambda row: numbers.micros(row["latency_ns"]),
    "95 % interval": lambda row: numbers.micros_interval(row["latency_ci95_ns"]),
    "waiting, µs": lambda row: numbers.micros(row["wait_ns"] or None),
    "CPU, µs": lambda row: numbers.micros(row["cpu_ns_per_request"]),
    "95 % interval of CPU": lambda row: numbers.micros_interval(row["cpu_ci95_ns_per_request"]),
    "server, µs": lambda row: numbers.micros(row["server_cpu_ns_per_request"] or None),
    "hop, µs": lambda row: numbers.micros(row["hop_p50_overhead_ns"]),
    "how": how,
}


def judge(rows: list[sweep.Row]) -> sweep.Finding:
    """The most expensive filters and how many are above zero; nothing was published to compare them with."""
    plain = sweep.pick(rows, filter=PLAIN)
    filters = [row for row in rows if row["filter"] != PLAIN]
    text = (
        f"On this machine two sidecars without filters add {numbers.micros(plain['hop_p50_overhead_ns'])} µs to the "
        f"median. Most expensive are {most_expensive(filters, 'latency_ns')} in latency and "
        f"{most_expensive(filters, 'cpu_ns_per_request')} in CPU. "
        f"{above_zero(filters, 'latency_ci95_ns')} of {len(filters)} filters have a 95 % interval above zero in "
        f"latency, {above_zero(filters, 'cpu_ci95_ns_per_request')} in CPU."
    )
    return sweep.Finding(None, None, None, text)


def most_expensive(rows: Sequence[sweep.Row], key: str) -> str:
    """The three filters that cost most, with their figures."""
    known = sorted((row for row in rows if row[key] is not None), key=lambda row: -float(row[key]))
    return ", ".join(f"{row['filter']} {numbers.micros(row[key])} µs" for row in known[:3])


def above_zero(rows: Sequence[sweep.Row], key: str) -> int:
    """How many rows have an interval above zero."""
    return sum(summaries.tells_from_zero(row[key]) and row[key][0] > 0 for row in rows)


def draw(figure: Figure, rows: list[sweep.Row]) -> None:
    """Bars per filter: latency and waiting on the left, CPU and the asked server's on the right."""
    filters = [row for row in rows if row["filter"] != PLAIN]
    left, right = figure.subplots(1, 2, sharey=True)
    draw_bars(left, filters, ("latency_ns", "latency_ci95_ns", "wait_ns"), "waiting for a server")
    draw_bars(
        right,
        filters,
        ("cpu_ns_per_request", "cpu_ci95_ns_per_request", "server_cpu_ns_per_request"),
        "the server it asks",
    )
    left.set_xlabel("added latency of the median exchange, µs")
    right.set_xlabel("added CPU per request, µs")
    left.set_yticks(range(len(filters)), [row["filter"] for row in filters])
    left.invert_yaxis()


def draw_bars(axes: Axes, rows: Sequence[sweep.Row], keys: tuple[str, str, str], further: str) -> None:
    """The filter's own figure with its interval, and behind it what the server that it asks takes."""
    value, interval, beside = keys
    values_us = [(row[value] or 0.0) / 1e3 for row in rows]
    beside_us = [row[beside] / 1e3 for row in rows]
    starts_us = [max(0.0, own_us) for own_us in values_us]
    spread_us = sweep.error_bars(values_us, [row[interval] for row in rows])
    axes.barh(range(len(rows)), beside_us, left=starts_us, height=0.65, color="C1", label=further)
    axes.barh(range(len(rows)), values_us, height=0.65, xerr=spread_us, capsize=3, color="C0", label="the filter")
    axes.axvline(0, color="black", linewidth=0.6)
    axes.legend(frameon=False, loc="lower right")


EXPERIMENT: Final = sweep.Experiment(
    folder=Path(__file__).parent,
    question="What does each filter of Envoy cost?",
    extract=extract,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
    size_inches=(10.0, 5.4),
)

if __name__ == "__main__":
    sweep.main(EXPERIMENT)
