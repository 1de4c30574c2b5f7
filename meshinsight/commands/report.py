"""`meshinsight report`: a stored profile as one HTML file. Needs neither root nor bcc nor Linux."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinsight.console import print_line
from meshinsight.models import load_model, profile_model
from meshinsight.options.checks import out_file
from meshinsight.options.prediction import TRANSPORT, PricePerGibHour, PricePerVcpuHour, Profile, Proxy
from profiler.errors import UsageError

if TYPE_CHECKING:
    from meshinsight.reports.subjects.graph_view import Predicted
    from meshinsight.reports.subjects.prediction import Prices
    from predictor.hop_costs.options import Options


def register(app: typer.Typer) -> None:
    """Add `report` to the command line."""
    app.command(name="report")(report)


def report(
    profile: Profile,
    out: Annotated[Path, out_file(metavar="FILE.html", help="Where to write the report.")],
    title: Annotated[
        str | None, typer.Option("--title", help="Heading instead of the one made from the profile.")
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="GRAPH",
            help="A call graph file; its overhead comes first, by the next options.",
        ),
    ] = None,
    proxy: Proxy = None,
    transport: Annotated[str | None, TRANSPORT] = None,
    price_per_vcpu_hour: PricePerVcpuHour = None,
    price_per_gib_hour: PricePerGibHour = None,
    validation: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A result of `validate --out`; several make one plot."),
    ] = None,
) -> None:
    """Write a stored profile as one self-contained HTML file with charts, and what it predicts for a call graph."""
    given = {
        "--proxy": proxy,
        "--transport": transport,
        "--price-per-vcpu-hour": price_per_vcpu_hour,
        "--price-per-gib-hour": price_per_gib_hour,
    }
    for option, value in given.items():
        if value is not None and graph is None:
            raise UsageError(f"{option}: changes a prediction only; name the call graph with --graph")
    from meshinsight.reports.renderers import html
    from meshinsight.reports.subjects.model import with_model
    from meshinsight.reports.subjects.prediction import Prices
    from meshinsight.reports.subjects.validation_document import read_validation
    from predictor.hop_costs.options import Options
    from profiler.files.writing import write_whole
    from profiler.profile.document import load_profile

    found = load_profile(profile)
    found = with_model(found, profile_model(profile, found))
    predicted = None
    if graph is not None:
        options = Options(proxy, transport or Options().transport)
        predicted = _predicted(profile, graph, options, Prices(price_per_vcpu_hour, price_per_gib_hour))
    validations = [read_validation(file) for file in validation or ()]
    write_whole(out, html.render(found, title, predicted, validations))
    print_line(f"report written to {out}")


def _predicted(profile: Path, graph: Path, options: "Options", prices: "Prices") -> "Predicted":
    from meshinsight.reports.subjects.graph_view import Predicted
    from predictor.graph.reader import load_graph
    from predictor.predict.predict import predict

    loaded = load_graph(graph)
    return Predicted(loaded, predict(loaded, load_model(profile), options), prices)
