"""What `attach` found, as tables and as JSON."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from meshinsight import numbers
from meshinsight.console import print_whole, write_json_document
from meshinsight.reports.subjects import summaries
from profiler.text import printable

if TYPE_CHECKING:
    from profiler.attach.results import Attached, Component, MessageTimes, Overhead, TargetResult

_DIRECTION_TEXTS: Final = {
    "request": "request (accepted → made)",
    "response": "response (made → accepted)",
    "untold": "direction not known",
}


def write_json(found: "Attached", stream: TextIO) -> None:
    """Write the result as a versioned document."""
    write_json_document(found.as_json(), stream)


def print_attached(found: "Attached", stream: TextIO) -> None:
    """Print every target, then what looking has cost. Text for a pipe is not cut or padded."""
    print_whole(partial(_render, found), stream)


def _render(found: "Attached", console: Console) -> None:
    early = "" if found.status == "complete" else f" of the {found.asked_s:g} s asked for"
    console.print(f"Looked for {found.duration_s:.1f} s{early}: {found.status}.", style="bold")
    for target in found.targets:
        _render_target(target, console)
    console.print()
    for line in overhead_lines(found.overhead):
        console.print(line)
    for warning in found.warnings:
        console.print(f"! {warning}")


def _render_target(target: "TargetResult", console: Console) -> None:
    console.print()
    console.print(printable(target.label), style="bold", end="")
    ended = ", ended meanwhile" if target.ended else ""
    per_message = (
        "" if target.cpu_ns_per_message is None else f", {numbers.micros(target.cpu_ns_per_message)} µs per message"
    )
    console.print(f": {numbers.vcpus(target.vcpus)} vCPU{per_message}{ended}")
    if target.components:
        console.print(_cpu_table(target))
    if target.messages and target.messages.count:
        console.print(_message_table(target.messages))
        console.print(
            f"{numbers.rate(target.messages.per_second)} messages/s; "
            f"{numbers.count(target.messages.joined)} reads were passed on with others' and have no time of their own"
        )
    for warning in target.warnings:
        console.print(f"! {printable(warning)}")


def _table(first: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True, header_style="dim")
    table.add_column(first, min_width=12)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _cpu_table(target: "TargetResult") -> Table:
    table = _table("CPU", ["vCPU", "share", "± points", "µs per message"])
    for name in summaries.ordered(target.components):
        table.add_row(name, *_cpu_row(target.components[name]))
    return table


def _cpu_row(component: "Component") -> Iterator[str]:
    yield numbers.vcpus(component.vcpus)
    yield numbers.percent(component.share, 1)
    yield f"{component.share_error * 100:.1f}"
    yield numbers.micros(component.cpu_ns_per_message)


def _message_table(messages: "MessageTimes") -> Table:
    table = _table("read → write, µs", ["p50", "p90", "p99", "timed"])
    for name, times in messages.directions.items():
        values = (numbers.micros(value) for value in (times.p50_ns, times.p90_ns, times.p99_ns))
        table.add_row(_DIRECTION_TEXTS.get(name, name), *values, numbers.count(times.count))
    return table


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
