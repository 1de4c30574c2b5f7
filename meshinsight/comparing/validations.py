"""A validation's figures: measured overheads of the whole graph, its services, components and what-ifs."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Final

import msgspec

from meshinsight.comparing.document import NO_DRIFT, VCPU, Document, measured_by
from meshinsight.comparing.predictions import GRAPH
from meshinsight.reports.subjects.validation_document import (
    REMEDY,
    CpuScore,
    LatencyScore,
    Text,
    ValidationDocument,
    validation_of,
)
from predictor.models.document import Figure
from profiler.comparison.compare import Figures
from profiler.comparison.figures import CPU, LATENCY, P50, TOTAL, Key
from profiler.comparison.significance import Error, Measured
from profiler.files.typed import typed

_PERCENTILES: Final = ("p50", "p90", "p99")


class PartScore(msgspec.Struct):
    """What was scored of a component, or of a service: latency where it has calls."""

    cpu: CpuScore
    latency: LatencyScore | None = None


class VariantParts(msgspec.Struct):
    """What `ValidationDocument` leaves out: percentiles, services and components of a variant."""

    latency: dict[Text, Figure | list[Figure] | bool | None]
    cpu: CpuScore
    by_service: dict[Text, PartScore] = {}
    by_component: dict[Text, PartScore] = {}


class AnchorRounds(msgspec.Struct):
    """The anchor cell's latency in each round, which shows how the machine's speed varied."""

    rounds_ns: list[Figure] = []


class Parts(VariantParts):
    """The graph as it is at the top, what-ifs below it."""

    what_if: dict[Text, VariantParts] = {}
    anchor: AnchorRounds = msgspec.field(default_factory=AnchorRounds)


def document_of(values: object, origin: str) -> Document:
    """The figures in a validation's JSON values. Raises `UsageError`, one line."""
    found = validation_of(values, origin)
    parts = typed(values, Parts, origin, REMEDY)
    drift = _drift(parts.anchor.rounds_ns)
    figures: dict[str, Figures] = {GRAPH: dict(_variant(parts, drift))}
    figures |= {f"service {name}": dict(_service(part, drift)) for name, part in parts.by_service.items()}
    figures |= {f"what-if {name}": dict(_variant(part, drift)) for name, part in parts.what_if.items()}
    return Document(
        figures,
        (GRAPH,),
        VCPU,
        subject=found.graph,
        facts={
            "profile": found.profile_run_id,
            "rounds": found.rounds,
            "seconds": found.seconds,
            "time of the anchor, in that of the profile": f"{found.anchor.factor:.3f}",
        },
        settled=_settled(found),
        environment=found.environment,
    )


def _settled(found: ValidationDocument) -> Mapping[str, object]:
    return {"requests/s": found.rate_rps, "temperature": found.temperature, "placement": found.placement}


def _drift(rounds_ns: Sequence[float]) -> Error:
    """How much the machine's speed varied from round to round, which moves all figures together."""
    if len(rounds_ns) < 2 or fmean(rounds_ns) <= 0.0:
        return NO_DRIFT
    return Error((stdev(rounds_ns) / fmean(rounds_ns)) ** 2, len(rounds_ns) - 1)


_CPU: Final = Key(CPU, TOTAL, VCPU)


def _variant(parts: VariantParts, drift: Error) -> Iterator[tuple[Key, Measured]]:
    for statistic in _PERCENTILES:
        value = parts.latency.get(f"measured_{statistic}_ns")
        ends = parts.latency.get(f"measured_{statistic}_ci95_ns")
        if isinstance(value, float) and isinstance(ends, list) and len(ends) == 2:
            yield Key(LATENCY, TOTAL, statistic), measured_by(value, (ends[0], ends[1]), drift)
    yield _CPU, _cpu(parts.cpu, drift)
    for name, part in parts.by_component.items():
        yield Key(CPU, name, VCPU), _cpu(part.cpu, drift)


def _service(part: PartScore, drift: Error) -> Iterator[tuple[Key, Measured]]:
    if part.latency is not None:
        yield Key(LATENCY, TOTAL, P50), measured_by(part.latency.measured, part.latency.measured_interval, drift)
    yield _CPU, _cpu(part.cpu, drift)


def _cpu(score: CpuScore, drift: Error) -> Measured:
    return measured_by(score.measured, score.measured_interval, drift)
