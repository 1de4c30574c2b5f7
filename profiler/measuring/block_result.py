"""The result of a finished block as it was kept on disk: whether a run can be continued from it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from profiler.errors import MeshInsightError
from profiler.files.typed import typed
from profiler.profile.document import schema

Positive = Annotated[float, Meta(ge=0.0, le=1e18)]
Count = Annotated[int, Meta(ge=0, le=1 << 53)]


class AnchorRound(msgspec.Struct):
    """A round of the anchor cell."""

    at_s: Positive
    with_p50_ns: Positive


class CoolingPoint(msgspec.Struct):
    """The anchor at one rate and temperature."""

    temperature: str
    rate_rps: Positive | None
    with_p50_ns: Positive
    baseline_p50_ns: Positive


class Anchor(msgspec.Struct):
    """The anchor cell in the block."""

    protocol: str
    topology: str
    temperature: str
    rounds: Annotated[list[AnchorRound], Meta(min_length=1)]
    median_by_temperature_ns: dict[str, Positive]
    cooling: list[CoolingPoint] = []


class Noise(msgspec.Struct):
    """How noisy the machine was."""

    steal_ratio: float | None
    psi_cpu_some_ratio: float | None


class Probe(msgspec.Struct):
    """A probe of the block."""

    program: str
    name: str
    hits: Count
    dropped: Count
    attached: bool
    error: str | None


class BlockResult(msgspec.Struct):
    """What putting blocks together reads of one, apart from what is in its cells."""

    run_id: str
    at_s: Positive
    took_s: Positive
    cells: list[dict[str, Any]]
    probe_hit_ns: dict[str, float]
    anchor: Anchor | None
    noise: Noise
    probes: list[Probe]
    repeated_windows: Count
    files: dict[str, str]


def is_whole(result: dict[str, Any]) -> bool:
    """Whether the result is one that a profile can be put together from."""
    from jsonschema import Draft202012Validator

    try:
        found = typed(result, BlockResult, "", "")
    except MeshInsightError:
        return False
    cells = {"$defs": schema()["$defs"], "type": "array", "items": {"$ref": "#/$defs/cell"}}
    return bool(Draft202012Validator(cells).is_valid(found.cells))
