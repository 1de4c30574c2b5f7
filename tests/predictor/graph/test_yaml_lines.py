"""YAML of documents such as graphs: what is written reads back, as PyYAML reads it too."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from predictor.graph.yaml_lines import WIDTH, yaml_text
from tests.counting import function_calls

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "yes",
        "null",
        "~",
        "1e3",
        "0x1f",
        "12:30",
        "a: b",
        "a #b",
        "a, b",
        "- a",
        "a:",
        "é",
        "x" * 600,
        ".5",
        "=",
        "<<",
        "a  b",
        "k" * 1200,
        " a",
    ]
)
SCALARS = WORDS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
ELEMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["services", "calls", "name", "cluster"]), st.lists(ELEMENTS, max_size=4) | ELEMENTS
    )
)
def test_what_is_written_reads_back(document: dict[str, Any]) -> None:
    assert yaml.safe_load(yaml_text(document)) == document


def test_an_element_is_in_braces_where_its_values_are_plain_else_a_field_a_line() -> None:
    wide = {f"key{number}": "x" * 20 for number in range(6)}
    lines = yaml_text(
        {"calls": [{"caller": "a", "callee": "b", "size": 1.5}, {"a": "1.5ms", "b": ["c", 1]}, wide]}
    ).splitlines()
    assert lines[1:5] == [
        "- {caller: a, callee: b, size: 1.5}",
        "- a: 1.5ms",
        "  b: [c, 1]",
        f"- {{key0: {'x' * 20}, key1: {'x' * 20}, key2: {'x' * 20}, key3: {'x' * 20},",
    ]
    assert max(map(len, lines)) <= WIDTH


def test_a_call_takes_little_work() -> None:
    calls = [{"caller": f"s{number}", "callee": "b", "request_bytes": 1024} for number in range(1000)]
    assert function_calls(lambda: yaml_text({"calls": calls})) < 40 * 1000
