"""`meshinsight validate`: a call graph deployed for real on this machine, and its prediction scored."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import json_text
from meshinsight.models import load_model, planned_for
from meshinsight.options.checks import duration_option, number, one_of, out_file, output_format, rate_option
from meshinsight.options.panels import MEASURE, TIME
from meshinsight.options.prediction import Further, Graph, Profile
from meshinsight.reports.formats import FORMATS, text_formats
from profiler.host import extras
from profiler.vocabulary.hop import APART, FREE
from profiler.vocabulary.temperature import APPLICATION_TEMPERATURES

_TEMPERATURE: Final = one_of(
    "--temperature",
    choices=APPLICATION_TEMPERATURES,
    metavar="NAME",
    help="CPU caches: hot (CPUs stay awake), cold (evicted), natural.",
    rich_help_panel=MEASURE,
)
_PLACEMENT: Final = one_of(
    "--placement",
    choices=(FREE, APART),
    metavar="NAME",
    help="CPUs of the processes: free (the scheduler chooses), apart (each pinned to another CPU).",
    rich_help_panel=MEASURE,
)

WhatIf = Annotated[
    Path | None,
    typer.Option(
        "--what-if", metavar="FILE", help="File of scenarios to deploy and compare too.", rich_help_panel=MEASURE
    ),
]
Rate = Annotated[
    float | None,
    rate_option(
        "--rate",
        least_rps=0.1,
        most_rps=1e6,
        help="Requests per second from outside; default: chosen automatically.",
        rich_help_panel=MEASURE,
    ),
]
Duration = Annotated[
    float,
    duration_option(
        "--duration",
        least_s=0.2,
        most_s=600.0,
        default_s=0.5,
        help="Time of one window of latency; windows of CPU time are twice as long.",
        rich_help_panel=TIME,
    ),
]
Rounds = Annotated[
    int,
    number(
        "--rounds",
        least=4,
        most=1000,
        metavar="N",
        help="Rounds; each has one window of every variant.",
        rich_help_panel=TIME,
    ),
]

_EXAMPLES: Final = examples(
    "sudo meshinsight validate profile-out shop.yaml",
    "sudo meshinsight validate profile-out shop.yaml --rate 200 --out result.json",
)


def register(app: typer.Typer) -> None:
    """Add `validate` to the command line."""
    app.command(name="validate", epilog=_EXAMPLES)(validate)


def validate(
    profile: Profile,
    graph: Graph,
    further: Further = None,
    what_if: WhatIf = None,
    rate: Rate = None,
    duration: Duration = 0.5,
    rounds: Rounds = 16,
    temperature: Annotated[str, _TEMPERATURE] = "hot",
    placement: Annotated[str, _PLACEMENT] = FREE,
    output: Annotated[str, output_format(*text_formats())] = "table",
    out: Annotated[Path | None, out_file(metavar="FILE", help="JSON file to write, for report --validation.")] = None,
) -> None:
    """Deploy a call graph here and compare it with its prediction.

    It runs without sidecars and with them, in network namespaces of this machine. The result is the errors of the
    prediction.
    """
    extras.require(extras.MEASURE, "validate")
    from meshinsight.progress import Progress
    from meshinsight.reports.subjects.validation import report
    from predictor.graph.reader import load_graph
    from predictor.hop_costs.options import Options
    from predictor.validation.running import Settings
    from predictor.validation.running import validate as run
    from predictor.what_if.scenarios import load_scenarios
    from profiler.files.writing import write_whole
    from profiler.profile.document import load_profile

    loaded = load_graph(graph)
    document = load_profile(profile)
    scenarios = load_scenarios(what_if) if what_if else ()
    settings = Settings(rate, rounds, duration, temperature, placement)
    with planned_for(None if what_if else graph), Progress() as progress:
        found = run(
            loaded, document, load_model(profile, further or ()), scenarios, Options(), settings, progress.update
        )
    shown = report(found)
    if out is not None:
        write_whole(out, json_text(shown.document()))
    FORMATS[output](shown, sys.stdout)
