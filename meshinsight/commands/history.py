"""`meshinsight history`: figures of many profiles over time, and where they changed. Works anywhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import print_note
from meshinsight.options.cells import matching_ids
from meshinsight.options.checks import out_file, output_format
from meshinsight.options.comparison import CellGlob
from meshinsight.reports.formats import FORMATS, row_formats
from meshinsight.reports.page import Page

if TYPE_CHECKING:
    from meshinsight.reports.report import Report
    from profiler.comparison.history import Machine

_EXAMPLES: Final = examples(
    "meshinsight history profiles",
    "meshinsight history profiles --out history.svg",
    "meshinsight history profiles --cell 'http1-both-*' -o csv",
)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of runs, or of their profile.json as *.json.")]


def register(app: typer.Typer) -> None:
    """Add `history` to the command line."""
    app.command(name="history", epilog=_EXAMPLES)(history)


def history(
    folder: Folder,
    cell: CellGlob = None,
    out: Annotated[
        Path | None,
        out_file(suffixes=(".svg", ".png", ".html"), metavar="FILE", help="Plot to write: .svg, .png or .html."),
    ] = None,
    output: Annotated[str, output_format(*row_formats())] = "table",
) -> None:
    """Show where figures of profiles changed over time.

    Profiles are ordered by the time at which they were made. Each change point has the profile where it begins, both
    levels, and what else differs there.
    """
    if out is not None:
        from profiler.host.extras import REPORT, require

        require(REPORT, "history --out")
    from meshinsight.reports.subjects.history import report
    from meshinsight.reports.subjects.summaries import cell_labels
    from profiler.comparison.history import histories
    from profiler.comparison.history_reading import read_folder

    found = read_folder(folder, cell_labels)
    if output in ("csv", "json"):  # the others have these lines
        for line in found.left_out:
            print_note(f"left out {line}")
    cells = None if cell is None else matching_ids([(run.name, run.labels) for run in found.runs], cell)
    machines = histories(found.runs, cells)
    shown = report(str(folder), machines, found.left_out)
    if out is not None:
        _write(out, machines[0], shown)
    FORMATS[output](shown, sys.stdout)


def _write(out: Path, machine: "Machine", shown: "Report") -> None:
    """The whole report as a page, or the plot of the machine of the latest profile."""
    from profiler.files.writing import write_whole

    if out.suffix.lower() == ".html":
        from meshinsight.reports.renderers.html import render_page

        write_whole(out, render_page(Page(shown.title, [shown])))
    else:
        from meshinsight.reports.renderers.charts import picture
        from meshinsight.reports.subjects.history import figure

        write_whole(out, picture(figure(machine), "png" if out.suffix.lower() == ".png" else "svg"))
    print_note(f"plot written to {out}")
