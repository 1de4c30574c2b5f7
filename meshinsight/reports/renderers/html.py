"""A profile as one HTML file that needs nothing else: no scripts, fonts, pictures or style sheets from outside."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from meshinsight import numbers
from meshinsight.reports.renderers import charts, palette
from meshinsight.reports.renderers.charts import Bar, Chart, Line, Panel
from meshinsight.reports.subjects import graph_view, model, summaries, validation_view
from meshinsight.reports.subjects.graph_view import Predicted
from meshinsight.reports.subjects.validation_document import ValidationDocument
from profiler.profile import bounds
from profiler.profile.types import Anchor, Cell, CpuComponent, Latency, LatencyComponent, Profile
from profiler.vocabulary.components import DESCRIPTIONS, PLACES

_MOST_ROWS_IN_ONE_CHART: Final = 30
_COLOUR_WITH, _COLOUR_WITHOUT = "#d55e00", "#0072b2"


def render(
    profile: Profile,
    title: str | None = None,
    predicted: Predicted | None = None,
    validations: Sequence[ValidationDocument] = (),
) -> str:
    """The whole page. `title` replaces the one made from the proxies' names; it is escaped like every other text.

    `predicted` and `validations` are shown before the profile they rest on.
    """
    environment = Environment(
        loader=PackageLoader("meshinsight.reports.renderers", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cells = profile.cells
    context: dict[str, object] = {
        "profile": profile,
        "proxies": msgspec.to_builtins(profile.proxies),
        "title": title or _title(profile, predicted),
        "prediction": graph_view.view(predicted) if predicted else None,
        "validation": validation_view.view(validations) if validations else None,
        "cells": cells,
        "labels": summaries.cell_labels(cells),
        "headlines": _headlines(cells),
        "latency_cells": [cell for cell in cells if cell.latency is not None],
        "cpu_cells": [cell for cell in cells if cell.cpu is not None],
        "added_costs": summaries.added_costs(cells),
        "user_splits": summaries.user_splits(cells),
        "coefficients": profile.coefficients,
        "problems": summaries.problems(profile),
        "components": _component_rows(cells),
        **_charts(profile),
    }
    tools = {"f": numbers, "d": summaries, "model": model, "bounds": bounds, "colour": palette.colour}
    return environment.get_template("report.html.j2").render(context | tools)


def _title(profile: Profile, predicted: Predicted | None) -> str:
    if predicted:
        return f"What sidecars would cost {graph_view.graph_name(predicted.found)}"
    names = " and ".join(f"{name} {proxy.version}" for name, proxy in profile.proxies.items())
    return f"What the sidecars cost: {names}" if names else "What the sidecars cost"


def _headlines(cells: Sequence[Cell]) -> list[dict[str, object]]:
    """Per protocol: its name, the sentence, and the cells behind it."""
    return [
        {"name": summaries.protocol_name(group[0].protocol), "sentence": summaries.headline(group), "cells": group}
        for group in summaries.representatives(cells)
    ]


def _component_rows(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Every component of the profile with its description and where its figures come from."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        parts: list[tuple[str, LatencyComponent | CpuComponent]] = []
        parts += cell.latency.components.items() if cell.latency else ()
        parts += cell.cpu.components.items() if cell.cpu else ()
        for name, part in parts:
            sources = found.setdefault(name, [])
            if part.source not in sources:
                sources.append(part.source)
    return [
        {"name": name, "description": _description(name), "sources": "; ".join(found[name])}
        for name in summaries.ordered(found)
    ]


def _description(name: str) -> str:
    if name.startswith("filter:"):
        kind, _, part = name.removeprefix("filter:").partition(".")
        what = {"wait": "waiting for the server that it asks", "server": "CPU of the server that it asks"}.get(part)
        return f"the configured filter {kind}" + (f": {what}" if what else "")
    return DESCRIPTIONS.get(name, "")


def _charts(profile: Profile) -> dict[str, object]:
    cells = profile.cells
    labels = summaries.cell_labels(cells)
    return {
        "latency_charts": _stacked("latency", _latency_bars(cells, labels), "µs per exchange at the median"),
        "cpu_charts": _stacked("cpu", _cpu_bars(cells, labels), "µs of CPU per request"),
        "place_charts": _place_charts(cells),
        "anchor_chart": _anchor_chart(profile.anchor),
    }


def _stacked(name: str, bars_by_protocol: Mapping[str, Sequence[Bar]], axis_label: str) -> list[Chart]:
    """One chart on one scale, or one per protocol where that would grow too tall."""
    everything = [bar for bars in bars_by_protocol.values() for bar in bars]
    together = len(everything) <= _MOST_ROWS_IN_ONE_CHART
    groups = {"all": everything} if together else bars_by_protocol
    return [
        _chart(charts.stacked_bars(f"{name}-{key}", [Panel(bars)], axis_label), bars)
        for key, bars in groups.items()
        if bars
    ]


def _chart(svg: str, bars: Sequence[Bar], title: str = "") -> Chart:
    return Chart(svg, summaries.nonzero([bar.parts for bar in bars]), title)


def _micros(parts: Mapping[str, float]) -> dict[str, float]:
    return {name: parts[name] / 1000 for name in summaries.ordered(parts)}


def _latency_bars(cells: Sequence[Cell], labels: Mapping[str, str]) -> dict[str, list[Bar]]:
    bars: dict[str, list[Bar]] = {}
    for group in summaries.by_temperature([cell for cell in cells if cell.latency is not None]):
        for cell in group:
            if (latency := cell.latency) is None:
                continue
            low_high = latency.overhead_ci95_ns
            bar = Bar(
                group=summaries.group_name(group, labels),
                label=cell.temperature,
                parts=_micros(summaries.medians_ns(latency)),
                total=latency.overhead_p50_ns / 1000,
                interval=None if low_high is None else (low_high[0] / 1000, low_high[1] / 1000),
            )
            bars.setdefault(cell.protocol, []).append(bar)
    return bars


def _cpu_bars(cells: Sequence[Cell], labels: Mapping[str, str]) -> dict[str, list[Bar]]:
    bars: dict[str, list[Bar]] = {}
    for cell in cells:
        if cell.cpu is None:
            continue
        for method, components in (("eBPF", cell.cpu.components), ("perf", cell.cpu.perf_components)):
            if not components:  # perf is shown only where it adds up
                continue
            parts = {name: part.cpu_ns_per_request for name, part in components.items()}
            total = cell.cpu.overhead_ns / 1000
            bar = Bar(group=labels[cell.id], label=method, parts=_micros(parts), total=total)
            bars.setdefault(cell.protocol, []).append(bar)
    return bars


def _place_charts(cells: Sequence[Cell]) -> list[Chart]:
    """Per protocol the representative cells, one panel per cache temperature."""
    drawn = []
    for group in summaries.representatives(cells):
        own = [(cell, cell.latency) for cell in group if cell.latency and cell.latency.by_place]
        # Panels share their rows, so every panel needs the same places.
        panels = [
            Panel(_place_bars(latency), cell.temperature)
            for cell, latency in own
            if _places(latency) == _places(own[0][1])
        ]
        if not panels:
            continue
        protocol, bars = own[0][0].protocol, [bar for panel in panels for bar in panel.bars]
        svg = charts.stacked_bars(f"place-{protocol}", panels, "µs at the median")
        title = f"{summaries.protocol_name(protocol)}, {summaries.topology_name(own[0][0].topology)}"
        drawn.append(_chart(svg, bars, title))
    return drawn


def _places(latency: Latency) -> list[tuple[str, str]]:
    rows = [(place.place, place.direction) for place in latency.by_place]
    return sorted(rows, key=lambda row: (PLACES.index(row[0]), row[1]))


def _place_bars(latency: Latency) -> list[Bar]:
    rows = {(row.place, row.direction): row.components for row in latency.by_place}
    return [
        Bar(group=place.replace("_", " "), label=direction, parts=_micros(rows[place, direction]))
        for place, direction in _places(latency)
    ]


def _anchor_chart(anchor: Anchor | None) -> str | None:
    if anchor is None or len(anchor.rounds) < 2:
        return None
    with_ns = [(row.at_s, row.with_p50_ns) for row in anchor.rounds]
    without_ns = [(row.at_s, row.baseline_p50_ns) for row in anchor.rounds if row.baseline_p50_ns is not None]
    lines = []
    for label, known, colour, marker in (
        ("with sidecars", with_ns, _COLOUR_WITH, "o"), ("without", without_ns, _COLOUR_WITHOUT, "s"),
    ):  # fmt: skip
        if known:
            times, values = [at_s for at_s, _ in known], [value_ns / 1000 for _, value_ns in known]
            lines.append(Line(label=label, at_s=times, values=values, colour=colour, markers=marker))
    return charts.lines_over_time("anchor", lines, "median, µs")
