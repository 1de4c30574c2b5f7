"""The option that chooses cells of profiles by name, as all commands with `--cell` read it."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import typer

from profiler.errors import UsageError
from profiler.text import some_of

if TYPE_CHECKING:
    from profiler.profile.types import Profile

_LISTED: Final = 8


def cell_option(panel: str, of: str = "cells") -> Any:
    """`--cell GLOB`, in a section of the help; it chooses among those that `of` names."""
    text = f"Only {of} whose name matches, such as 'http1-both-*'."
    return typer.Option("--cell", metavar="GLOB", help=text, rich_help_panel=panel)


def with_matching_cells(profiles: "Sequence[tuple[str, Profile]]", pattern: str | None) -> "list[Profile]":
    """The profiles with the cells whose id, or whose label in the tables of any of them, matches; None is all.

    Each profile has the name that messages give it. Raises `UsageError` where no cell matches.
    """
    if pattern is None:
        return [profile for _, profile in profiles]
    from msgspec.structs import replace

    from meshinsight.reports.subjects.summaries import cell_labels

    chosen = matching_ids([(name, cell_labels(profile.cells)) for name, profile in profiles], pattern)
    return [replace(profile, cells=[cell for cell in profile.cells if cell.id in chosen]) for _, profile in profiles]


def matching_ids(labels: Sequence[tuple[str, Mapping[str, str]]], pattern: str) -> set[str]:
    """The ids of cells that match, or whose label does; each profile has its name and the labels of its cells by id.

    Raises `UsageError` where there is none.
    """
    pairs = [pair for _, known in labels for pair in known.items()]
    chosen = {id_ for id_, label in pairs if any(fnmatchcase(name, pattern) for name in (id_, label))}
    if not chosen:
        first, known = labels[0]
        raise UsageError(f"--cell {pattern}: no cell matches; {first} has {some_of(known, _LISTED) or 'no cells'}")
    return chosen
