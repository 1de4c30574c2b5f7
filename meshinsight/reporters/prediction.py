"""A prediction as text tables for a terminal, whole lines for a pipe, and Markdown for pull requests."""

import io
import sys
from typing import Final, TextIO

from meshinsight.reporters import formats
from meshinsight.reporters.prediction_sections import Prices, Section, notes, sections
from predictor.predict.types import Prediction

_UNCUT_WIDTH: Final = 400


def print_sections(title: str, tables: list[Section], lists: list[tuple[str, list[str]]], stream: TextIO) -> None:
    """Print titled tables and lists; a terminal gets its width and colours, a pipe whole lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = stream.isatty()
    plain = {"highlight": False, "markup": False, "emoji": False}
    console = Console(file=stream, **plain) if terminal else Console(file=io.StringIO(), width=_UNCUT_WIDTH, **plain)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(Text(title, style="bold"))
        for section in tables:
            table = Table(
                box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True, header_style="dim"
            )
            for index, column in enumerate(section.columns):
                table.add_column(column, justify="right" if index else "left", overflow="fold")
            for row in section.rows:
                table.add_row(*(Text(text) for text in row))
            console.print()
            console.print(Text(section.title, style="bold"))
            console.print(table)
        for name, lines in lists:
            console.print()
            console.print(Text(name, style="bold"))
            for line in lines:
                console.print(Text(f"  {formats.printable(line)}"))
    text = capture.get()
    stream.writelines([text] if terminal else [f"{line.rstrip()}\n" for line in text.splitlines()])


def print_prediction(found: Prediction, prices: Prices, stream: TextIO | None = None) -> None:
    """Print a prediction to a stream (standard output unless given)."""
    title = f"Predicted overhead of {formats.printable(found.graph) or 'the call graph'}"
    lists = [(name, list(lines)) for name, lines in notes(found)]
    print_sections(title, sections(found, prices), lists, stream or sys.stdout)


def write_markdown(found: Prediction, prices: Prices, stream: TextIO) -> None:
    """Write a prediction as Markdown."""
    stream.write(f"## Predicted overhead of {_cell(found.graph) or 'the call graph'}\n")
    for section in sections(found, prices):
        stream.write(f"\n### {section.title}\n\n")
        stream.write("| " + " | ".join(section.columns) + " |\n")
        stream.write("|---|" + "--:|" * (len(section.columns) - 1) + "\n")
        stream.writelines("| " + " | ".join(map(_cell, row)) + " |\n" for row in section.rows)
    for title, lines in notes(found):
        stream.write(f"\n**{title}**\n\n")
        stream.writelines(f"- {_cell(line)}\n" for line in lines)


def _cell(text: str) -> str:
    """Text that cannot break out of a cell."""
    escaped = formats.printable(text)
    for sign in "\\|<>*_`[]":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped
