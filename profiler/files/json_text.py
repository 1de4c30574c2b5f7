"""JSON text into plain values: bounded depth, finite numbers, one-line errors. The one way in for JSON documents.

Traces have readers of their own (`predictor/importers`), which decode element by element.
"""

import json
import math
import re
from typing import Any, Final

from profiler.errors import MeshInsightError, UsageError
from profiler.text import one_line

DEEPEST: Final = 40
"""Levels of nesting: no document here needs half of them."""

LARGEST_INTEGER: Final = 2**64

Path_ = tuple[str | int, ...]
"""Where a value is in a document: names and indices from the top."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")


class UnfitValueError(ValueError):
    """A value that no document here may hold; `path` leads to it."""

    def __init__(self, path: Path_, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def parse_json(
    text: str | bytes, origin: str, remedy: str = "correct the file", error: type[MeshInsightError] = UsageError
) -> Any:
    """The value of a JSON document.

    Raises:
        MeshInsightError: of the kind `error`, one line that names `origin`, the line or the field, and `remedy`: for
            damaged text, a name given twice, more than 40 levels, numbers that are not finite or beyond 64 bits.
    """
    try:
        value = decode_json(text)
    except json.JSONDecodeError as damaged:
        where = f"line {damaged.lineno}, column {damaged.colno}"
        raise error(f"{origin}: truncated or damaged JSON at {where} ({damaged.msg}); {remedy}") from damaged
    except UnfitValueError as unfit:
        raise error(f"{origin}: {_named(unfit.path)}{unfit}; {remedy}") from unfit
    except UnicodeDecodeError as foreign:
        raise error(f"{origin}: not UTF-8 text (byte {foreign.start}); {remedy}") from foreign
    return value


def decode_json(text: str | bytes) -> Any:
    """The value of a JSON document, checked as `parse_json` says.

    Raises:
        json.JSONDecodeError: the text is no JSON.
        UnfitValueError: it is, with a value that is refused.
        UnicodeDecodeError: `text` is bytes and not UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError as deep:
        raise UnfitValueError((), f"nested more than {DEEPEST} deep") from deep
    check_values(value)
    if _SURROGATE.search(text):
        _refuse_half_pairs(value)
    return value


def json_line(value: Any) -> str:
    """A value as one line of JSON, with its end. Raises ValueError for NaN and infinity, which `parse_json` refuses."""
    return json.dumps(value, allow_nan=False) + "\n"


def check_values(value: Any) -> None:
    """Raise `UnfitValueError` for a value nested too deep or a number that is not finite."""
    level: list[tuple[Path_, Any]] = [((), value)]
    for _ in range(DEEPEST):
        below: list[tuple[Path_, Any]] = []
        for path, item in level:
            if isinstance(item, dict):
                below += [((*path, key), child) for key, child in item.items() if _needs_check(child)]
            elif isinstance(item, list | tuple):
                below += [((*path, index), child) for index, child in enumerate(item) if _needs_check(child)]
            elif type(item) is float and not math.isfinite(item):
                raise UnfitValueError(path, "not a finite number; a figure that is not known is null")
        if not below:
            return
        level = below
    raise UnfitValueError(level[0][0][:3], f"nested more than {DEEPEST} deep")


def _refuse_half_pairs(value: Any) -> None:
    """Raise `UnfitValueError` for text that UTF-8 cannot hold: half of a surrogate pair, written as an escape."""
    waiting: list[tuple[Path_, Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, dict):
            waiting += [((*path, key), part) for key, child in item.items() for part in (key, child)]
        elif isinstance(item, list):
            waiting += [((*path, index), child) for index, child in enumerate(item)]
        elif isinstance(item, str) and _HALF_PAIR.search(item):
            raise UnfitValueError(path, "half of a surrogate pair; give the character whole")


def line_of(text: str, path: Path_) -> int:
    """The line of the value at `path` in JSON text, or of the nearest value around it; 1 for the whole document."""
    found = 1
    at: list[str | int] = []  # the name or index of the value that comes next, level by level
    name_next: list[bool] = []
    line, scanned = 1, 0
    for token in _TOKEN.finditer(text):
        kind = token[0]
        if name_next and name_next[-1] and kind[0] == '"':
            at[-1], name_next[-1] = str(json.loads(kind, strict=False)), False
            line, scanned = line + text.count("\n", scanned, token.start()), token.start()
            if _leads_to(at, path):
                found = line
        elif kind in "{[":
            line, scanned = line + text.count("\n", scanned, token.start()), token.start()
            if _leads_to(at, path) and _in_list(at):
                found = line
            at.append("" if kind == "{" else 0)
            name_next.append(kind == "{")
        elif kind in "}]" and at:
            at.pop()
            name_next.pop()
        elif kind == "," and at:
            last = at[-1]
            at[-1], name_next[-1] = (last + 1, False) if isinstance(last, int) else ("", True)
        elif kind not in ":,}]" and _leads_to(at, path) and _in_list(at):
            found = line + text.count("\n", scanned, token.start())
    return found


def _leads_to(at: list[str | int], path: Path_) -> bool:
    return len(at) <= len(path) and tuple(at) == path[: len(at)]


def _in_list(at: list[str | int]) -> bool:
    # The line of a named value is that of its name, which comes first.
    return not at or isinstance(at[-1], int)


def _needs_check(child: Any) -> bool:
    return isinstance(child, dict | list | tuple) or (type(child) is float and not math.isfinite(child))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnfitValueError((twice,), "is there twice; remove one of them")
    return found


def _integer(digits: str) -> int:
    # Python refuses to convert thousands of digits, and takes quadratic time for the others.
    if len(digits) > 20 or abs(int(digits)) > LARGEST_INTEGER:
        raise UnfitValueError((), f"expected a number within 64 bits, found {one_line(digits, 24)}")
    return int(digits)


def _named(path: Path_) -> str:
    text = dotted(path)
    return f"${'' if text.startswith('[') else '.'}{text}: " if path else ""


def dotted(path: Path_) -> str:
    """A path as text, `calls[2].caller`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{one_line(part)}" for part in path)
    return text.removeprefix(".")
