"""`meshinsight predict`: the overhead of a call graph that nobody has deployed yet. Works anywhere."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinsight.models import load_model
from meshinsight.options.checks import output_format
from meshinsight.options.prediction import (
    CpuModel,
    CrossingShare,
    Graph,
    PricePerGibHour,
    PricePerVcpuHour,
    ProfileOrModel,
    Proxy,
    Samples,
    Seed,
    Transport,
)
from meshinsight.reports.formats import FORMATS
from profiler.errors import UsageError

if TYPE_CHECKING:
    from meshinsight.reports.subjects.prediction import Prices
    from predictor.graph.types import CallGraph
    from predictor.hop_costs.options import Factors, Options


def register(app: typer.Typer) -> None:
    """Add `predict` to the command line."""
    app.command(name="predict")(predict)


def predict(
    profile: ProfileOrModel,
    graph: Graph,
    output: Annotated[str, output_format(*FORMATS)] = "table",
    proxy: Proxy = None,
    transport: Transport = "ip",
    scenarios: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare what-ifs: YAML with names, set, topology, speedup, load, …"),
    ] = None,
    seed: Seed = 1,
    samples: Samples = 10_000,
    cpu_model: CpuModel = None,
    crossing_share: CrossingShare = None,
    speedup: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What if components were faster: YAML, parsing: {C: 0.5, L: 0.5}."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="EDGE.FIELD=VALUE", help="What if: '*.tls=none', 'a->b.protocol=tcp'."),
    ] = None,
    drop_filter: Annotated[list[str] | None, typer.Option(metavar="NAME", help="What if no edge had it.")] = None,
    topology: Annotated[
        str | None, typer.Option(metavar="NAME", help="What if all services had: server (side only), shared, none.")
    ] = None,
    price_per_vcpu_hour: PricePerVcpuHour = None,
    price_per_gib_hour: PricePerGibHour = None,
) -> None:
    """Predict latency, CPU and memory that sidecars add to a call graph, with intervals and all that was assumed."""
    # Read when numpy is loaded: matrices here are small, and on a busy machine its threads wait for one another.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from meshinsight.reports.subjects.prediction import Prices
    from predictor.graph.reader import load_graph
    from predictor.hop_costs.options import Options
    from predictor.what_if.scenario import Changes, changed

    loaded = changed(load_graph(graph), Changes(tuple(change or ()), tuple(drop_filter or ()), topology))
    options = Options(
        proxy, transport, samples, seed, cpu_model, speedup=_factors(speedup), crossing_share=crossing_share
    )
    prices = Prices(price_per_vcpu_hour, price_per_gib_hour)
    if scenarios is None:
        _predict(loaded, profile, options, prices, output)
    else:
        _compare(loaded, profile, options, prices, output, scenarios)


def _predict(graph: "CallGraph", profile: Path, options: "Options", prices: "Prices", output: str) -> None:
    from meshinsight.reports.subjects.prediction import report
    from predictor.predict import predict as predicting

    FORMATS[output](report(predicting.predict(graph, load_model(profile), options), prices), sys.stdout)


def _compare(
    graph: "CallGraph", profile: Path, options: "Options", prices: "Prices", output: str, scenarios: Path
) -> None:
    """Predict the graph as it is and in each scenario. Raises `UsageError` if no scenario can be predicted."""
    from meshinsight.reports.subjects.comparison import report
    from predictor.what_if.comparison import compare
    from predictor.what_if.scenarios import load_scenarios

    loaded = load_scenarios(scenarios)
    found = compare(graph, load_model(profile), options, loaded)
    FORMATS[output](report(found, prices), sys.stdout)
    if found.lacking:
        raise UsageError(f"{scenarios}: no scenario could be predicted: {found.lacking}")


def _factors(file: Path | None) -> "dict[str, Factors] | None":
    """The speed-ups in a file."""
    if file is None:
        return None
    from predictor.what_if.scenario import factors
    from profiler.files.reading import read_text
    from profiler.files.yaml_text import parse_document

    text = read_text(file, "give a YAML file of components with their factors")
    return factors(parse_document(text, str(file)).value, str(file))
