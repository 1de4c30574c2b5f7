"""Reads fields of a document with their types and remembers which were left out. Messages name file, line, field."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from predictor.graph.service_time import LONGEST_NS
from predictor.graph.types import MOST_BYTES, MOST_REPLICAS, MOST_RPS
from profiler.errors import UsageError
from profiler.files.json_text import Path_
from profiler.files.units import parse_duration_ns, parse_rate_rps, parse_size_bytes
from profiler.files.yaml_text import Document
from profiler.text import one_line

T = TypeVar("T", bound=str)
_MISSING: Final = object()


@dataclass(slots=True)
class Fields:
    """The mapping at `path` of `document`; `fallback` is looked at for keys that it lacks.

    Every reader method raises `UsageError` for a value of the wrong kind.
    """

    document: Document
    path: Path_
    values: Mapping[str, Any]
    fallback: Mapping[str, Any] = field(default_factory=dict)
    fallback_path: Path_ = ()
    defaulted: list[str] = field(default_factory=list)
    """Fields that were asked for with a default and are given nowhere."""

    def refuse(self, problem: str, *keys: str | int) -> UsageError:
        """The error for the field below this mapping: file, line and field, then `problem`."""
        path = (*self.path, *keys)
        if keys and keys[0] not in self.values and keys[0] in self.fallback:
            path = (*self.fallback_path, *keys)
        return UsageError(f"{self.document.at(path)}: {problem}")

    def only(self, known: Sequence[str]) -> None:
        """Refuse keys that are not `known`."""
        unknown = next((key for key in self.values if key not in known), None)
        if unknown is not None:
            raise self.refuse(f"unknown key; known here: {', '.join(known)}", unknown)

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None or self.fallback.get(key) is not None

    def raw(self, key: str, default: Any = _MISSING, note: bool = True) -> Any:
        """The value as it is. Without a default the field is needed; with one and `note` its absence is remembered."""
        value = self.values.get(key)
        if value is None:
            value = self.fallback.get(key)
        if value is not None:
            return value
        if default is _MISSING:
            raise self.refuse(f"missing field {key!r}; add it")
        if note:
            self.defaulted.append(key)
        return default

    def text(self, key: str, default: Any = _MISSING, note: bool = False) -> str:
        value = self.raw(key, default, note)
        if not isinstance(value, str) or (value == "" and default is _MISSING):
            raise self.refuse(f"expected text, found {shown(value)}", key)
        return value

    def choice(self, key: str, choices: Sequence[T], default: T) -> T:
        value = self.raw(key, default)
        if value not in choices:
            raise self.refuse(f"expected one of {', '.join(choices)}; found {shown(value)}", key)
        return choices[choices.index(value)]

    def flag(self, key: str) -> bool:
        value = self.raw(key, False, note=False)
        if not isinstance(value, bool):
            raise self.refuse(f"expected true or false, found {shown(value)}", key)
        return value

    def names(self, key: str) -> tuple[str, ...]:
        value = self.raw(key, [], note=False)
        if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
            raise self.refuse(f"expected a list of names, found {shown(value)}", key)
        return tuple(value)

    def choices(self, key: str, choices: Sequence[T]) -> tuple[T, ...]:
        """Some of the choices, each once, in their order."""
        given = self.names(key)
        if len(set(given)) < len(given) or not set(given) <= set(choices):
            raise self.refuse(f"expected a list of {' and '.join(choices)}, found {shown(list(given))}", key)
        return tuple(choice for choice in choices if choice in given)

    def number(self, key: str, default: Any = _MISSING, *, least: float = 0.0, most: float = math.inf) -> float:
        return self._quantity(key, self.raw(key, default, note=default is not None), None, least, most)

    def optional(self, key: str, *, least: float = 0.0, most: float = math.inf) -> float | None:
        """A number that may be missing, which says nothing is known."""
        return self.number(key, least=least, most=most) if self.has(key) else None

    def whole(self, key: str, default: Any = _MISSING, *, least: int = 1, most: int = MOST_REPLICAS) -> int:
        value = self.raw(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least or value > most:
            bounds = f", {least} or more" if most == MOST_REPLICAS else f" between {least} and {most}"
            raise self.refuse(f"expected a whole number{bounds}, found {shown(value)}", key)
        return value

    def size_bytes(self, key: str, default: float, *, binary: bool = False) -> float:
        parse = partial(parse_size_bytes, binary=binary)
        return self._quantity(key, self.raw(key, default), parse, 0.0, MOST_BYTES)

    def rate_rps(self, key: str) -> float:
        return self._quantity(key, self.raw(key), parse_rate_rps, 0.0, MOST_RPS)

    def duration_ns(self, key: str) -> float:
        value = self.raw(key)
        if not isinstance(value, str):
            raise self.refuse(f"expected a time with its unit, such as 1.2ms; found {shown(value)}", key)
        return self._quantity(key, value, parse_duration_ns, 0.0, LONGEST_NS)

    def below(self, key: str, value: Any = _MISSING) -> "Fields":
        """The mapping in a field of this one."""
        found = self.raw(key, {}, note=False) if value is _MISSING else value
        if not isinstance(found, dict):
            raise self.refuse(f"expected a mapping of names to values, found {shown(found)}", key)
        inherited = key not in self.values and key in self.fallback
        return Fields(self.document, (*(self.fallback_path if inherited else self.path), key), found)

    def _quantity(self, key: str, value: Any, parse: Callable[[str], float] | None, least: float, most: float) -> float:
        if isinstance(value, str) and parse is not None:
            try:
                value = parse(value)
            except ValueError as error:
                raise self.refuse(str(error), key) from error
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:  # nor NaN
            raise self.refuse(f"expected a number, found {shown(value)}", key)
        if not least <= value <= most:
            bounds = f"{least:g} or more" if most == math.inf else f"between {least:g} and {most:g}"
            raise self.refuse(f"expected {bounds}, found {shown(value)}", key)
        return float(value)


def items(document: Document, path: Path_, value: Any) -> list[tuple[Path_, Any]]:
    """The elements of the list at `path` with their paths; nothing there is an empty list. Raises `UsageError`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise UsageError(f"{document.at(path)}: expected a list, found {shown(value)}; start each element with '- '")
    return [((*path, index), element) for index, element in enumerate(value)]


def shown(value: Any) -> str:
    """A value as messages show it, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return one_line(repr(value) if isinstance(value, str) else str(value), 60)
