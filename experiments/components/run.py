"""Where the cost of a sidecar comes from: components of TCP, HTTP/1.1 and gRPC, plain and with mutual TLS.

Usage: python experiments/components/run.py [--profile DIR|FILE] [--results DIR]
"""

from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from experiments import sweep
from meshinsight import numbers
from meshinsight.reports.subjects import summaries
from profiler.vocabulary.components import COMPONENTS, IPC, PARSING, QUEUEING, SOCKET_WRITE, TLS

SHOWN: Final = tuple(name for name in COMPONENTS if name != QUEUEING)
TCP_COSTS: Final = (IPC, SOCKET_WRITE)
HTTP_COSTS: Final = (PARSING,)


def name_of(row: sweep.Row) -> str:
    """A row in words."""
    return summaries.protocol_name(row["protocol"]) + (", mTLS" if row["tls"] == "mtls" else "")


COLUMNS: Final[sweep.Columns] = {
    "proxy": name_of,
    "currency": lambda row: row["currency"],
    **sweep.breakdown_columns(SHOWN),
}


def judge(rows: list[sweep.Row]) -> sweep.Finding:
    """Whether the published components dominate the latency of plain TCP and of plain HTTP/1.1."""
    tcp, http = (sweep.pick(rows, protocol=name, tls="none", currency=sweep.LATENCY) for name in ("tcp", "http1"))
    tcp_cpu, http_cpu = (sweep.pick(rows, protocol=name, tls="none", currency=sweep.CPU) for name in ("tcp", "http1"))
    mutual = sweep.pick(rows, protocol="http1", tls="mtls", currency=sweep.LATENCY)
    answers = [sweep.dominates(tcp, TCP_COSTS), sweep.dominates(http, HTTP_COSTS)]
    text = (
        f"On this machine ipc and socket_write are {numbers.percent(sweep.share(tcp, TCP_COSTS))} of the latency that "
        f"TCP proxies add ({numbers.percent(sweep.share(tcp_cpu, TCP_COSTS))} of the CPU). "
        f"Parsing is {numbers.percent(sweep.share(http, HTTP_COSTS))} of the latency that HTTP/1.1 proxies add "
        f"({numbers.percent(sweep.share(http_cpu, HTTP_COSTS))} of the CPU). "
        f"Mutual TLS is {numbers.percent(sweep.share(mutual, [TLS]))} of the latency that HTTP/1.1 pays with it."
    )
    published = "TCP proxy: IPC and socket writes dominate; HTTP proxy: protocol parsing dominates"
    return sweep.Finding(published, sweep.PAPER, sweep.verdict(answers), text, sweep.DOMINATES)


def draw(figure: Figure, rows: list[sweep.Row]) -> None:
    """Stacked bars."""
    sweep.draw_breakdown(figure, rows, name_of)


EXPERIMENT: Final = sweep.Experiment(
    folder=Path(__file__).parent,
    question="Where does the cost of a sidecar come from?",
    extract=sweep.breakdowns,
    columns=COLUMNS,
    judge=judge,
    draw=draw,
)

if __name__ == "__main__":
    sweep.main(EXPERIMENT)
