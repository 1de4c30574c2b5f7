"""The README's picture and figures come from the sample profile of the wheel."""

import pytest

from docs.tools import readme_figures
from profiler.errors import MeshInsightError
from profiler.profile.document import load_profile


def test_the_figures_of_the_readme_are_current() -> None:
    readme = readme_figures.README.read_text()
    current = readme_figures.with_block(readme, readme_figures.block(load_profile(readme_figures.PROFILE)))
    assert readme == current, "run: make readme-figures"


def test_the_text_names_cpu_and_date() -> None:
    profile = load_profile(readme_figures.PROFILE)
    text = readme_figures.block(profile)
    assert str(profile.environment["cpu_model"]) in text
    assert profile.created[:10] in text


def test_the_picture_is_the_same_each_time_and_has_a_bar_per_cell() -> None:
    cells = readme_figures.shown_cells(load_profile(readme_figures.PROFILE))
    picture = readme_figures.picture(cells)
    assert picture == readme_figures.picture(cells)
    assert picture.count("HTTP/1.1, ") == sum(cell.protocol == "http1" for cell in cells)


def test_marks_that_are_missing_are_named() -> None:
    with pytest.raises(MeshInsightError, match="must occur once"):
        readme_figures.with_block("# README\n", "text\n")
