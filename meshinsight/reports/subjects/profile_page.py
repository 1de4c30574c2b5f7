"""A profile as a page: the answer, what to do about it, how far to trust it, then all figures. Pure: no I/O.

A prediction and validations that rest on the profile come before its own figures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from meshinsight import numbers
from meshinsight.reports.glossary import TERMS
from meshinsight.reports.page import Page, part
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects import (
    alternatives,
    graph_view,
    profile_figures,
    profile_summary,
    summaries,
    trust,
    validation_view,
)
from meshinsight.reports.subjects import profile as everything
from meshinsight.reports.subjects.graph_view import Predicted
from meshinsight.reports.subjects.validation_document import ValidationDocument
from profiler.profile import bounds
from profiler.profile.types import Cell, CpuComponent, LatencyComponent, Profile
from profiler.vocabulary.components import DESCRIPTIONS

_FOR_AN_APPLICATION: Final = "meshinsight predict PROFILE GRAPH predicts the cost of a whole application's call graph."
_LATENCY: Final = (
    "Each bar is what the sidecars add to the median exchange, split into components. The diamond is the overhead "
    "measured end to end; its distance from the end of the bar is what the split misses. Parts below zero are drawn to "
    "the left of the line. The figures next to a bar are the sum of its parts and the measured overhead."
)
_CPU: Final = (
    "The same components in processor time, counted by eBPF and, independently, sampled by perf, which is shown where "
    "it adds up. The diamond is the difference of all busy time with and without sidecars, measured without probes."
)
_PLACES: Final = (
    "The same latency by the process that held the message and by the direction of the message. Where a topology has "
    "two sidecars, both are shown."
)
_TRUST: Final = (
    "Closure is the sum of the components against the overhead measured without probes; its bound is ±{closure}. The "
    "probes' changes have bounds, too. A figure that ends with ! is over its bound."
)


def page(
    profile: Profile,
    title: str | None = None,
    predicted: Predicted | None = None,
    validations: Sequence[ValidationDocument] = (),
) -> Page:
    """The page. `title` replaces the one made from the proxies' names."""
    parts = list(graph_view.parts(predicted)) if predicted else []
    if validations:
        parts.append(validation_view.part_of(validations))
    ended = "The run ended early: cells are missing or rest on fewer rounds than asked for."
    return Page(
        title or _title(profile, predicted),
        [*parts, *_parts(profile, alone=predicted is None)],
        list(_facts(profile)),
        "" if profile.status == "complete" else ended,
        TERMS,
    )


def _title(profile: Profile, predicted: Predicted | None) -> str:
    if predicted:
        return f"What sidecars would cost {graph_view.graph_name(predicted.found)}"
    names = " and ".join(f"{name} {proxy.version}" for name, proxy in profile.proxies.items())
    return f"What the sidecars cost: {names}" if names else "What the sidecars cost"


def _facts(profile: Profile) -> Iterator[tuple[str, str]]:
    """What a figure is quoted with."""
    yield "Measured", profile.created.replace("T", " ").replace("Z", " UTC")
    yield "Machine", summaries.machine_text(profile.environment)
    yield "Proxy", summaries.proxy_text(profile.proxies)
    if load := summaries.shared_workload(profile.cells):
        yield "Load", load
    yield "Profile", f"{profile.run_id}, {profile.status}, of MeshInsight {profile.meshinsight_version}"


def _parts(profile: Profile, alone: bool) -> Iterator[Report]:
    cells = profile.cells
    yield part("The answer" if alone else "The profile behind it: one hop, as measured", *_answer(cells))
    if cells:
        yield part(
            "What to do about it" if alone else "What to do about one hop",
            alternatives.section(cells),
            Section("", lines=[_FOR_AN_APPLICATION, graph_view.ADVICE]),
        )
    yield part("How far to trust it" if alone else "How far to trust the profile", *_trust(profile))
    with_latency = [cell for cell in cells if cell.latency is not None]
    if with_latency:
        yield part(
            "Latency: where the added time goes",
            Section("", about=_LATENCY, figures=lambda: profile_figures.latency(cells)),
        )
    if any(cell.cpu is not None for cell in cells):
        yield part(
            "CPU: where the added work goes", Section("", about=_CPU, figures=lambda: profile_figures.cpu(cells))
        )
    if any(cell.latency is not None and cell.latency.by_place for cell in cells):
        yield part(
            "Place and direction",
            Section("", about=_PLACES, figures=lambda: profile_figures.places(cells)),
        )
    tables = [table for table in everything.report(profile).sections if table.title]
    yield part("All tables", *(replace(table, folded=True) for table in tables))
    yield part("How it was measured", *_measured(profile))


def _answer(cells: Sequence[Cell]) -> Iterator[Section]:
    for sentence in profile_summary.answer(cells) or ["No cell was measured."]:
        yield Section("", about=sentence)
    if quoted := [cell for group in profile_summary.quoted(cells) for cell in group]:
        yield profile_summary.table(quoted)
    if len(quoted) < len(cells):
        yield replace(profile_summary.table(cells), title=f"All {numbers.plural(len(cells), 'cell')}", folded=True)


def _trust(profile: Profile) -> Iterator[Section]:
    cells = profile.cells
    yield Section("", lines=[*trust.lines(profile), f"{summaries.interval_text(cells)}." if cells else "No cell."])
    problems = trust.problem_groups(profile)
    yield Section("Problems", lines=problems or ["No errors and no warnings."])
    yield Section(
        "Anchor",
        about="One cell was measured again all through the run to see the machine itself change: "
        f"{summaries.anchor_text(profile.anchor)}.",
        figures=lambda: profile_figures.anchor(profile.anchor),
    )
    if cells:
        yield _by_cell(cells)
    all_problems = [f"{kind}: {text}" for kind, text in summaries.problems(profile)]
    if len(all_problems) > len(problems):
        yield Section("Every error and warning", lines=all_problems, folded=True)


def _marked(text: str, good: bool) -> str:
    return text if good else f"{text} !"


def _by_cell(cells: Sequence[Cell]) -> Section:
    labels = summaries.cell_labels(cells)
    columns = (
        "cell", "closure,\nlatency", "closure,\nCPU", "probes change\nlatency", "throughput", "proxy CPU",
        "exchanges\nsampled", "dropped", "lost", "CPU\nstolen", "CPU\npressure",
    )  # fmt: skip
    rows = [(labels[cell.id], *_trust_figures(cell)) for cell in cells]
    about = _TRUST.format(closure=numbers.percent(bounds.CLOSURE_RATIO))
    return Section("Closure, probes, exchanges and noise of each cell", columns, rows, about=about, folded=True)


def _trust_figures(cell: Cell) -> Iterator[str]:
    for residual in (summaries.closure(cell, "latency"), summaries.closure(cell, "cpu")):
        yield _marked(numbers.signed_percent(residual, 1), bounds.closes(residual))
    changed = cell.perturbation
    yield _marked(numbers.change_percent(changed.latency_ratio), bounds.latency_undisturbed(cell))
    yield _marked(numbers.change_percent(changed.throughput_ratio), bounds.throughput_undisturbed(cell))
    yield numbers.change_percent(changed.proxy_cpu_ratio)
    yield from map(numbers.count, summaries.exchanges(cell.latency) if cell.latency else (None, None, None))
    yield numbers.percent(cell.noise.steal_ratio, 1)
    yield numbers.percent(cell.noise.psi_cpu_some_ratio, 1)


def _measured(profile: Profile) -> Iterator[Section]:
    names = " ".join(f"{name} {proxy.version}" for name, proxy in profile.proxies.items())
    yield Section("Quote as", about=_quote(profile, names))
    rows = [("command", " ".join(profile.command))]
    rows += [(role.replace("_", " "), f"{item.name} {item.version or ''}") for role, item in profile.workload.items()]
    yield Section("Programs", ("what", "which"), rows, left=(0, 1))
    if profile.cells:
        yield _loads(profile.cells)
    if components := list(_components(profile.cells)):
        columns = ("component", "what it is", "where the figures come from")
        yield Section("Components and their sources", columns, components, left=(0, 1, 2), folded=True)
    yield Section("All that was recorded", ("what", "value"), list(_recorded(profile)), left=(0, 1), folded=True)


def _quote(profile: Profile, proxies: str) -> str:
    machine = summaries.machine_text(profile.environment)
    return (
        f"MeshInsight {profile.meshinsight_version}, profile {profile.run_id}, measured {profile.created[:10]} with "
        f"{proxies or 'an unknown proxy'} on {machine}. Quote a figure with its 95 % interval."
    )


def _loads(cells: Sequence[Cell]) -> Section:
    labels = summaries.cell_labels(cells)
    rows = [
        (
            labels[cell.id],
            summaries.load_text(cell),
            numbers.count(cell.connections),
            numbers.size(cell.request_bytes),
            numbers.size(cell.response_bytes),
            _marked(numbers.rate(cell.achieved_rps), bounds.rate_reached(cell)),
            numbers.rate(cell.baseline_achieved_rps),
            str(cell.rounds),
        )
        for cell in cells
    ]
    columns = ("cell", "load", "connections", "request", "response", "requests/s with", "requests/s without", "rounds")
    return Section("Load: offered and achieved", columns, rows, left=(0, 1), folded=True)


def _components(cells: Sequence[Cell]) -> Iterator[tuple[str, str, str]]:
    """Every component of the profile with its description and where its figures come from."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        parts: list[tuple[str, LatencyComponent | CpuComponent]] = []
        parts += cell.latency.components.items() if cell.latency else ()
        parts += cell.cpu.components.items() if cell.cpu else ()
        for name, item in parts:
            sources = found.setdefault(name, [])
            if item.source not in sources:
                sources.append(item.source)
    for name in summaries.ordered(found):
        yield name, _description(name), "; ".join(found[name])


def _description(name: str) -> str:
    if name.startswith("filter:"):
        kind, _, part_ = name.removeprefix("filter:").partition(".")
        what = {"wait": "waiting for the server that it asks", "server": "CPU of the server that it asks"}.get(part_)
        return f"the configured filter {kind}" + (f": {what}" if what else "")
    return DESCRIPTIONS.get(name, "")


def _recorded(profile: Profile) -> Iterator[tuple[str, str]]:
    proxies: dict[str, dict[str, Any]] = msgspec.to_builtins(profile.proxies)
    for key, value in profile.environment.items():
        yield key, _text(value)
    for name, proxy in proxies.items():
        yield from ((f"{name} {key}", _text(value)) for key, value in proxy.items() if value is not None)
    yield from ((f"setting {key}", _text(value)) for key, value in profile.settings.items())
    yield from profile.files.items()


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
