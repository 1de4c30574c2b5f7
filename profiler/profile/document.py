"""Reading, checking and writing `profile.json`.

The one place that knows how a profile lies on disk. What the fields mean is in `docs/profile-format.md`; which are
required is in `schema.json` beside this file. Imports stay cheap: jsonschema is loaded only when a document is checked.
"""

import contextlib
import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from profiler.errors import MeshInsightError, ProfileError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

FORMAT: Final = "meshinsight-profile"
VERSION: Final = 1
"""The newest format version that this package reads, and the one it writes."""

FILE_NAME: Final = "profile.json"

_LONGEST_DETAIL: Final = 160


def load_profile(path: Path) -> dict[str, Any]:
    """Read and check a profile: the file itself, or the directory that holds `profile.json`.

    Raises `ProfileError` with one line when it is missing, damaged, foreign, of a newer version or against the schema.
    """
    file = path / FILE_NAME if path.is_dir() else path
    document = _parse(_read(file), file)
    check_document(document, str(file))
    return document


def save_profile(document: Mapping[str, Any], directory: Path) -> Path:
    """Check a profile and write it to `directory/profile.json`, whole or not at all; returns that path.

    Raises `ProfileError` when the document is against the schema, `MeshInsightError` when it cannot be written.
    """
    target = directory / FILE_NAME
    text = _serialise(document, str(target))
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    write_whole(target, text)
    return target


def _serialise(document: Mapping[str, Any], origin: str) -> str:
    """The text of a checked document. Checked is what a reader gets, so tuples pass as the lists they become."""
    _check_numbers(document, origin)
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ProfileError(f"{origin}: not a document JSON can hold ({_one_line(str(error))})") from error
    check_document(json.loads(text), origin)
    return text


def check_document(document: object, origin: str) -> None:
    """Raise `ProfileError` unless `document` is a profile that this version reads; `origin` names it in the message."""
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise ProfileError(
            f'{origin}: not a MeshInsight profile (no "format": "{FORMAT}"); give the directory or profile.json '
            "that `meshinsight profile` wrote"
        )
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ProfileError(
            f"{origin}: profile format version {version} is newer than this meshinsight reads (up to version "
            f"{VERSION}); upgrade meshinsight"
        )
    _check_numbers(document, origin)
    _check_schema(document, origin)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a profile, as shipped in the package."""
    text = resources.files("profiler.profile").joinpath("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def write_whole(target: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new one, never half of it.

    Raises `MeshInsightError` with one line when the disk is full or the place cannot be written.
    """
    try:
        special = target.exists() and not target.is_file()
    except OSError as error:  # a name too long, say
        raise _unwritable(target, error) from error
    if special:
        raise MeshInsightError(f"{target}: cannot be written: exists and is not a regular file; choose another name")
    target = target.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable. Best effort: some file systems refuse to sync a directory."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(target: Path, error: OSError) -> MeshInsightError:
    reason = error.strerror or type(error).__name__
    remedy = "free some space or choose another place" if error.errno == errno.ENOSPC else "choose another place"
    return MeshInsightError(f"{target}: cannot be written: {reason}; {remedy} with --out")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ProfileError(
            f"{file}: no such file; give the directory or profile.json that `meshinsight profile` wrote"
        ) from error
    except UnicodeDecodeError as error:
        raise ProfileError(f"{file}: not a MeshInsight profile (not UTF-8 text, byte {error.start})") from error
    except OSError as error:
        raise ProfileError(f"{file}: cannot be read: {error.strerror or error}") from error


def _parse(text: str, file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProfileError(
            f"{file}: truncated or damaged JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            "copy it again or measure again with `meshinsight profile`"
        ) from error
    except (ValueError, RecursionError) as error:
        # Numbers of thousands of digits and absurd nesting: valid JSON, but nothing that a profile holds.
        raise ProfileError(f"{file}: not a MeshInsight profile ({_one_line(str(error))})") from error
    return document


def _check_numbers(document: Mapping[str, Any], origin: str) -> None:
    """Refuse NaN and infinity, which Python reads and writes but JSON does not know."""
    found = _first_unbounded(document, "$")
    if found is not None:
        raise ProfileError(f"{origin}: {found}: not a finite number; a figure that is not known is null")


def _first_unbounded(value: object, where: str) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else where
    children: list[tuple[str, object]] = []
    if isinstance(value, Mapping):
        children = [(f"{where}.{key}", child) for key, child in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        children = [(f"{where}[{index}]", child) for index, child in enumerate(value)]
    return next((found for path, child in children if (found := _first_unbounded(child, path)) is not None), None)


def _check_schema(document: Mapping[str, Any], origin: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import relevance

    whole = schema()
    validator = Draft202012Validator(_without_references(whole, whole["$defs"]))
    errors = sorted(validator.iter_errors(document), key=relevance, reverse=True)
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ProfileError(f"{origin}: {_describe(errors[0])}{more}; see docs/profile-format.md")


def _without_references(part: Any, definitions: Mapping[str, Any]) -> Any:
    """A part of the schema with its definitions in place: following `$ref` at each number doubles the time."""
    if isinstance(part, list):
        return [_without_references(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _without_references(definitions[part["$ref"].removeprefix("#/$defs/")], definitions)
    return {key: _without_references(item, definitions) for key, item in part.items() if key != "$defs"}


def _describe(error: "ValidationError") -> str:
    """`$.cells[0].rate_rps: expected number or null, found string`, without printing whole branches of the document."""
    where = error.json_path
    if error.validator == "type":
        wanted: Any = error.validator_value
        kinds = wanted if isinstance(wanted, str) else " or ".join(wanted)
        return f"{where}: expected {kinds}, found {_json_type(error.instance)}"
    if error.validator == "pattern" and "propertyNames" in error.schema_path:
        return f"{where}: unknown component {error.instance!r}"
    return f"{where}: {_one_line(error.message)}"


def _json_type(value: object) -> str:
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "boolean"),
        (type(None), "null"),
        (str, "string"),
        ((int, float), "number"),
        (Mapping, "object"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "array")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_DETAIL else f"{line[: _LONGEST_DETAIL - 1]}…"
