"""What must hold for every input: known errors only, one clean line, exit status 2, JSON whole or absent."""

import io
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from meshinsight.cli import run
from tests.fuzz import corpora

LONGEST_LINE: Final = 2100
UNCLEAN: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, marks of writing direction, invisible characters, halves of surrogate pairs."""
_ERROR: Final = "meshinsight: error: "
_WARNING: Final = re.compile(r"\S+\.py:\d+: \w*Warning: ")
_DEFECT: Final = "defect in MeshInsight"


class BrokenRuleError(AssertionError):
    """A rule that an input made the project break."""


def check_line(text: str) -> None:
    """Raise `BrokenRuleError` unless the text is one clean line of bearable length."""
    if "\n" in text:
        raise BrokenRuleError(f"an error of several lines: {text!a:.300}")
    if found := UNCLEAN.search(text):
        raise BrokenRuleError(f"an error with the character {found[0]!a}: {text!a:.300}")
    if len(text) > LONGEST_LINE:
        raise BrokenRuleError(f"an error of {len(text)} characters: {text!a:.200}")


Command = Callable[[bytes, Path], None]


def command(
    *argv: str,
    name: str = "input",
    statuses: Sequence[int] = (0, 2),
    json_output: bool = False,
    clean_output: bool = True,
) -> Command:
    """What writes an input to a file and runs the command line on it, in this process.

    Args:
        argv: the arguments; `{file}` is the input's file, `{folder}` its folder.
        name: the file's name, which may be that of a folder and a file.
        statuses: exit statuses that are right.
        json_output: standard output is to be one JSON document, or empty.
        clean_output: standard output is text for people.
    """

    def read(data: bytes, folder: Path) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        values = {"file": str(file), "folder": str(folder), **_others(argv)}
        run_command([part.format_map(values) for part in argv], statuses, json_output, clean_output)

    return read


def option(*argv: str, statuses: Sequence[int] = (0, 2)) -> Command:
    """What runs the command line with the input, as text, in place of `{text}`."""

    def read(data: bytes, folder: Path) -> None:
        # No argument of a program can hold a zero byte.
        text = os.fsdecode(data.replace(b"\0", b""))
        values = {"text": text, "folder": str(folder), **_others(argv)}
        run_command([part.format_map(values) for part in argv], statuses, False, True)

    return read


def _others(argv: Sequence[str]) -> dict[str, str]:
    """The files that a command needs besides the one that is changed."""
    makers = {"{model}": corpora.model_file, "{graph}": corpora.graph_file, "{profile}": corpora.profile_file}
    return {part.strip("{}"): str(makers[part]()) for part in argv if part in makers}


def run_command(argv: Sequence[str], statuses: Sequence[int], json_output: bool, clean_output: bool) -> None:
    """Run the command line in this process and check what it answers. Raises `BrokenRuleError`."""
    out, error = io.BytesIO(), io.BytesIO()
    # As the interpreter's own streams: what cannot be encoded fails on the one and is escaped on the other.
    stdout = io.TextIOWrapper(out, encoding="utf-8", errors="strict", write_through=True)
    stderr = io.TextIOWrapper(error, encoding="utf-8", errors="backslashreplace", write_through=True)
    called, warned = patch.object(sys, "argv", ["meshinsight", *argv]), warnings.catch_warnings()
    with called, warned, redirect_stdout(stdout), redirect_stderr(stderr):
        warnings.simplefilter("always", RuntimeWarning)
        status = run()
    _check_answer(status, out.getvalue().decode(), error.getvalue().decode(), statuses)
    if json_output:
        _check_json(out.getvalue().decode(), status)
    if clean_output and (found := UNCLEAN.search(out.getvalue().decode())):
        raise BrokenRuleError(f"standard output has the character {found[0]!a}")


def _check_answer(status: int, out: str, said: str, statuses: Sequence[int]) -> None:
    if _DEFECT in said:
        raise BrokenRuleError(f"exit status {status}: {said!a:.400}")
    if status not in statuses:
        raise BrokenRuleError(
            f"exit status {status}, expected {' or '.join(map(str, statuses))}: {said!a:.300} {out!a:.100}"
        )
    for line in said.splitlines():
        check_line(line)
        if _WARNING.match(line):
            raise BrokenRuleError(f"a warning of the interpreter: {line!a:.300}")
    errors = [line for line in said.splitlines() if line.startswith(_ERROR)]
    if status == 2 and len(errors) != 1 and not said.startswith("Usage: "):
        raise BrokenRuleError(f"{len(errors)} lines of error with exit status 2: {said!a:.300}")
    if status == 2 and errors and said.splitlines()[-1] != errors[0]:
        raise BrokenRuleError(f"an error of several lines: {said!a:.300}")


def _check_json(out: str, status: int) -> None:
    if not out:
        if status == 0:
            raise BrokenRuleError("no JSON on standard output with exit status 0")
        return
    try:
        json.loads(out, parse_constant=_refuse)
    except ValueError as error:
        raise BrokenRuleError(f"standard output is no whole JSON document: {error}") from error


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
