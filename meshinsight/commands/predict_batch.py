"""`meshinsight predict-batch`: the overhead of very many call graphs or traces, into one Parquet file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.console import print_line, print_note
from meshinsight.models import load_model
from meshinsight.options.checks import number, out_file
from meshinsight.options.prediction import CpuModel, CrossingShare, ProfileOrModel, Proxy, Seed, Transport
from profiler.errors import MeshInsightError

if TYPE_CHECKING:
    from predictor.batch.run import Outcome

_QUIET_S: Final = 10.0
"""Where no terminal shows a bar, a line is printed that often."""

Told = Callable[[int, float], None]


def register(app: typer.Typer) -> None:
    """Add `predict-batch` to the command line."""
    app.command(name="predict-batch")(predict_batch)


def predict_batch(
    profile: ProfileOrModel,
    graphs: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|PARQUET",
            help="Call graph files, Jaeger traces and Parquet files in a directory, or one Parquet file.",
        ),
    ],
    out: Annotated[Path, out_file(metavar="PARQUET", help="The Parquet file to write, a row per graph.")],
    percentiles: Annotated[
        bool, typer.Option("--percentiles", help="p50, p90 and p99 as well, by sampling: far slower.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on the Dask cluster of this scheduler, tcp://HOST:8786.")
    ] = None,
    proxy: Proxy = None,
    transport: Transport = "ip",
    cpu_model: CpuModel = None,
    crossing_share: CrossingShare = None,
    rate: Annotated[
        float, number("--rate", least=0, most=1e12, metavar="RPS", help="Requests per second of each trace.")
    ] = 1.0,
    samples: Annotated[
        int, number("--samples", least=1, most=1e6, metavar="N", help="Sampled requests, with --percentiles.")
    ] = 10_000,
    seed: Seed = 1,
) -> None:
    """Predict latency, CPU and memory that sidecars add to very many call graphs, with intervals, a row per graph."""
    from predictor.batch.predictor import BatchPredictor
    from predictor.batch.run import Runner, here
    from predictor.batch.run import predict_batch as predicting
    from predictor.batch.sources import BatchInput
    from predictor.hop_costs.options import Options
    from predictor.importers.traces.calls.merge import Rates
    from predictor.importers.traces.reading import TraceOptions

    source = BatchInput(graphs, TraceOptions(Rates(rate)))
    count = samples if percentiles else 0
    options = Options(proxy, transport, count, seed, cpu_model, crossing_share=crossing_share)
    predictor = BatchPredictor(load_model(profile), options)
    began = time.monotonic()

    def run(runner: Runner) -> None:
        with _bar() as told:
            outcome = predicting(source, predictor, out, runner, percentiles=percentiles, progress=told)
        _report(outcome, out, time.monotonic() - began)

    if scheduler is None:
        run(here)
        return
    from predictor.batch.dask import DaskRunner

    with DaskRunner(scheduler) as cluster:
        run(cluster)


def _report(outcome: "Outcome", out: Path, took_s: float) -> None:
    """Say how many graphs were predicted. Raises `MeshInsightError` where none was."""
    good = outcome.graphs - outcome.failed
    print_line(f"{good:,} of {outcome.graphs:,} graphs predicted in {took_s:.1f} s: {out}")
    if not outcome.failed:
        return
    text = f"{outcome.failed:,} of {outcome.graphs:,} graphs cannot be predicted, such as {outcome.first_failure}"
    if not good:
        raise MeshInsightError(text)
    print_note(f"{text} (column 'error')")


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
