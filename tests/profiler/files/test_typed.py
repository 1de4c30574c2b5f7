import json
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from profiler.errors import ProfileError, UsageError
from profiler.files.typed import typed

Letters = Annotated[str, Meta(pattern="^[a-z]+$")]


class Inner(msgspec.Struct):
    count: Annotated[int, Meta(ge=1)]


class Outer(msgspec.Struct):
    inner: list[Inner]
    named: dict[str, Inner] = {}
    groups: dict[str, list[dict[Letters, int]]] = {}


def refused(value: object) -> str:
    with pytest.raises(UsageError) as error:
        typed(value, Outer, "f.json", "write it again")
    return str(error.value)


def test_a_right_value_becomes_a_typed_one() -> None:
    assert typed({"inner": [{"count": 2}]}, Outer, "f.json") == Outer([Inner(2)])


def test_a_wrong_field_is_named_with_its_place() -> None:
    assert refused({"inner": [{"count": 0}]}) == "f.json: inner[0].count: expected int >= 1; write it again"


def test_a_missing_field_is_named_with_its_place() -> None:
    assert refused({"inner": [{}]}) == "f.json: inner[0].count is missing; write it again"


def test_a_wrong_document_has_no_field() -> None:
    assert refused([]) == "f.json: expected object, got array; write it again"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"named": {"a": {"count": 1}, "b": {"count": 0}}}, "named.b.count: expected int >= 1"),
        ({"named": {"a": {"count": 1}, "b": {}}}, "named.b.count is missing"),
        ({"named": {"a": {"count": 1}, "b": 7}}, "named.b: expected object, got int"),
        ({"groups": {"a": [{"x": 1}], "b": [{"x": 1}, {"x": 1, "y": "2"}]}}, "groups.b[1].y: expected int, got str"),
    ],
)
def test_the_keys_of_mappings_are_named(value: dict[str, object], message: str) -> None:
    assert refused({"inner": [], **value}) == f"f.json: {message}; write it again"


def test_the_first_of_several_wrong_entries_is_named() -> None:
    assert "named.b.count" in refused({"inner": [], "named": {"a": {"count": 1}, "b": {"count": 0}, "c": {"count": 0}}})


def test_a_key_that_is_wrong_itself_is_named() -> None:
    value = {"inner": [], "groups": {"a": [{"x": 1, "7": 1}]}}
    message = "f.json: groups.a[0].7: unknown key; expected str matching regex '^[a-z]+$'; write it again"
    assert refused(value) == message


def test_a_field_that_a_closed_struct_lacks_is_named() -> None:
    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        count: int

    with pytest.raises(UsageError, match=r"^f\.json: a: object contains unknown field other$"):
        typed({"a": {"count": 1, "other": 2}}, dict[str, Closed], "f.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"inner": [\n{"count": 1},\n{"count": 0}]}', "line 3, inner[1].count: expected int >= 1"),
        ('{"inner": [\n{"count": 1},\n{}]}', "line 3, inner[1].count is missing"),
        ('{"inner": [],\n"named": {\n"a": {"count": 1},\n"b": {"count": "x"}}}', "line 4, named.b.count: expected"),
        ('{"inner": [],\n"groups": {"a": [{\n"x": 1,\n"7": 1}]}}', "line 4, groups.a[0].7: unknown key"),
        ("\n[]", "line 2, expected object, got array"),
    ],
)
def test_with_the_text_the_line_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        typed(json.loads(text), Outer, "f.json", text=text)
    assert f"f.json: {message}" in str(error.value)


class Chosen(msgspec.Struct):
    word: Literal["b"]


def test_what_an_error_quotes_is_short_and_one_line() -> None:
    with pytest.raises(UsageError) as error:
        typed({"word": "a\n" * 1000}, Chosen, "f.json")
    assert str(error.value).startswith("f.json: word: invalid enum value 'a")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_the_kind_of_error_is_the_callers() -> None:
    with pytest.raises(ProfileError):
        typed({}, Outer, "f.json", error=ProfileError)
