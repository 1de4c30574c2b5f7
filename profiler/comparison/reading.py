"""Profiles as comparisons need them: complete, and all of one format version."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec.structs import replace

from profiler.errors import ProfileError, UsageError
from profiler.profile.document import load_versioned
from profiler.profile.types import Profile
from profiler.text import some_of


def load_comparable(paths: Sequence[Path], pattern: str | None = None) -> list[Profile]:
    """The profiles, with the cells that match a pattern.

    Raises `ProfileError` when one cannot be read, is partial or of another format version than the first, `UsageError`
    when no cell of any matches.
    """
    read = [(path, *load_versioned(path)) for path in paths]
    for path, profile, version in read:
        if profile.status != "complete":
            raise ProfileError(f"{path}: the profile is partial; finish it with: meshinsight profile --resume")
        if version != read[0][2]:
            raise ProfileError(
                f"{path}: profile format version {version}, but {read[0][0]} has version {read[0][2]}, which measures "
                "differently; measure both with one meshinsight"
            )
    if pattern is None:
        return [profile for _, profile, _ in read]
    chosen = [replace(profile, cells=[cell for cell in profile.cells if fnmatchcase(cell.id, pattern)])
              for _, profile, _ in read]  # fmt: skip
    if not any(profile.cells for profile in chosen):
        known = some_of((cell.id for cell in read[0][1].cells), 8)
        raise UsageError(f"--cell {pattern}: no cell matches; {read[0][0]} has {known or 'no cells'}")
    return chosen
