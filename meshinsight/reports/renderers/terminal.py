"""A report as text: a terminal gets its width and bold titles, a pipe or a file gets unwrapped lines.

A table that is wider than the terminal first has its columns of words wrapped between words. Where that is not enough
it is continued below by the columns that are left, with the names of the rows again: nothing is dropped or cut.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TextIO
from unicodedata import combining, east_asian_width

from meshinsight.console import make_console
from meshinsight.reports.report import INTERVAL, Report, Section
from profiler.text import printable

_GAP: Final = "  "
_ITEM: Final = "  "
_NARROWEST: Final = 12
"""Columns of words are not wrapped below this width."""

_WORDS: Final = re.compile(r"[^ ]+ *")
_NAMES: Final = re.compile(r"[^ ]+?[-/](?=\w)|[^ ]+ *")
"""Where a line of words may end, and one of a column, which may hold names that are too long for it."""

_TIED: Final = re.compile(r"(?<=\d) (?=[%±…]|[µmn]?s\b|vCPU|[KMG]?i?B\b)|(?<=[±…]) (?=[-\d])|(?<=\w) (?=\d+ %)")
_TIE: Final = "\N{NO-BREAK SPACE}"

Line = tuple[str, str]
"""A line of text: its bold beginning, and the rest."""


def render(report: Report, stream: TextIO) -> None:
    """Print a report. Names in it come from foreign files, so all text is made printable here."""
    if not stream.isatty():
        stream.writelines(f"{(bold + rest).rstrip()}\n" for bold, rest in text_lines(report, None))
        return
    from rich.text import Text

    console = make_console(stream)
    for bold, rest in text_lines(report, console.width):
        console.print(Text.assemble((bold, "bold"), rest), soft_wrap=True)


def text_lines(report: Report, width: int | None) -> Iterator[Line]:
    """Everything from top to bottom, none wider than `width` unless a single word or figure is."""
    yield from ((line, "") for line in _wrapped(printable(report.title), width))
    for section in report.sections:
        if section.title:
            yield "", ""
            yield from _titled(printable(section.title), printable(section.detail), width)
        if section.rows:
            yield from _Table.of(section).lines(width)
        for line in section.lines:
            yield from (("", part) for part in _wrapped(printable(line), width))
    for name, lines in report.notes:
        yield "", ""
        if name:
            yield printable(name), ""
        for line in lines:
            yield from (("", part) for part in _wrapped(printable(line), width, _ITEM if name else ""))


def _titled(title: str, detail: str, width: int | None) -> Iterator[Line]:
    first, *others = _wrapped(title + detail, width)
    yield first[: len(title)], first[len(title) :]
    yield from (("", line) for line in others)


def _wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Text in lines that end between words; the further ones of an item are indented more."""
    if width is None or len(indent) + _width(text) <= width:
        return [indent + text]
    later = f"{indent}  " if indent else ""
    first, *others = _folded(text, width - len(later), _WORDS)
    return [indent + first, *(later + line for line in others)]


@dataclass(frozen=True)
class _Table:
    """Rows of text of equal length. The lines of the header's names are apart; `words` are the columns of words."""

    header: Sequence[Sequence[str]]
    rows: Sequence[Sequence[str]]
    words: Sequence[int]

    @classmethod
    def of(cls, section: Section) -> "_Table":
        header = [[printable(line) for line in name.split("\n")] for name in section.columns]
        return cls(header, [tuple(map(printable, row)) for row in section.rows], section.left)

    @cached_property
    def _widths(self) -> list[int]:
        return [
            max(map(_width, [*name, *(row[column] for row in self.rows)])) for column, name in enumerate(self.header)
        ]

    def lines(self, width: int | None) -> Iterator[Line]:
        """The table, in several one below the other where it is wider than `width`."""
        widths = self._widths if width is None else self._fitted(width)
        for number, columns in enumerate(self._blocks(widths, width)):
            if number:
                yield "", ""
            yield from (("", line) for line in self._block(columns, [widths[column] for column in columns]))

    def _fitted(self, width: int) -> list[int]:
        """The widths of the columns: those of words as narrow as the terminal needs, if that makes the table fit.

        Otherwise only what is too wide next to the first column is narrowed; that one gives way to figures.
        """
        widths = list(self._widths)
        for column in sorted(self.words, reverse=True)[:-1]:
            self._narrow(widths, column, _whole(widths) - width)
        if _whole(widths) <= width:
            return widths
        widths = list(self._widths)
        figures = [each for column, each in enumerate(widths) if column not in self.words]
        self._narrow(widths, 0, _whole([widths[0], max(figures, default=0)]) - width)
        for column in self.words[1:]:
            self._narrow(widths, column, _whole([widths[0], widths[column]]) - width)
        return widths

    def _narrow(self, widths: list[int], column: int, spare: int) -> None:
        """Take `spare` off a column, or as much as its words allow."""
        if spare > 0:
            widths[column] = max(widths[column] - spare, min(widths[column], self._narrowest(column)))

    def _narrowest(self, column: int) -> int:
        pieces = [piece for row in self.rows for piece in _pieces(row[column], _NAMES)]
        return max(_NARROWEST, *(_width(text.rstrip(" ")) for text in [*self.header[column], *pieces]))

    def _blocks(self, widths: Sequence[int], width: int | None) -> Iterator[list[int]]:
        """The columns that stand side by side; each block begins with the first."""
        block = [0]
        for group in self._groups():
            if width is not None and len(block) > 1 and _whole([widths[each] for each in [*block, *group]]) > width:
                yield block
                block = [0]
            block += group
        yield block

    def _groups(self) -> list[list[int]]:
        """All columns but the first; intervals stay next to the figures that they belong to."""
        groups: list[list[int]] = []
        for column in range(1, len(self.header)):
            if groups and self.header[column][-1] == INTERVAL:
                groups[-1].append(column)
            else:
                groups.append([column])
        return groups

    def _block(self, columns: Sequence[int], widths: Sequence[int]) -> Iterator[str]:
        height = max(len(self.header[column]) for column in columns)
        names = [[*[""] * (height - len(self.header[column])), *self.header[column]] for column in columns]
        yield from self._aligned(names, columns, widths)
        yield "─" * _whole(widths)
        for row in self.rows:
            cells = [_folded(row[column], width, _NAMES) for column, width in zip(columns, widths, strict=True)]
            yield from self._aligned(cells, columns, widths)

    def _aligned(self, cells: Sequence[Sequence[str]], columns: Sequence[int], widths: Sequence[int]) -> Iterator[str]:
        """The lines of a row, of whose cells some may have fewer than others."""
        for line in range(max(map(len, cells))):
            texts = [cell[line] if line < len(cell) else "" for cell in cells]
            spaces = [" " * (width - _width(text)) for text, width in zip(texts, widths, strict=True)]
            yield _GAP.join(
                text + space if column in self.words else space + text
                for text, space, column in zip(texts, spaces, columns, strict=True)
            ).rstrip()


def _whole(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _pieces(text: str, pattern: re.Pattern[str]) -> list[str]:
    """A text cut where a line may end; a figure stays with its unit and its interval."""
    return pattern.findall(_TIED.sub(_TIE, text))


def _folded(text: str, width: int, pattern: re.Pattern[str]) -> list[str]:
    """Text in lines of `width`, each wider only where a single piece is."""
    if _width(text) <= width:
        return [text]
    lines = [""]
    for piece in _pieces(text, pattern):
        if lines[-1] and _width(lines[-1] + piece.rstrip(" ")) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip(" ")
    return [line.rstrip(" ").replace(_TIE, " ") for line in lines]


def _width(text: str) -> int:
    """Columns that a text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)
