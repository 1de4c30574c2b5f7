"""YAML text: what is a value, what is refused with its line, and that a small file cannot cost much."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import UsageError
from profiler.files.yaml_text import load_yaml, parse_document, parse_documents

PAIRS = zip("abcdefgh", "bcdefghi", strict=True)
BOMB = "a: &a [x, x]\n" + "".join(f"{name}: &{name} [*{last}, *{last}]\n" for last, name in PAIRS)

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS
NAMES = st.text("abc~1", min_size=1)
VALUES = st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(NAMES, below), max_leaves=20)


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_document(text, "f.yaml")
    message = str(caught.value)
    assert message.isprintable()
    return message


@given(VALUES)
def test_what_pyyaml_writes_is_read_as_it_was(value: Any) -> None:
    assert load_yaml(yaml.safe_dump(value), "f.yaml") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("0x1f", 31),
        ("010", 8),
        ("1_000", 1000),
        (".5", 0.5),
        ("~", None),
        ("", None),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!int '7'", 7),
        ("! 1", "1"),
    ],
)
def test_a_scalar_is_what_yaml_says_or_the_text_it_is(text: str, value: object) -> None:
    assert load_yaml(f"a: {text}", "f.yaml") == {"a": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "f.yaml:2: alias *a; write the value out"),
        ("a: &a 1\nb: *a", "f.yaml:2: alias *a"),
        ("a:\n  - b: !!int ''", "f.yaml:2: a[0].b: '' is no int"),
        ("a: !!bool maybe", "f.yaml:1: a: 'maybe' is no bool"),
        ("a: !!float x", "f.yaml:1: a: 'x' is no float"),
        ("a: !!python/object:os.system x", "is not supported"),
        ("a: !!set {b, c}", "f.yaml:1: tag tag:yaml.org,2002:set is not supported"),
        ("a: !own b", "f.yaml:1: a: tag !own is not supported"),
        ("a: [1, .inf]", "f.yaml:1: a[1]: .inf is not a finite number"),
        ("a: " + "9" * 60, "f.yaml:1: a: expected a number within 64 bits"),
        ("a: " + "9" * 10_000, "f.yaml:1: a: expected a number within 64 bits"),
        ("a: 1\nb: {c: 1, c: 2}", "f.yaml:2: b.c is there twice"),
        ("? [a]\n: b", "found a list or mapping"),
        ("\n1: a", "f.yaml:2: expected a name before the colon"),
        ("a: 1\n---\nb: 2", "f.yaml:3: a second document"),
        ("[" * 100_000, "nested more than 40 deep"),
        ("a: " + "[" * 41 + "]" * 41, "f.yaml:1: nested more than 40 deep"),
        ("a: \x01", "invalid YAML: control characters are not allowed"),
        ("a:\n  b: [", "f.yaml:3:1: invalid YAML"),
        ('{"a": NaN}', "f.yaml:1: a: not a finite number"),
        ('{"a": 1e999}', "f.yaml:1: a: not a finite number"),
        ('{"a": 1,\n "a": 2}', "f.yaml:2: a: is there twice"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: str, message: str) -> None:
    assert message in refusal(text)


def test_a_name_that_is_no_text_may_stand_where_keys_are_text() -> None:
    assert load_yaml("1: a\ntrue: b", "f.yaml") == {"1": "a", "true": "b"}


def test_json_is_read_as_json() -> None:
    assert load_yaml('{\n\t"a": 1e3, "b": "\\ud83d\\ude00 \\/"}', "f.yaml") == {"a": 1000.0, "b": "\N{GRINNING FACE} /"}


def test_yaml_in_braces_is_yaml() -> None:
    assert load_yaml("{a: b, c: [1, d]}", "f.yaml") == {"a": "b", "c": [1, "d"]}


def test_documents_come_one_by_one() -> None:
    assert [found.value for found in parse_documents("a: 1\n---\n---\n- b", "f.yaml")] == [{"a": 1}, None, ["b"]]


BLOCK = "a: 1\nb:\n  - x\n  - c: 2\n    d:\n      e: 3\n"
JSON = '{"a": 1,\n"b":\n ["x",\n {"c": 2,\n "d": {\n"e": 3}}]}'


@pytest.mark.parametrize("text", [BLOCK, JSON], ids=["yaml", "json"])
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), ":1"),
        (("a",), ":1: a"),
        (("b",), ":2: b"),
        (("b", 0), ":3: b[0]"),
        (("b", 1, "c"), ":4: b[1].c"),
        (("b", 1, "d"), ":5: b[1].d"),
        (("b", 1, "d", "e"), ":6: b[1].d.e"),
        (("b", 1, "zz"), ":4: b[1].zz"),
        (("zz",), ":1: zz"),
    ],
)
def test_a_value_has_the_line_of_its_name(text: str, path: tuple[str | int, ...], place: str) -> None:
    assert parse_document(text, "f.yaml").at(path) == f"f.yaml{place}"


def test_lines_are_those_of_the_document_asked_for() -> None:
    second = list(parse_documents("a: 1\n---\nb: 2\n", "f.yaml"))[1]
    assert second.at(("b",)) == "f.yaml:3: b"


@given(st.text())
def test_no_text_is_a_crash(text: str) -> None:
    message = ""
    try:
        parse_document(text, "f.yaml")
    except UsageError as error:
        message = str(error)
    assert message == "" or message.isprintable()
