"""`meshinsight doctor`: what this machine or a cluster offers, and what follows for each feature.

Exit status: 0 the diagnosis is printed; with a feature named, or for a cluster, 1 it does not work there.
"""

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import print_whole, write_json_document
from meshinsight.on_cluster import diagnose_on_cluster
from meshinsight.options.checks import output_format
from meshinsight.options.cluster import Cluster, ClusterOptions
from meshinsight.options.groups import grouped
from profiler.errors import UsageError
from profiler.text import not_one_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from profiler.doctor import Check, Diagnosis, Feature

EXIT_DOES_NOT_WORK: Final = 1

_COLOURS: Final = {"ok": "green", "warn": "yellow", "missing": "red"}
_STATUS_WIDTH: Final = 9
_NAME_WIDTH: Final = 28
_EXAMPLES: Final = examples(
    "sudo meshinsight doctor",
    "sudo meshinsight doctor profile",
    "meshinsight doctor --cluster --mesh istio --namespace meshinsight",
)


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command line."""
    app.command(name="doctor", epilog=_EXAMPLES)(grouped(doctor))


def doctor(
    *,
    feature: Annotated[
        str | None,
        typer.Argument(
            metavar="FEATURE",
            help="Only what concerns attach, profile, cluster, predict, advise, validate or report.",
            show_default=False,
        ),
    ] = None,
    cluster: Cluster = False,
    place: ClusterOptions,
    output: Annotated[str, output_format("table", "json")] = "table",
) -> None:
    """Check what works on this machine or on a cluster.

    Prints what is missing and the remedy, and changes nothing. With a feature named, or with --cluster, the exit status
    is 1 if it does not work there.
    """
    if cluster:
        if feature is not None:
            raise UsageError(f"FEATURE: {feature} is checked on this machine; leave it or --cluster out")
        _print(diagnose_on_cluster(place), output, must_work=True)
        return
    place.require_cluster()
    from profiler.doctor import FEATURES, diagnose

    if feature is not None and feature not in FEATURES:
        raise UsageError(f"FEATURE: {not_one_of(feature, tuple(FEATURES))}")
    diagnosis = diagnose()
    _print(diagnosis if feature is None else diagnosis.of_feature(feature), output, must_work=feature is not None)


def _print(diagnosis: "Diagnosis", output: str, *, must_work: bool) -> None:
    if output == "json":
        write_json_document(diagnosis.as_json(), sys.stdout)
    else:
        print_whole(lambda console: _print_table(table_lines(diagnosis), console), sys.stdout)
    if must_work and not all(found.works for found in diagnosis.features):
        raise typer.Exit(EXIT_DOES_NOT_WORK)


def _print_table(lines: "Iterator[Text]", console: "Console") -> None:
    for line in lines:
        console.print(line, soft_wrap=True)


def table_lines(diagnosis: "Diagnosis") -> "Iterator[Text]":
    """The diagnosis as text: the summary, the features, then checks by area, each gap with its remedy."""
    from rich.text import Text

    yield Text(diagnosis.summary, style="bold")
    yield Text("features", style="bold")
    for feature in diagnosis.features:
        yield from _feature_lines(feature)
    for area, checks in groupby(diagnosis.checks, key=lambda check: check.area):
        yield Text(area, style="bold")
        for check in checks:
            yield from _check_lines(check)


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
