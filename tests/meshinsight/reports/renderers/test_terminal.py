"""How a report fits a terminal: nothing is dropped, cut or broken within a word."""

import io
import os

import pytest

from meshinsight.reports.renderers import terminal
from meshinsight.reports.report import INTERVAL, Report, Section


def shown(section: Section, width: int | None) -> list[str]:
    lines = terminal.text_lines(Report("t", [section], [], document=dict), width)
    return [bold + rest for bold, rest in lines][1:]


WIDE = Section(
    "", ("cell", "overhead", INTERVAL, "share"), [("tcp-client-hot", "12.5", "11.0 … 14.0", "50 %")]
)  # fmt: skip


def test_a_table_that_fits_is_one() -> None:
    assert shown(WIDE, 46) == shown(WIDE, None)
    assert len(shown(WIDE, None)) == 3


def test_a_table_that_is_too_wide_goes_on_below_with_the_names_of_its_rows() -> None:
    assert shown(WIDE, 40) == [
        "cell            overhead  95 % interval",
        "───────────────────────────────────────",
        "tcp-client-hot      12.5    11.0 … 14.0",
        "",
        "cell            share",
        "─────────────────────",
        "tcp-client-hot   50 %",
    ]


def test_an_interval_stays_with_its_figure_though_the_figure_alone_would_fit() -> None:
    section = Section("", ("c", "share", "overhead", INTERVAL), [("x", "50 %", "12.5", "11.0 … 14.0")])
    assert [line for line in shown(section, 26) if "95 %" in line] == ["c  overhead  95 % interval"]


def test_words_are_wrapped_between_words_only() -> None:
    section = Section("", ("name", "status"), [("a", "attached but no hits")], left=(0, 1))
    assert shown(section, 22)[2:] == ["a     attached but no", "      hits"]


def test_a_name_that_is_too_long_is_broken_after_a_hyphen() -> None:
    section = Section("", ("cell", "figure"), [("http1-both-hot-together", "123")])
    lines = shown(section, 24)
    assert lines[2:] == ["http1-both-hot-      123", "together"]


def test_a_figure_is_never_parted_from_its_unit_or_interval() -> None:
    section = Section("", lines=["the probes added 12 % to it, 3 ± 1 µs and 5.0 … 6.0 ms of latency"])
    lines = shown(section, 20)
    assert max(map(len, lines)) <= 20
    assert all(any(part in line for line in lines) for part in ("12 %", "3 ± 1 µs", "5.0 … 6.0 ms"))


def test_further_lines_of_an_item_are_indented() -> None:
    report = Report("t", [], [("Notes", ["one two three"])], document=dict)
    assert [bold + rest for bold, rest in terminal.text_lines(report, 11)][2:] == ["Notes", "  one two", "    three"]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_its_width_and_bold_titles(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = _Terminal()
    terminal.render(Report("title", [Section("", lines=["word " * 60])], [], document=dict), stream)
    title, *lines = stream.getvalue().splitlines()
    assert title == "\x1b[1mtitle\x1b[0m"
    assert width - len("word ") <= max(map(len, lines)) <= width


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "20")
    stream = io.StringIO()
    terminal.render(Report("t", [Section("", lines=["word " * 60])], [], document=dict), stream)
    assert stream.getvalue().splitlines()[1] == ("word " * 60).rstrip()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
