"""`meshinsight report`: a stored profile as one HTML file. Needs neither root nor bcc nor Linux."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import print_line
from meshinsight.models import load_model, planned_for, profile_model
from meshinsight.options.checks import out_file
from meshinsight.options.panels import OUTPUT, PREDICTION
from meshinsight.options.prediction import (
    TRANSPORT,
    Currency,
    Further,
    PricePerGibHour,
    PricePerVcpuHour,
    Profile,
    Proxy,
)
from profiler.errors import UsageError
from profiler.host.extras import REPORT, require

if TYPE_CHECKING:
    from meshinsight.reports.page import Page
    from meshinsight.reports.subjects.graph_view import Predicted
    from meshinsight.reports.subjects.prediction import Prices
    from predictor.hop_costs.options import Options
    from predictor.models.types import FittedModel

_EXAMPLES: Final = examples(
    "meshinsight report profile-out --out report.html",
    "meshinsight report profile-out --graph shop.yaml --out report.html",
)


def register(app: typer.Typer) -> None:
    """Add `report` to the command line."""
    app.command(name="report", epilog=_EXAMPLES)(report)


def report(
    profile: Profile,
    out: Annotated[Path, out_file(metavar="FILE.html", help="HTML file to write.")],
    further: Further = None,
    title: Annotated[
        str | None,
        typer.Option(
            "--title", metavar="TEXT", help="Heading; default: made from the profile.", rich_help_panel=OUTPUT
        ),
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="GRAPH",
            help="Call graph file whose predicted overhead the report has as well.",
            rich_help_panel=PREDICTION,
        ),
    ] = None,
    proxy: Proxy = None,
    transport: Annotated[str | None, TRANSPORT] = None,
    price_per_vcpu_hour: PricePerVcpuHour = None,
    price_per_gib_hour: PricePerGibHour = None,
    currency: Currency = "",
    validation: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Result of validate --out to include. Can be given again.", rich_help_panel=OUTPUT
        ),
    ] = None,
) -> None:
    """Write a stored profile as one HTML file with charts.

    The file needs no network. With --graph it also has the predicted overhead of a call graph.
    """
    given = {
        "--profile": further,
        "--proxy": proxy,
        "--transport": transport,
        "--price-per-vcpu-hour": price_per_vcpu_hour,
        "--price-per-gib-hour": price_per_gib_hour,
    }
    if graph is None:
        _require_none(given)
    require(REPORT, "report")
    from meshinsight.reports.renderers import html
    from meshinsight.reports.subjects.prediction import Prices
    from predictor.hop_costs.options import Options
    from profiler.files.writing import write_whole

    predicted = None
    if graph is not None:
        prices = Prices(price_per_vcpu_hour, price_per_gib_hour, currency)
        options = Options(proxy, transport or Options().transport)
        predicted = _predicted(load_model(profile, further or ()), graph, options, prices)
    write_whole(out, html.render_page(_page(profile, title, predicted, validation or ())))
    print_line(f"report written to {out}")


def _page(path: Path, title: str | None, predicted: "Predicted | None", validations: Sequence[Path]) -> "Page":
    """What the report shows. Raises `UsageError` for a validation of another profile or machine."""
    from meshinsight.reports.subjects import profile_page
    from meshinsight.reports.subjects.model import with_model
    from meshinsight.reports.subjects.validation_document import belongs_elsewhere, read_validation
    from profiler.profile.document import load_profile

    found = load_profile(path)
    found = with_model(found, profile_model(path, found))
    documents = [read_validation(file) for file in validations]
    for file, document in zip(validations, documents, strict=True):
        if reason := belongs_elsewhere(document, found):
            raise UsageError(f"--validation {file}: {reason}")
    return profile_page.page(found, title, predicted, documents)


def _require_none(given: Mapping[str, object]) -> None:
    """Refuse options of a prediction where there is none."""
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option}: changes a prediction only; name the call graph with --graph")


def _predicted(model: "FittedModel", graph: Path, options: "Options", prices: "Prices") -> "Predicted":
    from meshinsight.reports.subjects.graph_view import Predicted
    from predictor.graph.reader import load_graph
    from predictor.predict.predict import predict

    loaded = load_graph(graph)
    with planned_for(graph):
        return Predicted(loaded, predict(loaded, model, options), prices)
