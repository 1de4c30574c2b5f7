"""Parsers with one fault each, which the fuzzer must find, and one without."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from unittest.mock import patch

from profiler.errors import UsageError
from tests.fuzz import checks
from tests.fuzz.mutators.text import mutate_text
from tests.fuzz.parser import Parser

_OFTEN: Final = 5


def _now_and_then(data: bytes) -> bool:
    return sum(data) % _OFTEN == 0


def good(data: bytes, _: Path) -> None:
    if _now_and_then(data):
        raise UsageError("input: not a number")


def unexpected(data: bytes, _: Path) -> None:
    if _now_and_then(data):
        raise KeyError("facts")


def endless(data: bytes, _: Path) -> None:
    while _now_and_then(data):
        pass


def swallowing(data: bytes, _: Path) -> None:
    """What would catch an alarm that were an Exception."""
    while _now_and_then(data):
        try:
            sum(range(1000))
        except Exception:  # noqa: BLE001, S112 (the fault)
            continue


def waiting(data: bytes, _: Path) -> None:
    """Neither uses CPU time nor comes back to the interpreter."""
    if _now_and_then(data):
        ctypes.PyDLL(None).pause()


def large(data: bytes, _: Path) -> None:
    if _now_and_then(data):
        bytearray(b"x") * (240 << 20)


def huge(data: bytes, _: Path) -> None:
    if _now_and_then(data):
        bytearray(1 << 45)


def deadly(data: bytes, _: Path) -> None:
    if _now_and_then(data):
        os._exit(3)


def _answering(said: str, status: int = 2, out: str = "") -> Callable[[bytes, Path], None]:
    """A command line that answers so."""

    def run() -> int:
        sys.stdout.write(out)
        sys.stderr.write(said + "\n")
        return status

    def read(data: bytes, _: Path) -> None:
        if _now_and_then(data):
            with patch.object(checks, "run", run):
                checks.run_command(["x"], (0, 2), True, True)

    return read


_ERROR: Final = "meshinsight: error: "
COMMANDS: Final = {
    "two-lines": _answering(f"{_ERROR}bad:\nname"),
    "escape": _answering(f"{_ERROR}bad: \x1b[31m"),
    "direction": _answering(f"{_ERROR}bad: \u202egnp"),
    "control": _answering(f"{_ERROR}bad: \x9b31m"),
    "surrogate": _answering(f"{_ERROR}bad: \x00"),
    "status": _answering(f"{_ERROR}bad", 1),
    "defect": _answering(f"{_ERROR}defect in MeshInsight, please report it: KeyError", 70),
    "warning": _answering("/x/y.py:3: RuntimeWarning: overflow encountered in matmul\n  a @ b", 0, "{}"),
    "silent": _answering("nothing", 2),
    "half-json": _answering("", 0, '{"a": 1'),
    "nan-json": _answering("", 0, '{"a": NaN}'),
    "no-json": _answering("", 0),
    "output": _answering("", 0, '{"a": "\x1b"}'),
}
"""By what is wrong with the answer of a command."""

FUNCTIONS: Final = {
    "unexpected": unexpected,
    "endless": endless,
    "swallowing": swallowing,
    "waiting": waiting,
    "large": large,
    "huge": huge,
    "deadly": deadly,
}
PARSERS: Final = [
    Parser(name, lambda: [b"1 2 3", b"4"], mutate_text, read)
    for name, read in {"good": good, **FUNCTIONS, **COMMANDS}.items()
]
