"""`meshinsight predict-batch`: the overhead of very many call graphs or traces, into one CSV or Parquet file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshinsight.application import examples
from meshinsight.console import is_quiet, make_console, print_line, print_note
from meshinsight.models import load_model
from meshinsight.options.checks import number, out_file, rate_option
from meshinsight.options.panels import CLUSTER, PREDICTION
from meshinsight.options.prediction import CpuModel, CrossingShare, Further, ProfileOrModel, Proxy, Seed, Transport
from profiler.errors import MeshInsightError
from profiler.host.extras import BATCH, require

if TYPE_CHECKING:
    from predictor.batch.run import Outcome

SUFFIXES: Final = (".csv", ".parquet")
"""Of the file that is written; the suffix decides the format."""

_QUIET_S: Final = 10.0
"""Where no terminal shows a bar, a line is printed that often."""

Told = Callable[[int, float], None]
Graphs = Annotated[
    Path,
    typer.Argument(
        metavar="DIR|PARQUET",
        help="Directory of call graphs, Jaeger traces or Parquet files, or one Parquet file.",
    ),
]
Out = Annotated[
    Path, out_file(metavar="FILE", suffixes=SUFFIXES, help="File to write, a row per graph: .csv or .parquet.")
]
Percentiles = Annotated[
    bool,
    typer.Option("--percentiles", help="Sample p50, p90, p95 and p99 too; far slower.", rich_help_panel=PREDICTION),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Scheduler of a Dask cluster to run on, such as tcp://HOST:8786.",
        rich_help_panel=CLUSTER,
    ),
]
Rate = Annotated[
    float,
    rate_option(
        "--rate",
        least_rps=0,
        most_rps=1e12,
        help="Requests per second of each trace.",
        show_default="1",
        rich_help_panel=PREDICTION,
    ),
]
SampledRequests = Annotated[
    int,
    number(
        "--samples",
        least=1,
        most=1e6,
        metavar="N",
        help="Requests that --percentiles are sampled from.",
        rich_help_panel=PREDICTION,
    ),
]

_EXAMPLES: Final = examples(
    "meshinsight predict-batch profile-out graphs/ --out all.csv",
    "meshinsight predict-batch profile-out graphs.parquet --out all.parquet",
)


def register(app: typer.Typer) -> None:
    """Add `predict-batch` to the command line."""
    app.command(name="predict-batch", epilog=_EXAMPLES)(predict_batch)


def predict_batch(
    profile: ProfileOrModel,
    graphs: Graphs,
    out: Out,
    further: Further = None,
    percentiles: Percentiles = False,
    scheduler: Scheduler = None,
    proxy: Proxy = None,
    transport: Transport = "ip",
    cpu_model: CpuModel = None,
    crossing_share: CrossingShare = None,
    rate: Rate = 1.0,
    samples: SampledRequests = 10_000,
    seed: Seed = 1,
) -> None:
    """Predict for very many call graphs, a row per graph.

    The figures are those of predict, with intervals. A graph that cannot be predicted has a row with the reason.
    """
    require(BATCH, "predict-batch")
    from predictor.batch.predictor import BatchPredictor
    from predictor.batch.run import Runner, here, parquet_file
    from predictor.batch.run import predict_batch as predicting
    from predictor.batch.sources import BatchInput
    from predictor.hop_costs.options import Options
    from predictor.importers.traces.calls.merge import Rates
    from predictor.importers.traces.reading import TraceOptions

    source = BatchInput(graphs, TraceOptions(Rates(rate)))
    count = samples if percentiles else 0
    options = Options(proxy, transport, count, seed, cpu_model, crossing_share=crossing_share)
    predictor = BatchPredictor(load_model(profile, further or ()), options)
    file: Callable[[Path, Any], Any] = parquet_file
    if out.suffix.lower() == ".csv":
        from meshinsight.reports.renderers.csv_tables import CsvTables

        file = CsvTables
    began = time.monotonic()

    def run(runner: Runner) -> None:
        with _bar() as told:
            outcome = predicting(source, predictor, out, runner, percentiles=percentiles, progress=told, file=file)
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
    if not sys.stderr.isatty() or is_quiet():
        yield _lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.fields[graphs]:,} graphs"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=make_console(sys.stderr)) as shown:
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
