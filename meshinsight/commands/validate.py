"""`meshinsight validate`: a call graph deployed for real on this machine, and its prediction scored."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from meshinsight.commands.output import check_output, output_option
from meshinsight.console import json_text
from meshinsight.reports.formats import FORMATS, text_formats
from profiler.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add `validate` to the command line."""
    app.command(name="validate")(validate)


def validate(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")],
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="A call graph file.")],
    what_if: Annotated[
        Path | None, typer.Option("--what-if", metavar="FILE", help="A file of scenarios, each deployed and scored.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="Requests per second from outside; else found by itself.")
    ] = None,
    duration: Annotated[
        float, typer.Option(metavar="S", help="Seconds per window of latency; twice that of CPU.")
    ] = 0.5,
    rounds: Annotated[int, typer.Option(metavar="N", help="Windows of each variant, interleaved.")] = 16,
    temperature: Annotated[
        str, typer.Option(metavar="NAME", help="CPUs beside it: hot (kept awake), cold (caches evicted), natural.")
    ] = "hot",
    output: Annotated[str, output_option(text_formats())] = "table",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the result as JSON, for report.")] = None,
) -> None:
    """Deploy a call graph here, without sidecars and with them, and score what the profile predicts for it."""
    from meshinsight.progress import Progress
    from meshinsight.reports.subjects.validation import report
    from predictor.validation.running import Settings
    from predictor.validation.running import validate as run
    from profiler.measuring.applications import TEMPERATURES

    check_output(output, text_formats())
    if temperature not in TEMPERATURES:
        raise UsageError(f"--temperature {temperature}: choose {', '.join(TEMPERATURES)}")
    for option, value, least, most in (
        ("--rate", 1.0 if rate is None else rate, 0.1, 1e6),
        ("--duration", duration, 0.2, 600.0),
        ("--rounds", rounds, 4, 1000),
    ):
        if not least <= value <= most:
            raise UsageError(f"{option} {value:g}: expected a number from {least:g} to {most:g}")
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"--out {out}: its folder is not there; make it first")
    from meshinsight.commands.fit import load_model
    from predictor.graph.reader import load_graph
    from predictor.hop_costs.options import Options
    from predictor.what_if.scenarios import load_scenarios
    from profiler.files.writing import write_whole
    from profiler.profile.document import load_profile

    loaded = load_graph(graph)
    document = load_profile(profile)
    scenarios = load_scenarios(what_if) if what_if else ()
    settings = Settings(rate, rounds, duration, temperature)
    with Progress() as progress:
        found = run(loaded, document, load_model(profile), scenarios, Options(), settings, progress.update)
    shown = report(found)
    if out is not None:
        write_whole(out, json_text(shown.document()))
    FORMATS[output](shown, sys.stdout)
