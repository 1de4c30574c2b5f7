"""What a model file may hold, field by field; the right one is that of `test_fitting`."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from predictor.models.document import model_of
from predictor.models.fitting import fit_profile
from predictor.models.types import CoolingEnd
from profiler.errors import UsageError
from profiler.files.json_text import parse_json
from tests.predictor.models.profiles import known_profile

HOSTILE = Path(__file__).parents[2] / "data" / "hostile"
MODEL = replace(
    fit_profile(known_profile(), draws=3),
    cooling=((1e5, 0.0), (1e7, 2.0)),
    cooling_ends=(CoolingEnd("grpc", "mtls", "cpu", factor=2.0, rise=0.5, error=0.1),),
)
DOCUMENT: dict[str, Any] = json.loads(json.dumps(MODEL.to_json()))


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    at: Any = document
    for part in path[:-1]:
        at = at[part]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


def refusal(document: Any) -> str:
    with pytest.raises(UsageError) as refused:
        model_of(document, "m.json")
    assert "\n" not in str(refused.value)
    return str(refused.value)


FIRST: tuple[str | int, ...] = ("configurations", 0)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("version",), "1", "version: expected int"),
        (("version",), KeyError, "version is missing"),
        (("version",), 5, "newer than this meshinsight reads"),
        (("machine_error",), -1.0, "machine_error: expected float >= 0"),
        (("configurations",), [], "configurations: expected array of length >= 1"),
        (("natural_hot",), 0.0, "natural_hot: expected float > 0"),
        (("cooling",), [[2.0, 0.0], [1.0, 1.0]], "cooling: times do not rise"),
        (("cooling_ends", 0, "factor"), -1.0, "cooling_ends[0].factor: expected float >= 0"),
        (("cooling_ends", 0, "rise"), 0.0, "cooling_ends[0].rise: expected float > 0"),
        (("cooling_ends", 0, "protocol"), "quic", "cooling_ends[0].protocol: invalid enum value"),
        ((*FIRST, "protocol"), "quic", "configurations[0].protocol: invalid enum value"),
        ((*FIRST, "temperature"), "warm", "configurations[0].temperature: unknown temperature 'warm'"),
        ((*FIRST, "filters"), [["lua"]], "configurations[0].filters[0]: expected str"),
        ((*FIRST, "workers"), 0, "configurations[0].workers: expected int >= 1"),
        ((*FIRST, "mean_ratio"), 0.5, "configurations[0].mean_ratio: expected float >= 1"),
        ((*FIRST, "ranges", "headers"), [1.0], "configurations[0].ranges.headers: expected array of length 2"),
        ((*FIRST, "ranges", "headers"), [2.0, 1.0], "ranges.headers: its lowest value is above its highest"),
        ((*FIRST, "ranges", "headers"), KeyError, "configurations[0].ranges: expected request_bytes"),
        ((*FIRST, "client_share"), {"ipc": 1.5}, "client_share.ipc: expected float <= 1"),
        ((*FIRST, "latency", "terms"), ["base", "colour"], "latency.terms: unknown term 'colour'"),
        ((*FIRST, "latency", "terms"), ["headers"], "latency.terms: the first term is not 'base'"),
        ((*FIRST, "latency", "components"), ["ipc", "ipc"], "latency.components: a name is there twice"),
        ((*FIRST, "latency", "coefficients"), [[1.0], [1.0, 2.0]], "latency.coefficients: not a rectangular array"),
        ((*FIRST, "latency", "coefficients"), [[1.0]], "latency.coefficients: expected a row per term"),
        ((*FIRST, "latency", "coefficients", 0, 0), 1e30, "latency.coefficients[0][0]: expected float <= 1e+18"),
        ((*FIRST, "latency", "draws"), [], "latency.draws: expected 1 to"),
        ((*FIRST, "cpu", "cells"), 0, "cpu.cells: expected int >= 1"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str | int, ...], value: Any, named: str) -> None:
    assert named in refusal(changed(path, value))


def test_a_configuration_is_there_once() -> None:
    again = [*DOCUMENT["configurations"], DOCUMENT["configurations"][0]]
    assert "the same as configurations[0]" in refusal({**DOCUMENT, "configurations": again})


def test_numbers_of_draws_agree() -> None:
    draws = DOCUMENT["configurations"][0]["latency"]["draws"]
    assert "numbers of draws differ" in refusal(changed((*FIRST, "latency", "draws"), [*draws, draws[0]]))


def test_packed_arrays_hold_finite_numbers() -> None:
    packed = {"shape": [1, 1], "float64": "AAAAAAAA+H8="}  # NaN
    assert "latency.coefficients: a number is not finite" in refusal(
        changed((*FIRST, "latency", "coefficients"), packed)
    )


@pytest.mark.parametrize("value", [[], None, 1, "x", {}, {"format": "meshinsight-profile"}])
def test_another_document_is_told_apart(value: Any) -> None:
    assert "not a fitted model" in refusal(value)


@pytest.mark.parametrize("name", ["model-nan.json", "model-range-of-one.json", "model-filter-list.json"])
def test_hostile_models_are_one_line(name: str) -> None:
    with pytest.raises(UsageError):
        model_of(parse_json((HOSTILE / name).read_text(), name), name)


def test_ends_of_cooling_are_read_back() -> None:
    found = model_of(DOCUMENT, "m.json")
    assert (found.cooling, found.cooling_ends) == (MODEL.cooling, MODEL.cooling_ends)


def test_a_model_before_version_4_has_no_ends_of_cooling() -> None:
    older = {**{name: value for name, value in DOCUMENT.items() if name != "cooling_ends"}, "version": 3}
    assert model_of(older, "m.json").cooling_ends == ()
