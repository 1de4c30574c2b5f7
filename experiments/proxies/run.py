"""Envoy, HAProxy and nginx as sidecars side by side: what they cost, and of what.

Usage: python experiments/proxies/run.py [--profile DIR|FILE] [--results DIR]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from experiments import sweep
from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.vocabulary.components import COMPONENTS, IPC, PARSING, QUEUEING, SOCKET_WRITE, TLS

SHOWN: Final = tuple(name for name in COMPONENTS if name not in (QUEUEING, TLS))
DOMINANT: Final = {"tcp": (IPC, SOCKET_WRITE), "http1": (PARSING,)}
"""What is said to dominate, by protocol."""


COLUMNS: Final[sweep.Columns] = {
    "protocol": lambda row: summaries.protocol_name(row["protocol"]),
    "proxy": lambda row: row["proxy"],
    "currency": lambda row: row["currency"],
    **sweep.breakdown_columns(SHOWN),
}


def judge(rows: list[sweep.Row]) -> sweep.Finding:
    """Whether the published components dominate the latency of every proxy."""
    latency = [row for row in rows if row["currency"] == sweep.LATENCY]
    answers = [sweep.dominates(row, DOMINANT[row["protocol"]]) for row in latency]
    text = (
        f"{sentence(rows, 'tcp')} {sentence(rows, 'http1')} "
        "The finding holds if it does for each proxy, by the latency: more than half is yes, more than each other "
        "component partly."
    )
    published = "TCP proxy: IPC and socket writes dominate; HTTP proxy: protocol parsing dominates"
    return sweep.Finding(published, sweep.PAPER, sweep.verdict(answers), text)


def sentence(rows: Sequence[sweep.Row], protocol: str) -> str:
    """What each proxy adds for a protocol, and the share of what is said to dominate."""
    names = DOMINANT[protocol]
    parts = []
    for row in rows:
        if row["protocol"] == protocol and row["currency"] == sweep.LATENCY:
            cpu = sweep.pick(rows, protocol=protocol, proxy=row["proxy"], currency=sweep.CPU)
            parts.append(
                f"{row['proxy']} adds {numbers.micros(row['overhead_ns'])} µs and "
                f"{numbers.micros(cpu['overhead_ns'])} µs "
                f"of CPU, {' and '.join(names)} are {numbers.percent(sweep.share(row, names))} of the latency "
                f"({sweep.dominates(row, names)})"
            )
    return f"{summaries.protocol_name(protocol)}: {'; '.join(parts)}."


def draw(figure: Figure, rows: list[sweep.Row]) -> None:
    """Stacked bars."""
    sweep.draw_breakdown(figure, rows, lambda row: f"{row['proxy']}, {summaries.protocol_name(row['protocol'])}")


EXPERIMENT: Final = sweep.Experiment(
    folder=Path(__file__).parent,
    question="Is it Envoy, or is it a proxy?",
    extract=sweep.breakdowns,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
)

if __name__ == "__main__":
    sweep.main(EXPERIMENT)
