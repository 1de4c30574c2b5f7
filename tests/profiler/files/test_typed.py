from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from profiler.errors import ProfileError, UsageError
from profiler.files.typed import typed


class Inner(msgspec.Struct):
    count: Annotated[int, Meta(ge=1)]


class Outer(msgspec.Struct):
    inner: list[Inner]


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


def test_the_kind_of_error_is_the_callers() -> None:
    with pytest.raises(ProfileError):
        typed({}, Outer, "f.json", error=ProfileError)
