"""Plain values of a document into typed ones: a wrong or missing field is one line that names it. Pure."""

import re
from typing import Any, Final, TypeVar

import msgspec

from profiler.errors import MeshInsightError, UsageError
from profiler.text import one_line

T = TypeVar("T")

_AT: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")


def typed(value: Any, kind: type[T], origin: str, remedy: str = "", error: type[MeshInsightError] = UsageError) -> T:
    """`value` as a `kind`, which is a struct or another type that msgspec knows.

    Raises:
        MeshInsightError: of the kind `error`, one line with `origin`, the field, what was expected, and `remedy`.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as wrong:
        found = _AT.match(str(wrong))
        problem, path = (found["problem"], found["path"] or "") if found else (str(wrong), "")
        if missing := _MISSING.match(problem):
            problem = f"{path}.{missing[1]}".removeprefix(".") + " is missing"
            path = ""
        where, problem = f"{one_line(path)}: " if path else "", one_line(problem.replace("`", ""))
        ending = f"; {remedy}" if remedy else ""
        raise error(f"{origin}: {where}{problem[:1].lower()}{problem[1:]}{ending}") from wrong
