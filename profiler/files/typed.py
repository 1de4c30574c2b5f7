"""Plain values of a document into typed ones: a wrong or missing field is one line that names it. Pure."""

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

from profiler.errors import MeshInsightError, UsageError
from profiler.files.json_text import dotted, line_of
from profiler.text import one_line

T = TypeVar("T")

_AT: Final = re.compile(r"^(?P<problem>.*?)(?: - at (?P<key>`?key`? in )?`\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_STEP: Final = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[]+)")
_ANY_KEY: Final = "..."
"""What stands in msgspec's path for a key of a mapping."""


def typed(
    value: Any,
    kind: type[T],
    origin: str,
    remedy: str = "",
    error: type[MeshInsightError] = UsageError,
    text: str | None = None,
) -> T:
    """`value` as a `kind`, which is a struct or another type that msgspec knows.

    With `text`, the JSON that the value was read from, a message names the line too.

    Raises:
        MeshInsightError: of the kind `error`, one line with `origin`, the field, what was expected, and `remedy`.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as wrong:
        found = _AT.match(str(wrong))
        problem, path = (found["problem"], found["path"] or "") if found else (str(wrong), "")
        of_key = [_ANY_KEY] if found and found["key"] else []
        steps = _named_keys(value, kind, [*_steps(path), *of_key], str(wrong))
        line = "" if text is None else f"line {line_of(text, tuple(steps))}, "
        if missing := _MISSING.match(problem):
            steps, problem = [*steps, missing[1]], ""
        where = dotted(tuple(steps)) if steps else ""
        problem = one_line(problem.replace("`", ""))
        if of_key:
            problem = f"unknown key; {problem[:1].lower()}{problem[1:]}"
        message = f"{where}: {problem[:1].lower()}{problem[1:]}" if where and problem else f"{where} is missing"
        message = message if where else f"{problem[:1].lower()}{problem[1:]}"
        ending = f"; {remedy}" if remedy else ""
        raise error(f"{origin}: {line}{message}{ending}") from wrong


def _steps(path: str) -> list[str | int]:
    found = (match for match in _STEP.finditer(path))
    return [int(index) if index and index != _ANY_KEY else index or name for index, name in (m.groups() for m in found)]


def _named_keys(value: Any, kind: type[T], steps: list[str | int], message: str) -> list[str | int]:
    """The path with the keys of mappings, which msgspec leaves open: the first with which the error comes again."""
    if _ANY_KEY not in steps:
        return steps
    place = steps.index(_ANY_KEY)
    for key, document in _with_one_key(value, steps[:place]):
        try:
            msgspec.convert(document, kind)
        except msgspec.ValidationError as wrong:
            if str(wrong) == message:
                return _named_keys(document, kind, [*steps[:place], key, *steps[place + 1 :]], message)
    return steps


def _with_one_key(value: Any, steps: list[str | int]) -> Iterator[tuple[str, Any]]:
    """The document once for each key of the mapping at `steps`, with no other key there."""
    if not steps:
        yield from ((key, {key: child}) for key, child in value.items())
        return
    for key, child in _with_one_key(value[steps[0]], steps[1:]):
        whole: Any = list(value) if isinstance(value, list) else dict(value)
        whole[steps[0]] = child
        yield key, whole
