"""A profile on one screen: the answer as a sentence, one table, and how far to trust it. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects import profile_rows, summaries, trust
from profiler.profile import bounds
from profiler.profile.document import plain
from profiler.profile.types import Cell, Cpu, Latency, Profile
from profiler.text import printable
from profiler.vocabulary.hop import NONE
from profiler.vocabulary.protocols import TCP

FEW: Final = 3
"""So many lines of problems are shown."""

_MICROS: Final = 1e-3
_COLUMNS: Final = ("cell", "p50, µs", "p99, µs", "vCPU/1000 rps", "parts of latency")
_MARK: Final = " !"
_MORE: Final = "All tables: show with --full. Charts: meshinsight report."


def report(profile: Profile) -> Report:
    """What is shown of a profile unless all is asked for."""
    sentences = answer(profile.cells) or ["No cell was measured."]
    return Report(
        sentences[0],
        [Section("", lines=[*sentences[1:], _run_text(profile)]), table(profile.cells)],
        [("", [*trust.lines(profile), *_problems(profile), _MORE])],
        document=lambda: plain(profile),
        rows=partial(profile_rows.rows, profile),
        columns=profile_rows.COLUMNS,
    )


def answer(cells: Sequence[Cell]) -> list[str]:
    """A sentence per protocol."""
    return [summaries.headline(group) for group in quoted(cells)]


def quoted(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Per protocol the cells that people quote; HTTP first, which most people run."""
    return sorted(summaries.representatives(cells), key=lambda group: group[0].protocol == TCP)


def _run_text(profile: Profile) -> str:
    """What was measured, where and when, in one sentence."""
    proxies = " and ".join(f"{name} {printable(proxy.version)}" for name, proxy in profile.proxies.items())
    parts = [proxies, summaries.shared_workload(profile.cells), _machine(profile.environment)]
    known = "; ".join(part for part in parts if part)
    return f"Profile {profile.run_id}, {profile.created[:10]}, {profile.status}: {known}."


def _machine(environment: Mapping[str, object]) -> str:
    cpus, model = environment.get("cpus"), environment.get("cpu_model")
    count = numbers.plural(cpus, "CPU") if isinstance(cpus, int) else ""
    return f"{count} ({printable(str(model))})" if model else count


def table(cells: Sequence[Cell]) -> Section:
    """What the sidecars add in each cell, with what to trust of it."""
    labels = summaries.cell_labels(cells)
    title = "Added by the sidecars, ± half of the 95 % interval"
    rows = [_row(cell, labels[cell.id]) for cell in cells]
    return Section(title, _COLUMNS, rows, lines=_legend(cells), left=(0, len(_COLUMNS) - 1))


def _row(cell: Cell, label: str) -> tuple[str, ...]:
    return label, *_latency_figures(cell.latency), _vcpus(cell.cpu), _largest(cell)


def _latency_figures(latency: Latency | None) -> tuple[str, str]:
    if latency is None:
        return numbers.UNKNOWN, numbers.UNKNOWN
    p99 = numbers.plus_minus(latency.overhead_p99_ns, latency.overhead_p99_ci95_ns, _MICROS)
    tail = "" if trust.p99_rests_on_enough(latency) else _MARK
    return numbers.plus_minus(latency.overhead_p50_ns, latency.overhead_ci95_ns, _MICROS), p99 + tail


def _vcpus(cpu: Cpu | None) -> str:
    if cpu is None:
        return numbers.UNKNOWN
    return numbers.plus_minus(cpu.overhead_ns, cpu.overhead_ci95_ns, summaries.VCPU_PER_1000_RPS)


def _largest(cell: Cell) -> str:
    if cell.latency is None or cell.topology == NONE:
        return numbers.UNKNOWN
    parts = ", ".join(f"{name} {numbers.percent(share)}" for name, share in summaries.leading(cell.latency))
    return parts + ("" if _components_hold(cell) else _MARK)


def _components_hold(cell: Cell) -> bool:
    return bounds.closes(summaries.closure(cell, "latency"))


def _legend(cells: Sequence[Cell]) -> list[str]:
    """What the marks in the table mean."""
    meanings = []
    if any(cell.latency and not trust.p99_rests_on_enough(cell.latency) for cell in cells):
        meanings.append(f"p99 rests on fewer than {trust.FEWEST_ABOVE_P99} requests (use a longer --duration)")
    if any(cell.latency and not _components_hold(cell) for cell in cells):
        meanings.append("parts miss the total")
    return [f"! not quotable: {', '.join(meanings)}"] if meanings else []


def _problems(profile: Profile) -> list[str]:
    found = trust.problem_groups(profile)
    further = len(found) - FEW
    return [*found[:FEW], f"{numbers.plural(further, 'more kind')} of problems: --full"] if further > 0 else found
