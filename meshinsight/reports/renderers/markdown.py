"""A report as Markdown, for pull requests and wikis."""

from collections.abc import Sequence
from typing import TextIO

from meshinsight.reports.report import Report
from profiler.text import printable


def render(report: Report, stream: TextIO) -> None:
    """Write title, tables and lists."""
    stream.write(f"## {_cell(report.title)}\n")
    for section in report.sections:
        if section.title:
            stream.write(f"\n### {_cell(section.title + section.detail)}\n")
        if section.rows:
            ruler = "|" + "".join(
                "---|" if column in section.left else "--:|" for column in range(len(section.columns))
            )
            table = [_row(section.columns), ruler, *map(_row, section.rows)]
            stream.writelines(("\n", *(f"{line}\n" for line in table)))
        _write_list(section.lines, stream)
    for name, lines in report.notes:
        stream.write(f"\n**{_cell(name)}**\n" if name else "")
        _write_list(lines, stream)


def _write_list(lines: Sequence[str], stream: TextIO) -> None:
    if lines:
        stream.writelines(("\n", *(f"- {_cell(line)}\n" for line in lines)))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    """Text that cannot break out of a cell."""
    escaped = printable(text)
    for sign in "\\|<>*_`[]":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped
