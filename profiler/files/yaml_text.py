"""YAML text into plain values that still know their lines. The one way in for every YAML file, ours or a user's.

Limits come before convenience: aliases are refused (a file of 600 bytes can stand for billions of values), and so are
names given twice, more than 40 levels, more than ten million values, and tags beyond the JSON types. JSON is taken as
JSON, since YAML reads some of its numbers and escapes differently.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml

from profiler.errors import MeshInsightError, UsageError
from profiler.files.json_text import (
    DEEPEST,
    LARGEST_INTEGER,
    Path_,
    UnfitValueError,
    check_values,
    decode_json,
    dotted,
    line_of,
)
from profiler.text import one_line

MOST_VALUES: Final = 10_000_000

Keys = Literal["names", "text"]
"""What a mapping's keys may be: only text, or any scalar, which is taken as the text that stands there."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE: Final = "tag:yaml.org,2002:"
_CONVERTED: Final = ("int", "float", "bool", "null")
_RESOLVER: Final[Any] = yaml.SafeLoader("")
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_MEANT_AS_NUMBER: Final = frozenset("0123456789+-.yYnNtTfFoO~")


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value, its name for messages, and the text it came from.

    `number` counts documents of one text from 0. Lines are looked up when a message needs one: most documents are fine.
    """

    value: Any
    origin: str
    text: str
    number: int = 0
    is_json: bool = False

    def line(self, path: Path_) -> int:
        """The line of the value at `path`, or of the nearest one around it."""
        return line_of(self.text, path) if self.is_json else _line_in_yaml(self.text, self.number, path)

    def at(self, path: Path_) -> str:
        """`FILE:LINE: a.b[2]` of the value at `path`, or of the nearest one around it."""
        return f"{self.origin}:{self.line(path)}{': ' if path else ''}{dotted(path)}"


def parse_document(
    text: str, origin: str, keys: Keys = "names", error: type[MeshInsightError] = UsageError
) -> Document:
    """The one document in `text`.

    Raises:
        MeshInsightError: of the kind `error`, one line with file and line, for bad YAML and for what is refused here.
    """
    found = list(parse_documents(text, origin, keys, error))
    if len(found) > 1:
        raise error(f"{origin}:{_line_in_yaml(text, 1, ())}: a second document; expected one, so remove the other")
    return found[0] if found else Document(None, origin, text)


def parse_documents(
    text: str, origin: str, keys: Keys = "text", error: type[MeshInsightError] = UsageError
) -> Iterator[Document]:
    """The documents in `text`, one after the other. Raises as `parse_document`."""
    if (found := _as_json(text, origin, error)) is not None:
        yield found
        return
    try:
        builder = _Builder(keys)
        for number, value in enumerate(builder.documents(text)):
            yield Document(value, origin, text, number)
    except _RefusedError as refused:
        raise error(f"{origin}:{refused.line}: {refused}") from refused
    except yaml.YAMLError as damaged:
        mark = getattr(damaged, "problem_mark", None) or getattr(damaged, "context_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise error(f"{origin}{where}: invalid YAML: {_reason(damaged)}; correct this line") from damaged


def load_yaml(text: str, origin: str, error: type[MeshInsightError] = UsageError) -> Any:
    """The value of the one document in `text`, with keys as text. Raises as `parse_document`."""
    return parse_document(text, origin, "text", error).value


class _RefusedError(Exception):
    def __init__(self, event: Any, problem: str) -> None:
        super().__init__(problem)
        mark = event.start_mark
        self.line: int = mark.line + 1 if mark else 1


class _Builder:
    """Builds values from libyaml's events: no recursion, and nothing is kept but the values."""

    def __init__(self, keys: Keys) -> None:
        self._any_key = keys == "text"
        self._stack: list[Any] = []
        self._names: list[Any] = []  # by level: the name that waits for its value, _NAME_NEXT, or _LIST
        self._values = 0
        self._value: Any = None

    def documents(self, text: str) -> Iterator[Any]:
        for event in _events(text):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._open(event, {}, "map")
            elif kind is yaml.SequenceStartEvent:
                self._open(event, [], "seq")
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close()
            elif kind is yaml.AliasEvent:
                raise _RefusedError(event, f"alias *{one_line(event.anchor)}; write the value out, aliases are refused")
            elif kind is yaml.DocumentEndEvent:
                yield self._value
                self._value = None

    def _scalar(self, event: Any) -> None:
        if self._names and self._names[-1] is _NAME_NEXT:
            self._names[-1] = self._name(event)
        else:
            self._place(event, self._scalar_value(event))
            self._next()

    def _scalar_value(self, event: Any) -> Any:
        try:
            return scalar_value(event)
        except _RefusedError as refused:
            path = dotted(self._path())
            raise _RefusedError(event, f"{path}{': ' if path else ''}{refused}") from refused

    def _path(self) -> Path_:
        """Where the next value goes."""
        levels = list(zip(self._names, self._stack, strict=True))
        around = [len(values) - 1 if name is _LIST else str(name) for name, values in levels[:-1]]
        last = [len(values) if name is _LIST else str(name) for name, values in levels[-1:]]
        return (*around, *last)

    def _name(self, event: Any) -> str:
        if not self._any_key and not isinstance(scalar_value(event), str):
            raise _RefusedError(event, "expected a name before the colon; put it in quotes if it is meant as one")
        name: str = event.value
        if name in self._stack[-1]:
            path = dotted((*self._path()[:-1], name))
            raise _RefusedError(event, f"{path} is there twice; remove one of them")
        return name

    def _open(self, event: Any, empty: Any, tag: str) -> None:
        if event.tag not in (None, "!", _CORE + tag):
            raise _RefusedError(event, f"tag {one_line(event.tag, 60)} is not supported; remove it")
        if self._names and self._names[-1] is _NAME_NEXT:
            raise _RefusedError(event, "expected a name before the colon, found a list or mapping")
        if len(self._stack) >= DEEPEST:
            raise _RefusedError(event, f"nested more than {DEEPEST} deep; nothing here is")
        self._place(event, empty)
        self._stack.append(empty)
        self._names.append(_NAME_NEXT if tag == "map" else _LIST)

    def _close(self) -> None:
        self._stack.pop()
        self._names.pop()
        self._next()

    def _next(self) -> None:
        if self._names and self._names[-1] is not _LIST:
            self._names[-1] = _NAME_NEXT

    def _place(self, event: Any, value: Any) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            raise _RefusedError(event, f"more than {MOST_VALUES:,} values; split the file")
        if not self._stack:
            self._value = value
        elif self._names[-1] is _LIST:
            self._stack[-1].append(value)
        else:
            self._stack[-1][self._names[-1]] = value


_NAME_NEXT: Final = object()
_LIST: Final = object()


def scalar_value(event: Any) -> Any:
    """A scalar as YAML 1.1 has it, except that dates and base-60 numbers stay the text they are."""
    text: str = event.value
    if event.tag is None or event.tag == "!":
        plain = event.tag is None and event.implicit[0]
        if not plain or (text and text[0] not in _MEANT_AS_NUMBER):
            return text
        tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
        if tag.removeprefix(_CORE) not in _CONVERTED or ":" in text:
            return text
    else:
        tag = event.tag
    kind = tag.removeprefix(_CORE)
    if kind == "str" and tag.startswith(_CORE):
        return text
    if kind not in _CONVERTED or not tag.startswith(_CORE):
        raise _RefusedError(event, f"tag {one_line(tag, 60)} is not supported; remove it or put the text in quotes")
    return _converted(event, kind, tag)


def _converted(event: Any, kind: str, tag: str) -> Any:
    text: str = event.value
    if kind == "int" and len(text) > 70:
        raise _RefusedError(event, f"expected a number within 64 bits, found {one_line(text, 24)}")
    try:
        value = int(text) if kind == "int" and _DECIMAL.match(text) else _constructed(text, tag)
        check_values(value)
    except UnfitValueError as unfit:
        raise _RefusedError(event, f"{one_line(text, 24)} is {unfit}") from unfit
    except (ValueError, LookupError, OverflowError) as error:  # what PyYAML's constructors raise for a wrong value
        raise _RefusedError(event, f"{one_line(text, 24)!r} is no {kind}; correct the value") from error
    if kind == "int" and abs(value) > LARGEST_INTEGER:
        raise _RefusedError(event, f"expected a number within 64 bits, found {one_line(text, 24)}")
    return value


def _constructed(text: str, tag: str) -> Any:
    # The constructor of the tag alone: construct_object would remember every node.
    return yaml.SafeLoader.yaml_constructors[tag](_RESOLVER, yaml.ScalarNode(tag, text))


def _as_json(text: str, origin: str, error: type[MeshInsightError]) -> Document | None:
    """JSON text as a document; None for anything else, YAML in braces too."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return Document(decode_json(text), origin, text, is_json=True)
    except json.JSONDecodeError:
        return None
    except UnfitValueError as unfit:
        name = f"{dotted(unfit.path)}: " if unfit.path else ""
        raise error(f"{origin}:{line_of(text, unfit.path)}: {name}{unfit}") from unfit


def _line_in_yaml(text: str, number: int, path: Path_) -> int:
    """The line of the value at `path` of document `number`, or of the nearest one around it."""
    found = 1
    at: list[str | int | None] = []  # the name or index of the value that comes next, level by level; None: a name
    document = -1
    for event in _events(text):
        kind = type(event)
        if kind is yaml.DocumentStartEvent:
            document += 1
            found = event.start_mark.line + 1 if document == number else found
        elif document != number:
            continue
        elif kind is yaml.DocumentEndEvent:
            break
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            at.pop()
            _advance(at)
        elif at and at[-1] is None:
            at[-1] = getattr(event, "value", "")
            found = event.start_mark.line + 1 if tuple(at) == path[: len(at)] else found
        else:
            found = _line_if_nearer(event, at, path, found)
            if kind is yaml.ScalarEvent:
                _advance(at)
            else:
                at.append(None if kind is yaml.MappingStartEvent else 0)
    return found


def _line_if_nearer(event: Any, at: list[str | int | None], path: Path_, found: int) -> int:
    # The name of a value was met before the value: its line is the one that a person looks for.
    in_list = not at or isinstance(at[-1], int)
    nearer = in_list and len(at) <= len(path) and tuple(at) == path[: len(at)]
    return event.start_mark.line + 1 if nearer else found


def _advance(at: list[str | int | None]) -> None:
    if at:
        last = at[-1]
        at[-1] = last + 1 if isinstance(last, int) else None


def _events(text: str) -> Iterator[Any]:
    events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
    return events


def _reason(error: yaml.YAMLError) -> str:
    return one_line(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error), 120)
