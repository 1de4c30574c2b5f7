"""`meshinsight show`: print a stored profile again. Needs neither root nor bcc nor Linux."""

import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec.structs import replace

from meshinsight.application import examples
from meshinsight.console import write_json_document
from meshinsight.options.checks import output_format
from meshinsight.options.panels import OUTPUT
from meshinsight.options.prediction import Profile
from profiler.errors import UsageError
from profiler.text import some_of

if TYPE_CHECKING:
    from profiler.profile.types import Cell
    from profiler.profile.types import Profile as Found

_EXAMPLES: Final = examples(
    "meshinsight show profile-out",
    "meshinsight show profile-out --cell 'http1-both-*' -o csv",
)


def register(app: typer.Typer) -> None:
    """Add `show` to the command line."""
    app.command(name="show", epilog=_EXAMPLES)(show)


def show(
    profile: Profile,
    output: Annotated[str, output_format("table", "json", "csv")] = "table",
    cell: Annotated[
        str | None,
        typer.Option(
            "--cell",
            metavar="GLOB",
            help="Only cells whose name matches, such as 'http1-both-*'.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Print a stored profile as tables, JSON or CSV.

    Latency and CPU time by component, with intervals and what limits their accuracy.
    """
    from profiler.profile.document import load_profile

    found = load_profile(profile)
    chosen = found if cell is None else replace(found, cells=_matching(found.cells, cell))
    if output != "csv":  # whose rows are cells
        from meshinsight.models import profile_model
        from meshinsight.reports.subjects.model import with_model

        chosen = with_model(chosen, profile_model(profile, found))
    _PRINTERS[output](chosen)


def _matching(cells: "list[Cell]", pattern: str) -> "list[Cell]":
    chosen = [cell for cell in cells if fnmatchcase(cell.id, pattern)]
    if not chosen:
        known = some_of((cell.id for cell in cells), 8)
        raise UsageError(f"--cell {pattern}: no cell of this profile matches; it has {known or 'no cells'}")
    return chosen


def _print_table(profile: "Found") -> None:
    from meshinsight.reports.subjects import profile as table

    table.print_profile(profile)


def _print_json(profile: "Found") -> None:
    from profiler.profile.document import plain

    write_json_document(plain(profile), sys.stdout)


def _print_csv(profile: "Found") -> None:
    from meshinsight.reports.subjects import profile_rows

    profile_rows.write(profile, sys.stdout)


_PRINTERS: Final[dict[str, "Callable[[Found], None]"]] = {
    "table": _print_table,
    "json": _print_json,
    "csv": _print_csv,
}
