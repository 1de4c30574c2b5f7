"""Options with a check: each refuses a wrong value before the command runs, with one wording for all commands."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from profiler.errors import UsageError
from profiler.text import not_one_of


def output_format(*formats: str) -> Any:
    """`--output`, with the formats of one command; the first is the default."""
    shown = f"{', '.join(formats[:-1])} or {formats[-1]}."
    return one_of("--output", "-o", choices=formats, help=shown, autocompletion=lambda: list(formats))


def one_of(*names: str, choices: Sequence[str], **shown: Any) -> Any:
    """An option that takes one of `choices`; `shown` is for `typer.Option`."""

    def problem(value: str) -> str:
        return "" if value in choices else not_one_of(value, choices)

    return _checked(names, problem, shown)


def number(*names: str, least: float, most: float, **shown: Any) -> Any:
    """An option that takes a number from `least` to `most`; `shown` is for `typer.Option`."""

    def problem(value: Any) -> str:
        if least <= value <= most:
            return ""
        found = f"{value:g}" if isinstance(value, float) else str(value)  # a whole number may be too large for a float
        return f"expected a number from {least:g} to {most:g}; found {found}"

    return _checked(names, problem, shown)


def out_file(**shown: Any) -> Any:
    """`--out`, the file that a command writes, in a directory that exists; `-` is left to the command."""

    def problem(file: Path) -> str:
        with contextlib.suppress(OSError):  # what cannot be looked at is said when it is written
            if not file.parent.is_dir():
                return f"directory {file.parent} does not exist; create it"
            if file.is_dir():
                return f"{file} is a directory; name a file in it"
        return ""

    return _checked(("--out",), problem, shown)


def _checked(names: tuple[str, ...], problem: Callable[[Any], str], shown: dict[str, Any]) -> Any:
    def check(value: Any) -> Any:
        text = "" if value is None else problem(value)
        if text:
            raise UsageError(f"{names[0]}: {text}")
        return value

    return typer.Option(*names, callback=check, **shown)
