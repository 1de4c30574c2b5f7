"""The charts of a profile, as plain values. Pure: no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from meshinsight.reports.figures import Bar, Bars, Line, OverTime, Panel
from meshinsight.reports.subjects import summaries
from profiler.profile.types import Anchor, Cell, Latency
from profiler.vocabulary.components import PLACES

_MOST_ROWS_IN_ONE_CHART: Final = 30
_STYLES: Final[Mapping[str, tuple[str, Literal["o", "s"]]]] = {
    "with sidecars": ("#d55e00", "o"),
    "without": ("#0072b2", "s"),
}


def latency(cells: Sequence[Cell]) -> list[Bars]:
    """What the sidecars add to the median exchange, by component."""
    return list(
        _stacked("latency", "Added latency by component", _latency_bars(cells), "µs per exchange at the median")
    )


def cpu(cells: Sequence[Cell]) -> list[Bars]:
    """What they add to the CPU time of a request, by component and method."""
    return list(_stacked("cpu", "Added CPU by component", _cpu_bars(cells), "µs of CPU per request"))


def _stacked(name: str, title: str, bars_by_protocol: Mapping[str, Sequence[Bar]], axis_label: str) -> Iterator[Bars]:
    """One chart on one scale, or one per protocol where that would grow too tall."""
    everything = [bar for bars in bars_by_protocol.values() for bar in bars]
    if len(everything) <= _MOST_ROWS_IN_ONE_CHART:
        groups: Mapping[str, Sequence[Bar]] = {"all": everything}
    else:
        groups = bars_by_protocol
    for key, bars in groups.items():
        if bars:
            named = title if len(groups) == 1 else f"{title}, {summaries.protocol_name(key)}"
            yield Bars(f"{name}-{key}", named, [Panel(bars)], _components(bars), axis_label)


def _components(bars: Sequence[Bar]) -> list[str]:
    return summaries.nonzero([bar.parts for bar in bars])


def _micros(parts: Mapping[str, float]) -> dict[str, float]:
    return {name: parts[name] / 1000 for name in summaries.ordered(parts)}


def _micros_interval(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0] / 1000, interval[1] / 1000)


def _latency_bars(cells: Sequence[Cell]) -> dict[str, list[Bar]]:
    labels = summaries.cell_labels(cells)
    bars: dict[str, list[Bar]] = {}
    for group in summaries.by_temperature([cell for cell in cells if cell.latency is not None]):
        for cell in group:
            if (found := cell.latency) is None:
                continue
            bar = Bar(
                group=summaries.group_name(group, labels),
                label=cell.temperature,
                parts=_micros(summaries.medians_ns(found)),
                total=found.overhead_p50_ns / 1000,
                interval=_micros_interval(found.overhead_ci95_ns),
            )
            bars.setdefault(cell.protocol, []).append(bar)
    return bars


def _cpu_bars(cells: Sequence[Cell]) -> dict[str, list[Bar]]:
    labels = summaries.cell_labels(cells)
    bars: dict[str, list[Bar]] = {}
    for cell in cells:
        if cell.cpu is None:
            continue
        for method, components in (("eBPF", cell.cpu.components), ("perf", cell.cpu.perf_components)):
            if not components:  # perf is shown only where it adds up
                continue
            bar = Bar(
                group=labels[cell.id],
                label=method,
                parts=_micros({name: part.cpu_ns_per_request for name, part in components.items()}),
                total=cell.cpu.overhead_ns / 1000,
                interval=_micros_interval(cell.cpu.overhead_ci95_ns),
            )
            bars.setdefault(cell.protocol, []).append(bar)
    return bars


def places(cells: Sequence[Cell]) -> list[Bars]:
    """Per protocol the representative cells, one panel per cache temperature."""
    drawn = []
    for group in summaries.representatives(cells):
        own = [(cell, cell.latency) for cell in group if cell.latency and cell.latency.by_place]
        # Panels share their rows, so every panel needs the same places.
        panels = [
            Panel(_place_bars(found), cell.temperature) for cell, found in own if _places(found) == _places(own[0][1])
        ]
        if panels:
            first = own[0][0]
            names = f"{summaries.protocol_name(first.protocol)}, {summaries.topology_name(first.topology)}"
            bars = [bar for panel in panels for bar in panel.bars]
            title, axis = f"Added latency by place and direction, {names}", "µs at the median"
            drawn.append(Bars(f"place-{first.protocol}", title, panels, _components(bars), axis))
    return drawn


def _places(found: Latency) -> list[tuple[str, str]]:
    rows = [(place.place, place.direction) for place in found.by_place]
    return sorted(rows, key=lambda row: (PLACES.index(row[0]), row[1]))


def _place_bars(found: Latency) -> list[Bar]:
    rows = {(row.place, row.direction): row.components for row in found.by_place}
    return [
        Bar(group=place.replace("_", " "), label=direction, parts=_micros(rows[place, direction]))
        for place, direction in _places(found)
    ]


def anchor(found: Anchor | None) -> list[OverTime]:
    """The anchor cell over the run."""
    if found is None or len(found.rounds) < 2:
        return []
    sides = {
        "with sidecars": [(row.at_s, row.with_p50_ns) for row in found.rounds],
        "without": [(row.at_s, row.baseline_p50_ns) for row in found.rounds if row.baseline_p50_ns is not None],
    }
    lines = [
        Line(name, [at_s for at_s, _ in rounds], [value_ns / 1000 for _, value_ns in rounds], *_STYLES[name])
        for name, rounds in sides.items()
        if rounds
    ]
    return [OverTime("anchor", "The anchor cell over the run", lines, "median, µs")]
