"""Charts as plain values: what they show, their names for people who do not see them, and their data. Pure: no I/O.

A subject puts them into its sections. A format that draws has a drawing for each kind; the others show the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from meshinsight import numbers
from meshinsight.graph_drawing.drawing import HEAT_STEPS, Drawing
from meshinsight.reports.report import INTERVAL, Section

MEASURED_TOTAL: Final = "measured overhead with its 95 % interval"
PREDICTED_TOTAL: Final = "predicted overhead with its 95 % interval"


@dataclass(frozen=True, slots=True)
class Bar:
    """One stacked bar: its parts, and the total (with a 95 % interval) that they should add up to, in one unit.

    Bars of one group stand under its name; those of the group "" under none. `figures` is what is written behind the
    bar in place of the sum of its parts and the total.
    """

    group: str
    label: str
    parts: Mapping[str, float]
    total: float | None = None
    interval: tuple[float, float] | None = None
    figures: str | None = None

    @property
    def name(self) -> str:
        """Group and label."""
        return f"{self.group} {self.label}".strip()


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes: bars under a title. With a separate axis label it has a separate scale, too."""

    bars: Sequence[Bar]
    title: str = ""
    axis_label: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot over time: seconds and µs."""

    label: str
    at_s: Sequence[float]
    values: Sequence[float]
    colour: str
    marker: Literal["o", "s"] = "o"


@dataclass(frozen=True, slots=True)
class Point:
    """A figure predicted and measured, each with its 95 % interval, in one unit."""

    label: str
    measured: float
    measured_interval: tuple[float, float]
    predicted: float
    predicted_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bars:
    """Horizontal stacked bars by component, panels next to each other: with `axis_label` on one scale.

    `name` is unique within a page, `components` are those of all bars in their order, and `total` names what the
    diamonds are.
    """

    name: str
    title: str
    panels: Sequence[Panel]
    components: Sequence[str]
    axis_label: str = ""
    total: str = MEASURED_TOTAL

    @property
    def description(self) -> str:
        """What the chart shows, in words."""
        count = numbers.plural(len(self._bars()), "bar")
        units = self.axis_label or "; ".join(f"{panel.title}: {panel.axis_label}" for panel in self.panels)
        longest = max(self._bars(), key=lambda bar: sum(bar.parts.values()))
        return (
            f"{count} of stacked components, {units}. The longest is {longest.name}, "
            f"{numbers.significant(sum(longest.parts.values()))}."
        )

    def table(self) -> Section:
        """The data, one row per bar."""
        several = len(self.panels) > 1
        names = self.components
        columns = ["bar", *names, "sum", "total", INTERVAL]
        rows = [
            [
                f"{panel.title}: {bar.name}" if several else bar.name,
                *(_value(bar.parts.get(name)) for name in names),
                numbers.significant(sum(bar.parts.values())),
                _value(bar.total),
                _interval(bar.interval),
            ]
            for panel in self.panels
            for bar in panel.bars
        ]
        return Section(f"Data: {self.title}", columns, rows)

    def _bars(self) -> list[Bar]:
        return [bar for panel in self.panels for bar in panel.bars]


@dataclass(frozen=True, slots=True)
class OverTime:
    """Measurements against the time of the run, each line labelled at its end."""

    name: str
    title: str
    lines: Sequence[Line]
    axis_label: str

    @property
    def description(self) -> str:
        """What the chart shows, in words."""
        ranges = "; ".join(
            f"{line.label}: {numbers.significant(min(line.values))} to {numbers.significant(max(line.values))}"
            for line in self.lines
        )
        return f"{self.axis_label} over the seconds of the run. {ranges}."

    def table(self) -> Section:
        """The data, one row per measurement."""
        rows = [
            [line.label, f"{at_s:.0f}", numbers.significant(value)]
            for line in self.lines
            for at_s, value in zip(line.at_s, line.values, strict=True)
        ]
        return Section(f"Data: {self.title}", ["line", "seconds into the run", self.axis_label], rows)


@dataclass(frozen=True, slots=True)
class Scatter:
    """Predicted against measured, by panel: the label of its axes, and its points."""

    name: str
    title: str
    panels: Mapping[str, Sequence[Point]]

    @property
    def description(self) -> str:
        """What the chart shows, in words."""
        count = max(map(len, self.panels.values()))
        return (
            f"{numbers.plural(count, 'point')} per panel ({'; '.join(self.panels)}) against the line on which "
            "prediction and measurement agree."
        )

    def table(self) -> Section:
        """The data, one row per point and panel."""
        rows = [
            [
                f"{point.label}, {label}",
                numbers.significant(point.predicted),
                _interval(point.predicted_interval),
                numbers.significant(point.measured),
                _interval(point.measured_interval),
            ]
            for label, points in self.panels.items()
            for point in points
        ]
        return Section(f"Data: {self.title}", ["point", "predicted", INTERVAL, "measured", INTERVAL], rows)


@dataclass(frozen=True, slots=True)
class Graph:
    """A drawn call graph."""

    name: str
    title: str
    drawing: Drawing
    description: str

    @property
    def thickest(self) -> str:
        """What the thickest line is."""
        return f"{numbers.vcpus(self.drawing.thickest_vcpu)} vCPU"

    @property
    def heats(self) -> list[tuple[int, str]]:
        """The classes of colour up to the highest that is drawn, from the lowest, with their ranges."""
        used = {edge.heat for edge in self.drawing.edges}
        step = self.drawing.heat_step_ns / 1000
        ranges = [(heat, f"{step * (heat - 1):,.10g} to {step * heat:,.10g} µs") for heat in range(1, HEAT_STEPS + 1)]
        known = [(heat, text) for heat, text in ranges if heat <= max(used)] if step > 0 else []
        return known + [(0, "nobody waits for it")] * (0 in used)

    def table(self) -> Section:
        """The data, one row per call: its tooltip."""
        rows = [[edge.id, "; ".join(edge.tooltip.split("\n")[1:])] for edge in self.drawing.edges]
        return Section(f"Data: {self.title}", ["call", "figures"], rows, left=(0, 1))


@dataclass(frozen=True, slots=True)
class Change:
    """A difference with its 95 % interval, if known, and its verdict."""

    label: str
    value: float
    interval: tuple[float, float] | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences against zero, one row each; panels by the label of their axis, next to each other."""

    name: str
    title: str
    panels: Mapping[str, Sequence[Change]]

    @property
    def rows(self) -> list[str]:
        """The labels of all panels, in order."""
        return list(dict.fromkeys(change.label for changes in self.panels.values() for change in changes))

    @property
    def description(self) -> str:
        """What the chart shows, in words."""
        found = [
            f"{axis}: {change.label} {numbers.points(change.value)}, {change.verdict}"
            for axis, changes in self.panels.items()
            for change in changes
            if change.verdict in ("better", "worse")
        ]
        count = numbers.plural(len(self.rows), "row")
        return f"{count} of differences with 95 % intervals. {'; '.join(found) or 'None is better or worse'}."

    def table(self) -> Section:
        """The data, one row per difference."""
        rows = [
            [f"{change.label}, {axis}", numbers.points(change.value), _interval(change.interval), change.verdict]
            for axis, changes in self.panels.items()
            for change in changes
        ]
        return Section(f"Data: {self.title}", ["row", "change", INTERVAL, "verdict"], rows, left=(0, 3))


@dataclass(frozen=True, slots=True)
class Measurement:
    """A figure of one profile: seconds since 1970, the value, and its 95 % interval if known."""

    at_s: float
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Level:
    """What figures were on average from one change to the next, by the numbers of the first and the last."""

    first: int
    last: int
    value: float


@dataclass(frozen=True, slots=True)
class Course:
    """A figure over the profiles of a folder: its measurements in their order, and its levels."""

    title: str
    axis_label: str
    measurements: Sequence[Measurement]
    levels: Sequence[Level]

    def level_of(self, number: int) -> float:
        """The level that a measurement is part of."""
        return next(level.value for level in self.levels if level.first <= number <= level.last)


@dataclass(frozen=True, slots=True)
class History:
    """Figures over dates, below each other."""

    name: str
    title: str
    courses: Sequence[Course]

    @property
    def description(self) -> str:
        """What the chart shows, in words."""
        return "; ".join(
            f"{course.title}, {course.axis_label}: "
            + ", then ".join(
                f"{numbers.significant(level.value)} from {_date(course.measurements[level.first].at_s)}"
                for level in course.levels
            )
            for course in self.courses
        )

    def table(self) -> Section:
        """The data, one row per measurement."""
        rows = [
            [
                f"{course.title}, {_date(one.at_s)}",
                numbers.significant(one.value),
                _interval(one.interval),
                numbers.significant(course.level_of(number)),
            ]
            for course in self.courses
            for number, one in enumerate(course.measurements)
        ]
        return Section(f"Data: {self.title}", ["profile", "figure", INTERVAL, "level"], rows)


def _date(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")


def _value(value: float | None) -> str:
    return numbers.UNKNOWN if value is None else numbers.significant(value)


def _interval(interval: tuple[float, float] | None) -> str:
    return numbers.UNKNOWN if interval is None else " … ".join(map(numbers.significant, interval))


Figure = Bars | OverTime | Scatter | Graph | Changes | History
