"""Reading, checking and writing `profile.json`. The one place that knows how a profile lies on disk."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from profiler.errors import ProfileError
from profiler.files.json_text import UnfitValueError, check_values, dotted, parse_json
from profiler.files.reading import read_text
from profiler.files.typed import typed
from profiler.files.writing import unwritable, write_whole
from profiler.profile.earlier import renewed, upgraded
from profiler.profile.types import FORMAT, VERSION, Profile

FILE_NAME: Final = "profile.json"

UNFINISHED: Final = "unfinished"
"""The folder next to it that a run has until it is complete."""

REMEDY: Final = "give the directory or profile.json that `meshinsight profile` wrote"
_AGAIN: Final = "copy it again or measure again with `meshinsight profile`"
_OF_MODEL: Final = ("coefficients", "model_error")
"""What no profile has of itself: earlier versions stored it, and it is shown with one."""

_FIELDS: Final = "see docs/reference/profile-format.md"


def load_profile(path: Path) -> Profile:
    """Read and check a profile: the file itself, or the directory that holds `profile.json`.

    Raises `ProfileError` with one line when it is missing, damaged, foreign, of a newer version, a field is wrong, or
    its run is unfinished.
    """
    return load_versioned(path)[0]


def load_versioned(path: Path) -> tuple[Profile, int]:
    """As `load_profile`, with the format version that the file has."""
    file = path / FILE_NAME if path.is_dir() else path
    if not file.exists() and (path / UNFINISHED).is_dir():
        resume = shlex.join(("meshinsight", "profile", "--resume", str(path)))
        raise ProfileError(f"{path}: the run is unfinished and has no profile yet; continue it with: {resume}")
    text = read_text(file, REMEDY, ProfileError)
    document = parse_json(text, str(file), _AGAIN, ProfileError)
    return profile_of(document, str(file), text), document["version"]


def profile_of(document: object, origin: str, text: str | None = None) -> Profile:
    """The profile in plain values of this version or an earlier one; `origin` names it, `text` is its JSON.

    Raises `ProfileError` with one line that names the field, and its line where the text is given.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ProfileError(f'{origin}: not a MeshInsight profile (no "format": "{FORMAT}"); {REMEDY}')
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ProfileError(
            f"{origin}: profile format version {version} is newer than this meshinsight reads (up to version "
            f"{VERSION}); upgrade meshinsight"
        )
    _check_numbers(document, origin)
    found = typed(upgraded(document), Profile, origin, _FIELDS, ProfileError, text)
    return found if version == VERSION else renewed(found)


def plain(profile: Profile) -> dict[str, Any]:
    """The profile in plain values, as they stand in the file."""
    found: dict[str, Any] = msgspec.to_builtins(profile)
    return {name: value for name, value in found.items() if value or name not in _OF_MODEL}


def save_profile(profile: Profile, directory: Path) -> Path:
    """Check a profile and write it to `directory/profile.json`, whole or not at all; returns that path.

    Raises `ProfileError` when a field is wrong, `MeshInsightError` when it cannot be written.
    """
    target = directory / FILE_NAME
    document = plain(profile)
    profile_of(document, str(target))
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    write_whole(target, text)
    return target


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a profile, generated from its types."""
    return msgspec.json.schema(Profile) | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def _check_numbers(document: Mapping[str, Any], origin: str) -> None:
    """Refuse NaN and infinity, which Python reads and writes but JSON does not know, and absurd nesting."""
    try:
        check_values(document)
    except UnfitValueError as error:
        raise ProfileError(f"{origin}: $.{dotted(error.path)}: {error}") from error
