"""Plain words and short paragraphs, on every page. What a program prints is quoted in fences of the language `text`."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.documentation.pages import PAGES, ROOT, paragraphs, sentences, without_output

REPLACED: Final = {
    "told": "reported, known, given",
    "tells": "reports, gives",
    "says": "reports, states, describes",
    "beside": "next to, with",
    "of its own": "separate",
    "of their own": "separate",
    "of one's own": "separate",
    "looks at": "inspects",
    "looked at": "inspected",
    "foretell": "predict",
    "foretelling": "predicting",
    "held up": "delayed",
    "anew": "again",
    "by itself": "automatically, alone",
    "by themselves": "automatically, alone",
    "there already": "already exists",
    "stands for": "represents",
    "rung": "ladder step",
    "rungs": "ladder steps",
    "warmth": "temperature",
}
"""Words that are not plain English in this sense, and what to write."""
LONGEST_PARAGRAPH: Final = 120
"""Words."""
LONG_SENTENCE: Final = 25
"""Words that a sentence has at most, as a rule."""
MOST_LONG: Final = 0.2
"""The share of longer sentences that a page may have."""
ANY: Final = "|".join(word.replace(" ", r"\s+") for word in REPLACED)
PATTERN: Final = re.compile(rf"\b({ANY})\b", re.IGNORECASE)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def found(text: str) -> list[str]:
    """One line per word to replace: its line, and what to write."""
    hits = ((text.count("\n", 0, hit.start()) + 1, " ".join(hit[0].lower().split())) for hit in PATTERN.finditer(text))
    return [f"line {line}: {word!r}; write {REPLACED[word]}" for line, word in hits]


@every_page
def test_words_are_plain(page: Path) -> None:
    assert found(without_output(page.read_text())) == []


@every_page
def test_paragraphs_are_short(page: Path) -> None:
    long = [part[:60] for part in paragraphs(page.read_text()) if len(part.split()) > LONGEST_PARAGRAPH]
    assert long == []


@every_page
def test_most_sentences_are_short(page: Path) -> None:
    lengths = [len(sentence.split()) for sentence in sentences(page.read_text())]
    assert sum(length > LONG_SENTENCE for length in lengths) <= max(1, MOST_LONG * len(lengths))


def test_a_word_is_found_across_a_line_break_and_not_in_output() -> None:
    assert found("A pod of its\nown is made.") == ["line 1: 'of its own'; write separate"]
    assert found(without_output("Prose, `no span says who`.\n\n```text\nsays\n```\n")) == []
    assert found(without_output("```sh\nshow  # says\n```\n")) == ["line 2: 'says'; write reports, states, describes"]


def test_a_long_paragraph_is_one_between_blank_lines_or_one_item() -> None:
    words = "word " * 70
    assert max(len(part.split()) for part in paragraphs(f"{words}\n{words}")) == 140
    assert max(len(part.split()) for part in paragraphs(f"- {words}\n- {words}\n\n{words}")) == 70


def test_sentences_end_at_full_stops_and_have_no_link_targets() -> None:
    assert list(sentences("This is one [link](a b.md).\nThis is the other, 1.5 long.")) == [
        "This is one [link](a b.md).", "This is the other, 1.5 long.",
    ]  # fmt: skip
    assert list(sentences("See the [method](../explanation/method.md#latency) for it.")) == ["See the [method] for it."]
