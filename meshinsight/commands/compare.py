"""`meshinsight compare`: what changed from one document to others, by component. Works anywhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.options.cells import with_matching_cells
from meshinsight.options.checks import output_format
from meshinsight.options.comparison import CellGlob, Force, read_delta
from meshinsight.options.panels import COMPARISON
from meshinsight.reports.formats import FORMATS

if TYPE_CHECKING:
    from meshinsight.reports.report import Report
    from profiler.comparison.compare import Comparison

_EXAMPLES: Final = examples(
    "meshinsight compare before after",
    "meshinsight compare before after --cell 'http1-both-*' --delta 5%",
    "meshinsight compare before after -o markdown",
    "meshinsight compare old.json new.json",
    "meshinsight compare duet",
)

Old = Annotated[
    Path,
    typer.Argument(metavar="OLD", help="Directory of a run, or JSON of a profile, model, prediction or validation."),
]
New = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="NEW", help="Documents of the same kind to compare with it; without any, the variants of OLD."
    ),
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

    Models, predictions and validations are compared, too.

    Each difference has a 95 % interval and a verdict: better, worse, same or inconclusive. What differs in machine,
    versions and configuration is listed.
    """
    share = read_delta(delta)
    from meshinsight.comparing.reading import PROFILE, common_kind, compare_documents
    from meshinsight.reports.subjects.profile_comparison import KINDS, report

    if not new:
        FORMATS[output](_of_variants(old, cell, share), sys.stdout)
        return
    paths = [old, *new]
    kind = common_kind(paths)
    compared = _compare_profiles(paths, share, cell) if kind == PROFILE else compare_documents(kind, paths, share, cell)
    if not force:
        from profiler.comparison.changes import require_alike

        for path, found in compared:
            require_alike(found.changes, str(old), path)
    FORMATS[output](report(str(old), compared, KINDS[kind]), sys.stdout)


def _compare_profiles(paths: list[Path], share: float, cell: str | None) -> "list[tuple[str, Comparison]]":
    """The first profile compared with each of the others."""
    from profiler.comparison.compare import compare as compare_two
    from profiler.comparison.reading import load_comparable

    loaded = load_comparable(paths)
    first, *others = with_matching_cells([(str(path), one) for path, one in zip(paths, loaded, strict=True)], cell)
    return [(str(path), compare_two(first, other, share)) for path, other in zip(paths[1:], others, strict=True)]


def _of_variants(path: Path, cell: str | None, share: float) -> "Report":
    """Each later variant of a profile compared with the first."""
    from meshinsight.reports.subjects.profile_comparison import report
    from profiler.comparison.reading import load_comparable
    from profiler.comparison.variants import METHOD, compare_variants, require_variants

    (loaded,) = load_comparable([path])
    (profile,) = with_matching_cells([(str(path), loaded)], cell)
    first, *others = require_variants(profile, str(path))
    compared = [(name, compare_variants(profile, first, name, share)) for name in others]
    return report(first, compared, method=METHOD)
