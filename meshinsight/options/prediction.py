"""Arguments and options of the commands that predict: what to predict with, for which graph, and at which prices."""

from pathlib import Path
from typing import Annotated, Final

import typer

from meshinsight.options.checks import number, one_of
from profiler.vocabulary.hop import TRANSPORTS

_MOST_MONEY: Final = 1e12

Profile = Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")]
ProfileOrModel = Annotated[
    Path, typer.Argument(metavar="PROFILE", help="Directory of a run, its profile.json, or what `fit -o json` gave.")
]
Graph = Annotated[Path, typer.Argument(metavar="GRAPH", help="A call graph file.")]
Proxy = Annotated[str | None, typer.Option("--proxy", metavar="NAME", help="The proxy, where several were profiled.")]
TRANSPORT: Final = one_of(
    "--transport", choices=TRANSPORTS, metavar="NAME", help="Between application and sidecar: ip or uds."
)
Transport = Annotated[str, TRANSPORT]
Seed = Annotated[int, number("--seed", least=0, most=1 << 62, metavar="N", help="Of the sampled percentiles.")]
Samples = Annotated[
    int,
    number("--samples", least=0, most=1e6, metavar="N", help="Sampled requests; 0 leaves percentiles out."),
]
CpuModel = Annotated[
    str | None,
    typer.Option("--cpu-model", metavar="TEXT", help="CPU of the nodes, as the profile would name it."),
]
CrossingShare = Annotated[
    float | None,
    number(
        "--crossing-share",
        least=0,
        most=1,
        metavar="S",
        help="Share of hand-overs between processes that go to another CPU; if not given, as profiled.",
    ),
]
PricePerVcpuHour = Annotated[
    float | None,
    number("--price-per-vcpu-hour", least=0, most=_MOST_MONEY, metavar="MONEY", help="Gives money per month (730 h)."),
]
PricePerGibHour = Annotated[
    float | None,
    number("--price-per-gib-hour", least=0, most=_MOST_MONEY, metavar="MONEY", help="The same for memory."),
]
