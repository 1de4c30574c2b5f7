"""What is shown of what `attach` found. Pure: no I/O."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects import summaries

if TYPE_CHECKING:
    from profiler.attach.results import Attached, MessageTimes, Overhead, TargetResult, WakeUps

_DIRECTION_TEXTS: Final = {
    "request": "request (accepted → made)",
    "response": "response (made → accepted)",
    "untold": "direction not known",
}


def report(found: "Attached") -> Report:
    """Every target, then what looking has cost."""
    early = "" if found.status == "complete" else f" of the {found.asked_s:g} s asked for"
    return Report(
        f"Looked for {found.duration_s:.1f} s{early}: {found.status}.",
        [section for target in found.targets for section in _sections(target)],
        [("", [*overhead_lines(found.overhead), *_marked(found.warnings)])],
        document=found.as_json,
    )


def _sections(target: "TargetResult") -> Iterator[Section]:
    ended = ", ended meanwhile" if target.ended else ""
    per_message = (
        "" if target.cpu_ns_per_message is None else f", {numbers.micros(target.cpu_ns_per_message)} µs per message"
    )
    detail = f": {numbers.vcpus(target.vcpus)} vCPU{per_message}{ended}"
    rows = [
        (
            name,
            numbers.vcpus(part.vcpus),
            numbers.percent(part.share, 1),
            f"{part.share_error * 100:.1f}",
            numbers.micros(part.cpu_ns_per_message),
        )
        for name in summaries.ordered(target.components)
        for part in [target.components[name]]
    ]
    yield Section(target.label, ("CPU", "vCPU", "share", "± points", "µs per message"), rows, detail)
    if target.messages and target.messages.count + target.messages.untimed:
        yield _messages(target.messages)
    if target.wake_ups:
        yield Section("", lines=list(_wake_up_lines(target.wake_ups)))
    yield Section("", lines=_marked(target.warnings))


def _messages(messages: "MessageTimes") -> Section:
    rows = [
        (
            _DIRECTION_TEXTS.get(name, name),
            *map(numbers.micros, (times.p50_ns, times.p90_ns, times.p99_ns)),
            numbers.count(times.count),
        )
        for name, times in messages.directions.items()
    ]
    rate, joined = numbers.rate(messages.per_second), numbers.count(messages.joined)
    line = f"{rate} messages/s; {joined} reads were passed on with others' and have no time of their own"
    if messages.untimed:
        line += f"; {numbers.count(messages.untimed)} messages went from thread to thread and have none"
    return Section("", ("read → write, µs", "p50", "p90", "p99", "timed"), rows, lines=[line])


def _wake_up_lines(wake_ups: "WakeUps") -> Iterator[str]:
    if wake_ups.crossing_share is not None:
        yield (
            f"wake-ups with data: {numbers.rate(wake_ups.per_second)}/s, {numbers.percent(wake_ups.crossing_share)} of "
            f"{numbers.count(wake_ups.count)} raised on another CPU (predict --crossing-share "
            f"{wake_ups.crossing_share:.2f})"
        )


def _marked(warnings: Sequence[str]) -> list[str]:
    return [f"! {warning}" for warning in warnings]


def overhead_lines(overhead: "Overhead") -> Iterator[str]:
    """What it has cost, and how much of the time the probes were attached."""
    verdict = "kept" if overhead.ratio <= overhead.max_ratio else "NOT kept"
    yield (
        f"Overhead, estimated: {numbers.percent(overhead.ratio, 2)} of the CPU time "
        f"(bound {numbers.percent(overhead.max_ratio, 2)}: {verdict}); "
        f"probes {numbers.percent(overhead.probes_ratio, 2)}, sampling {numbers.percent(overhead.sampling_ratio, 2)}, "
        f"this tool {numbers.percent(overhead.tool_ratio, 2)}"
    )
    hit = "" if overhead.hit_ns is None else f", {overhead.hit_ns:.0f} ns per hit"
    yield (
        f"Probes attached {numbers.percent(overhead.attached_ratio, 1)} of the time in {overhead.bursts} bursts{hit}; "
        f"{overhead.frequency_hz} samples/s per CPU; making ready took {overhead.startup_cpu_s:.1f} s of CPU"
    )
