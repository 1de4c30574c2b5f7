import io
import math

import pytest

from meshinsight.reports.renderers import csv_document
from profiler.errors import MeshInsightError


def written(value: object) -> str:
    stream = io.StringIO()
    csv_document.write(("a",), [{"a": value}], stream)
    return stream.getvalue().removeprefix("a\n")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "\N{FULLWIDTH EQUALS SIGN}1"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert written(text).lstrip('"').startswith("'")


@pytest.mark.parametrize("value", ["a->b", "a-1", "x=1"])
def test_other_text_is_as_it_is(value: str) -> None:
    assert written(value) == f"{value}\n"


@pytest.mark.parametrize("value", [-1.5, -3, 0.0])
def test_numbers_are_numbers(value: float) -> None:
    assert written(value) == f"{value}\n"


def test_control_characters_become_spaces() -> None:
    assert written("a\x1b[31m\x9b\nb") == "a [31m  b\n"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_before_anything_is_written(value: float) -> None:
    stream = io.StringIO()
    with pytest.raises(MeshInsightError, match="column a: a figure is not finite"):
        csv_document.write(("a",), [{"a": 1.0}, {"a": value}], stream)
    assert stream.getvalue() == ""
