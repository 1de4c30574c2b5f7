"""A YAML file of the user's against a JSON schema, with errors that name file, line and key."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from profiler.errors import UsageError
from profiler.files.json_text import Path_
from profiler.files.reading import read_text
from profiler.files.yaml_text import load_yaml, parse_document
from profiler.text import one_line


def load_checked(path: Path, option: str, package: str, schema: str) -> dict[str, Any]:
    """The content of the file. `schema` is a file of `package`. Raises UsageError."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    found = parse_document(read_text(path, "give a YAML file", origin=f"{option} {path}"), f"{option} {path}", "text")
    # JSON Schema takes 1.0 for an integer; what follows does not.
    whole = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator = extend(Draft202012Validator, type_checker=whole)  # type: ignore[no-untyped-call] # it has no types
    error = best_match(validator(read_schema(package, schema)).iter_errors(found.value))
    if error is None:
        content: dict[str, Any] = found.value
        return content
    where: Path_ = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and "properties" in error.schema:
        unknown = sorted(set(error.instance) - set(error.schema["properties"]), key=str)[0]
        known = ", ".join(error.schema["properties"])
        line = found.line((*where, unknown))
        raise UsageError(f"{found.origin}:{line}: unknown key {one_line(unknown)!r}; known: {known}")
    name = one_line(".".join(map(str, where))) or "the file"
    raise UsageError(f"{found.origin}:{found.line(where)}: {name}: {one_line(error.message, 200)}")


def read_yaml(path: Path, option: str) -> Any:
    """The content of a YAML file that `option` names. Raises UsageError with file, line and column."""
    origin = f"{option} {path}"
    return load_yaml(read_text(path, "give a YAML file", origin=origin), origin)


@cache
def read_schema(package: str, name: str) -> dict[str, Any]:
    """The JSON Schema in the file `name` of a package of ours."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
