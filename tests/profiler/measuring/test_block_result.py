"""A finished block is continued from only if a profile can be put together from it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from profiler.measuring.block_result import is_whole

PROFILE = json.loads((Path(__file__).parents[2] / "data" / "example-profile.json").read_text())
ROUND = {"at_s": 1.0, "with_p50_ns": 2e5, "baseline_p50_ns": 1e5}
RESULT: dict[str, Any] = {
    "run_id": "abcdef01",
    "at_s": 0.0,
    "took_s": 9.0,
    "cells": PROFILE["cells"],
    "probe_hit_ns": {"in_a_loop": 50.0, "in_place": 60.0},
    "anchor": {
        "protocol": "http1", "topology": "both", "temperature": "hot", "rounds": [ROUND],
        "median_by_temperature_ns": {"hot": 2e5}, "cooling": [],
    },
    "noise": {"steal_ratio": 0.0, "psi_cpu_some_ratio": None},
    "probes": PROFILE["probes"],
    "repeated_windows": 0,
    "files": {"cpu": "cpu.parquet"},
}  # fmt: skip


def test_a_result_as_a_run_saves_it_is_whole() -> None:
    assert is_whole(RESULT)
    assert is_whole({**RESULT, "anchor": None, "cells": []})


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
