"""Options with a check: each refuses a wrong value before the command runs, with one wording for all commands.

The rule for numbers with units is in docs/reference/cli.md.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from meshinsight.console import print_note
from meshinsight.options.panels import OUTPUT
from profiler.errors import UsageError
from profiler.files.units import format_duration, parse_duration_s, parse_rate_rps
from profiler.text import not_one_of, one_line


def output_format(*formats: str) -> Any:
    """`--output`, with the formats of one command; the first is the default."""
    return one_of(
        "--output",
        "-o",
        choices=formats,
        metavar="FORMAT",
        help=f"Format of what is printed: {', '.join(formats[:-1])} or {formats[-1]}.",
        rich_help_panel=OUTPUT,
    )


def one_of(*names: str, choices: Sequence[str], **shown: Any) -> Any:
    """An option that takes one of `choices`; `shown` is for `typer.Option`."""

    def problem(value: str) -> str:
        return "" if value in choices else not_one_of(value, choices)

    return _checked(names, problem, {"autocompletion": lambda: list(choices), **shown})


def number(*names: str, least: float, most: float, **shown: Any) -> Any:
    """An option that takes a number from `least` to `most`; `shown` is for `typer.Option`."""

    def problem(value: Any) -> str:
        if least <= value <= most:
            return ""
        found = f"{value:g}" if isinstance(value, float) else str(value)  # a whole number may be too large for a float
        return f"expected a number from {least:g} to {most:g}; found {found}"

    return _checked(names, problem, shown)


def duration_option(name: str, *, least_s: float, most_s: float, default_s: float | None = None, **shown: Any) -> Any:
    """An option that takes a time with its unit; the command gets seconds. `shown` is for `typer.Option`.

    A number without a unit counts in seconds in this release, with a note.
    """
    expected = f"expected a time from {in_words(least_s)} to {in_words(most_s)}, such as 30s"

    def read(given: str | float) -> float:
        if not isinstance(given, str):  # the default
            return given
        try:
            seconds = parse_duration_s(given, bare_s=1.0)
        except ValueError:
            raise UsageError(f"{name}: {expected}; found {one_line(given)!r}") from None
        if not least_s <= seconds <= most_s:
            raise UsageError(f"{name}: {expected}; found {one_line(given)!r}")
        if given.strip()[-1:].isdigit() or given.strip().endswith("."):
            print_note(
                f"{name} {given}: write {in_words(seconds)}; the next release does not accept a time without unit"
            )
        return seconds

    if default_s is not None:
        shown["show_default"] = in_words(default_s)
    return typer.Option(name, parser=read, metavar="TIME", **shown)


def rate_option(name: str, *, least_rps: float, most_rps: float, **shown: Any) -> Any:
    """An option that takes requests per second, `30/min` too; `shown` is for `typer.Option`."""

    def read(given: str | float) -> float:
        if not isinstance(given, str):  # the default
            return given
        try:
            rps = parse_rate_rps(given)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
        if not least_rps <= rps <= most_rps:
            raise UsageError(f"{name}: expected a rate from {least_rps:g} to {most_rps:g} per second; found {rps:g}")
        return rps

    return typer.Option(name, parser=read, metavar="RATE", **shown)


def in_words(seconds: float) -> str:
    """A time in its largest whole unit: `500ms`, `30s`, `1h`."""
    for unit, factor in (("h", 3600), ("m", 60)):
        if seconds >= factor and seconds % factor == 0:
            return f"{seconds / factor:.0f}{unit}"
    return format_duration(seconds * 1e9)


def out_file(name: str = "--out", *, suffixes: Sequence[str] = (), **shown: Any) -> Any:
    """`--out` or `name`, the file that a command writes, in a directory that exists; `-` is left to the command.

    With `suffixes` its name has to end in one of them.
    """
    shown.setdefault("rich_help_panel", OUTPUT)

    def problem(file: Path) -> str:
        if suffixes and file.suffix.lower() not in suffixes:
            return f"expected a name that ends in {' or '.join(suffixes)}; found {one_line(str(file))!r}"
        with contextlib.suppress(OSError):  # what cannot be read is reported when it is written
            if not file.parent.is_dir():
                return f"directory {file.parent} does not exist; create it"
            if file.is_dir():
                return f"{file} is a directory; name a file in it"
        return ""

    return _checked((name,), problem, shown)


def _checked(names: tuple[str, ...], problem: Callable[[Any], str], shown: dict[str, Any]) -> Any:
    def check(value: Any) -> Any:
        text = "" if value is None else problem(value)
        if text:
            raise UsageError(f"{names[0]}: {text}")
        return value

    return typer.Option(*names, callback=check, **shown)
