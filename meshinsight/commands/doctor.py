"""`meshinsight doctor`: what this machine offers, and what follows for each feature."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

import typer

from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.doctor import Check, Diagnosis, Feature

FORMATS: Final = ("table", "json")
_COLOURS: Final = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "missing": typer.colors.RED}
_STATUS_WIDTH: Final = 9
_NAME_WIDTH: Final = 28


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command line."""
    app.command(name="doctor")(doctor)


def doctor(
    output: Annotated[
        str, typer.Option("--output", "-o", help="table or json.", autocompletion=lambda: list(FORMATS))
    ] = "table",
) -> None:
    """Say what this machine offers and which features work on it. Changes nothing."""
    if output not in FORMATS:
        raise UsageError(f"-o {output}: unknown output format; choose {' or '.join(FORMATS)}")
    from profiler.doctor import diagnose

    diagnosis = diagnose()
    if output == "json":
        print(json.dumps(diagnosis.as_json(), indent=2))
        return
    for line in table_lines(diagnosis):
        typer.echo(line)


def table_lines(diagnosis: "Diagnosis") -> Iterator[str]:
    """The diagnosis as text: checks by area, each gap with its remedy, then the features."""
    for area, checks in groupby(diagnosis.checks, key=lambda check: check.area):
        yield typer.style(area, bold=True)
        for check in checks:
            yield from _check_lines(check)
    yield typer.style("features", bold=True)
    for feature in diagnosis.features:
        yield from _feature_lines(feature)


def _check_lines(check: "Check") -> Iterator[str]:
    yield _row(check.status, check.name, check.detail)
    if check.remedy is not None:
        yield _row("", "", f"→ {check.remedy}")


def _feature_lines(feature: "Feature") -> Iterator[str]:
    status = "missing" if not feature.works else "warn" if feature.limits else "ok"
    yield _row(status, feature.name, feature.does)
    if feature.lacks:
        yield _row("", "", f"does not work here: {', '.join(feature.lacks)}")
    if feature.limits:
        yield _row("", "", f"limited or not tried: {', '.join(feature.limits)}")


def _row(status: str, name: str, text: str) -> str:
    mark = f"{status:{_STATUS_WIDTH}}"
    if status:
        mark = typer.style(mark, fg=_COLOURS[status])
    return f"  {mark}{name:{_NAME_WIDTH}}{text}"
