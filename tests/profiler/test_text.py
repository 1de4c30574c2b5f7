"""Foreign text on a terminal and in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.text import first_of, one_line, printable


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\x07b", "\x9b2J", "a\u202eb", "a\u2028b", "\x7f", "\ud800"])
def test_what_could_drive_a_terminal_is_gone(text: str) -> None:
    assert printable(text).isprintable()


def test_letters_of_any_language_stay() -> None:
    assert printable("Zürich 東京 😀 é") == "Zürich 東京 😀 é"


@given(st.text(), st.integers(1, 50))
def test_one_line_is_short_and_printable(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert line.isprintable()
    assert len(line) <= longest


def test_a_short_text_stays_whole() -> None:
    assert one_line("a  b\n c") == "a b c"


@pytest.mark.parametrize(
    ("most", "text"), [(1, "a and 2 more"), (2, "a, b and 1 more"), (3, "a, b, c"), (9, "a, b, c")]
)
def test_a_long_list_says_how_many_more_there_are(most: int, text: str) -> None:
    assert first_of(["a", "b", "c"], most) == text
