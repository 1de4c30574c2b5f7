"""`meshinsight predict`: the overhead of a call graph that nobody has deployed yet. Works anywhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.commands.fit import load_model
from profiler.errors import UsageError

if TYPE_CHECKING:
    from predictor.predict.types import Factors

FORMATS: Final = ("table", "json", "csv", "markdown")


def register(app: typer.Typer) -> None:
    """Add `predict` to the command line."""
    app.command(name="predict")(predict)


def predict(
    profile: Annotated[
        Path,
        typer.Argument(metavar="PROFILE", help="Directory of a run, its profile.json, or what `fit -o json` gave."),
    ],
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="A call graph file.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="table, json, csv or markdown.", autocompletion=lambda: list(FORMATS)),
    ] = "table",
    proxy: Annotated[str | None, typer.Option(metavar="NAME", help="The proxy, where several were profiled.")] = None,
    transport: Annotated[str, typer.Option(metavar="NAME", help="Between application and sidecar: ip or uds.")] = "ip",
    seed: Annotated[int, typer.Option(metavar="N", help="Of the sampled percentiles.")] = 1,
    samples: Annotated[int, typer.Option(metavar="N", help="Sampled requests; 0 leaves percentiles out.")] = 10_000,
    cpu_model: Annotated[
        str | None, typer.Option(metavar="TEXT", help="CPU of the nodes, as the profile would name it.")
    ] = None,
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
    price_per_vcpu_hour: Annotated[
        float | None, typer.Option(metavar="MONEY", help="Gives money per month (730 h).")
    ] = None,
    price_per_gib_hour: Annotated[float | None, typer.Option(metavar="MONEY", help="The same for memory.")] = None,
) -> None:
    """Predict latency, CPU and memory that sidecars add to a call graph, with intervals and all that was assumed."""
    if output not in FORMATS:
        raise UsageError(f"-o {output}: unknown output format; choose {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    _at_least_zero("--samples", samples, 1_000_000)
    _at_least_zero("--seed", seed, 1 << 62)
    for option, price in (("--price-per-vcpu-hour", price_per_vcpu_hour), ("--price-per-gib-hour", price_per_gib_hour)):
        _at_least_zero(option, price or 0.0, 1e12)
    from meshinsight.reporters import prediction, prediction_data
    from meshinsight.reporters.prediction_sections import Prices
    from predictor.graph.reader import load_graph
    from predictor.predict import predict as predicting
    from predictor.predict.scenario import Changes, changed
    from predictor.predict.types import Options

    loaded = changed(load_graph(graph), Changes(tuple(change or ()), tuple(drop_filter or ()), topology))
    options = Options(proxy, transport, samples, seed, cpu_model, speedup=_factors(speedup))
    found = predicting.predict(loaded, load_model(profile), options)
    prices = Prices(price_per_vcpu_hour, price_per_gib_hour)
    writers = {
        "json": prediction_data.write_json,
        "csv": prediction_data.write_csv,
        "markdown": prediction.write_markdown,
        "table": prediction.print_prediction,
    }
    writers[output](found, prices, sys.stdout)


def _factors(file: Path | None) -> "dict[str, Factors] | None":
    """The speed-ups in a file."""
    if file is None:
        return None
    from predictor.graph.yaml_nodes import parse_document, read_text
    from predictor.predict.scenario import factors

    text = read_text(file, "give a YAML file of components with their factors")
    return factors(parse_document(text, str(file)).value, str(file))


def _at_least_zero(option: str, value: float, most: float) -> None:
    if not 0 <= value <= most:
        raise UsageError(f"{option} {value:g}: expected a number from 0 to {most:g}")
