"""The page of results: what `experiments/summary.py` writes of the folders."""

from dataclasses import replace

import pytest

from experiments import summary
from profiler.errors import MeshInsightError

HEADLINE = summary.SHOWN[0]


def test_the_page_is_current() -> None:
    assert summary.PAGE.read_text() == summary.page(), "run: python experiments/summary.py"


@pytest.mark.parametrize("shown", summary.SHOWN, ids=lambda shown: shown.folder)
def test_every_experiment_names_the_machine_and_has_one_table_of_the_columns(shown: summary.Shown) -> None:
    lines = summary.section(shown).splitlines()
    assert sum(line.startswith("Machine: ") for line in lines) == 1
    assert sum(line.startswith("| --") for line in lines) == 1
    assert f"| {' | '.join(shown.columns)} |" in lines


def test_claims_begin_with_the_machine() -> None:
    texts = [summary.result_of((summary.HERE / one.folder / "result.md").read_text(), "") for one in summary.SHOWN]
    assert [text[:15] for text in texts] == ["On this machine"] * len(texts)


def test_a_column_that_is_missing_is_named() -> None:
    with pytest.raises(MeshInsightError, match=r"headline/result.md: no table with none"):
        summary.section(replace(HEADLINE, columns=("none",)))


def test_more_than_three_sentences_are_refused() -> None:
    assert summary.result_of("In short: One 1.5. Two. Three.\n", "x") == "One 1.5. Two. Three."
    with pytest.raises(MeshInsightError, match="more than 3 sentences"):
        summary.result_of("In short: One. Two.\nThree. Four.\n", "x")


def test_rows_are_chosen_by_their_values() -> None:
    text = "# T\n\n| a | b |\n|---|--:|\n| x | 1 |\n| y | 2 |\n\nend\n"
    shown = summary.Shown("x", ("b",), where=("a", ("y",)))
    assert summary.table_of(text, shown) == "| b |\n| --: |\n| 2 |"
