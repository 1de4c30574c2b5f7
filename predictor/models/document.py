"""A fitted model's document at the door: decoded into typed values, then checked against one another. Pure: no I/O.

Types, lengths and single bounds are those of the structs; what concerns several values at once is checked after.
"""

import base64
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta

from predictor.models.types import (
    BASE,
    CURRENCIES,
    FEATURES,
    FORMAT,
    TEMPERATURES,
    UNEXPLAINED,
    VERSION,
    Configuration,
    CoolingEnd,
    Cost,
    Crossing,
    FittedModel,
    Floats,
    HeldOut,
)
from profiler.errors import UsageError
from profiler.files.typed import typed
from profiler.vocabulary.components import COMPONENTS

REMEDY: Final = "make it again with `meshinsight fit -o json`"

LARGEST: Final = 1e18
"""The largest figure that a model may hold, in ns or bytes: sums of products with sizes and rates stay finite."""

_MOST_DRAWS: Final = 10_000
_MOST_WORKERS: Final = 1024
_WAIT: Final = ".wait"

Text = Annotated[str, Meta(max_length=1000)]
Word = Annotated[str, Meta(min_length=1, max_length=200)]
Figure = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Meta(ge=0.0, le=LARGEST)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0, le=1 << 40)]
Span = tuple[Positive, Positive]


class PackedArray(msgspec.Struct):
    """An array as the stored model has it: its shape, and base64 of little-endian doubles row by row."""

    shape: Annotated[list[Annotated[int, Meta(ge=0, le=1 << 24)]], Meta(min_length=2, max_length=3)]
    float64: str


class CostDocument(msgspec.Struct):
    """`Cost`."""

    terms: Annotated[list[Word], Meta(min_length=1, max_length=100)]
    components: Annotated[list[Word], Meta(min_length=1, max_length=200)]
    coefficients: PackedArray | list[list[Figure]]
    draws: PackedArray | list[list[list[Figure]]]
    cells: Annotated[int, Meta(ge=1, le=1 << 40)]


class ConfigurationDocument(msgspec.Struct):
    """`Configuration`. Models of versions 1 and 2 have no placement: their profiles pinned all processes apart."""

    proxy: Word
    protocol: Literal["tcp", "http1", "http2", "grpc"]
    topology: Literal["client", "server", "both", "shared", "waypoint"]
    tls: Literal["none", "mtls"]
    filters: Annotated[list[Word], Meta(max_length=100)]
    transport: Literal["ip", "uds"]
    temperature: str
    application: Word
    extra_headers: Annotated[list[Word], Meta(max_length=100)]
    workers: Annotated[int, Meta(ge=1, le=_MOST_WORKERS)]
    latency: CostDocument | None
    cpu: CostDocument | None
    mean_ratio: Annotated[float, Meta(ge=1.0, le=1e6)]
    client_share: dict[str, Share]
    ranges: dict[str, Span]
    headers: Positive
    rss_bytes: Positive | None
    per_connection_bytes: Annotated[float, Meta(ge=-LARGEST, le=LARGEST)] | None
    placement: Literal["free", "apart", "together"] = "apart"
    hand_overs: Figure | None = None
    crossed: Figure | None = None


class CrossingDocument(msgspec.Struct):
    """`Crossing`."""

    currency: Literal["latency", "cpu"]
    temperature: str
    protocol: Text
    cost_ns: Figure
    draws: Annotated[list[Figure], Meta(min_length=1, max_length=_MOST_DRAWS)]
    local_ns: Figure | None
    cells: Count


class CoolingEndDocument(msgspec.Struct):
    """`CoolingEnd`."""

    protocol: Literal["tcp", "http1", "http2", "grpc"]
    tls: Literal["none", "mtls"]
    currency: Literal["latency", "cpu"]
    factor: Annotated[float, Meta(ge=0.0, le=1e6)]
    rise: Annotated[float, Meta(gt=0.0, le=1e6)]
    error: Annotated[float, Meta(ge=0.0, le=1e3)]


class HeldOutDocument(msgspec.Struct):
    """`HeldOut`."""

    protocol: Word
    currency: Literal["latency", "cpu"]
    median: Positive | None
    worst: Positive | None
    tested: Count
    untested: Count
    follows: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None


class ModelDocument(msgspec.Struct):
    """`FittedModel`. Models before version 4 have no ends of cooling: theirs is that of HTTP/1.1 for all."""

    format: str
    version: Annotated[int, Meta(ge=1)]
    run_id: Text
    cpu_model: Text
    kernel: Text
    machine_error: Annotated[float, Meta(ge=0.0, le=1e3)]
    configurations: Annotated[list[ConfigurationDocument], Meta(min_length=1, max_length=100_000)]
    held_out: list[HeldOutDocument]
    warnings: list[str]
    cooling: list[tuple[Positive, Positive]] = []
    cooling_ends: Annotated[list[CoolingEndDocument], Meta(max_length=100)] = []
    natural_cooling: list[tuple[Positive, Positive]] = []
    natural_hot: Annotated[float, Meta(gt=0.0, le=1e6)] = 1.0
    crossings: list[CrossingDocument] = []


def model_of(document: object, origin: str) -> FittedModel:
    """The model of a document that `FittedModel.to_json` or `save_model` made.

    Raises `UsageError`, one line that names `origin` and the field, for anything else and for a newer version.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f'{origin}: not a fitted model (no "format": "{FORMAT}"); {REMEDY}')
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise UsageError(
            f"{origin}: model version {version} is newer than this meshinsight reads ({VERSION}); upgrade it"
        )
    found = typed(document, ModelDocument, origin, REMEDY)

    def refuse(field: str, problem: str) -> UsageError:
        return UsageError(f"{origin}: {field}: {problem}; {REMEDY}")

    configurations = [
        _configuration(item, f"configurations[{number}]", refuse) for number, item in enumerate(found.configurations)
    ]
    crossings = tuple(_crossing(item) for item in found.crossings)
    _check_together(configurations, crossings, refuse)
    for name, curve in (("cooling", found.cooling), ("natural_cooling", found.natural_cooling)):
        if any(later[0] <= earlier[0] for earlier, later in pairwise(curve)):
            raise refuse(name, "times do not rise from point to point")
    return FittedModel(
        run_id=found.run_id,
        cpu_model=found.cpu_model,
        kernel=found.kernel,
        machine_error=found.machine_error,
        configurations=tuple(configurations),
        held_out=tuple(HeldOut(**msgspec.structs.asdict(item)) for item in found.held_out),
        warnings=tuple(found.warnings),
        cooling=tuple(found.cooling),
        cooling_ends=tuple(CoolingEnd(**msgspec.structs.asdict(item)) for item in found.cooling_ends),
        natural_cooling=tuple(found.natural_cooling),
        natural_hot=found.natural_hot,
        crossings=crossings,
    )


_Refuse = Callable[[str, str], UsageError]


def _configuration(item: ConfigurationDocument, where: str, refuse: _Refuse) -> Configuration:
    if item.temperature not in TEMPERATURES:
        known = ", ".join(TEMPERATURES)
        raise refuse(f"{where}.temperature", f"unknown temperature {item.temperature!r}; known: {known}")
    if set(item.ranges) != set(FEATURES):
        raise refuse(f"{where}.ranges", f"expected {', '.join(FEATURES)}")
    for name, (low, high) in item.ranges.items():
        if low > high:
            raise refuse(f"{where}.ranges.{name}", "its lowest value is above its highest")
    values = {name: getattr(item, name) for name in item.__struct_fields__}
    for currency in CURRENCIES:
        if (cost := values[currency]) is not None:
            values[currency] = _cost(cost, f"{where}.{currency}", refuse)
    return Configuration(**{**values, "filters": tuple(item.filters), "extra_headers": tuple(item.extra_headers)})


def _crossing(item: CrossingDocument) -> Crossing:
    return Crossing(**{**msgspec.structs.asdict(item), "draws": np.array(item.draws)})


def _cost(cost: CostDocument, where: str, refuse: _Refuse) -> Cost:
    for name in cost.terms[1:]:
        if not _is_term(name):
            raise refuse(f"{where}.terms", f"unknown term {name!r}")
    if cost.terms[0] != BASE:
        raise refuse(f"{where}.terms", f"the first term is not {BASE!r}")
    for name in cost.components:
        if name not in (*COMPONENTS, UNEXPLAINED) and not name.startswith("filter:"):
            raise refuse(f"{where}.components", f"unknown component {name!r}")
    for field, names in (("terms", cost.terms), ("components", cost.components)):
        if len(set(names)) < len(names):
            raise refuse(f"{where}.{field}", "a name is there twice")
    shape = (len(cost.terms), len(cost.components))
    coefficients = _array(cost.coefficients, f"{where}.coefficients", refuse)
    if coefficients.shape != shape:
        raise refuse(f"{where}.coefficients", "expected a row per term with a number per component")
    draws = _array(cost.draws, f"{where}.draws", refuse)
    if draws.shape[1:] != shape or not 1 <= len(draws) <= _MOST_DRAWS:
        expected = f"expected 1 to {_MOST_DRAWS} draws with a row per term and a number per component"
        raise refuse(f"{where}.draws", expected)
    return Cost(tuple(cost.terms), tuple(cost.components), coefficients, draws, cost.cells)


def _is_term(name: str) -> bool:
    feature, above, knot = name.partition(">")
    if feature not in FEATURES or not above:
        return feature in FEATURES
    try:
        return 0.0 <= float(knot) <= LARGEST
    except ValueError:
        return False


def _array(values: PackedArray | list[Any], where: str, refuse: _Refuse) -> Floats:
    """A rectangular array of finite numbers."""
    try:
        array = _unpacked(values) if isinstance(values, PackedArray) else np.array(values, dtype=np.float64)
    except ValueError as error:  # damaged base64 too
        detail = f" ({error})" if isinstance(values, PackedArray) else ""
        raise refuse(where, f"not a rectangular array{detail}") from error
    if not (np.abs(array) <= LARGEST).all():  # false for NaN too
        raise refuse(where, f"a number is not finite, or larger than {LARGEST:g}")
    return array


def _unpacked(values: PackedArray) -> Floats:
    flat = np.frombuffer(base64.b64decode(values.float64, validate=True), dtype="<f8")
    if flat.size != math.prod(values.shape):
        raise ValueError(f"{flat.size} numbers for an array of shape {values.shape}")
    array: Floats = flat.astype(np.float64).reshape(values.shape)
    return array


def _check_together(configurations: Sequence[Configuration], crossings: Sequence[Crossing], refuse: _Refuse) -> None:
    """Each configuration once, and all with as many draws: draws of the same place belong together."""
    seen: dict[tuple[Any, ...], int] = {}
    draws = {len(cost.draws) for item in configurations for cost in (item.latency, item.cpu) if cost is not None}
    draws |= {len(item.draws) for item in crossings}
    if len(draws) > 1:
        raise refuse("configurations", f"numbers of draws differ: {', '.join(map(str, sorted(draws)))}")
    for number, item in enumerate(configurations):
        if item.key in seen:
            raise refuse(f"configurations[{number}]", f"the same as configurations[{seen[item.key]}]")
        seen[item.key] = number
