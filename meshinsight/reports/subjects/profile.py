"""All that is shown of a profile: every table, probe and problem. Pure: no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from meshinsight import numbers
from meshinsight.reports.report import INTERVAL, Report, Section
from meshinsight.reports.subjects import model, profile_rows, summaries, trust
from profiler.profile import bounds
from profiler.profile.document import plain
from profiler.profile.types import Cell, Coefficient, Cpu, HandOvers, Latency, Percentiles, Place, Profile
from profiler.text import printable
from profiler.vocabulary.components import REQUEST, RESPONSE, TLS

Labels = Mapping[str, str]
_MARK: Final = " !"
_ARROWS: Final = {REQUEST: "→", RESPONSE: "←"}


def report(profile: Profile) -> Report:
    """Every part of a profile: header, latency, components, CPU, places, probes, problems."""
    return Report(
        f"MeshInsight profile {profile.run_id}, {profile.status}, {profile.created}",
        list(_sections(profile)),
        [("Problems", [f"{kind}: {text}" for kind, text in summaries.problems(profile)] or ["none"])],
        document=lambda: plain(profile),
        rows=partial(profile_rows.rows, profile),
        columns=profile_rows.COLUMNS,
    )


def _sections(profile: Profile) -> Iterator[Section]:
    cells = profile.cells
    labels = summaries.cell_labels(cells)
    yield _header(profile)
    if not cells:
        yield Section("", lines=["No cell was measured."])
    yield _latency(cells, labels)
    yield _tail(cells, labels)
    yield _hand_overs(cells, labels)
    yield from _components(cells, labels)
    yield _cpu_totals(cells, labels)
    yield from _cpu(cells, labels)
    yield _user_splits(cells, labels)
    yield _added(cells, labels)
    yield _memory(cells, labels)
    yield _coefficients(profile.coefficients)
    yield model.errors_section(profile.model_error)
    yield from _places(cells, labels)
    yield _probes(profile)


def _header(profile: Profile) -> Section:
    lines = {
        "Machine": summaries.machine_text(profile.environment),
        "Proxy": summaries.proxy_text(profile.proxies),
        "Noise": summaries.noise_text(profile.noise),
        "Anchor": summaries.anchor_text(profile.anchor),
        "Load": summaries.shared_workload(profile.cells) or "differs between the cells",
        "Problems": summaries.problem_count_text(profile),
        "Written by": f"meshinsight {printable(profile.meshinsight_version)}",
    }
    return Section("", lines=[f"{name}: {text}" for name, text in lines.items()])


def _marked(text: str, good: bool) -> str:
    """The text, marked when the figure is over its bound."""
    return text if good else f"{text}{_MARK}"


def _closure(residual: float | None) -> str:
    return _marked(numbers.signed_percent(residual, 1), bounds.closes(residual))


def _latency(cells: Sequence[Cell], labels: Labels) -> Section:
    columns = ("cell", "without", "with", "overhead", INTERVAL, "in %", "closure", "probes", "rate per s")
    rows = [
        (labels[cell.id], *_latency_numbers(cell), _marked(summaries.rate_text(cell), bounds.rate_reached(cell)))
        for cell in cells
    ]
    lines = [
        "closure: components against the measured overhead; probes: their effect; !: over its bound; "
        "max: as fast as answers come; paced: one request at a time at that rate",
        summaries.interval_text(cells),
    ]
    lines += [f"{labels[cell.id]}: {_missed_rate(cell)}" for cell in cells if not bounds.rate_reached(cell)]
    lines += [
        f"{labels[cell.id]}: {summaries.disturbance_text(cell)}" for cell in cells if not bounds.undisturbed(cell)
    ]
    return Section("Latency at the median, µs per exchange", columns, rows, lines=lines if cells else ())


def _missed_rate(cell: Cell) -> str:
    with_rps, without_rps = numbers.rate(cell.achieved_rps), numbers.rate(cell.baseline_achieved_rps)
    offered = numbers.rate(cell.rate_rps)
    return f"ERROR offered {offered} per s, achieved {with_rps} with and {without_rps} without sidecar"


def _latency_numbers(cell: Cell) -> list[str]:
    latency = cell.latency
    if latency is None:
        return [numbers.UNKNOWN] * 7
    return [
        numbers.micros(latency.baseline_p50_ns),
        numbers.micros(latency.with_p50_ns),
        numbers.micros(latency.overhead_p50_ns),
        numbers.micros_interval(latency.overhead_ci95_ns),
        numbers.signed_percent(summaries.latency_over_baseline(latency)),
        _closure(summaries.closure(cell, "latency")),
        _marked(numbers.change_percent(cell.perturbation.latency_ratio), bounds.undisturbed(cell)),
    ]


def _tail(cells: Sequence[Cell], labels: Labels) -> Section:
    """The 99th percentile of every cell; marked where it rests on few exchanges."""
    rows = [
        (
            labels[cell.id],
            numbers.micros(latency.baseline.p99_ns),
            numbers.micros(latency.with_sidecars.p99_ns),
            _marked(numbers.micros(latency.overhead_p99_ns), trust.p99_rests_on_enough(latency)),
            numbers.micros_interval(latency.overhead_p99_ci95_ns),
            *(_count(side) for side in (latency.baseline, latency.with_sidecars)),
        )
        for cell in cells
        if (latency := cell.latency) is not None
    ]
    columns = ("cell", "without", "with", "overhead", INTERVAL, "exchanges\nwithout", "exchanges\nwith")
    legend = f"!: fewer than {trust.FEWEST_ABOVE_P99} exchanges above the percentile; use a longer --duration"
    few = any(cell.latency and not trust.p99_rests_on_enough(cell.latency) for cell in cells)
    return Section("Latency at the 99th percentile, µs per exchange", columns, rows, lines=[legend] if few else ())


def _count(side: Percentiles) -> str:
    return numbers.count(side.count)


def _hand_overs(cells: Sequence[Cell], labels: Labels) -> Section:
    rows = []
    for cell in cells:
        latency = cell.latency
        if latency is None or latency.hand_overs is None or not latency.hand_overs.count:
            continue
        found = latency.hand_overs
        further = [None if count is None else count / found.count for count in (found.cores, found.caches)]
        sides = [text for side in (latency.baseline_hand_overs, found) for text in _hand_over_numbers(side)]
        rows.append((labels[cell.id], *sides, *(numbers.percent(share) for share in further)))
    columns = ("cell", "without", "crossed", "with", "crossed", "to another\ncore", "to another\ncache")
    return Section("Hand-overs between threads per exchange, and the share that crossed CPUs", columns, rows)


def _hand_over_numbers(found: HandOvers | None) -> tuple[str, str]:
    """How many, and the share that went to another CPU."""
    if found is None:
        return numbers.UNKNOWN, numbers.UNKNOWN
    return f"{found.count:.1f}", numbers.percent(found.share)


def _components(cells: Sequence[Cell], labels: Labels) -> Iterator[Section]:
    """One table per workload, its temperatures side by side; then the sources of each protocol."""
    for group in summaries.by_temperature([cell for cell in cells if cell.latency is not None]):
        yield _component_table(group, f"Components of latency, {summaries.group_name(group, labels)}, µs at the median")
    for protocol in dict.fromkeys(cell.protocol for cell in cells):
        sources = summaries.named_sources([cell for cell in cells if cell.protocol == protocol])
        if sources:
            yield Section("", lines=[f"{summaries.protocol_name(protocol)} from: {sources}"])


def _component_table(group: Sequence[Cell], title: str) -> Section:
    measured = [(cell, cell.latency) for cell in group if cell.latency is not None]
    columns = [f"{cell.temperature}\n{name}" for cell, _ in measured for name in ("µs", INTERVAL, "anchored", "share")]
    names = summaries.nonzero([summaries.medians_ns(latency) for _, latency in measured])
    rows = [(name, *(text for part in measured for text in _component_numbers(*part, name))) for name in names]
    return Section(title, ("component", *columns), [*rows, *_component_footer(measured)])


def _component_numbers(cell: Cell, latency: Latency, component: str) -> list[str]:
    part = latency.components.get(component)
    if part is None:
        return [numbers.UNKNOWN] * 4
    return [
        numbers.micros(part.median_ns),
        numbers.micros_interval(part.ci95_ns),
        numbers.micros(None if cell.anchor_factor is None else part.median_ns * cell.anchor_factor),
        numbers.percent(summaries.share(part.median_ns, summaries.medians_ns(latency).values())),
    ]


def _component_footer(group: Sequence[tuple[Cell, Latency]]) -> Iterator[tuple[str, ...]]:
    sums, measured, sampled = [], [], []
    for cell, latency in group:
        closure = _closure(summaries.closure(cell, "latency"))
        sums += [numbers.micros(sum(summaries.medians_ns(latency).values())), f"closure {closure}", "", ""]
        interval = numbers.micros_interval(latency.overhead_ci95_ns)
        anchored = numbers.micros(summaries.anchored_overhead_ns(cell))
        measured += [numbers.micros(latency.overhead_p50_ns), interval, anchored, ""]
        samples, dropped, lost = summaries.exchanges(latency)
        sampled += [numbers.count(samples), f"dropped {dropped:,}, lost {lost:,}", "", ""]
    yield "sum", *sums
    yield "measured", *measured
    yield "exchanges", *sampled


def _cpu_totals(cells: Sequence[Cell], labels: Labels) -> Section:
    """The CPU that sidecars add in every cell, in both units."""
    rows = [
        (
            labels[cell.id],
            numbers.micros(cpu.baseline_cpu_ns_per_request),
            numbers.micros(cpu.with_cpu_ns_per_request),
            numbers.micros(cpu.overhead_ns),
            numbers.micros_interval(cpu.overhead_ci95_ns),
            numbers.vcpus(cpu.overhead_ns * summaries.VCPU_PER_1000_RPS),
            numbers.span(cpu.overhead_ci95_ns, summaries.VCPU_PER_1000_RPS, 4),
            numbers.signed_percent(summaries.cpu_over_baseline(cpu)),
            _closure(summaries.closure(cell, "cpu")),
        )
        for cell in cells
        if (cpu := cell.cpu) is not None
    ]
    columns = ("cell", "without", "with", "overhead", INTERVAL, "vCPU per\n1000 rps", INTERVAL, "in %", "closure")
    lines = [] if rows else ["CPU: no cell has a CPU decomposition."] if cells else []
    return Section("CPU of the machine, µs per request", columns, rows, lines=lines)


def _cpu(cells: Sequence[Cell], labels: Labels) -> Iterator[Section]:
    for cell in cells:
        if cell.cpu is not None:
            yield _cpu_table(cell.cpu, f"CPU by component, {labels[cell.id]}, by two methods")


def _cpu_table(cpu: Cpu, title: str) -> Section:
    columns = (
        "component", "eBPF\nµs", INTERVAL, "share", "vCPU per\n1000 rps", "perf\nµs", "perf\nshare", "disagree\npoints",
    )  # fmt: skip
    sides = [cpu.components, cpu.perf_components]
    names = summaries.nonzero([{name: part.cpu_ns_per_request for name, part in side.items()} for side in sides])
    return Section(title, columns, [(name, *_cpu_numbers(cpu, name)) for name in names], lines=[_cpu_load(cpu)])


def _cpu_numbers(cpu: Cpu, name: str) -> list[str]:
    exact, sampled = cpu.components.get(name), cpu.perf_components.get(name)
    points = cpu.disagreement_points.get(name)
    share = exact.share if exact else None
    return [
        numbers.micros(exact.cpu_ns_per_request if exact else None),
        numbers.micros_interval(exact.ci95_ns if exact else None),
        numbers.percent(share),
        numbers.vcpus(exact.vcpu_per_1000_rps if exact else None),
        numbers.micros(sampled.cpu_ns_per_request if sampled else None),
        numbers.percent(sampled.share if sampled else None),
        _marked(numbers.points(points), bounds.agrees(share, points)),
    ]


def _cpu_load(cpu: Cpu) -> str:
    """At which rate CPU was measured, and how much perf saw."""
    achieved = numbers.rate(cpu.rate_rps if cpu.achieved_rps is None else cpu.achieved_rps)
    offered = "per s, as fast as answered" if cpu.rate_rps is None else f"of {numbers.rate(cpu.rate_rps)} per s"
    unresolved = numbers.percent(cpu.perf_unresolved_share, 1)
    return f"at {achieved} {offered}; perf: {numbers.count(cpu.perf_samples)} samples, {unresolved} unresolved"


def _user_splits(cells: Sequence[Cell], labels: Labels) -> Section:
    """User time of the proxies by source; the ladder is what the components above are made of."""
    splits = summaries.user_splits(cells)
    sources = [name for name in ("ladder", "eh_frame", "symbols") if any(name in split for _, split in splits)]
    rows = []
    for cell, split in splits:
        names = summaries.ordered({name for part in split.values() for name in part.cpu_ns_per_request})
        shares = [split[source].unresolved_share if source in split else None for source in sources[1:]]
        for number, name in enumerate(names):
            values = [split[source].cpu_ns_per_request.get(name) if source in split else None for source in sources]
            unresolved = [numbers.percent(share, 1) for share in shares] if number == 0 else ["" for _ in shares]
            label = labels[cell.id] if number == 0 else ""
            rows.append((label, name, *(numbers.micros(value) for value in values), *unresolved))
    columns = (
        "cell",
        "component",
        *(f"{name}\nµs" for name in sources),
        *(f"{name}\nunresolved" for name in sources[1:]),
    )
    legend = (
        "eh_frame and symbols leave functions that both rungs enter with the first; the ladder moves what they grow by"
    )
    title = "User time of the proxies by source, µs of CPU per request"
    return Section(title, columns, rows, lines=[legend] if rows else (), left=(0, 1))


def _added(cells: Sequence[Cell], labels: Labels) -> Section:
    rows, lines = [], []
    for cell, name, latency, cpu in summaries.added_costs(cells):
        intervals = [part.ci95_ns if part else None for part in (latency, cpu)]
        rows.append(
            (
                labels[cell.id],
                name,
                numbers.micros(latency.median_ns if latency else None),
                numbers.micros_interval(intervals[0]),
                numbers.micros(cpu.cpu_ns_per_request if cpu else None),
                numbers.micros_interval(intervals[1]),
            )
        )
        if not any(summaries.tells_from_zero(interval) for interval in intervals):
            lines.append(f"indistinguishable from zero: {name} ({labels[cell.id]})")
    for smallest, largest, cost_ns in summaries.record_costs(cells):
        cost = f"{cost_ns / 1000:.2f} µs of latency per KiB"
        lines.append(f"records, {labels[smallest.id]} to {labels[largest.id]}: {cost}")
    lines += [f"handshake, {labels[new.id]}: {_handshake_text(new, kept)}" for new, kept in summaries.handshakes(cells)]
    columns = ("cell", "component", "latency\nµs", INTERVAL, "CPU\nµs", INTERVAL)
    return Section("What TLS and filters add, µs per request", columns, rows, lines=lines, left=(0, 1))


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


def _memory(cells: Sequence[Cell], labels: Labels) -> Section:
    """Once per configuration: memory does not depend on the temperature."""
    rows: dict[str, tuple[str, str, str]] = {}
    for cell in cells:
        memory = cell.memory
        if memory and not cell.new_connections:
            name = summaries.group_name([cell], labels)
            per_connection = numbers.significant(memory.per_connection_bytes / (1 << 10))
            rows.setdefault(name, (name, numbers.significant(memory.rss_bytes / (1 << 20)), per_connection))
    columns = ("configuration", "RSS, all proxies\nMiB", "per connection\nKiB")
    return Section("Memory of the proxies", columns, list(rows.values()))


def _coefficients(coefficients: Sequence[Coefficient]) -> Section:
    """Only where there is more than a base to show."""
    several = {(entry.configuration, entry.currency) for entry in coefficients if entry.term != "base"}
    rows = [model.coefficient_row(entry) for entry in coefficients if (entry.configuration, entry.currency) in several]
    return Section(model.COEFFICIENTS_TITLE, model.COEFFICIENTS_COLUMNS, rows, left=model.COEFFICIENTS_LEFT)


def _places(cells: Sequence[Cell], labels: Labels) -> Iterator[Section]:
    for cell in cells:
        if cell.latency is not None and cell.latency.by_place:
            title = f"Latency by place, {labels[cell.id]}, µs at the median (→ request, ← response)"
            yield _place_table(cell.latency.by_place, title)


def _place_table(places: Sequence[Place], title: str) -> Section:
    columns = [f"{place.place.replace('_', chr(10))}\n{_ARROWS[place.direction]}" for place in places]
    names = summaries.nonzero([place.components for place in places])
    rows = [(name, *(numbers.micros(place.components.get(name)) for place in places)) for name in names]
    sums = "sum", *(numbers.micros(sum(place.components.values())) for place in places)
    return Section(title, ("component", *columns), [*rows, sums])


def _probes(profile: Profile) -> Section:
    probes = profile.probes
    hits, dropped = sum(probe.hits for probe in probes), sum(probe.dropped for probe in probes)
    bad = summaries.probe_problems(profile)
    rows = [
        (f"{probe.program}/{probe.name}", f"{probe.hits:,}", f"{probe.dropped:,}", summaries.probe_status(probe))
        for probe in probes
    ]
    detail = f": {len(probes) - len(bad)} of {len(probes)} ok, {hits:,} hits, {dropped:,} dropped"
    return Section("Probes", ("probe", "hits", "dropped", "status"), rows if bad else (), detail, left=(0, 3))
