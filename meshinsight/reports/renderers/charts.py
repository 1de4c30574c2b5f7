"""The report's charts as inline SVG, drawn with matplotlib.

Each chart is a string that starts with `<svg` and stands alone: no fonts, scripts or style sheets from outside, text
as text, colours of text and lines left to the page (so that they follow light and dark). The same data give the same
bytes. matplotlib is imported here and nowhere else; import this module only to draw.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from meshinsight.reports.renderers import palette
from profiler.host.working_directory import away_from_working_directory

with away_from_working_directory():  # a file `matplotlibrc` there would change the drawing, and name code to load
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
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
_LABEL_FROM_SHARE: Final = 0.06
"""Parts narrower than this share of the scale stay without a figure: it would not fit."""

_WHISKER_BELOW: Final = 0.3
"""Predicted totals have wide intervals: at the lower edge of their bar they leave its figures legible."""

_DECIMAL_BELOW_SPAN: Final = 50.0
_MEASURED: Final = "#0072b2"
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


@dataclass(frozen=True)
class Chart:
    """A chart for the template, which passes the SVG through as it is: matplotlib has escaped its text."""

    svg: str
    legend: list[str]
    title: str = ""


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Panel:
    """One set of axes: bars under a title. With an axis label of its own it has a scale of its own, too."""

    bars: Sequence[Bar]
    title: str = ""
    axis_label: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a plot over time: seconds and µs."""

    label: str
    at_s: Sequence[float]
    values: Sequence[float]
    colour: str
    style: str = "-"
    markers: str = field(default="o")


@dataclass(frozen=True)
class Point:
    """A figure predicted and measured, each with its 95 % interval, in one unit."""

    label: str
    measured: float
    measured_interval: tuple[float, float]
    predicted: float
    predicted_interval: tuple[float, float]


def stacked_bars(name: str, panels: Sequence[Panel], axis_label: str = "") -> str:
    """Horizontal stacked bars, one row per bar, panels side by side: with `axis_label` on one scale.

    Negative parts are drawn to the left of zero, not hidden in the sum. `name` is unique within the page.
    """
    rows = max(_rows(panel.bars) for panel in panels)
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        height = _FRAME_INCHES + rows * _BAR_INCHES + (0.25 if any(panel.title for panel in panels) else 0)
        figure = Figure(figsize=(_WIDTH_INCHES, height), layout=ConstrainedLayoutEngine(wspace=0.06))
        grid = figure.subplots(1, len(panels), sharex=bool(axis_label), sharey=True, squeeze=False)[0]
        everything = [bar for panel in panels for bar in panel.bars]
        for axes, panel in zip(grid, panels, strict=True):
            low, high = _limits(everything if axis_label else panel.bars, len(panels))
            _draw_panel(axes, panel, high - low, named=axes is grid[0])
            axes.set_xlim(low, high)
            axes.set_xlabel(axis_label or panel.axis_label)
        return _svg(figure, name)


def lines_over_time(name: str, lines: Sequence[Line], axis_label: str) -> str:
    """Measurements against the time of the run, each line labelled at its end."""
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH_INCHES, 2.4), layout="constrained")
        axes = figure.subplots()
        for line in lines:
            axes.plot(
                line.at_s, line.values, line.style, marker=line.markers, color=line.colour, markersize=4, linewidth=1.4
            )
            axes.annotate(
                line.label, (line.at_s[-1], line.values[-1]), xytext=(8, 0), textcoords="offset points", va="center"
            )
        end = max((line.at_s[-1] for line in lines), default=1.0) or 1.0
        axes.set_xlim(0, end * 1.24)
        axes.set_ylim(0, max((max(line.values) for line in lines), default=1.0) * 1.15)
        axes.xaxis.set_major_locator(MaxNLocator(8))
        axes.set_xlabel("seconds into the run")
        axes.set_ylabel(axis_label)
        _light_grid(axes, "y")
        return _svg(figure, name)


def predicted_against_measured(name: str, panels: Mapping[str, Sequence[Point]]) -> str:
    """Panels by the label of their axes; each point with both its intervals.

    On the line prediction and measurement agree, and the band is ±20 %.
    """
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH_INCHES, 4.6), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (label, points) in zip(grid, panels.items(), strict=True):
            _draw_points(axes, points)
            axes.set_xlabel(f"measured, {label}")
            axes.set_ylabel(f"predicted, {label}")
        return _svg(figure, name)


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
    lift = 0.0 if bar.figures is None else 0.08
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
    at = row if bar.figures is None else row + _WHISKER_BELOW
    axes.plot([low, high], [at, at], color=_INK, linewidth=1.2, solid_capstyle="butt")
    axes.plot([bar.total], [at], marker="D", color=_INK, markeredgecolor=_PAPER, markersize=5.5)
    figures = f"{sum(bar.parts.values()):.1f}  ◆ {bar.total:.1f}" if bar.figures is None else bar.figures
    axes.text(max(right, high) + 0.015 * span, row, figures, va="center_baseline", fontsize=8.5)


def _light_grid(axes: Axes, axis: Any) -> None:
    axes.grid(True, axis=axis, color=_INK, alpha=0.14, linewidth=0.6)
    axes.set_axisbelow(True)


def _svg(figure: Figure, name: str) -> str:
    """The figure as one `<svg>` element whose ids are its own, coloured by the page it lands in."""
    buffer = io.BytesIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser draws the text, with fonts of its own
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for marker, replacement in _PAGE_COLOURS.items():
        text = text.replace(marker, replacement)
    return text.replace("<svg ", '<svg role="img" ', 1)
