"""Printing through rich: a terminal gets its own width and colours, anything else plain text with whole lines."""

import io
from collections.abc import Callable
from typing import Final, TextIO

from rich.console import Console

_UNCUT_WIDTH: Final = 400
"""Columns given to output that is not a terminal: wider than any table here, so nothing is folded or cut."""


def print_whole(render: Callable[[Console], None], stream: TextIO) -> None:
    """Print what `render` prints to a console; outside of a terminal no line is cut or padded."""
    if stream.isatty():
        render(Console(file=stream, highlight=False, markup=False, emoji=False))
        return
    console = Console(file=io.StringIO(), width=_UNCUT_WIDTH, highlight=False, markup=False, emoji=False, no_color=True)
    with console.capture() as capture:
        render(console)
    # rich pads every line to the width of its table; in a file that is only noise.
    stream.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())
