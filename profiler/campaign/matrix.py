"""Matrix files: the dimensions of a run as YAML. A few come with the package and are known by their names."""

import json
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from profiler.errors import UsageError
from profiler.proxies.filters import read_yaml

DEFAULT_HEADER_BYTES: Final = 32
_OPTION: Final = "--matrix"
_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_SIZE: Final = re.compile(r"(\d+) ?(B|KiB|MiB)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def shipped_matrices() -> tuple[str, ...]:
    """Names of the matrices that come with the package."""
    folder = resources.files("profiler.campaign").joinpath("matrices")
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_matrix(name: str) -> dict[str, Any]:
    """The settings that a matrix names, as keyword arguments of ProfileSettings.

    Args:
        name: a file, or the name of a matrix that comes with the package.

    Raises:
        UsageError: it cannot be read, is no YAML or against the schema; the message names file, line and key.
    """
    if name in shipped_matrices():
        path = Path(str(resources.files("profiler.campaign").joinpath("matrices", f"{name}.yaml")))
    else:
        path = Path(name)
        if not path.exists():
            raise UsageError(
                f"{_OPTION} {name}: no such file; give one, or a name that comes along: {', '.join(shipped_matrices())}"
            )
    content = read_yaml(path, _OPTION)
    _check(content, path)
    return _settings(content, path)


def _check(content: Any, path: Path) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    # JSON Schema takes 1.0 for an integer; what follows does not.
    whole = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator = extend(Draft202012Validator, type_checker=whole)  # type: ignore[no-untyped-call] # it has no types
    error = best_match(validator(_schema()).iter_errors(content))
    if error is None:
        return
    where = [str(part) for part in error.absolute_path]
    if error.validator == "additionalProperties":
        unknown = sorted(set(error.instance) - set(error.schema["properties"]), key=str)[0]
        known = ", ".join(error.schema["properties"])
        raise UsageError(f"{_OPTION} {path}{_line(path, [*where, unknown])}: unknown key {unknown!r}; known: {known}")
    field = ".".join(where) or "the file"
    message = " ".join(error.message.split())[:200]
    raise UsageError(f"{_OPTION} {path}{_line(path, where)}: {field}: {message}")


def _line(path: Path, keys: list[str]) -> str:
    """`:line` of a key or list entry in a YAML file, as far as it can be followed."""
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
def _schema() -> dict[str, Any]:
    text = resources.files("profiler.campaign").joinpath("matrix.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _settings(content: dict[str, Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key == "rates":
            found["rates_rps"] = tuple(None if rate == "max" else float(rate) for rate in value)
        elif key == "headers":
            found["headers"] = tuple(_header_level(level) for level in value)
        elif key == "filters":
            found["filters"] = tuple(tuple(_filter(name, path) for name in chain) for chain in value)
        elif key == "certificates":
            found[key] = tuple(str((path.parent / value[part]).resolve()) for part in ("chain", "key", "authority"))
        elif key in ("request_bytes", "response_bytes"):
            found[key] = tuple(parse_size(size) for size in value)
        elif key == "budget":
            found["budget_s"] = parse_duration("matrix: budget", value)
        else:
            found[key] = tuple(value) if isinstance(value, list) else value
    return found


def _header_level(level: int | dict[str, int]) -> tuple[int, int]:
    if isinstance(level, int):
        return level, DEFAULT_HEADER_BYTES
    return level["count"], level["bytes"]


def _filter(name: str, path: Path) -> str:
    """A filter's name, or the path of a filter file, which is relative to the matrix."""
    return str((path.parent / name).resolve()) if name.endswith((".yaml", ".yml")) or "/" in name else name


def parse_size(size: int | str) -> int:
    """Bytes from a number or from text such as `64KiB`. Raises ValueError."""
    if isinstance(size, int):
        return size
    found = _SIZE.fullmatch(size.strip())
    return int(found[1]) * _UNITS[found[2]] if found else int(size)


def parse_duration(option: str, text: str) -> float:
    """Seconds from text such as `90s`, `10m` or `1.5h`. Raises UsageError."""
    found = _DURATION.fullmatch(text.strip())
    if not found or float(found[1]) == 0:
        raise UsageError(f"{option}: {text.strip()!r} is not a length of time; write it as 90s, 10m or 1.5h")
    return float(found[1]) * _SECONDS[found[2]]
