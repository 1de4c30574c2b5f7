"""JSON text: what is refused, in one line that names the place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import ProfileError, UsageError
from profiler.files.json_text import parse_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_writes_is_read_as_it_was(value: object) -> None:
    assert parse_json(json.dumps(value), "f.json") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":\n [', "f.json: truncated or damaged JSON at line 2, column 3 (Expecting value); correct the file"),
        ('{"a": [1, NaN]}', "f.json: $.a[1]: not a finite number"),
        ('[{"b": Infinity}]', "f.json: $[0].b: not a finite number"),
        ("[" * 100_000, "f.json: nested more than 40 deep"),
        ("[" * 41 + "]" * 41, "nested more than 40 deep"),
        ("9" * 100_000, "expected a number within 64 bits, found 99999999999999999999999…"),
        ('{"a": 1, "a": 2}', "f.json: $.a: is there twice"),
        (r'{"a": ["\ud800"]}', "f.json: $.a[0]: half of a surrogate pair"),
        (r'{"a": {"\udfff": 1}}', "half of a surrogate pair"),
        ("", "truncated or damaged JSON at line 1, column 1"),
    ],
)
def test_what_is_refused_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_json(text, "f.json")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ProfileError, match=r"not UTF-8 text \(byte 2\)"):
        parse_json(b"[ \xff]", "f.json", error=ProfileError)


def test_a_whole_surrogate_pair_is_its_character() -> None:
    assert parse_json(r'["\ud83d\ude00"]', "f.json") == ["\N{GRINNING FACE}"]
