"""Rows as CSV on a stream: the one way out for CSV. Names come from foreign files, and spreadsheets run what they read.

A text that a spreadsheet would take for a formula gets an apostrophe in front, which makes it text there. Control
characters become spaces. Numbers are left as they are; one that is not finite is refused.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TextIO

from meshinsight.reports.report import Report
from profiler.errors import MeshInsightError
from profiler.text import printable

FORMULA_SIGNS: Final = "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}" + (
    "\N{FULLWIDTH COMMERCIAL AT}"
)
"""What a formula may begin with, in any spreadsheet and locale; a tab or line end before it is no protection."""


def render(report: Report, stream: TextIO) -> None:
    """Write the rows of a report."""
    rows = list(report.rows())
    columns = report.columns or list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    write(columns, rows, stream)


def write(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    """Write the header and all rows, once all are made; columns that a row lacks are empty.

    Raises `MeshInsightError` when a figure is not finite.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(name, value) for name, value in row.items()} for row in rows)
    stream.write(text.getvalue())


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(tuple(FORMULA_SIGNS)) else shown


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise MeshInsightError(
            f"column {name}: a figure is not finite, so it has no CSV; check the input for values far too large"
        )
    return value
