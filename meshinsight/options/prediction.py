"""Arguments and options of the commands that predict: what to predict with, for which graph, and at which prices."""

from pathlib import Path
from typing import Annotated, Final

import typer

from meshinsight.options.checks import number, one_of
from meshinsight.options.panels import PREDICTION, PRICES
from profiler.vocabulary.hop import TRANSPORTS

_MOST_MONEY: Final = 1e12

Profile = Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")]
ProfileOrModel = Annotated[
    Path, typer.Argument(metavar="PROFILE", help="Directory of a run, its profile.json, or the output of fit -o json.")
]
Further = Annotated[
    list[Path] | None,
    typer.Option(
        "--profile",
        metavar="PROFILE",
        help="A further profile of the same machine, joined with the first; repeatable.",
        rich_help_panel=PREDICTION,
    ),
]
Graph = Annotated[Path, typer.Argument(metavar="GRAPH", help="A call graph file.")]
Proxy = Annotated[
    str | None,
    typer.Option("--proxy", metavar="NAME", help="The proxy, if the profile has several.", rich_help_panel=PREDICTION),
]
TRANSPORT: Final = one_of(
    "--transport",
    choices=TRANSPORTS,
    metavar="NAME",
    help="Between application and sidecar: ip or uds (Unix socket).",
    rich_help_panel=PREDICTION,
)
Transport = Annotated[str, TRANSPORT]
Seed = Annotated[
    int,
    number(
        "--seed",
        least=0,
        most=1 << 62,
        metavar="N",
        help="Seed of the sampled percentiles.",
        rich_help_panel=PREDICTION,
    ),
]
Samples = Annotated[
    int,
    number(
        "--samples",
        least=0,
        most=1e6,
        metavar="N",
        help="Requests that percentiles are sampled from; 0: no percentiles.",
        rich_help_panel=PREDICTION,
    ),
]
CpuModel = Annotated[
    str | None,
    typer.Option(
        "--cpu-model",
        metavar="TEXT",
        help="CPU model of the nodes, as profile.json writes it.",
        rich_help_panel=PREDICTION,
    ),
]
CrossingShare = Annotated[
    float | None,
    number(
        "--crossing-share",
        least=0,
        most=1,
        metavar="SHARE",
        help="Share of wake-ups between processes that cross CPUs, 0 to 1; default: as profiled.",
        rich_help_panel=PREDICTION,
    ),
]
PricePerVcpuHour = Annotated[
    float | None,
    number(
        "--price-per-vcpu-hour",
        least=0,
        most=_MOST_MONEY,
        metavar="MONEY",
        help="Price of a vCPU for an hour; adds the cost per month (730 h).",
        rich_help_panel=PRICES,
    ),
]
PricePerGibHour = Annotated[
    float | None,
    number(
        "--price-per-gib-hour",
        least=0,
        most=_MOST_MONEY,
        metavar="MONEY",
        help="Price of a GiB of memory for an hour.",
        rich_help_panel=PRICES,
    ),
]
Currency = Annotated[
    str, typer.Option("--currency", metavar="NAME", help="Currency of the prices.", rich_help_panel=PRICES)
]
