"""What is printed reaches the terminal without anything that could drive it."""

import io
import json
import sys

import pytest
from rich.table import Table
from rich.text import Text

from meshinsight import console
from profiler.errors import MeshInsightError

ESCAPE = "\x1b]0;owned\x07\x1b[2Jname\u202e\x9b"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_an_error_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_error(f"bad {ESCAPE}\nname\n")
    said = capsys.readouterr().err
    assert said.removesuffix("\n").isprintable()
    assert said.startswith("meshinsight: error: bad ")


def test_an_error_of_any_length_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_error("x" * 10_000_000)
    assert len(capsys.readouterr().err) < 2100


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_a_table_holds_nothing_that_drives_a_terminal(stream: io.StringIO) -> None:
    table = Table(title=ESCAPE)
    table.add_column(ESCAPE)
    table.add_row(Text(ESCAPE, style="bold"))
    console.print_whole(lambda shown: shown.print(table, ESCAPE), stream)
    said = stream.getvalue()
    assert "name" in said
    assert not {"\x07", "\u202e", "\x9b"} & set(said)
    assert "\x1b]" not in said
    assert "\x1b[2J" not in said


def test_colours_stay_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    console.make_console(stream).print(Text("bad", style="red"))
    assert "\x1b[31mbad" in stream.getvalue()


def test_a_document_is_written_as_it_is_to_a_file_only() -> None:
    to_file, to_terminal = io.StringIO(), Terminal()
    console.write_document("a:\n\tb\x1b[2J\n", to_file)
    console.write_document("a:\n\tb\x1b[2J\n", to_terminal)
    assert to_file.getvalue() == "a:\n\tb\x1b[2J\n"
    assert to_terminal.getvalue() == "a:\n    b [2J\n"


def test_json_is_whole_or_absent() -> None:
    stream = io.StringIO()
    with pytest.raises(MeshInsightError, match="not finite"):
        console.write_json_document({"a": 1, "b": float("nan")}, stream)
    assert stream.getvalue() == ""


def test_json_holds_no_control_characters() -> None:
    stream = io.StringIO()
    console.write_json_document({ESCAPE: ESCAPE}, stream)
    assert stream.getvalue().replace("\n", "").isprintable()


def test_characters_that_the_terminal_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    console.prepare_streams()
    console.print_line("µs → 漢\ud800")
    sys.stdout.flush()
    assert raw.getvalue().decode("cp1252") == "µs -> ? \n"


def test_characters_of_ours_have_plain_ones_in_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    console.prepare_streams()
    console.print_note("3 µs ± 1 … 4 – 5 ─ × 2")
    assert raw.getvalue() == b"3 us +- 1 .. 4 - 5 - x 2\n"


def test_json_escapes_every_control_character() -> None:
    stream = io.StringIO()
    text = "".join(map(chr, (*range(32), *range(127, 160))))
    console.write_json_document([text], stream)
    assert stream.getvalue().replace("\n", " ").isprintable()
    assert json.loads(stream.getvalue()) == [text]
