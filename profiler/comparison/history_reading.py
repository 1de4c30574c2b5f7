"""The profiles of a folder: those that can be compared over time, and why others cannot."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from profiler.comparison.history import Run, run_of
from profiler.errors import MeshInsightError, UsageError
from profiler.profile.document import FILE_NAME, load_versioned
from profiler.profile.types import VERSION, Cell
from profiler.text import one_line

MOST_FILES: Final = 5000


@dataclass(frozen=True, slots=True)
class Folder:
    """The runs of a folder, and a line for each file that is left out."""

    runs: list[Run]
    left_out: list[str]


def read_folder(folder: Path, labels: Callable[[Sequence[Cell]], Mapping[str, str]]) -> Folder:
    """All `*.json` files of a folder, and the profile in each of its directories. Links are not followed.

    `labels` gives the cells of a profile the names of tables, by their ids. Raises `UsageError` where it is no folder,
    or has no profile that can be read.
    """
    runs: dict[str, Run] = {}
    left_out = []
    for file in _files(folder):
        name = str(file.relative_to(folder) if file.parent == folder else file.parent.relative_to(folder))
        try:
            run = _run(file, name, labels)
        except MeshInsightError as error:
            left_out.append(f"{name}: {one_line(str(error).removeprefix(f'{file}: '), 200)}")
            continue
        key = run.profile.run_id
        if key in runs:
            left_out.append(f"{name}: the same run as {runs[key].name}")
        else:
            runs[key] = run
    if not runs:
        reason = f": {left_out[0]}" if left_out else ""
        raise UsageError(f"{folder}: no profile that can be read{reason}; give a folder of profiles or of their runs")
    return Folder(list(runs.values()), left_out)


def _files(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.is_symlink())
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise UsageError(f"{folder}: cannot be read as a folder: {problem}; give a folder of profiles") from error
    if len(entries) > MOST_FILES:
        raise UsageError(f"{folder}: more than {MOST_FILES} entries; give a folder of profiles")
    for entry in entries:
        profile = entry / FILE_NAME if entry.is_dir() else entry
        if profile.suffix == ".json" and profile.is_file() and not profile.is_symlink():
            yield profile


def _run(file: Path, name: str, labels: Callable[[Sequence[Cell]], Mapping[str, str]]) -> Run:
    profile, version = load_versioned(file)
    if version != VERSION:
        raise UsageError(f"profile format version {version}, which measures differently than version {VERSION}")
    if profile.status != "complete":
        raise UsageError("the profile is partial")
    try:
        at = datetime.fromisoformat(profile.created)
    except ValueError:
        raise UsageError(f"created: no date: {one_line(profile.created)!r}") from None
    return run_of(name, at.astimezone(UTC), profile, labels(profile.cells))
