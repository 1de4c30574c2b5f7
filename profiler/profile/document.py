"""Reading, checking and writing `profile.json`.

The one place that knows how a profile lies on disk. What the fields mean is in `docs/profile-format.md`; which are
required is in `schema.json` beside this file. Imports stay cheap: jsonschema is loaded only when a document is checked.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from profiler.errors import ProfileError
from profiler.files.json_text import UnfitValueError, check_values, dotted, parse_json
from profiler.files.reading import read_text
from profiler.files.writing import unwritable, write_whole
from profiler.text import one_line

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

FORMAT: Final = "meshinsight-profile"
VERSION: Final = 1
"""The newest format version that this package reads, and the one it writes."""

FILE_NAME: Final = "profile.json"

REMEDY: Final = "give the directory or profile.json that `meshinsight profile` wrote"
_AGAIN: Final = "copy it again or measure again with `meshinsight profile`"


def load_profile(path: Path) -> dict[str, Any]:
    """Read and check a profile: the file itself, or the directory that holds `profile.json`.

    Raises `ProfileError` with one line when it is missing, damaged, foreign, of a newer version or against the schema.
    """
    file = path / FILE_NAME if path.is_dir() else path
    document: dict[str, Any] = parse_json(read_text(file, REMEDY, ProfileError), str(file), _AGAIN, ProfileError)
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
        raise unwritable(target, error) from error
    write_whole(target, text)
    return target


def _serialise(document: Mapping[str, Any], origin: str) -> str:
    """The text of a checked document. Checked is what a reader gets, so tuples pass as the lists they become."""
    _check_numbers(document, origin)
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ProfileError(f"{origin}: not a document JSON can hold ({one_line(str(error))})") from error
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


def check_parts(parts: Mapping[str, Any], origin: str) -> None:
    """Raise `ProfileError` unless these top-level parts of a profile are as the schema has them."""
    whole = schema()
    properties = {name: whole["properties"][name] for name in parts}
    _check_numbers(parts, origin)
    _check_schema(parts, origin, {"type": "object", "properties": properties, "$defs": whole["$defs"]})


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a profile, as shipped in the package."""
    text = resources.files("profiler.profile").joinpath("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _check_numbers(document: object, origin: str) -> None:
    """Refuse NaN and infinity, which Python reads and writes but JSON does not know, and absurd nesting."""
    try:
        check_values(document)
    except UnfitValueError as error:
        raise ProfileError(f"{origin}: $.{dotted(error.path)}: {error}") from error


def _check_schema(document: Mapping[str, Any], origin: str, whole: Mapping[str, Any] | None = None) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import relevance

    whole = whole or schema()
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
    where = one_line(error.json_path)
    if error.validator == "type":
        wanted: Any = error.validator_value
        kinds = wanted if isinstance(wanted, str) else " or ".join(wanted)
        return f"{where}: expected {kinds}, found {_json_type(error.instance)}"
    if error.validator == "pattern" and "propertyNames" in error.schema_path:
        return f"{where}: unknown component {one_line(str(error.instance))!r}"
    return f"{where}: {one_line(error.message)}"


def _json_type(value: object) -> str:
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "boolean"),
        (type(None), "null"),
        (str, "string"),
        ((int, float), "number"),
        (Mapping, "object"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "array")
