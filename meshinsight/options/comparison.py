"""Options of the commands that compare profiles."""

import re
from typing import Annotated, Final

import typer

from meshinsight.options.cells import cell_option
from meshinsight.options.panels import COMPARISON
from profiler.errors import UsageError
from profiler.text import one_line

_SHARE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)\s*(%?)")

CellGlob = Annotated[str | None, cell_option(COMPARISON)]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Compare profiles of different CPUs, kernels, workers or debug builds, too.",
        rich_help_panel=COMPARISON,
    ),
]


def read_delta(text: str) -> float:
    """`2%` or `0.02` as a fraction."""
    match = _SHARE.fullmatch(text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"--delta: expected a share from 0% to 100%, such as 2%; found {one_line(text)!r}")
    return share
