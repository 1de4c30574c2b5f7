"""The one place that prints. What reaches a terminal from here cannot drive it, whatever names a file held.

Lines are for people; documents (JSON, CSV, YAML) are written whole or not at all. Imports stay cheap: rich is loaded
only for tables.
"""

import codecs
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

from profiler.errors import MeshInsightError
from profiler.text import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

_UNCUT_WIDTH: Final = 400
"""Columns given to output that is not a terminal: wider than any table here, so nothing is folded or cut."""

_LONGEST_ERROR: Final = 2000
_REPLACING: Final = "meshinsight-plain"


_PLAIN: Final = {
    "µ": "u", "±": "+-", "–": "-", "−": "-", "─": "-", "…": "..", "→": "->", "←": "<-", "·": "*", "×": "x", "Σ": "sum ",
    "≤": "<=", "≥": ">=", "√": "sqrt ", "•": "*", "✓": "+", "✗": "x", "│": "|", "├": "|",
    "└": "`", "◆": "*", "²": "2",
}  # fmt: skip
"""What stands for characters of ours that an encoding lacks; a question mark for all others."""


@dataclass
class _Shown:
    """What the options of every command say about the output. This is state: there is one terminal."""

    quiet: bool = False
    verbose: bool = False
    no_color: bool = False


_shown: Final = _Shown()


def show_only(*, quiet: bool, verbose: bool, no_color: bool) -> None:
    """Set what is printed from now on."""
    _shown.quiet, _shown.verbose, _shown.no_color = quiet, verbose, no_color


def show_more(*, quiet: bool, verbose: bool, no_color: bool) -> None:
    """Add to what was set: options before the command and after it count alike."""
    show_only(quiet=quiet or _shown.quiet, verbose=verbose or _shown.verbose, no_color=no_color or _shown.no_color)


def is_quiet() -> bool:
    """Whether only results and errors are wanted."""
    return _shown.quiet


def is_verbose() -> bool:
    """Whether every step is wanted."""
    return _shown.verbose


def prepare_streams() -> None:
    """Let characters that the terminal's encoding does not have be replaced, rather than fail a finished run."""
    codecs.register_error(_REPLACING, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_REPLACING)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Plain characters for those that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char, "?") for char in lacking), error.end


def print_line(text: str = "", stream: TextIO | None = None) -> None:
    """Print one line of text to a person: to standard output unless `stream` says otherwise."""
    print(printable(text), file=stream or sys.stdout, flush=stream is not None)


def print_note(text: str) -> None:
    """Print one line to standard error, unless --quiet is given: progress, what was written where, warnings."""
    if not _shown.quiet:
        print_line(text, sys.stderr)


def print_error(text: str) -> None:
    """Print an error as one line on standard error, whatever is in it."""
    print_line(f"meshinsight: error: {one_line(text, _LONGEST_ERROR)}", sys.stderr)


def write_document(text: str, stream: TextIO) -> None:
    """Write a finished document (CSV, YAML, source text): as it is to a file, made printable for a terminal."""
    if stream.isatty():
        text = "".join(f"{printable(line.replace(chr(9), '    '))}\n" for line in text.splitlines())
    stream.write(text)


def json_text(document: Any, indent: int | None = 2) -> str:
    """A JSON document as text. Raises `MeshInsightError` when a number in it is not finite: JSON has none such."""
    try:
        text = json.dumps(document, indent=indent, allow_nan=False)
    except ValueError as error:
        raise MeshInsightError(
            "a figure of the result is not finite, so it has no JSON; check the input for values that are far too large"
        ) from error
    # ASCII only: the escapes of control characters and of bidirectional marks reach no terminal as such. DEL is the one
    # control character that JSON leaves as it is.
    return text.replace("\x7f", "\\u007f") + "\n"


def write_json_document(document: Any, stream: TextIO, indent: int | None = 2) -> None:
    """Write a JSON document, whole or not at all. Raises `MeshInsightError` when a number in it is not finite."""
    stream.write(json_text(document, indent))


def make_console(stream: TextIO, width: int | None = None, plain: bool = False) -> "Console":
    """A rich console on `stream` that shows text as it is: no markup, no emoji codes, nothing unprintable."""
    from meshinsight.rich_console import SafeConsole

    no_color = True if plain or _shown.no_color else None  # None: as NO_COLOR says
    return SafeConsole(file=stream, width=width, highlight=False, markup=False, emoji=False, no_color=no_color)


def print_whole(render: "Callable[[Console], None]", stream: TextIO) -> None:
    """Print what `render` prints to a console; outside of a terminal no line is cut or padded."""
    if stream.isatty():
        render(make_console(stream))
        return
    console = make_console(io.StringIO(), _UNCUT_WIDTH, plain=True)
    with console.capture() as capture:
        render(console)
    # rich pads every line to the width of its table; in a file that is only noise.
    stream.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())
