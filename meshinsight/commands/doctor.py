"""`meshinsight doctor`: what this machine offers, and what follows for each feature."""

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.console import print_whole, write_json_document
from meshinsight.options.checks import output_format

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from profiler.doctor import Check, Diagnosis, Feature

_COLOURS: Final = {"ok": "green", "warn": "yellow", "missing": "red"}
_STATUS_WIDTH: Final = 9
_NAME_WIDTH: Final = 28


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command line."""
    app.command(name="doctor")(doctor)


def doctor(
    output: Annotated[str, output_format("table", "json")] = "table",
) -> None:
    """Say what this machine offers and which features work on it. Changes nothing."""
    from profiler.doctor import diagnose

    diagnosis = diagnose()
    if output == "json":
        write_json_document(diagnosis.as_json(), sys.stdout)
        return
    print_whole(lambda console: _print_table(table_lines(diagnosis), console), sys.stdout)


def _print_table(lines: "Iterator[Text]", console: "Console") -> None:
    for line in lines:
        console.print(line, soft_wrap=True)


def table_lines(diagnosis: "Diagnosis") -> "Iterator[Text]":
    """The diagnosis as text: checks by area, each gap with its remedy, then the features."""
    from rich.text import Text

    for area, checks in groupby(diagnosis.checks, key=lambda check: check.area):
        yield Text(area, style="bold")
        for check in checks:
            yield from _check_lines(check)
    yield Text("features", style="bold")
    for feature in diagnosis.features:
        yield from _feature_lines(feature)


def _check_lines(check: "Check") -> "Iterator[Text]":
    yield _row(check.status, check.name, check.detail)
    if check.remedy is not None:
        yield _row("", "", f"→ {check.remedy}")


def _feature_lines(feature: "Feature") -> "Iterator[Text]":
    status = "missing" if not feature.works else "warn" if feature.limits else "ok"
    yield _row(status, feature.name, feature.does)
    if feature.lacks:
        yield _row("", "", f"does not work here: {', '.join(feature.lacks)}")
    if feature.limits:
        yield _row("", "", f"limited or not tried: {', '.join(feature.limits)}")


def _row(status: str, name: str, text: str) -> "Text":
    from rich.text import Text

    mark = (f"{status:{_STATUS_WIDTH}}", _COLOURS.get(status, ""))
    return Text.assemble("  ", mark, f"{name:{_NAME_WIDTH}}{text}")
