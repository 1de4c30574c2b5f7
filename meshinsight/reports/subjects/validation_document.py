"""A result of `validate --out` read back: the parts that the report shows, decoded into typed values."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from meshinsight.reports.subjects.validation import FORMAT, VERSION
from predictor.models.document import Figure
from predictor.predict.types import Estimate
from predictor.validation.types import Score
from profiler.errors import UsageError
from profiler.files.json_text import parse_json
from profiler.files.reading import read_text
from profiler.files.typed import typed
from profiler.profile.machine import is_another_machine
from profiler.profile.types import Profile
from profiler.text import one_line
from profiler.vocabulary.hop import APART

REMEDY: Final = "give a file that `meshinsight validate --out` wrote"

LARGEST_ERROR: Final = 1e9

Currency = Literal["latency", "cpu"]
Factor = Annotated[float, Meta(ge=-1e9, le=1e9)]
Text = Annotated[str, Meta(max_length=10_000)]
Interval = tuple[Figure, Figure]


class LatencyScore(msgspec.Struct):
    """Latency at the median, in ns; its errors follow from its figures."""

    predicted: Figure = msgspec.field(name="predicted_p50_ns")
    predicted_interval: Interval = msgspec.field(name="predicted_p50_ci95_ns")
    anchored: Figure = msgspec.field(name="anchored_p50_ns")
    anchored_interval: Interval = msgspec.field(name="anchored_p50_ci95_ns")
    measured: Figure = msgspec.field(name="measured_p50_ns")
    measured_interval: Interval = msgspec.field(name="measured_p50_ci95_ns")


class CpuScore(msgspec.Struct):
    """The same of CPU, in vCPU."""

    predicted: Figure = msgspec.field(name="predicted_vcpu")
    predicted_interval: Interval = msgspec.field(name="predicted_ci95_vcpu")
    anchored: Figure = msgspec.field(name="anchored_vcpu")
    anchored_interval: Interval = msgspec.field(name="anchored_ci95_vcpu")
    measured: Figure = msgspec.field(name="measured_vcpu")
    measured_interval: Interval = msgspec.field(name="measured_ci95_vcpu")


class Scored(msgspec.Struct):
    """Overhead of a variant, or what it saves."""

    latency: LatencyScore
    cpu: CpuScore

    def score(self, currency: Currency) -> Score:
        """The figures of a currency as a validation has them."""
        found = self.latency if currency == "latency" else self.cpu
        return Score(
            Estimate(found.predicted, *found.predicted_interval),
            Estimate(found.anchored, *found.anchored_interval),
            Estimate(found.measured, *found.measured_interval),
        )


class WhatIf(Scored):
    """A what-if, and what it saves against the graph as it is."""

    saving: Scored


class AnchorFactors(msgspec.Struct):
    """How much slower the machine was than when the profile was made. Older results have one factor for both."""

    factor: Factor
    cpu_factor: Factor | None = None


class ValidationDocument(Scored):
    """The document, the graph as it is at its top. Older results have no placement: all was pinned apart."""

    graph: Text
    services: Annotated[int, Meta(ge=0, le=1 << 40)]
    temperature: Text
    rate_rps: Annotated[float, Meta(ge=0.0, le=1e12)]
    rounds: Annotated[int, Meta(ge=1, le=1 << 40)]
    seconds: Annotated[float, Meta(ge=0.0, le=1e9)]
    profile_run_id: Text
    anchor: AnchorFactors
    what_if: dict[Text, WhatIf]
    placement: Text = APART
    environment: dict[Text, Any] = {}


def belongs_elsewhere(document: ValidationDocument, profile: Profile) -> str:
    """Why a validation says nothing of a profile: it is of another run or machine; "" where neither is."""
    if document.profile_run_id != profile.run_id:
        other = one_line(document.profile_run_id)
        return (
            f"is of profile {other}, not of {profile.run_id}; give a validation of this profile, or the profile {other}"
        )
    if is_another_machine(document.environment, profile.environment):
        return "was measured on another machine than the profile; run meshinsight validate on the profile's machine"
    return ""


def read_validation(file: Path) -> ValidationDocument:
    """A result of `meshinsight validate --out`. Raises `UsageError`, one line."""
    origin = f"--validation {file}"
    return validation_of(parse_json(read_text(file, REMEDY, origin=origin), origin, REMEDY), origin)


def validation_of(document: Any, origin: str) -> ValidationDocument:
    """The validation in JSON values; `origin` names it in messages. Raises `UsageError`, one line."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f'{origin}: not a validation (no "format": "{FORMAT}"); {REMEDY}')
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise UsageError(f"{origin}: version: expected a whole number from 1; {REMEDY}")
    if version > VERSION:
        raise UsageError(f"{origin}: version {version} is newer than this meshinsight reads ({VERSION}); upgrade it")
    found = typed(document, ValidationDocument, origin, REMEDY)
    parts: dict[str, Scored] = {"": found}
    for name, part in found.what_if.items():
        parts |= {f"what_if {name!r}: ": part, f"what_if {name!r}: saving: ": part.saving}
    for where, scored in parts.items():
        for currency in get_args(Currency):
            if problem := _problem(scored.score(currency)):
                raise UsageError(f"{origin}: {where}{currency}: {problem}; {REMEDY}")
    return found


def _problem(score: Score) -> str:
    """What no validation has, empty for one that is sound."""
    if any(value.low > value.high for value in (score.predicted, score.anchored, score.measured)):
        return "an interval's lower end is above its upper"
    errors = (score.error_ratio or 0.0, score.anchored_error_ratio or 0.0)
    return "" if max(map(abs, errors)) <= LARGEST_ERROR else "predicted and measured are too far apart"
