"""`meshinsight compare`: what changed from one profile to others, by component. Works anywhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.options.checks import output_format
from meshinsight.options.comparison import CellGlob, Force, read_delta
from meshinsight.options.panels import COMPARISON
from meshinsight.reports.formats import FORMATS

if TYPE_CHECKING:
    from meshinsight.reports.report import Report

_EXAMPLES: Final = examples(
    "meshinsight compare before after",
    "meshinsight compare before after --cell 'http1-both-*' --delta 5%",
    "meshinsight compare before after -o markdown",
    "meshinsight compare duet",
)

Old = Annotated[Path, typer.Argument(metavar="OLD", help="Directory of a run, or its profile.json.")]
New = Annotated[
    list[Path] | None,
    typer.Argument(metavar="NEW", help="Profiles to compare with it; without any, the variants of OLD."),
]
Delta = Annotated[
    str,
    typer.Option(
        metavar="SHARE",
        help="Smallest difference that matters, as a share of the cell's overhead.",
        rich_help_panel=COMPARISON,
    ),
]


def register(app: typer.Typer) -> None:
    """Add `compare` to the command line."""
    app.command(name="compare", epilog=_EXAMPLES)(compare)


def compare(
    old: Old,
    new: New = None,
    delta: Delta = "2%",
    cell: CellGlob = None,
    force: Force = False,
    output: Annotated[str, output_format(*FORMATS)] = "table",
) -> None:
    """Compare profiles, or the variants of one: which component is better or worse.

    Each difference has a 95 % interval and a verdict: better, worse, same or inconclusive. What differs in machine,
    versions and configuration is listed.
    """
    share = read_delta(delta)
    from meshinsight.reports.subjects.profile_comparison import report
    from profiler.comparison.changes import require_alike
    from profiler.comparison.compare import compare as comparing
    from profiler.comparison.reading import load_comparable

    if not new:
        FORMATS[output](_of_variants(old, cell, share), sys.stdout)
        return
    first, *others = load_comparable([old, *new], cell)
    compared = [(str(path), comparing(first, other, share)) for path, other in zip(new, others, strict=True)]
    if not force:
        for path, found in compared:
            require_alike(found.changes, str(old), path)
    FORMATS[output](report(str(old), compared), sys.stdout)


def _of_variants(path: Path, cell: str | None, share: float) -> "Report":
    """Each later variant of a profile compared with the first."""
    from meshinsight.reports.subjects.profile_comparison import report
    from profiler.comparison.reading import load_comparable
    from profiler.comparison.variants import METHOD, compare_variants, require_variants

    (profile,) = load_comparable([path], cell)
    first, *others = require_variants(profile, str(path))
    return report(first, [(name, compare_variants(profile, first, name, share)) for name in others], METHOD)
