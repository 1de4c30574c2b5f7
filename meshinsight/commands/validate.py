"""`meshinsight validate`: a call graph deployed for real on this machine, and its prediction scored."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from meshinsight.console import json_text
from meshinsight.models import load_model
from meshinsight.options.checks import number, one_of, out_file, output_format
from meshinsight.options.prediction import Graph, Profile
from meshinsight.reports.formats import FORMATS, text_formats
from profiler.vocabulary.hop import APART, FREE
from profiler.vocabulary.temperature import APPLICATION_TEMPERATURES

_TEMPERATURE: Final = one_of(
    "--temperature",
    choices=APPLICATION_TEMPERATURES,
    metavar="NAME",
    help="CPUs: hot (kept awake), cold (caches evicted), natural.",
)
_PLACEMENT: Final = one_of(
    "--placement",
    choices=(FREE, APART),
    metavar="NAME",
    help="CPUs of processes: free (as the scheduler chooses), apart (pinned, each to the next CPU).",
)


def register(app: typer.Typer) -> None:
    """Add `validate` to the command line."""
    app.command(name="validate")(validate)


def validate(
    profile: Profile,
    graph: Graph,
    what_if: Annotated[
        Path | None, typer.Option("--what-if", metavar="FILE", help="A file of scenarios, each deployed and scored.")
    ] = None,
    rate: Annotated[
        float | None,
        number(
            "--rate",
            least=0.1,
            most=1e6,
            metavar="R",
            help="Requests per second from outside; chosen automatically if not given.",
        ),
    ] = None,
    duration: Annotated[
        float,
        number(
            "--duration", least=0.2, most=600, metavar="S", help="Seconds per window of latency; twice that of CPU."
        ),
    ] = 0.5,
    rounds: Annotated[
        int, number("--rounds", least=4, most=1000, metavar="N", help="Windows of each variant, interleaved.")
    ] = 16,
    temperature: Annotated[str, _TEMPERATURE] = "hot",
    placement: Annotated[str, _PLACEMENT] = FREE,
    output: Annotated[str, output_format(*text_formats())] = "table",
    out: Annotated[Path | None, out_file(metavar="FILE", help="Keep the result as JSON, for report.")] = None,
) -> None:
    """Deploy a call graph here, without sidecars and with them, and score what the profile predicts for it."""
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
    with Progress() as progress:
        found = run(loaded, document, load_model(profile), scenarios, Options(), settings, progress.update)
    shown = report(found)
    if out is not None:
        write_whole(out, json_text(shown.document()))
    FORMATS[output](shown, sys.stdout)
