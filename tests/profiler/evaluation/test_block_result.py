"""A finished block is continued from only if a profile can be put together from it."""

import copy
from typing import Any

import msgspec
import pytest

from profiler.errors import UsageError
from profiler.evaluation.block_result import BlockResult
from profiler.files.typed import typed
from tests.profiler.evaluation.blocks import EXAMPLE, anchor, block_result

RESULT: dict[str, Any] = msgspec.to_builtins(
    block_result(EXAMPLE.cells, anchor=anchor(2e5), probes=EXAMPLE.probes, files={"cpu": "cpu.parquet"})
)


def is_whole(result: dict[str, Any]) -> bool:
    try:
        typed(result, BlockResult, "block")
    except UsageError:
        return False
    return True


def test_a_result_as_a_run_saves_it_is_whole() -> None:
    assert is_whole(RESULT)
    assert is_whole({**RESULT, "anchor": None, "cells": []})


def test_a_result_is_read_as_it_was_saved() -> None:
    result = block_result(EXAMPLE.cells, anchor=anchor(2e5), probes=EXAMPLE.probes)
    assert msgspec.json.decode(msgspec.json.encode(result), type=BlockResult) == result


@pytest.mark.parametrize("name", list(RESULT))
def test_a_result_without_a_part_is_not(name: str) -> None:
    assert not is_whole({key: value for key, value in RESULT.items() if key != name})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("took_s",), -1.0),
        (("took_s",), "9"),
        (("anchor", "rounds"), []),
        (("anchor", "rounds", 0, "at_s"), None),
        (("probes", 0, "hits"), -1),
        (("files",), ["cpu.parquet"]),
        (("cells", 0, "latency"), {}),
        (("cells", 0, "temperature"), 5),
    ],
)
def test_a_result_with_a_wrong_field_is_not(path: tuple[str | int, ...], value: Any) -> None:
    changed = copy.deepcopy(RESULT)
    at: Any = changed
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    assert not is_whole(changed)
