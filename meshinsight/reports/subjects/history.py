"""What is shown of profiles over time: where figures changed, what else did, and the levels now. Pure.

CSV has one row per profile and figure.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from meshinsight import numbers
from meshinsight.reports.figures import Course as Drawn
from meshinsight.reports.figures import History, Level, Measurement
from meshinsight.reports.report import Report, Section
from profiler.attribution.intervals import TWO_RUNS, Z95
from profiler.comparison.change_points import FEWEST, SHORTEST, ChangePoint
from profiler.comparison.compare import ALPHA
from profiler.comparison.figures import CPU, TOTAL, TOTALS
from profiler.comparison.history import MEAN, Course, Machine, share_of, without_sidecars
from profiler.comparison.significance import Measured
from profiler.profile.machine import KIND
from profiler.text import some_of

FORMAT: Final = "meshinsight-history"
VERSION: Final = 1
SHOWN: Final = 12
"""So many rows of a table fit on a screen; CSV and JSON have all."""
DRAWN: Final = 8
"""So many figures fit below each other."""
COLUMNS: Final = (
    "machine", "profile", "created", "cell", "currency", "component", "statistic", "unit", "value", "ci95_low",
    "ci95_high", "level", "change",
)  # fmt: skip
_MEAN: Final = "mean over cells"
_CHANGES: Final = (
    "from", "profile", "cell", "figure", "before", "after", "change", "% of the\noverhead", "without\nsidecars",
)  # fmt: skip


def report(folder: str, machines: Sequence[Machine], left_out: Sequence[str]) -> Report:
    """What is shown of the history in a folder, the machine of the latest profile first."""
    several = len(machines) > 1
    sections, notes = [], []
    for number, machine in enumerate(machines):
        prefix = f"Machine {number + 1}: " if several else ""
        made = [
            _change_section(machine),
            *([_level_section(machine)] if number == 0 else []),
            _picture_section(machine, number),
        ]
        sections += [dataclasses.replace(section, title=section.title and prefix + section.title) for section in made]
        notes += [(f"{prefix}{title}", lines) for title, lines in _notes(machine)]
    count = sum(len(machine.runs) for machine in machines)
    machine_lines = [f"{number + 1}: {_machine_text(machine)}" for number, machine in enumerate(machines)]
    return Report(
        f"{numbers.plural(count, 'profile')} of {folder}"
        + (f" on {len(machines)} kinds of machine" if several else ""),
        sections,
        [
            ("Kinds of machine, whose figures cannot be compared", machine_lines if several else []),
            *notes,
            ("Left out", left_out),
            ("Change points", _METHOD),
        ],
        document=lambda: _document(folder, machines, left_out),
        rows=lambda: [row for number, machine in enumerate(machines, 1) for row in _rows(machine, number)],
        columns=COLUMNS,
    )


_METHOD: Final = (
    f"neither the scatter of the profiles nor their own intervals explain a change ({numbers.percent(ALPHA)}, "
    "Benjamini-Hochberg over all figures)",
    "±: half of the 95 % interval of the change",
    f"a level has {SHORTEST} profiles or more, so the last {SHORTEST - 1} cannot show a change yet",
    "without sidecars: what the machine itself changed at the same place",
)


def figure(machine: Machine, number: int = 0) -> History:
    """The means over cells, then the figures that changed most."""
    means = [course for course in machine.courses if course.cell == MEAN and course.key in TOTALS]
    changed = sorted(
        (course for course in machine.courses if course.changes and course not in means),
        key=lambda course: (course.cell != MEAN, -max(abs(share_of(course, point)) for point in course.changes)),
    )
    chosen = [*means, *changed][:DRAWN] or list(machine.courses[:DRAWN])
    return History(f"history-{number}", "Overhead over time", [_drawn(machine, course) for course in chosen])


def _picture_section(machine: Machine, number: int) -> Section:
    return Section("", figures=lambda: [figure(machine, number)])


def _drawn(machine: Machine, course: Course) -> Drawn:
    scale, unit = (100.0, "% of the mean overhead") if course.cell == MEAN else (1e-3, "µs")
    measurements = [
        Measurement(machine.runs[number].at.timestamp(), run.value * scale, _scaled(_interval(run), scale))
        for number, run in zip(course.numbers, course.runs, strict=True)
    ]
    levels = [Level(first, last, value * scale) for first, last, value in course.levels]
    return Drawn(f"{_cell(machine, course)}: {_name(course)}", unit, measurements, levels)


def _change_section(machine: Machine) -> Section:
    """Means over cells first."""
    found = sorted(machine.changed, key=lambda pair: pair[0].cell != MEAN)
    rows = [_change_row(machine, course, point) for course, point in found[:SHOWN]]
    counted = numbers.plural(len(found), "change point")
    if not found and len(machine.runs) < FEWEST:
        lines = [f"{FEWEST} profiles are needed; there are {len(machine.runs)}"]
    else:
        lines = [f"{len(found) - SHOWN} further: see -o csv"] if len(found) > SHOWN else []
    return Section("Change points", _CHANGES, rows, detail=f" ({counted})", lines=lines, left=(0, 1, 2, 3))


def _level_section(machine: Machine) -> Section:
    totals = [course for course in machine.courses if course.key in TOTALS]
    further = len(totals) - SHOWN
    return Section(
        "Overhead now",
        ("cell", "figure", "profiles", "level", "since", "level before"),
        [_level_row(machine, course) for course in totals[:SHOWN]],
        lines=[f"{further} further: see -o csv"] if further > 0 else [],
        left=(0, 1, 4),
    )


def _change_row(machine: Machine, course: Course, point: ChangePoint) -> tuple[str, ...]:
    run = machine.runs[course.numbers[point.at]]
    half = f" ± {_text(course, point.difference.half or 0.0)}"
    return (
        _date(run.at),
        run.name,
        _cell(machine, course),
        _name(course),
        _text(course, point.before),
        _text(course, point.after),
        f"{'+' if point.difference.value > 0 else ''}{_text(course, point.difference.value)}{half}",
        numbers.points(share_of(course, point) * 100),
        numbers.change_percent(without_sidecars(machine, course, point)),
    )


def _cell(machine: Machine, course: Course) -> str:
    """The cell as tables of the latest profile that has it name it."""
    return machine.runs[course.numbers[-1]].labels.get(course.cell, course.cell) or _MEAN


def _level_row(machine: Machine, course: Course) -> tuple[str, ...]:
    *_, last = levels = course.levels
    before = _text(course, levels[-2][2]) if len(levels) > 1 else numbers.UNKNOWN
    since = _date(machine.runs[course.numbers[last[0]]].at)
    return _cell(machine, course), _name(course), str(len(course.runs)), _text(course, last[2]), since, before


def _notes(machine: Machine) -> Iterator[tuple[str, Sequence[str]]]:
    """What else differs where figures changed."""
    starts = dict.fromkeys(course.numbers[point.at] for course, point in machine.changed)
    lines = []
    for number in starts:
        run = machine.runs[number]
        differing = [str(change) for change in machine.differences(number)]
        lines.append(f"{_date(run.at)}, {run.name}: {some_of(differing, 6) or 'nothing that profiles record'}")
    yield "What else changed there", lines[:SHOWN]
    ids = {run.profile.environment.get("machine_id_hash") for run in machine.runs} - {None}
    if len(ids) > 1:
        yield "Machines", [f"{len(ids)} machines of one kind: their differences are in the scatter"]


def _machine_text(machine: Machine) -> str:
    environment = machine.runs[0].profile.environment
    kind = ", ".join(f"{title} {environment.get(name) or 'unknown'}" for name, title in KIND.items())
    return f"{numbers.plural(len(machine.runs), 'profile')}: {kind}"


def _name(course: Course) -> str:
    statistic = "" if course.key.currency == CPU else f" {course.key.statistic}"
    unit = ", %" if course.cell == MEAN else ", µs"
    component = "overhead" if course.key.component == TOTAL else course.key.component
    return f"{course.key.currency} {component}{statistic}{unit}"


def _text(course: Course, value: float) -> str:
    return f"{value * 100:.1f}" if course.cell == MEAN else numbers.micros(value)


def _date(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _interval(run: Measured) -> tuple[float, float]:
    """That of the estimate of another run, as everywhere."""
    half = Z95 * TWO_RUNS * sum(error.variance for error in run.all_errors()) ** 0.5
    return run.value - half, run.value + half


def _scaled(interval: tuple[float, float], factor: float) -> tuple[float, float]:
    return interval[0] * factor, interval[1] * factor


def _document(folder: str, machines: Sequence[Machine], left_out: Sequence[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "folder": folder,
        "false_discovery_rate": ALPHA,
        "left_out": list(left_out),
        "machines": [
            {
                "environment": {name: machine.runs[0].profile.environment.get(name) for name in KIND},
                "profiles": [
                    {"name": run.name, "created": run.at.isoformat(), "run_id": run.profile.run_id}
                    for run in machine.runs
                ],
                "courses": [_course(machine, course) for course in machine.courses],
            }
            for machine in machines
        ],
    }


def _course(machine: Machine, course: Course) -> dict[str, Any]:
    return {
        "cell": course.cell or _MEAN,
        "currency": course.key.currency,
        "component": course.key.component,
        "statistic": course.key.statistic,
        "unit": _unit(course),
        "profiles": list(course.numbers),
        "values": course.values,
        "ci95": [list(_interval(run)) for run in course.runs],
        "levels": [{"first": first, "last": last, "value": value} for first, last, value in course.levels],
        "changes": [
            {
                "profile": machine.runs[course.numbers[point.at]].name,
                "created": machine.runs[course.numbers[point.at]].at.isoformat(),
                "number": course.numbers[point.at],
                "number_ci95": [course.numbers[point.earliest], course.numbers[point.latest]],
                "before": point.before,
                "after": point.after,
                "difference": point.difference.value,
                "ci95": list(point.difference.interval or ()),
                "share_of_overhead": share_of(course, point),
                "without_sidecars_ratio": without_sidecars(machine, course, point),
            }
            for point in course.changes
        ],
    }


def _unit(course: Course) -> str:
    return "overhead" if course.cell == MEAN else "ns"


def _rows(machine: Machine, machine_number: int) -> Iterator[dict[str, Any]]:
    for course in machine.courses:
        starts = {point.at for point in course.changes}
        levels = {place: value for first, last, value in course.levels for place in range(first, last + 1)}
        for place, (number, run) in enumerate(zip(course.numbers, course.runs, strict=True)):
            low, high = _interval(run)
            yield {
                "machine": machine_number,
                "profile": machine.runs[number].name,
                "created": machine.runs[number].at.isoformat(),
                "cell": course.cell or _MEAN,
                "currency": course.key.currency,
                "component": course.key.component,
                "statistic": course.key.statistic,
                "unit": _unit(course),
                "value": run.value,
                "ci95_low": low,
                "ci95_high": high,
                "level": levels[place],
                "change": place in starts,
            }
