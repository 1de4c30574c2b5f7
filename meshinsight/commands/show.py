"""`meshinsight show`: print a stored profile again. Needs neither root nor bcc nor Linux."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.models import profile_model
from meshinsight.options.cells import cell_option, with_matching_cells
from meshinsight.options.checks import output_format
from meshinsight.options.full import Full
from meshinsight.options.panels import COMPARISON, OUTPUT
from meshinsight.options.prediction import Profile
from meshinsight.reports.formats import FORMATS, row_formats
from profiler.errors import UsageError

if TYPE_CHECKING:
    from meshinsight.reports.report import Report
    from profiler.profile.types import Cell
    from profiler.profile.types import Profile as Profile_

_EXAMPLES: Final = examples(
    "meshinsight show profile-out",
    "meshinsight show profile-out --cell 'http1-both-*' -o csv",
    "meshinsight show profile-out --measured fortio.json",
)


def register(app: typer.Typer) -> None:
    """Add `show` to the command line."""
    app.command(name="show", epilog=_EXAMPLES)(show)


def show(
    profile: Profile,
    output: Annotated[str, output_format(*row_formats())] = "table",
    cell: Annotated[str | None, cell_option(OUTPUT)] = None,
    full: Full = False,
    measured: Annotated[
        Path | None,
        typer.Option(
            "--measured",
            metavar="FILE",
            help="Result of fortio or Nighthawk (JSON) to compare with the cell that fits its load.",
            rich_help_panel=COMPARISON,
        ),
    ] = None,
) -> None:
    """Print a stored profile on one screen, or as tables, JSON, CSV or Markdown.

    What sidecars add in latency and CPU, with intervals, and whether the figures are quotable. With --measured, what
    another load generator measured next to the profile's figures.
    """
    from meshinsight.reports.subjects import profile_summary
    from profiler.profile.document import load_profile

    found = load_profile(profile)
    (chosen,) = with_matching_cells([(str(profile), found)], cell)
    if measured is not None:
        if full:
            raise UsageError("--full: shows all of a profile; leave it out with --measured")
        FORMATS[output](_next_to(measured, found, chosen.cells), sys.stdout)
        return
    if output == "json" or (full and output != "csv"):  # whose rows are cells: they need no model
        from meshinsight.reports.subjects import model
        from meshinsight.reports.subjects import profile as everything

        FORMATS[output](everything.report(model.with_model(chosen, profile_model(profile, found))), sys.stdout)
    else:
        FORMATS[output](profile_summary.report(chosen), sys.stdout)


def _next_to(file: Path, profile: "Profile_", cells: "list[Cell]") -> "Report":
    """The latencies of a file next to those of a cell."""
    from meshinsight.reports.subjects.measured import report
    from profiler.workload.measured import read_measured

    return report(read_measured(file), profile, cells)
