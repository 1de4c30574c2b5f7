"""A prediction as text tables for a terminal, whole lines for a pipe, and Markdown for pull requests."""

import sys
from collections.abc import Iterator, Sequence
from typing import Final, TextIO
from unicodedata import combining, east_asian_width

from meshinsight.console import make_console
from meshinsight.reports.subjects.prediction_sections import Prices, Section, notes, sections
from predictor.predict.types import Prediction
from profiler.text import printable

_GAP: Final = "  "


def print_sections(
    title: str, tables: Sequence[Section], lists: Sequence[tuple[str, Sequence[str]]], stream: TextIO
) -> None:
    """Print titled tables and lists; a terminal gets its width and colours, a pipe whole lines.

    Names in them come from foreign files, so all text is made printable here.
    """
    title, tables = printable(title), [_printable(section) for section in tables]
    lists = [(printable(name), [printable(line) for line in lines]) for name, lines in lists]
    if stream.isatty():
        _print_rich(title, tables, lists, stream)
    else:
        stream.writelines(f"{line.rstrip()}\n" for line in _plain_lines(title, tables, lists))


def _printable(section: Section) -> Section:
    rows = tuple(tuple(map(printable, row)) for row in section.rows)
    return Section(printable(section.title), tuple(map(printable, section.columns)), rows)


def _plain_lines(title: str, tables: Sequence[Section], lists: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Without rich, whose import takes longer than a prediction."""
    yield title
    for section in tables:
        yield from ("", section.title)
        rows = [section.columns, *section.rows]
        widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
        header, *lines = [_aligned(row, widths) for row in rows]
        yield from (header, "─" * (sum(widths) + len(_GAP) * (len(widths) - 1)), *lines)
    for name, entries in lists:
        yield from ("", name, *(f"  {entry}" for entry in entries))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """The first column to the left, the others to the right."""
    spaces = [" " * (width - _width(text)) for text, width in zip(row, widths, strict=True)]
    return _GAP.join([row[0] + spaces[0], *(space + text for text, space in zip(row[1:], spaces[1:], strict=True))])


def _width(text: str) -> int:
    """Columns that a text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _print_rich(
    title: str, tables: Sequence[Section], lists: Sequence[tuple[str, Sequence[str]]], stream: TextIO
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = make_console(stream)
    console.print(Text(title, style="bold"))
    for section in tables:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True, header_style="dim")
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
            console.print(Text(f"  {line}"))


def print_prediction(found: Prediction, prices: Prices, stream: TextIO | None = None) -> None:
    """Print a prediction to a stream (standard output unless given)."""
    title = f"Predicted overhead of {printable(found.graph) or 'the call graph'}"
    print_sections(title, sections(found, prices), notes(found), stream or sys.stdout)


def write_markdown(found: Prediction, prices: Prices, stream: TextIO) -> None:
    """Write a prediction as Markdown."""
    title = f"Predicted overhead of {found.graph or 'the call graph'}"
    write_markdown_sections(title, sections(found, prices), notes(found), stream)


def write_markdown_sections(
    title: str, tables: Sequence[Section], lists: Sequence[tuple[str, Sequence[str]]], stream: TextIO
) -> None:
    """Write titled tables and lists as Markdown."""
    stream.write(f"## {_cell(title)}\n")
    for section in tables:
        stream.write(f"\n### {_cell(section.title)}\n\n")
        stream.write("| " + " | ".join(map(_cell, section.columns)) + " |\n")
        stream.write("|---|" + "--:|" * (len(section.columns) - 1) + "\n")
        stream.writelines("| " + " | ".join(map(_cell, row)) + " |\n" for row in section.rows)
    for name, lines in lists:
        stream.write(f"\n**{_cell(name)}**\n\n")
        stream.writelines(f"- {_cell(line)}\n" for line in lines)


def _cell(text: str) -> str:
    """Text that cannot break out of a cell."""
    escaped = printable(text)
    for sign in "\\|<>*_`[]":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped
