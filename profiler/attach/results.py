"""What attaching found, as it is printed and written: shares, processors, times per message. Pure, but for symbols."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from profiler.attach.messages import DIRECTIONS, Messages, percentiles_ns
from profiler.errors import MeshInsightError
from profiler.probes.perf_sampling import SampledTimes
from profiler.symbols.stacks import SampledStacks
from profiler.text import error_line
from profiler.vocabulary.components import CLIENT_SIDECAR, OTHER
from profiler.vocabulary.cpu_states import PROBE, UNRESOLVED, USER

FORMAT: Final = "meshinsight-attach"
VERSION: Final = 1

COMPLETE: Final = "complete"
PARTIAL: Final = "partial"

ROLE: Final = CLIENT_SIDECAR
"""The role that samples of a target are read with; which side it is on nobody knows."""

_Z95: Final = 1.96


@dataclass(frozen=True)
class Component:
    """CPU time of one component: processors kept busy, its share with half of its 95 % interval, and per message."""

    vcpus: float
    share: float
    share_error: float
    cpu_ns_per_message: float | None


@dataclass(frozen=True)
class Direction:
    """Messages of one direction that were timed, and percentiles of their time in nanoseconds."""

    count: int
    p50_ns: float
    p90_ns: float
    p99_ns: float


@dataclass(frozen=True)
class MessageTimes:
    """Messages per second, and their times by direction.

    `count` of them were timed, `untimed` had their two ends in different threads or not both in a burst; both are in
    `per_second`. `joined` reads were passed on with others', without a time, or not at all.
    """

    per_second: float
    count: int
    joined: int
    directions: Mapping[str, Direction]
    untimed: int = 0


@dataclass(frozen=True)
class WakeUps:
    """Wake-ups that ended a read or an event wait with something to do, and how many were raised on another CPU.

    `crossed` of the `count` are those where the waker ran on another CPU than the woken thread then did;
    `crossing_share` is their share, None without wake-ups.
    """

    per_second: float
    count: int
    crossed: int
    crossing_share: float | None


@dataclass(frozen=True)
class TargetResult:
    """One sidecar: `components` add up to `vcpus`; empty where CPU was not sampled.

    `messages` is None where they were not timed, `wake_ups` where they were not recorded.
    `probe_share` is the part of the sampled time that was inside this tool's probes; it is in no component.
    """

    label: str
    pids: tuple[int, ...]
    program: str
    proxy: str | None
    ended: bool
    vcpus: float
    cpu_ns_per_message: float | None
    samples: int
    probe_share: float
    components: Mapping[str, Component]
    messages: MessageTimes | None
    wake_ups: WakeUps | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overhead:
    """What it was estimated to cost while it measured, as fractions of CPU time, and what that rests on.

    `ratio` is the sum of `probes_ratio`, `sampling_ratio` and `tool_ratio`. `startup_cpu_s` came before.
    """

    max_ratio: float
    ratio: float
    probes_ratio: float
    sampling_ratio: float
    tool_ratio: float
    startup_cpu_s: float
    bursts: int
    attached_ratio: float
    frequency_hz: int
    hit_ns: float | None
    other_hit_ns: float | None
    sample_ns: float
    waking_hit_ns: float | None = None


@dataclass(frozen=True)
class Attached:
    """The whole result. `status` is partial where a process ended or a signal came first.

    `stacks` are those of each target that was sampled; they are no part of the JSON document.
    """

    status: str
    duration_s: float
    asked_s: float
    overhead: Overhead
    targets: tuple[TargetResult, ...]
    environment: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    stacks: tuple[SampledStacks, ...] = ()

    def as_json(self) -> dict[str, Any]:
        document = {"format": FORMAT, "version": VERSION, **asdict(replace(self, stacks=()))}
        del document["stacks"]
        return document

    @classmethod
    def from_json(cls, document: Any) -> "Attached":
        """The result of `as_json`. Raises MeshInsightError for any other."""
        other = f"not a result of attach of version {VERSION}"
        if not isinstance(document, Mapping) or (document.get("format"), document.get("version")) != (FORMAT, VERSION):
            raise MeshInsightError(f"{other}; use the image of this release")
        try:
            known = {key: value for key, value in document.items() if key not in ("format", "version", "stacks")}
            return msgspec.convert(known, cls)
        except (msgspec.ValidationError, ValueError) as error:  # ValueError: halves of surrogate pairs
            raise MeshInsightError(f"{other}: {error_line(error)}; use the image of this release") from error


def cpu_components(
    sampled: SampledTimes, user: Mapping[str, float], vcpus: float, per_second: float | None
) -> tuple[dict[str, Component], float]:
    """CPU time by component, and the share of the samples that were inside probes.

    Args:
        sampled: the target's samples, of role `ROLE`; `samples` is their number.
        user: the parts of its user time, which add up to 1.
        vcpus: what it uses, by the kernel's own account.
        per_second: its messages per second, None where not known.
    """
    weights: dict[str, float] = {}
    probe = 0.0
    for (role, kind), weight in sampled.weights.items():
        if role != ROLE:
            continue
        if kind == PROBE:
            probe += weight
        elif kind == USER:
            for name, part in user.items():
                weights[name] = weights.get(name, 0.0) + weight * part
        else:
            name = OTHER if kind == UNRESOLVED else kind
            weights[name] = weights.get(name, 0.0) + weight
    total = sum(weights.values())
    if not total:
        return {}, 0.0
    found = {
        name: _component(weight / total, sampled.samples, vcpus, per_second)
        for name, weight in weights.items()
        if weight
    }
    return found, probe / (probe + total)


def _component(share: float, samples: int, vcpus: float, per_second: float | None) -> Component:
    error = _Z95 * (share * (1 - share) / samples) ** 0.5 if samples else 1.0
    return Component(share * vcpus, share, error, share * vcpus * 1e9 / per_second if per_second else None)


def wake_ups_of(recorded: Sequence[npt.NDArray[Any]], seconds: float) -> WakeUps:
    """Rate of the wake-ups (`WAKE_UP`) of one target in bursts that stand for so many seconds, and how many crossed."""
    count = sum(map(len, recorded))
    crossed = sum(int(np.sum(one["waker_cpu"] != one["cpu"])) for one in recorded)
    return WakeUps(count / seconds if seconds else 0.0, count, crossed, crossed / count if count else None)


def message_times(messages: Messages, seconds: float) -> MessageTimes:
    """Rate and times of the messages in bursts that stand for so many seconds."""
    directions = {
        name: Direction(len(messages.time_ns[name]), **percentiles_ns(messages.time_ns[name]))
        for name in DIRECTIONS
        if messages.time_ns.get(name)
    }
    rate = (messages.count + messages.untimed) / seconds if seconds else 0.0
    return MessageTimes(rate, messages.count, messages.joined, directions, messages.untimed)
