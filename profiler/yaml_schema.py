"""A YAML file of the user's against a JSON schema, with errors that name file, line and key."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from profiler.errors import UsageError
from profiler.proxies.filters import read_yaml


def load_checked(path: Path, option: str, package: str, schema: str) -> dict[str, Any]:
    """The content of the file. `schema` is a file of `package`. Raises UsageError."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    content = read_yaml(path, option)
    # JSON Schema takes 1.0 for an integer; what follows does not.
    whole = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator = extend(Draft202012Validator, type_checker=whole)  # type: ignore[no-untyped-call] # it has no types
    error = best_match(validator(_schema(package, schema)).iter_errors(content))
    if error is None:
        found: dict[str, Any] = content
        return found
    where = [str(part) for part in error.absolute_path]
    if error.validator == "additionalProperties" and "properties" in error.schema:
        unknown = sorted(set(error.instance) - set(error.schema["properties"]), key=str)[0]
        known = ", ".join(error.schema["properties"])
        raise UsageError(
            f"{option} {path}{_line(path, [*where, str(unknown)])}: unknown key {unknown!r}; known: {known}"
        )
    message = " ".join(error.message.split())[:200]
    raise UsageError(f"{option} {path}{_line(path, where)}: {'.'.join(where) or 'the file'}: {message}")


def _line(path: Path, keys: list[str]) -> str:
    """`:line` of a key or list entry, as far as it can be followed."""
    import yaml

    node: Any = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = node.start_mark.line
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(name, value) for name, value in node.value if name.value == key]
            if not found:
                break
            line, node = found[0][0].start_mark.line, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and key.isdigit():
            node = node.value[int(key)]
            line = node.start_mark.line
    return f":{line + 1}"


@cache
def _schema(package: str, name: str) -> dict[str, Any]:
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
