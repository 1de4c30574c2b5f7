"""Matrix files: the dimensions of a run as YAML. A few come with the package and are known by their names."""

import re
from collections.abc import Collection, Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Final

from profiler.errors import UsageError
from profiler.files.checked_yaml import load_checked, read_schema
from profiler.files.reading import read_text
from profiler.files.units import parse_duration_s, parse_whole_bytes
from profiler.files.yaml_text import parse_document
from profiler.planning.choice import HopChoice, dimensions_of
from profiler.text import one_line
from profiler.vocabulary.hop import MTLS, PLAIN, WAYPOINT

DEFAULT_HEADER_BYTES: Final = 32
_OPTION: Final = "--matrix"
_SCHEMA: Final = "matrix.schema.json"
_BLAMED: Final = re.compile(r"--(?P<option>[a-z-]+):? (?P<problem>.*)", re.DOTALL)
_KEYS: Final = {"filter-file": "filters"}
"""The key of a matrix for an option that is not the option's name or its plural."""

_SETTINGS: Final = {"rates": "rates_rps", "budget": "budget_s", "rounds": "repeats", "duration": "duration_s"}
"""Names of settings that differ from their keys."""

_OF_HOPS: Final = ("protocols", "topologies", "tls", "filters")
"""Keys of what each entry of `hops` names itself."""

_FORMER: Final = {"rounds": "repeats", "duration": "duration_s"}
"""Keys that had other names; those are accepted for one release."""


def shipped_matrices() -> tuple[str, ...]:
    """Names of the matrices that come with the package."""
    folder = resources.files("profiler.planning").joinpath("matrices")
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_matrix(name: str) -> dict[str, Any]:
    """The settings that a matrix names, as keyword arguments of ProfileSettings.

    Args:
        name: a file, or the name of a matrix that comes with the package.

    Raises:
        UsageError: it cannot be read, is no YAML or against the schema; the message names file, line and key.
    """
    if name in shipped_matrices():
        path = Path(str(resources.files("profiler.planning").joinpath("matrices", f"{name}.yaml")))
    else:
        path = Path(name)
        if not path.exists():
            raise UsageError(
                f"{_OPTION} {name}: no such file; give one, or a name that comes along: {', '.join(shipped_matrices())}"
            )
    content = load_checked(path, _OPTION, "profiler.planning", _SCHEMA)
    if "hops" in content and (both := sorted(set(content) & set(_OF_HOPS))):
        raise UsageError(f"{_OPTION} {name}: hops and {both[0]}: hops name theirs; leave {both[0]} out")
    hops = [_hop(hop, path) for hop in content.pop("hops", ())]
    return {**_settings(content, path), **(dimensions_of(hops) if hops else {})}


def matrix_error(name: str, error: UsageError, elsewhere: Collection[str]) -> UsageError:
    """An error of the settings, with file, line and key where a matrix gave the value.

    `elsewhere` are names of settings that the command line gave instead.
    """
    option = _BLAMED.match(str(error))
    keys = _keys(option["option"]) if option else []
    if option is None or name in shipped_matrices() or any(_SETTINGS.get(key, key) in elsewhere for key in keys):
        return error
    origin = f"{_OPTION} {name}"
    document = parse_document(read_text(Path(name), "give a YAML file", origin=origin), origin, "text")
    key = next((key for key in keys if key in document.value), None)
    if key is None:
        return error
    return UsageError(f"{origin}:{document.line((key,))}: {key}: {option['problem']}")


def _keys(option: str) -> list[str]:
    """Keys of a matrix for an option; none where a matrix has no such key."""
    name = _KEYS.get(option, option.replace("-", "_"))
    known = read_schema("profiler.planning", _SCHEMA)["properties"]
    return [key for key in (name, f"{name}s", f"{name[:-1]}ies", _FORMER.get(name, "")) if key in known]


def _settings(content: dict[str, Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key == "rates":
            found["rates_rps"] = tuple(None if rate == "max" else float(rate) for rate in value)
        elif key == "headers":
            found["headers"] = tuple(_header_level(level) for level in value)
        elif key == "filters":
            found["filters"] = tuple(_chain(chain, path) for chain in value)
        elif key == "certificates":
            found[key] = tuple(str((path.parent / value[part]).resolve()) for part in ("chain", "key", "authority"))
        elif key in ("request_bytes", "response_bytes"):
            found[key] = tuple(parse_whole_bytes(str(size)) for size in value)
        elif key == "rounds":
            found["repeats"] = value
        elif key == "duration":
            found["duration_s"] = parse_duration_s(value)
        elif key == "budget":
            found["budget_s"] = parse_budget_s("matrix: budget", value)
        else:
            found[key] = tuple(value) if isinstance(value, list) else value
    return found


def _header_level(level: int | dict[str, int]) -> tuple[int, int]:
    if isinstance(level, int):
        return level, DEFAULT_HEADER_BYTES
    return level["count"], level["bytes"]


def _hop(content: dict[str, Any], path: Path) -> HopChoice:
    topology = content["topology"]
    tls = content.get("tls", MTLS if topology == WAYPOINT else PLAIN)
    return HopChoice(content["protocol"], topology, tls, _chain(content.get("filters", ()), path))


def _chain(names: Iterable[str], path: Path) -> tuple[str, ...]:
    return tuple(_filter(name, path) for name in names)


def _filter(name: str, path: Path) -> str:
    """A filter's name, or the path of a filter file, which is relative to the matrix."""
    return str((path.parent / name).resolve()) if name.endswith((".yaml", ".yml")) or "/" in name else name


def parse_budget_s(option: str, text: str) -> float:
    """Seconds from text such as `90s`, `10m` or `1.5h`. Raises UsageError."""
    try:
        budget_s = parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if budget_s <= 0.0:
        raise UsageError(f"{option}: expected a time above 0, such as 10m; found {one_line(text)!r}")
    return budget_s
