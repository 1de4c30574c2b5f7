"""The report's charts as inline SVG, drawn with matplotlib.

Each chart is a string that starts with `<svg` and stands alone: no fonts, scripts or style sheets from outside, text
as text, colours of text and lines left to the page (so that they follow light and dark). The same data give the same
bytes. matplotlib is imported here and nowhere else; import this module only to draw.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from datetime import UTC
from html import escape
from typing import Any, Final, Literal

from meshinsight.reports.figures import (
    Bar,
    Bars,
    Change,
    Changes,
    Course,
    Figure,
    Graph,
    History,
    OverTime,
    Panel,
    Point,
    Scatter,
)
from meshinsight.reports.renderers import palette
from profiler.host.working_directory import away_from_working_directory

with away_from_working_directory():  # a file `matplotlibrc` there would change the drawing, and name code to load
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

_INK: Final = "#010203"
_PAPER: Final = "#fdfeff"
_PAGE_COLOURS: Final = {_INK: "currentColor", _PAPER: "var(--paper, #fff)"}
"""Marker colours of the drawing and what they become in the page. Black will not do: matplotlib leaves it out."""

_WIDTH_INCHES: Final = 9.6
_CHARACTER_INCHES: Final = 0.082
_FIGURES_INCHES: Final = 1.3
_MARGIN_CHARACTERS: Final = 24
_BAR_INCHES: Final = 0.29
_FRAME_INCHES: Final = 0.62
_ROW_INCHES: Final = 0.24
_COURSE_INCHES: Final = 1.75
_SECONDS_PER_DAY: Final = 86_400.0
_LABEL_FROM_SHARE: Final = 0.06
"""Parts narrower than this share of the scale stay without a figure: it would not fit."""

_WHISKER_BELOW: Final = 0.3
"""Intervals can be wide: at the lower edge of their bar they leave its figures legible."""

_DECIMAL_BELOW_SPAN: Final = 50.0
_MEASURED: Final = palette.MEASURED
_SETTINGS: Final[dict[Any, Any]] = {  # keyed by names that newer matplotlib types as literals
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
}


def draw(figure: Figure) -> str:
    """A figure as one `<svg>` element with a name and a description for screen readers."""
    match figure:
        case Bars():
            drawn = _stacked_bars(figure)
        case OverTime():
            drawn = _lines_over_time(figure)
        case Scatter():
            drawn = _predicted_against_measured(figure)
        case Changes():
            drawn = _differences(figure)
        case History():
            drawn = _courses(figure)
        case Graph():
            raise TypeError("a call graph has a template")
    return drawn


def _stacked_bars(chart: Bars) -> str:
    """One row per bar. Negative parts are drawn to the left of zero, not hidden in the sum."""
    panels, axis_label = chart.panels, chart.axis_label
    rows = max(_rows(panel.bars) for panel in panels)
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": chart.name}):
        height = _FRAME_INCHES + rows * _BAR_INCHES + (0.25 if any(panel.title for panel in panels) else 0)
        figure = Canvas(figsize=(_WIDTH_INCHES, height), layout=ConstrainedLayoutEngine(wspace=0.06))
        grid = figure.subplots(1, len(panels), sharex=bool(axis_label), sharey=True, squeeze=False)[0]
        everything = [bar for panel in panels for bar in panel.bars]
        for axes, panel in zip(grid, panels, strict=True):
            low, high = _limits(everything if axis_label else panel.bars, len(panels))
            _draw_panel(axes, panel, high - low, named=axes is grid[0])
            axes.set_xlim(low, high)
            axes.set_xlabel(axis_label or panel.axis_label)
        return _svg(figure, chart)


def _lines_over_time(chart: OverTime) -> str:
    lines = chart.lines
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": chart.name}):
        figure = Canvas(figsize=(_WIDTH_INCHES, 2.4), layout="constrained")
        axes = figure.subplots()
        for line in lines:
            axes.plot(line.at_s, line.values, marker=line.marker, color=line.colour, markersize=4, linewidth=1.4)
            axes.annotate(
                line.label, (line.at_s[-1], line.values[-1]), xytext=(8, 0), textcoords="offset points", va="center"
            )
        end = max((line.at_s[-1] for line in lines), default=1.0) or 1.0
        axes.set_xlim(0, end * 1.24)
        axes.set_ylim(0, max((max(line.values) for line in lines), default=1.0) * 1.15)
        axes.xaxis.set_major_locator(MaxNLocator(8))
        axes.set_xlabel("seconds into the run")
        axes.set_ylabel(chart.axis_label)
        _light_grid(axes, "y")
        return _svg(figure, chart)


def _predicted_against_measured(chart: Scatter) -> str:
    """On the line prediction and measurement agree, and the band is ±20 %."""
    panels = chart.panels
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": chart.name}):
        figure = Canvas(figsize=(_WIDTH_INCHES, 4.6), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (label, points) in zip(grid, panels.items(), strict=True):
            _draw_points(axes, points)
            axes.set_xlabel(f"measured, {label}")
            axes.set_ylabel(f"predicted, {label}")
        return _svg(figure, chart)


def _draw_points(axes: Axes, points: Sequence[Point]) -> None:
    ends = [0.0, *(end for point in points for end in (point.measured, point.predicted))]
    low, high = min(ends), max(ends) * 1.15 or 1.0
    agree = [low, high]
    axes.fill_between(agree, [0.8 * end for end in agree], [1.2 * end for end in agree], color=_INK, alpha=0.08)
    axes.plot(agree, agree, color=_INK, linewidth=0.8)
    for point in points:
        middle = (point.measured, point.predicted)
        axes.plot(point.measured_interval, [point.predicted] * 2, color=_MEASURED, linewidth=1.0)
        axes.plot([point.measured] * 2, point.predicted_interval, color=_MEASURED, linewidth=1.0)
        axes.plot(*middle, marker="o", color=_MEASURED, markeredgecolor=_PAPER, markersize=6)
        axes.annotate(point.label, middle, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    _light_grid(axes, "both")


_MARKERS: Final = {"up": "^", "down": "v", "box": "s", "ring": "o", "times": "x"}


def _differences(chart: Changes) -> str:
    """Rows of all panels are the same; zero is a line."""
    rows = {label: number for number, label in enumerate(chart.rows)}
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": chart.name}):
        height = _FRAME_INCHES + max(2, len(rows)) * _ROW_INCHES
        canvas = Canvas(figsize=(_WIDTH_INCHES, height), layout=ConstrainedLayoutEngine(wspace=0.06))
        grid = canvas.subplots(1, len(chart.panels), sharey=True, squeeze=False)[0]
        for axes, (label, changes) in zip(grid, chart.panels.items(), strict=True):
            for change in changes:
                _draw_change(axes, change, rows[change.label])
            axes.axvline(0, color=_INK, linewidth=0.8)
            axes.set_xlabel(label)
            axes.xaxis.set_major_locator(MaxNLocator(7))
            axes.tick_params(axis="y", length=0)
            _light_grid(axes, "both")
        grid[0].set_yticks(list(rows.values()), list(rows))
        grid[0].set_ylim(len(rows) - 0.5, -0.5)
        return _svg(canvas, chart)


def _draw_change(axes: Axes, change: Change, row: int) -> None:
    colour, shape = palette.VERDICTS[change.verdict]
    if change.interval is not None:
        axes.plot(change.interval, [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
    inside = _PAPER if shape == "ring" else colour
    axes.plot(
        [change.value], [row], marker=_MARKERS[shape], color=colour, markerfacecolor=inside, markersize=6.5,
        linestyle="none",
    )  # fmt: skip


def _courses(chart: History) -> str:
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": chart.name}):
        return _svg(_drawn_courses(chart), chart)


def picture(chart: History, kind: Literal["svg", "png"]) -> bytes:
    """A history as a picture that stands alone, with its description in the file."""
    described = {"Title": chart.title, "Description": chart.description}
    metadata = {**described, "Date": None} if kind == "svg" else {**described, "Software": None}
    buffer = io.BytesIO()
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": chart.name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        canvas = _drawn_courses(chart)
        canvas.savefig(buffer, format=kind, metadata=metadata, dpi=150)
    return buffer.getvalue()


def _drawn_courses(chart: History) -> Canvas:
    height = _FRAME_INCHES + _COURSE_INCHES * len(chart.courses)
    canvas = Canvas(figsize=(_WIDTH_INCHES, height), layout="constrained")
    grid = canvas.subplots(len(chart.courses), 1, sharex=True, squeeze=False)[:, 0]
    for axes, course in zip(grid, chart.courses, strict=True):
        _draw_course(axes, course)
    locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]  # matplotlib annotates part of itself
    grid[-1].xaxis.set_major_locator(locator)
    grid[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    grid[-1].set_xlabel("date of the profile (UTC)")
    return canvas


def _draw_course(axes: Axes, course: Course) -> None:
    days = [one.at_s / _SECONDS_PER_DAY for one in course.measurements]
    for day, one in zip(days, course.measurements, strict=True):
        if one.interval is not None:
            axes.plot([day, day], one.interval, color=_MEASURED, linewidth=1.0)
    values = [one.value for one in course.measurements]
    axes.plot(days, values, marker="o", color=_MEASURED, markersize=4, linestyle="none")
    for level in course.levels:
        axes.plot([days[level.first], days[level.last]], [level.value] * 2, color=_INK, linewidth=1.4)
    for level in course.levels[1:]:
        between = (days[level.first - 1] + days[level.first]) / 2
        axes.axvline(between, color=_INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_title(course.title, fontsize=9, fontweight="bold", loc="left")
    axes.set_ylabel(course.axis_label)
    _light_grid(axes, "y")


def _heading(group: str) -> list[str]:
    """A group's name in lines short enough for the margin."""
    return textwrap.wrap(group, _MARGIN_CHARACTERS, break_on_hyphens=True) or [""]


def _heading_rows(group: str) -> float:
    """Rows taken by a group's heading: a further line needs less than a further bar."""
    return 1 + 0.55 * (len(_heading(group)) - 1)


def _rows(bars: Sequence[Bar]) -> float:
    return len(bars) + sum(_heading_rows(group) for group in {bar.group for bar in bars} if group)


def _limits(bars: Sequence[Bar], panel_count: int) -> tuple[float, float]:
    """A common scale for all bars, with room on the right where figures follow the bars."""
    intervals = [end for bar in bars if bar.interval is not None for end in bar.interval]
    measured = [*intervals, *(bar.total for bar in bars if bar.total is not None), 0.0]
    high = max([sum(value for value in bar.parts.values() if value > 0) for bar in bars] + measured)
    low = min([sum(value for value in bar.parts.values() if value < 0) for bar in bars] + measured)
    span = (high - low) or 1.0
    longest = max(len(line) for bar in bars for line in [*_heading(bar.group), bar.label])
    axes_inches = (_WIDTH_INCHES - longest * _CHARACTER_INCHES) / panel_count
    figures_inches = _FIGURES_INCHES if any(bar.total is not None for bar in bars) else 0.15
    room = span * figures_inches / max(axes_inches - figures_inches, 1.0)
    return (low - 0.03 * span if low < 0 else 0.0), high + room


def _draw_panel(axes: Axes, panel: Panel, span: float, named: bool) -> None:
    row, labels = 0.0, {}
    headings: set[float] = set()
    group = ""
    for bar in panel.bars:
        if bar.group != group:
            group = bar.group
            extra = _heading_rows(group) - 1
            headings.add(row + extra / 2)
            labels[row + extra / 2] = "\n".join(_heading(group))
            row += 1 + extra
        _draw_bar(axes, bar, row, span)
        labels[row] = bar.label
        row += 1
    axes.set_yticks(list(labels), list(labels.values()))
    if named:
        # Panels share their row names; only the first one shows them.
        for position, text in zip(labels, axes.get_yticklabels(), strict=True):
            text.set_fontweight("bold" if position in headings else "normal")
    axes.set_ylim(row - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_title(panel.title, fontsize=9, fontweight="bold", loc="left")
    _light_grid(axes, "x")


def _draw_bar(axes: Axes, bar: Bar, row: float, span: float) -> None:
    right, left = 0.0, 0.0
    decimals = 1 if span < _DECIMAL_BELOW_SPAN else 0
    lift = 0.0 if bar.total is None else 0.08
    for name, value in bar.parts.items():
        start = right if value >= 0 else left
        box = Rectangle(
            (start, row - 0.36), value, 0.72, facecolor=palette.colour(name), edgecolor=_PAPER, linewidth=0.6
        )
        axes.add_patch(box)
        if abs(value) >= _LABEL_FROM_SHARE * span:
            middle = start + value / 2
            figure = f"{value:.{decimals}f}"
            axes.text(
                middle, row - lift, figure, color=palette.ink(name), ha="center", va="center_baseline", fontsize=8
            )
        if value >= 0:
            right += value
        else:
            left += value
    _draw_total(axes, bar, row, right, span)


def _draw_total(axes: Axes, bar: Bar, row: float, right: float, span: float) -> None:
    """The measured total as a diamond with its interval; behind everything drawn in the row, the sum and the total."""
    if bar.total is None:
        return
    low, high = bar.interval or (bar.total, bar.total)
    at = row + _WHISKER_BELOW
    axes.plot([low, high], [at, at], color=_INK, linewidth=1.2, solid_capstyle="butt")
    axes.plot([bar.total], [at], marker="D", color=_INK, markeredgecolor=_PAPER, markersize=5.5)
    figures = f"{sum(bar.parts.values()):.1f}  ◆ {bar.total:.1f}" if bar.figures is None else bar.figures
    axes.text(max(right, high) + 0.015 * span, row, figures, va="center_baseline", fontsize=8.5)


def _light_grid(axes: Axes, axis: Any) -> None:
    axes.grid(True, axis=axis, color=_INK, alpha=0.14, linewidth=0.6)
    axes.set_axisbelow(True)


def _svg(figure: Canvas, chart: Figure) -> str:
    """The figure as one `<svg>` element whose ids are its own, coloured by the page it lands in."""
    name = chart.name
    buffer = io.BytesIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser draws the text, with its own fonts
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for marker, replacement in _PAGE_COLOURS.items():
        text = text.replace(marker, replacement)
    ids = f"{name}-title {name}-desc"
    title = f'<title id="{name}-title">{escape(chart.title)}</title>'
    start = f'{title}<desc id="{name}-desc">{escape(chart.description)}</desc>'
    return text.replace("<svg ", f'<svg role="img" aria-labelledby="{ids}" ', 1).replace(">", f">{start}", 1)
