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
"""What should dominate by the published statement, by protocol."""


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
    text = f"On this machine, as TCP proxies {shares(latency, 'tcp')}. As HTTP/1.1 proxies {shares(latency, 'http1')}."
    published = "TCP proxy: IPC and socket writes dominate; HTTP proxy: protocol parsing dominates"
    return sweep.Finding(published, sweep.PAPER, sweep.verdict(answers), text, sweep.DOMINATES)


def shares(latency: Sequence[sweep.Row], protocol: str) -> str:
    """The share of the components that should dominate, for each proxy."""
    names = DOMINANT[protocol]
    of_proxies = [
        f"{numbers.percent(sweep.share(row, names))} ({row['proxy']})" for row in latency if row["protocol"] == protocol
    ]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} {', '.join(of_proxies)} of the added latency"


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
