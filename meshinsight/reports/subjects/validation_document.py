"""A result of `validate --out` read back: the parts that the report shows, decoded into typed values."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from meshinsight.reports.subjects.validation import FORMAT, VERSION
from profiler.errors import UsageError
from profiler.files.json_text import parse_json
from profiler.files.reading import read_text
from profiler.files.typed import typed

REMEDY: Final = "give a file that `meshinsight validate --out` wrote"

_LARGEST: Final = 1e18

Figure = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
Ratio = Annotated[float, Meta(ge=-1e9, le=1e9)]
Factor = Annotated[float, Meta(ge=-1e9, le=1e9)]
Text = Annotated[str, Meta(max_length=10_000)]
Interval = tuple[Figure, Figure]


class LatencyScore(msgspec.Struct):
    """Latency at the median, in ns: predicted, at the machine's speed of then, and measured."""

    predicted: Figure = msgspec.field(name="predicted_p50_ns")
    anchored: Figure = msgspec.field(name="anchored_p50_ns")
    anchored_interval: Interval = msgspec.field(name="anchored_p50_ci95_ns")
    measured: Figure = msgspec.field(name="measured_p50_ns")
    measured_interval: Interval = msgspec.field(name="measured_p50_ci95_ns")
    error_ratio: Ratio | None
    anchored_error_ratio: Ratio | None
    inside_interval: bool


class CpuScore(msgspec.Struct):
    """The same of CPU, in vCPU."""

    predicted: Figure = msgspec.field(name="predicted_vcpu")
    anchored: Figure = msgspec.field(name="anchored_vcpu")
    anchored_interval: Interval = msgspec.field(name="anchored_ci95_vcpu")
    measured: Figure = msgspec.field(name="measured_vcpu")
    measured_interval: Interval = msgspec.field(name="measured_ci95_vcpu")
    error_ratio: Ratio | None
    anchored_error_ratio: Ratio | None
    inside_interval: bool


Score = LatencyScore | CpuScore


class Scored(msgspec.Struct):
    """Overhead of a variant, or what it saves."""

    latency: LatencyScore
    cpu: CpuScore


class WhatIf(Scored):
    """A what-if, and what it saves against the graph as it is."""

    saving: Scored


class AnchorFactors(msgspec.Struct):
    """How much slower the machine was than when the profile was made. Older results have one factor for both."""

    factor: Factor
    cpu_factor: Factor | None = None


class ValidationDocument(Scored):
    """The document, the graph as it is at its top."""

    graph: Text
    services: Annotated[int, Meta(ge=0, le=1 << 40)]
    temperature: Text
    rate_rps: Annotated[float, Meta(ge=0.0, le=1e12)]
    rounds: Annotated[int, Meta(ge=1, le=1 << 40)]
    seconds: Annotated[float, Meta(ge=0.0, le=1e9)]
    profile_run_id: Text
    anchor: AnchorFactors
    what_if: dict[Text, WhatIf]


def read_validation(file: Path) -> ValidationDocument:
    """A result of `meshinsight validate --out`. Raises `UsageError`, one line."""
    origin = f"--validation {file}"
    document: Any = parse_json(read_text(file, REMEDY, origin=origin), origin, REMEDY)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f'{origin}: not a validation (no "format": "{FORMAT}"); {REMEDY}')
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise UsageError(f"{origin}: version: expected a whole number from 1; {REMEDY}")
    if version > VERSION:
        raise UsageError(f"{origin}: version {version} is newer than this meshinsight reads ({VERSION}); upgrade it")
    found = typed(document, ValidationDocument, origin, REMEDY)
    for name, scored in {"": found, **found.what_if}.items():
        for currency, score in (("latency", scored.latency), ("cpu", scored.cpu)):
            for low, high in (score.anchored_interval, score.measured_interval):
                if low > high:
                    where = f"what_if {name!r}: {currency}" if name else currency
                    raise UsageError(f"{origin}: {where}: an interval's lower end is above its upper; {REMEDY}")
    return found
