"""`meshinsight report`: a stored profile as one HTML file. Needs neither root nor bcc nor Linux."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.commands.fit import load_model
from meshinsight.console import print_line
from profiler.errors import UsageError

if TYPE_CHECKING:
    from meshinsight.reports.subjects.graph_view import Predicted
    from meshinsight.reports.subjects.prediction import Prices
    from predictor.hop_costs.options import Options

_MOST_MONEY: Final = 1e12


def register(app: typer.Typer) -> None:
    """Add `report` to the command line."""
    app.command(name="report")(report)


def report(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="Where to write the report.")],
    title: Annotated[
        str | None, typer.Option("--title", help="Heading instead of the one made from the profile.")
    ] = None,
    graph: Annotated[
        Path | None, typer.Option(metavar="GRAPH", help="A call graph file; its predicted overhead comes first.")
    ] = None,
    proxy: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --graph: the proxy, where several were profiled.")
    ] = None,
    transport: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --graph: between application and sidecar, ip or uds.")
    ] = None,
    price_per_vcpu_hour: Annotated[
        float | None, typer.Option(metavar="MONEY", help="With --graph: gives money per month (730 h).")
    ] = None,
    price_per_gib_hour: Annotated[float | None, typer.Option(metavar="MONEY", help="The same for memory.")] = None,
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
    _check(out, graph, given)
    from meshinsight.reports.renderers import html
    from meshinsight.reports.subjects.prediction import Prices
    from meshinsight.reports.subjects.validation_document import read_validation
    from predictor.hop_costs.options import Options
    from profiler.files.writing import write_whole
    from profiler.profile.document import load_profile

    document = load_profile(profile)
    predicted = None
    if graph is not None:
        options = Options(proxy, transport or Options().transport)
        predicted = _predicted(profile, graph, options, Prices(price_per_vcpu_hour, price_per_gib_hour))
    validations = [read_validation(file) for file in validation or ()]
    write_whole(out, html.render(document, title, predicted, validations))
    print_line(f"report written to {out}")


def _check(out: Path, graph: Path | None, given: dict[str, str | float | None]) -> None:
    """Refuse before any work what cannot end well."""
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}; create it or choose another place")
    for option, value in given.items():
        if value is not None and graph is None:
            raise UsageError(f"{option}: changes a prediction only; name the call graph with --graph")
        if isinstance(value, float) and not (math.isfinite(value) and 0.0 <= value <= _MOST_MONEY):
            raise UsageError(f"{option} {value:g}: expected a number from 0 to {_MOST_MONEY:g}")


def _predicted(profile: Path, graph: Path, options: "Options", prices: "Prices") -> "Predicted":
    from meshinsight.reports.subjects.graph_view import Predicted
    from predictor.graph.reader import load_graph
    from predictor.predict.predict import predict

    loaded = load_graph(graph)
    return Predicted(loaded, predict(loaded, load_model(profile), options), prices)
