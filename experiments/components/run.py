"""Where the cost of a sidecar comes from: components of TCP, HTTP/1.1 and gRPC, plain and with mutual TLS.

Usage: python experiments/components/run.py [--profile DIR|FILE] [--results DIR]
"""

from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from experiments import lab
from meshinsight.reporters import derived, formats
from profiler.components import COMPONENTS, IPC, PARSING, QUEUEING, SOCKET_WRITE, TLS

SHOWN: Final = tuple(name for name in COMPONENTS if name != QUEUEING)
TCP_COSTS: Final = (IPC, SOCKET_WRITE)
HTTP_COSTS: Final = (PARSING,)


def name_of(row: lab.Row) -> str:
    """A row in words."""
    return derived.protocol_name(row["protocol"]) + (", mTLS" if row["tls"] == "mtls" else "")


COLUMNS: Final[lab.Columns] = {
    "proxy": name_of,
    "currency": lambda row: row["currency"],
    **lab.breakdown_columns(SHOWN),
}


def judge(rows: list[lab.Row]) -> lab.Finding:
    """Whether the published components dominate the latency of plain TCP and of plain HTTP/1.1."""
    tcp, http = (lab.pick(rows, protocol=name, tls="none", currency=lab.LATENCY) for name in ("tcp", "http1"))
    tcp_cpu, http_cpu = (lab.pick(rows, protocol=name, tls="none", currency=lab.CPU) for name in ("tcp", "http1"))
    mutual = lab.pick(rows, protocol="http1", tls="mtls", currency=lab.LATENCY)
    answers = [lab.dominates(tcp, TCP_COSTS), lab.dominates(http, HTTP_COSTS)]
    text = (
        f"As TCP proxies, {formats.percent(lab.share(tcp, TCP_COSTS))} of the added latency is ipc and "
        f"socket_write ({formats.percent(lab.share(tcp_cpu, TCP_COSTS))} of the added CPU): {answers[0]}. "
        f"For HTTP/1.1 parsing is {formats.percent(lab.share(http, HTTP_COSTS))} of the added latency "
        f"({formats.percent(lab.share(http_cpu, HTTP_COSTS))} of the CPU): {answers[1]}. "
        f"Mutual TLS is {formats.percent(lab.share(mutual, [TLS]))} of the latency that HTTP/1.1 pays with it. "
        "The finding holds if both parts do, by the latency: more than half is yes, more than each other component "
        "partly."
    )
    published = "TCP proxy: IPC and socket writes dominate; HTTP proxy: protocol parsing dominates"
    return lab.Finding(published, lab.PAPER, lab.verdict(answers), text)


def draw(figure: Figure, rows: list[lab.Row]) -> None:
    """Stacked bars."""
    lab.draw_breakdown(figure, rows, name_of)


EXPERIMENT: Final = lab.Experiment(
    folder=Path(__file__).parent,
    question="Where does the cost of a sidecar come from?",
    extract=lab.breakdowns,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
)

if __name__ == "__main__":
    lab.main(EXPERIMENT)
