"""Profiles as comparisons need them: complete, and all of one format version."""

from collections.abc import Sequence
from pathlib import Path

from profiler.errors import ProfileError
from profiler.profile.document import load_versioned
from profiler.profile.types import Profile


def load_comparable(paths: Sequence[Path]) -> list[Profile]:
    """The profiles. Raises `ProfileError` when one cannot be read, is partial or of another version than the first."""
    read = [(path, *load_versioned(path)) for path in paths]
    for path, profile, version in read:
        if profile.status != "complete":
            raise ProfileError(f"{path}: the profile is partial; finish it with: meshinsight profile --resume")
        if version != read[0][2]:
            raise ProfileError(
                f"{path}: profile format version {version}, but {read[0][0]} has version {read[0][2]}, which measures "
                "differently; measure both with one meshinsight"
            )
    return [profile for _, profile, _ in read]
