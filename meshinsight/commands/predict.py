"""`meshinsight predict`: the overhead of a call graph that nobody has deployed yet. Works anywhere."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.models import load_model, planned_for
from meshinsight.options.checks import output_format
from meshinsight.options.panels import WHAT_IF
from meshinsight.options.prediction import (
    CpuModel,
    CrossingShare,
    Currency,
    Further,
    Graph,
    PricePerGibHour,
    PricePerVcpuHour,
    ProfileOrModel,
    Proxy,
    Samples,
    Seed,
    Transport,
)
from meshinsight.reports.formats import FORMATS, row_formats
from profiler.errors import UsageError

if TYPE_CHECKING:
    from meshinsight.reports.subjects.prediction import Prices
    from predictor.graph.types import CallGraph
    from predictor.hop_costs.options import Factors, Options
    from predictor.models.types import FittedModel


_EXAMPLES: Final = examples(
    "meshinsight predict profile-out shop.yaml",
    "meshinsight predict profile-out shop.yaml --set '*.tls=none'",
    "meshinsight predict profile-out shop.yaml --price-per-vcpu-hour 0.04",
)
Scenarios = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML file of scenarios to compare.", rich_help_panel=WHAT_IF),
]
Speedup = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Components faster: YAML, such as parsing: {C: 0.5, L: 0.5} (C: CPU, L: latency).",
        rich_help_panel=WHAT_IF,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="EDGE.FIELD=VALUE",
        help="Calls changed, such as '*.tls=none' or 'a->b.protocol=tcp'.",
        rich_help_panel=WHAT_IF,
    ),
]
DropFilter = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="No call has this filter.", rich_help_panel=WHAT_IF)
]
Topology = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="All services with: server (sidecar for incoming calls only), shared, waypoint, none.",
        rich_help_panel=WHAT_IF,
    ),
]


def register(app: typer.Typer) -> None:
    """Add `predict` to the command line."""
    app.command(name="predict", epilog=_EXAMPLES)(predict)


def predict(
    profile: ProfileOrModel,
    graph: Graph,
    further: Further = None,
    output: Annotated[str, output_format(*row_formats())] = "table",
    proxy: Proxy = None,
    transport: Transport = "ip",
    scenarios: Scenarios = None,
    seed: Seed = 1,
    samples: Samples = 10_000,
    cpu_model: CpuModel = None,
    crossing_share: CrossingShare = None,
    speedup: Speedup = None,
    change: Set = None,
    drop_filter: DropFilter = None,
    topology: Topology = None,
    price_per_vcpu_hour: PricePerVcpuHour = None,
    price_per_gib_hour: PricePerGibHour = None,
    currency: Currency = "",
) -> None:
    """Predict the latency and CPU that sidecars add.

    For one call graph: latency, CPU, memory and cost of all sidecars, with intervals and everything that was assumed.
    """
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
    prices = Prices(price_per_vcpu_hour, price_per_gib_hour, currency)
    model = load_model(profile, further or ())
    if scenarios is not None:
        _compare(loaded, model, options, prices, output, scenarios)
        return
    with planned_for(None if change or drop_filter or topology else graph):
        _predict(loaded, model, options, prices, output)


def _predict(graph: "CallGraph", model: "FittedModel", options: "Options", prices: "Prices", output: str) -> None:
    from meshinsight.reports.subjects.prediction import report
    from predictor.predict import predict as predicting

    FORMATS[output](report(predicting.predict(graph, model, options), prices), sys.stdout)


def _compare(
    graph: "CallGraph", model: "FittedModel", options: "Options", prices: "Prices", output: str, scenarios: Path
) -> None:
    """Predict the graph as it is and in each scenario. Raises `UsageError` if no scenario can be predicted."""
    from meshinsight.reports.subjects.comparison import report
    from predictor.what_if.comparison import compare
    from predictor.what_if.scenarios import load_scenarios

    loaded = load_scenarios(scenarios)
    found = compare(graph, model, options, loaded)
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
