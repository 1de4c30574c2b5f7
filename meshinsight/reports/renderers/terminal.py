"""A report as text: a terminal gets its width and colours, a pipe or a file whole lines."""

from collections.abc import Iterator, Sequence
from typing import Final, TextIO
from unicodedata import combining, east_asian_width

from meshinsight.console import make_console
from meshinsight.reports.report import Report
from profiler.text import printable

_GAP: Final = "  "

Line = tuple[str, str]
"""A line of text: its bold beginning, and the rest."""

Table = list[tuple[str, ...]]
"""The header, and the rows."""


def render(report: Report, stream: TextIO) -> None:
    """Print a report. Names in it come from foreign files, so all text is made printable here."""
    if stream.isatty():
        _print_rich(report, stream)
    else:
        stream.writelines(f"{line.rstrip()}\n" for line in _plain_lines(report))


def _parts(report: Report) -> Iterator[Line | Table]:
    """Everything from top to bottom."""
    yield printable(report.title), ""
    for section in report.sections:
        if section.title:
            yield from (("", ""), (printable(section.title), printable(section.detail)))
        if section.rows:
            yield [tuple(map(printable, row)) for row in (section.columns, *section.rows)]
        yield from (("", printable(line)) for line in section.lines)
    for name, lines in report.notes:
        yield "", ""
        if name:
            yield printable(name), ""
        yield from (("", f"  {printable(line)}" if name else printable(line)) for line in lines)


def _plain_lines(report: Report) -> Iterator[str]:
    """Without rich, whose import takes longer than a prediction."""
    for part in _parts(report):
        if isinstance(part, tuple):
            yield "".join(part)
            continue
        widths = [max(map(_width, column)) for column in zip(*part, strict=True)]
        header, *lines = [_aligned(row, widths) for row in part]
        yield from (header, "─" * (sum(widths) + len(_GAP) * (len(widths) - 1)), *lines)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """The first column to the left, the others to the right."""
    spaces = [" " * (width - _width(text)) for text, width in zip(row, widths, strict=True)]
    return _GAP.join([row[0] + spaces[0], *(space + text for text, space in zip(row[1:], spaces[1:], strict=True))])


def _width(text: str) -> int:
    """Columns that a text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _print_rich(report: Report, stream: TextIO) -> None:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    console = make_console(stream)
    for part in _parts(report):
        if isinstance(part, tuple):
            console.print(Text.assemble((part[0], "bold"), part[1]))
            continue
        table = RichTable(
            box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True, header_style="dim"
        )
        for index, column in enumerate(part[0]):
            table.add_column(column, justify="right" if index else "left", overflow="fold")
        for row in part[1:]:
            table.add_row(*map(Text, row))
        console.print(table)
