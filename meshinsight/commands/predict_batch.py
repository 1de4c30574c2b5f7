"""`meshinsight predict-batch`: the overhead of very many call graphs or traces, into one Parquet file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from meshinsight.commands.fit import load_model
from meshinsight.console import print_line, print_note
from profiler.errors import MeshInsightError, UsageError

_QUIET_S: Final = 10.0
"""Where no terminal shows a bar, a line is printed that often."""

Told = Callable[[int, float], None]


def register(app: typer.Typer) -> None:
    """Add `predict-batch` to the command line."""
    app.command(name="predict-batch")(predict_batch)


def predict_batch(
    profile: Annotated[
        Path,
        typer.Argument(metavar="PROFILE", help="Directory of a run, its profile.json, or what `fit -o json` gave."),
    ],
    graphs: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|PARQUET",
            help="Call graph files, Jaeger traces and Parquet files in a directory, or one Parquet file.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="PARQUET", help="The Parquet file to write, a row per graph.")],
    percentiles: Annotated[
        bool, typer.Option("--percentiles", help="p50, p90 and p99 as well, by sampling: far slower.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on the Dask cluster of this scheduler, tcp://HOST:8786.")
    ] = None,
    proxy: Annotated[str | None, typer.Option(metavar="NAME", help="The proxy, where several were profiled.")] = None,
    transport: Annotated[str, typer.Option(metavar="NAME", help="Between application and sidecar: ip or uds.")] = "ip",
    cpu_model: Annotated[
        str | None, typer.Option(metavar="TEXT", help="CPU of the nodes, as the profile would name it.")
    ] = None,
    rate: Annotated[float, typer.Option(metavar="RPS", help="Requests per second of each trace.")] = 1.0,
    samples: Annotated[int, typer.Option(metavar="N", help="Sampled requests, with --percentiles.")] = 10_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the sampled percentiles.")] = 1,
) -> None:
    """Predict latency, CPU and memory that sidecars add to very many call graphs, with intervals, a row per graph."""
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no directory {out.parent}; make it first")
    if out.is_dir():
        raise UsageError(f"--out {out}: is a directory; name a file in it")
    if not 0.0 <= rate <= 1e12:
        raise UsageError(f"--rate {rate:g}: expected a number from 0 to 1e+12")
    if not 1 <= samples <= 1_000_000:
        raise UsageError(f"--samples {samples}: expected a number from 1 to 1000000")
    from predictor.batch.predictor import BatchPredictor
    from predictor.batch.run import Runner, here
    from predictor.batch.run import predict_batch as predicting
    from predictor.batch.sources import BatchInput
    from predictor.hop_costs.options import Options
    from predictor.importers.traces.calls.merge import Rates
    from predictor.importers.traces.reading import TraceOptions

    source = BatchInput(graphs, TraceOptions(Rates(rate)))
    options = Options(proxy, transport, samples if percentiles else 0, seed, cpu_model)
    predictor = BatchPredictor(load_model(profile), options)
    began = time.monotonic()

    def run(runner: Runner) -> None:
        with _bar() as told:
            outcome = predicting(source, predictor, out, runner, percentiles=percentiles, progress=told)
        good = outcome.graphs - outcome.failed
        print_line(f"{good:,} of {outcome.graphs:,} graphs predicted in {time.monotonic() - began:.1f} s: {out}")
        if outcome.failed:
            text = (
                f"{outcome.failed:,} of {outcome.graphs:,} graphs cannot be predicted, such as {outcome.first_failure}"
            )
            if not good:
                raise MeshInsightError(text)
            print_note(f"{text} (column 'error')")

    if scheduler is None:
        run(here)
        return
    from predictor.batch.dask import DaskRunner

    with DaskRunner(scheduler) as cluster:
        run(cluster)


@contextmanager
def _bar() -> Iterator[Told]:
    """A progress bar on a terminal; elsewhere a line now and then. On standard error."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.fields[graphs]:,} graphs"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=1.0, graphs=0)
        yield lambda graphs, done: shown.update(task, completed=done, graphs=graphs)


def _lines() -> Told:
    last = time.monotonic()

    def told(graphs: int, done: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _QUIET_S:
            last = time.monotonic()
            print_note(f"{graphs:,} graphs ({done:.0%})")

    return told
