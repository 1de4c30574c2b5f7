"""A profile as text: tables for a terminal, and the same without any truncation for a pipe or a file."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshinsight import numbers
from meshinsight.console import print_whole
from meshinsight.reports.subjects import model, summaries
from profiler.profile import bounds
from profiler.profile.types import Cell, Coefficient, Cpu, HandOvers, Latency, ModelError, Place, Profile
from profiler.text import printable
from profiler.vocabulary.components import REQUEST, RESPONSE, TLS

_SIDE_BY_SIDE_WIDTH: Final = 100
_BAD: Final = "bold red"


def print_profile(profile: Profile, stream: TextIO | None = None) -> None:
    """Print a whole profile to a stream (standard output unless given).

    A terminal gets its own width and colours; anything else gets plain text in which every line stays whole.
    """
    print_whole(partial(render_profile, profile), stream or sys.stdout)


def render_profile(profile: Profile, console: Console) -> None:
    """Render every part of a profile: header, latency, components, CPU, places, probes, problems."""
    cells = profile.cells
    labels = summaries.cell_labels(cells)
    _print_header(profile, console)
    if cells:
        _print_latency(cells, labels, console)
        _print_hand_overs(cells, labels, console)
        _print_components(cells, labels, console)
        _print_cpu(cells, labels, console)
        _print_user_splits(cells, labels, console)
        _print_added(cells, labels, console)
        _print_memory(cells, labels, console)
        _print_coefficients(profile.coefficients, console)
        _print_model_error(profile.model_error, console)
        _print_places(cells, labels, console)
    else:
        console.print("\nNo cell was measured.")
    _print_probes(profile, console)
    _print_problems(profile, console)


def _print_header(profile: Profile, console: Console) -> None:
    partial = profile.status != "complete"
    title = Text(f"MeshInsight profile {profile.run_id}", style="bold")
    title.append(f"  {profile.status}", style=_BAD if partial else "green")
    title.append(f"  {profile.created}  meshinsight {printable(profile.meshinsight_version)}", "not bold")
    console.print(title)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    rows = {
        "Machine": summaries.machine_text(profile.environment),
        "Proxy": summaries.proxy_text(profile.proxies),
        "Noise": summaries.noise_text(profile.noise),
        "Anchor": summaries.anchor_text(profile.anchor),
        "Load": summaries.shared_workload(profile.cells) or "differs between the cells",
        "Problems": summaries.problem_count_text(profile),
    }
    for name, text in rows.items():
        grid.add_row(Text(name, style="dim"), Text(text))
    console.print(grid)


def _table(first: str, columns: Sequence[str]) -> Table:
    """A table whose first column is text and whose others are numbers, aligned right and never cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True, header_style="dim")
    table.add_column(first, overflow="fold", min_width=12)
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    return table


def _print(title: str, table: Table, console: Console) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    console.print(table)


def _marked(text: str, good: bool) -> Text:
    """The text, marked when the figure is over its bound: by a sign, for colour alone says nothing in a file."""
    return Text(text) if good else Text(f"{text} !", style=_BAD)


def _closure(residual: float | None) -> Text:
    return _marked(numbers.signed_percent(residual, 1), bounds.closes(residual))


def _print_latency(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    interval = ["95 % interval"] if console.width >= _SIDE_BY_SIDE_WIDTH else []
    table = _table("cell", ["without", "with", "overhead", *interval, "in %", "closure", "probes", "rate per s"])
    for cell in cells:
        table.add_row(Text(labels[cell.id]), *_latency_numbers(cell, with_interval=bool(interval)), _rate(cell))
    _print("Latency at the median, µs per exchange", table, console)
    legend = "closure: components against the measured overhead; probes: their effect; !: over its bound"
    console.print(Text(legend, style="dim"))
    console.print(Text(summaries.interval_text(cells), style="dim"))
    for cell in cells:
        if not bounds.rate_reached(cell):
            console.print(Text(f"{labels[cell.id]}: {_missed_rate(cell)}", style=_BAD))
        if not bounds.undisturbed(cell):
            console.print(Text(f"{labels[cell.id]}: {summaries.disturbance_text(cell)}", style=_BAD))


def _print_hand_overs(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    table = _table("cell", ["without", "crossed", "with", "crossed", "to another\ncore", "to another\ncache"])
    for cell in cells:
        latency = cell.latency
        if latency is None or latency.hand_overs is None or not latency.hand_overs.count:
            continue
        found = latency.hand_overs
        further = [None if count is None else count / found.count for count in (found.cores, found.caches)]
        sides = [text for side in (latency.baseline_hand_overs, found) for text in _hand_over_numbers(side)]
        table.add_row(labels[cell.id], *sides, *(numbers.percent(share) for share in further))
    if table.row_count:
        _print("Hand-overs between threads per exchange, and the share that crossed CPUs", table, console)


def _hand_over_numbers(found: HandOvers | None) -> tuple[str, str]:
    """How many, and the share that went to another CPU."""
    if found is None:
        return numbers.UNKNOWN, numbers.UNKNOWN
    return f"{found.count:.1f}", numbers.percent(found.share)


def _rate(cell: Cell) -> Text:
    """The achieved rate, against the offered one where there is one."""
    achieved = numbers.rate(cell.achieved_rps)
    if cell.rate_rps is None:
        return Text(f"{achieved} max")
    return _marked(f"{achieved} of {numbers.rate(cell.rate_rps)}", bounds.rate_reached(cell))


def _missed_rate(cell: Cell) -> str:
    with_rps, without_rps = numbers.rate(cell.achieved_rps), numbers.rate(cell.baseline_achieved_rps)
    offered = numbers.rate(cell.rate_rps)
    return f"ERROR offered {offered} per s, achieved {with_rps} with and {without_rps} without sidecar"


def _latency_numbers(cell: Cell, with_interval: bool) -> list[Text]:
    latency = cell.latency
    if latency is None:
        return [Text(numbers.UNKNOWN)] * (7 if with_interval else 6)
    interval = [Text(numbers.micros_interval(latency.overhead_ci95_ns))] if with_interval else []
    return [
        Text(numbers.micros(latency.baseline_p50_ns)),
        Text(numbers.micros(latency.with_p50_ns)),
        Text(numbers.micros(latency.overhead_p50_ns)),
        *interval,
        Text(numbers.signed_percent(summaries.latency_over_baseline(latency))),
        _closure(summaries.closure(cell, "latency")),
        _marked(numbers.change_percent(cell.perturbation.latency_ratio), bounds.undisturbed(cell)),
    ]


def _print_components(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    """One table per workload, hot and cold side by side where the console is wide enough."""
    per_table = 2 if console.width >= _SIDE_BY_SIDE_WIDTH else 1
    for group in summaries.by_temperature([cell for cell in cells if cell.latency is not None]):
        for start in range(0, len(group), per_table):
            part = group[start : start + per_table]
            name = labels[part[0].id] if len(part) == 1 else summaries.group_name(part, labels)
            _print(f"Components of latency, {name}, µs at the median", _component_table(part), console)
    for protocol in dict.fromkeys(cell.protocol for cell in cells):
        sources = summaries.named_sources([cell for cell in cells if cell.protocol == protocol])
        if sources:
            console.print(Text(f"{protocol} from: {sources}", style="dim"))


def _component_table(group: Sequence[Cell]) -> Table:
    columns = [
        f"{head}\n{tail}"
        for cell in group
        for head, tail in ((cell.temperature, "µs"), ("", "anchored"), ("", "share"), ("", "95 % interval"))
    ]
    table = _table("component", columns)
    measured = [(cell, cell.latency) for cell in group if cell.latency is not None]
    for component in summaries.nonzero([summaries.medians_ns(latency) for _, latency in measured]):
        table.add_row(component, *[text for part in measured for text in _component_numbers(*part, component)])
    table.add_section()
    for title, row in _component_footer(measured):
        table.add_row(Text(title, style="dim"), *row)
    return table


def _component_numbers(cell: Cell, latency: Latency, component: str) -> list[str]:
    part = latency.components.get(component)
    if part is None:
        return [numbers.UNKNOWN] * 4
    share = summaries.share(part.median_ns, summaries.medians_ns(latency).values())
    interval = numbers.micros_interval(part.ci95_ns)
    return [
        numbers.micros(part.median_ns),
        numbers.micros(None if cell.anchor_factor is None else part.median_ns * cell.anchor_factor),
        numbers.percent(share),
        interval,
    ]


def _component_footer(group: Sequence[tuple[Cell, Latency]]) -> Iterator[tuple[str, list[Text]]]:
    blank = Text("")
    sums, measured, sampled, missing = [], [], [], []
    for cell, latency in group:
        closure = _closure(summaries.closure(cell, "latency"))
        sums += [Text(numbers.micros(sum(summaries.medians_ns(latency).values()))), blank, blank, closure]
        interval = Text(numbers.micros_interval(latency.overhead_ci95_ns))
        anchored = numbers.micros(summaries.anchored_overhead_ns(cell))
        measured += [Text(numbers.micros(latency.overhead_p50_ns)), Text(anchored), blank, interval]
        samples, dropped, lost = summaries.exchanges(latency)
        sampled += [Text(numbers.count(samples)), blank, blank, blank]
        missing += [Text(numbers.count(dropped)), Text(numbers.count(lost)), blank, blank]
    yield "sum, closure", sums
    yield "measured", measured
    yield "exchanges", sampled
    yield "dropped, lost", missing


def _print_cpu(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    measured = [(cell, cell.cpu) for cell in cells if cell.cpu is not None]
    for cell, cpu in measured:
        _print(f"CPU per request, {labels[cell.id]}, by two methods", _cpu_table(cpu), console)
        console.print(_cpu_summary(cpu, summaries.closure(cell, "cpu")))
    if not measured:
        console.print("\nCPU: no cell has a CPU decomposition.")


def _cpu_table(cpu: Cpu) -> Table:
    columns = [
        "eBPF\nµs",
        "\nshare",
        "\n95 % interval",
        "vCPU per\n1000 rps",
        "perf\nµs",
        "\nshare",
        "disagree\npoints",
    ]
    table = _table("component", columns)
    sides = [cpu.components, cpu.perf_components]
    values = [{name: part.cpu_ns_per_request for name, part in side.items()} for side in sides]
    for name in summaries.nonzero(values):
        table.add_row(name, *_cpu_numbers(cpu, name))
    return table


def _cpu_numbers(cpu: Cpu, name: str) -> list[str | Text]:
    exact, sampled = cpu.components.get(name), cpu.perf_components.get(name)
    points = cpu.disagreement_points.get(name)
    share = exact.share if exact else None
    return [
        numbers.micros(exact.cpu_ns_per_request if exact else None),
        numbers.percent(share),
        numbers.micros_interval(exact.ci95_ns if exact else None),
        numbers.vcpus(exact.vcpu_per_1000_rps if exact else None),
        numbers.micros(sampled.cpu_ns_per_request if sampled else None),
        numbers.percent(sampled.share if sampled else None),
        _marked(numbers.points(points), bounds.agrees(share, points)),
    ]


def _cpu_summary(cpu: Cpu, residual: float | None) -> Text:
    without, added = numbers.micros(cpu.baseline_cpu_ns_per_request), numbers.micros(cpu.overhead_ns)
    with_sidecar = numbers.micros(cpu.with_cpu_ns_per_request)
    over = numbers.signed_percent(summaries.cpu_over_baseline(cpu))
    closure = _closure(residual).plain
    unresolved = numbers.percent(cpu.perf_unresolved_share, 1)
    interval = f", 95 % {numbers.micros_interval(cpu.overhead_ci95_ns)}" if cpu.overhead_ci95_ns else ""
    figures = f"{without} µs without, {with_sidecar} µs with, {added} µs added ({over}{interval})"
    machine = f"machine: {figures}; closure {closure}"
    achieved = numbers.rate(cpu.rate_rps if cpu.achieved_rps is None else cpu.achieved_rps)
    offered = "per s, as fast as answered" if cpu.rate_rps is None else f"of {numbers.rate(cpu.rate_rps)} per s"
    sampled = f"at {achieved} {offered}; perf: {numbers.count(cpu.perf_samples)} samples, {unresolved} unresolved"
    return Text(f"{machine}; {sampled}", style="dim")


def _print_user_splits(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    """User time of the proxies by source; the ladder is what the components above are made of."""
    splits = summaries.user_splits(cells)
    if not splits:
        return
    sources = [name for name in ("ladder", "eh_frame", "symbols") if any(name in split for _, split in splits)]
    columns = ["component", *(f"{name}\nµs" for name in sources), *(f"{name}\nunresolved" for name in sources[1:])]
    table = _table("cell", columns)
    for cell, split in splits:
        names = summaries.ordered({name for part in split.values() for name in part.cpu_ns_per_request})
        shares = [split[source].unresolved_share if source in split else None for source in sources[1:]]
        for number, name in enumerate(names):
            values = [split[source].cpu_ns_per_request.get(name) if source in split else None for source in sources]
            unresolved = [numbers.percent(share, 1) for share in shares] if number == 0 else ["" for _ in shares]
            label = labels[cell.id] if number == 0 else ""
            table.add_row(label, name, *(numbers.micros(value) for value in values), *unresolved)
    _print("User time of the proxies by source, µs of CPU per request", table, console)
    legend = (
        "eh_frame and symbols leave functions that both rungs enter with the first; the ladder moves what they grow by"
    )
    console.print(Text(legend, style="dim"))


def _print_added(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    costs = summaries.added_costs(cells)
    if not costs:
        return
    table = _table("cell", ["component", "latency\nµs", "\n95 % interval", "CPU\nµs", "\n95 % interval"])
    same_as_zero = []
    for cell, name, latency, cpu in costs:
        intervals = [part.ci95_ns if part else None for part in (latency, cpu)]
        table.add_row(
            labels[cell.id],
            name,
            numbers.micros(latency.median_ns if latency else None),
            numbers.micros_interval(intervals[0]),
            numbers.micros(cpu.cpu_ns_per_request if cpu else None),
            numbers.micros_interval(intervals[1]),
        )
        if not any(summaries.tells_from_zero(interval) for interval in intervals):
            same_as_zero.append(f"{name} ({labels[cell.id]})")
    _print("What TLS and filters add, µs per request", table, console)
    for text in same_as_zero:
        console.print(Text(f"indistinguishable from zero: {text}"))
    for smallest, largest, cost_ns in summaries.record_costs(cells):
        text = f"records, {labels[smallest.id]} to {labels[largest.id]}: {cost_ns / 1000:.2f} µs of latency per KiB"
        console.print(Text(text))
    for new, kept in summaries.handshakes(cells):
        console.print(Text(f"handshake, {labels[new.id]}: {_handshake_text(new, kept)}"))


def _handshake_text(new: Cell, kept: Cell) -> str:
    """TLS of a new connection less that of a kept one: the handshake; sessions are never resumed here."""

    def tls_ns(cell: Cell) -> tuple[float, float]:
        latency = cell.latency.components.get(TLS) if cell.latency else None
        cpu = cell.cpu.components.get(TLS) if cell.cpu else None
        return latency.median_ns if latency else 0.0, cpu.cpu_ns_per_request if cpu else 0.0

    latency_ns, cpu_ns = (after - before for after, before in zip(tls_ns(new), tls_ns(kept), strict=True))
    return (
        f"{numbers.micros(latency_ns)} µs of latency and {numbers.micros(cpu_ns)} µs of CPU above records alone, "
        "per new connection; full handshakes, no session is resumed"
    )


def _print_memory(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    """Once per configuration: memory does not depend on the temperature."""
    table = _table("configuration", ["RSS, all proxies\nMiB", "per connection\nMiB"])
    seen = set()
    for cell in cells:
        memory = cell.memory
        if not memory or cell.new_connections:
            continue
        name = summaries.group_name([cell], labels)
        if name not in seen:
            seen.add(name)
            table.add_row(name, *map(_mebibytes, (memory.rss_bytes, memory.per_connection_bytes)))
    if seen:
        _print("Memory of the proxies", table, console)


def _mebibytes(value_bytes: float) -> str:
    return f"{value_bytes / (1 << 20):,.3f}"


def _print_coefficients(coefficients: Sequence[Coefficient], console: Console) -> None:
    """Only where there is more than a base to tell."""
    several = {(entry.configuration, entry.currency) for entry in coefficients if entry.term != "base"}
    if not several:
        return
    table = _table(model.COEFFICIENTS_COLUMNS[0], model.COEFFICIENTS_COLUMNS[1:])
    for entry in coefficients:
        if (entry.configuration, entry.currency) in several:
            table.add_row(*map(printable, model.coefficient_row(entry)))
    _print(model.COEFFICIENTS_TITLE, table, console)


def _print_model_error(errors: Sequence[ModelError], console: Console) -> None:
    if errors:
        table = _table("protocol", ["currency", "median error", "worst", "cells", "that no others foretell"])
        for entry in errors:
            shares = [numbers.percent(share, 1) for share in (entry.median, entry.worst)]
            counts = [str(entry.tested), str(entry.untested)]
            table.add_row(summaries.protocol_name(entry.protocol), entry.currency, *shares, *counts)
        _print("Error of the model in foretelling a cell from the others", table, console)


def _print_places(cells: Sequence[Cell], labels: Mapping[str, str], console: Console) -> None:
    for cell in cells:
        if cell.latency is not None and cell.latency.by_place:
            title = f"Latency by place, {labels[cell.id]}, µs at the median (→ request, ← response)"
            _print(title, _place_table(cell.latency.by_place), console)


def _place_table(places: Sequence[Place]) -> Table:
    arrows = {REQUEST: "→", RESPONSE: "←"}
    headers = [f"{place.place.replace('_', chr(10))}\n{arrows[place.direction]}" for place in places]
    table = _table("component", headers)
    for name in summaries.nonzero([place.components for place in places]):
        table.add_row(name, *[numbers.micros(place.components.get(name)) for place in places])
    table.add_section()
    table.add_row(Text("sum", style="dim"), *[numbers.micros(sum(place.components.values())) for place in places])
    return table


def _print_probes(profile: Profile, console: Console) -> None:
    probes = profile.probes
    hits, dropped = sum(probe.hits for probe in probes), sum(probe.dropped for probe in probes)
    bad = summaries.probe_problems(profile)
    console.print(f"\nProbes: {len(probes) - len(bad)} of {len(probes)} ok, {hits:,} hits, {dropped:,} dropped")
    if not bad:
        return
    table = _table("probe", ["hits", "dropped", "status"])
    for probe in probes:
        status = summaries.probe_status(probe)
        name = printable(f"{probe.program}/{probe.name}")
        style = "" if status == "ok" else _BAD
        table.add_row(
            Text(name, style=style),
            f"{probe.hits:,}",
            f"{probe.dropped:,}",
            Text(printable(status), style),
        )
    console.print(table)


def _print_problems(profile: Profile, console: Console) -> None:
    problems = summaries.problems(profile)
    if not problems:
        console.print("No errors, no warnings.")
        return
    console.print()
    for kind, text in problems:
        line = Text(f"{kind}: ", style=_BAD if kind == "error" else "yellow")
        console.print(line.append(printable(text), style="not bold default"), soft_wrap=not console.is_terminal)
