"""`meshinsight export`: results as files that other tools read. Works anywhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import print_line
from meshinsight.numbers import plural
from meshinsight.options.cells import cell_option, matching_ids, with_matching_cells
from meshinsight.options.checks import one_of
from meshinsight.options.panels import OUTPUT
from profiler.errors import UsageError
from profiler.host.extras import EXPORT, require

if TYPE_CHECKING:
    from profiler.profile.types import Profile
    from profiler.symbols.stacks import SampledStacks

_SUFFIXES: Final = {
    "openmetrics": (".openmetrics",),
    "folded": (".folded",),
    "speedscope": (".speedscope.json",),
    "pprof": (".pb.gz", ".pprof"),
    "fortio": (),
    "parquet": (".parquet",),
}
"""The formats, and the endings of file names that choose them; fortio writes a directory."""
_STACKS: Final = ("folded", "speedscope", "pprof")

_EXAMPLES: Final = examples(
    "meshinsight export profile-out --out profile.openmetrics",
    "meshinsight export profile-out --cell 'http1-both-hot*' --out http1.pb.gz",
    "meshinsight export profile-out --to fortio --out fortio-data",
    "meshinsight export envoy.stacks --out envoy.speedscope.json",
)

Source = Annotated[
    Path,
    typer.Argument(metavar="PROFILE", help="Directory of a run, its profile.json, or the file of attach --stacks."),
]
To = Annotated[
    str | None,
    one_of(
        "--to",
        choices=tuple(_SUFFIXES),
        metavar="FORMAT",
        help=f"Format: {', '.join(list(_SUFFIXES)[:-1])} or {list(_SUFFIXES)[-1]}; default: by the name of --out.",
        rich_help_panel=OUTPUT,
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        metavar="FILE", help="File to write; of fortio a directory, with a file per cell.", rich_help_panel=OUTPUT
    ),
]
CellGlob = Annotated[str | None, cell_option(OUTPUT, "cells (of attach: sidecars)")]


def register(app: typer.Typer) -> None:
    """Add `export` to the command line."""
    app.command(name="export", epilog=_EXAMPLES)(export)


def export(profile: Source, out: Out, to: To = None, cell: CellGlob = None) -> None:
    """Write a profile for other tools.

    For Prometheus (openmetrics), flame graphs (folded, speedscope, pprof), fortio's report and tables (parquet). The
    stacks that attach sampled are exported as those of a profile.
    """
    form = to or _format_of(out)
    if not out.parent.is_dir():
        raise UsageError(f"--out: directory {out.parent} does not exist; create it")
    if form == "fortio":
        _write_fortio(profile, out, cell)
        return
    if out.is_dir():
        raise UsageError(f"--out: {out} is a directory; name a file in it")
    from profiler.files.writing import write_whole

    write_whole(out, _of_stacks(form, profile, cell) if form in _STACKS else _of_cells(form, profile, cell))
    print_line(f"written to {out}")


def _format_of(out: Path) -> str:
    """The format that the name chooses."""
    for form, suffixes in _SUFFIXES.items():
        if out.name.endswith(suffixes):
            return form
    known = ", ".join(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
    raise UsageError(f"--out {out}: expected a name that ends in one of {known}; or choose the format with --to")


def _of_cells(form: str, path: Path, pattern: str | None) -> str | bytes:
    if form == "parquet":
        require(EXPORT, "--to parquet")
        from meshinsight.exports.parquet import parquet

        return parquet(_load(path, pattern))
    from meshinsight.exports.openmetrics import openmetrics

    return openmetrics(_load(path, pattern))


def _of_stacks(form: str, path: Path, pattern: str | None) -> str | bytes:
    found, title, created = _load_stacks(path, pattern)
    if form == "folded":
        from meshinsight.exports.folded import folded

        return folded(found)
    if form == "speedscope":
        from meshinsight.exports.speedscope import speedscope

        return speedscope(found, title)
    from meshinsight.exports.pprof import pprof

    return pprof(found, created)


def _load_stacks(path: Path, pattern: str | None) -> "tuple[list[SampledStacks], str, datetime | None]":
    """The stacks of a run or of attach, a title, and when they were sampled, where that is known."""
    from meshinsight.reports.subjects.summaries import cell_labels
    from profiler.profile.document import load_profile
    from profiler.profile.stacks import is_packed, profile_stacks, read_stacks

    if is_packed(path):
        found = read_stacks(path)
        names = {one.name: one.name for one in found}
        return _matching(found, path, names, pattern), path.name, None
    profile = load_profile(path)
    found = profile_stacks(profile, path)
    labels = cell_labels(profile.cells)
    chosen = _matching(found, path, {one.name: labels.get(one.name, one.name) for one in found}, pattern)
    return chosen, profile.run_id, datetime.fromisoformat(profile.created)


def _matching(
    found: "Sequence[SampledStacks]", path: Path, labels: Mapping[str, str], pattern: str | None
) -> "list[SampledStacks]":
    chosen = labels if pattern is None else matching_ids([(str(path), labels)], pattern)
    return [one for one in found if one.name in chosen]


def _write_fortio(path: Path, out: Path, pattern: str | None) -> None:
    require(EXPORT, "--to fortio")
    from meshinsight.exports.fortio import fortio
    from profiler.files.writing import unwritable, write_whole
    from profiler.profile.histograms import cell_latencies

    profile = _load(path, pattern)
    latencies = cell_latencies(profile, path)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: {out} is a file; fortio's files need a directory, one for each cell")
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    for cell in profile.cells:
        if cell.id in latencies:
            write_whole(out / f"{cell.id}.json", fortio(profile, cell, latencies[cell.id]))
    print_line(f"written to {out}: {plural(len(latencies), 'file')}")


def _load(path: Path, pattern: str | None) -> "Profile":
    from profiler.profile.document import load_profile

    return with_matching_cells([(str(path), load_profile(path))], pattern)[0]
