"""The option `-o` of commands that print a result: one list of its values, one check, one wording of its error."""

from collections.abc import Collection
from typing import Any

import typer

from meshinsight.reports.formats import FORMATS
from profiler.errors import UsageError


def output_option(names: Collection[str] = FORMATS) -> Any:
    """`-o`, whose values are `names`: all formats unless a command has fewer."""
    return typer.Option("--output", "-o", help=f"{_listed(names)}.", autocompletion=lambda: list(names))


def check_output(name: str, names: Collection[str] = FORMATS) -> None:
    """Refuse an unknown format before any work. Raises `UsageError`."""
    if name not in names:
        raise UsageError(f"-o {name}: unknown output format; choose {_listed(names)}")


def _listed(names: Collection[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"
