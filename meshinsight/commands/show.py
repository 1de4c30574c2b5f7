"""`meshinsight show`: print a stored profile again. Needs neither root nor bcc nor Linux."""

import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from meshinsight.commands.output import check_output, output_option
from meshinsight.console import write_json_document
from profiler.errors import UsageError

FORMATS: Final = ("table", "json", "csv")


def register(app: typer.Typer) -> None:
    """Add `show` to the command line."""
    app.command(name="show")(show)


def show(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")],
    output: Annotated[str, output_option(FORMATS)] = "table",
    cell: Annotated[
        str | None, typer.Option("--cell", metavar="GLOB", help="Only cells whose id matches, as in 'http1-both-*'.")
    ] = None,
) -> None:
    """Print a stored profile: latency and CPU per component, and how far to trust them."""
    check_output(output, FORMATS)
    from profiler.profile.document import load_profile

    document = load_profile(profile)
    if cell is not None:
        document = {**document, "cells": _matching(document["cells"], cell)}
    _PRINTERS[output](document)


def _matching(cells: list[dict[str, Any]], pattern: str) -> list[dict[str, Any]]:
    chosen = [cell for cell in cells if fnmatchcase(cell["id"], pattern)]
    if not chosen:
        known = ", ".join(cell["id"] for cell in cells[:8]) + (", …" if len(cells) > 8 else "")
        raise UsageError(f"--cell {pattern}: no cell of this profile matches; it has {known or 'no cells'}")
    return chosen


def _print_table(document: dict[str, Any]) -> None:
    from meshinsight.reports.subjects import profile as table

    table.print_profile(document)


def _print_json(document: dict[str, Any]) -> None:
    write_json_document(document, sys.stdout)


def _print_csv(document: dict[str, Any]) -> None:
    from meshinsight.reports.subjects import profile_rows

    profile_rows.write(document, sys.stdout)


_PRINTERS: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "table": _print_table,
    "json": _print_json,
    "csv": _print_csv,
}
