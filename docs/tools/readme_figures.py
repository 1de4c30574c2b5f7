"""The picture and the figures of the README, from the sample profile that the wheel has.

Usage: python -m docs.tools.readme_figures
Writes docs/images/latency.svg, and the lines of README.md between the marks.
"""

import re
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshinsight import numbers
from meshinsight.reports.renderers import palette
from meshinsight.reports.subjects import summaries
from profiler.errors import MeshInsightError
from profiler.files.writing import write_whole
from profiler.profile.document import load_profile
from profiler.profile.types import Cell, Latency, Profile
from profiler.vocabulary.hop import BOTH, FREE
from profiler.vocabulary.protocols import HTTP1

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT: Final = Path(__file__).parents[2]
PROFILE: Final = ROOT / "profiler" / "profile" / "examples" / "profile.json"
README: Final = ROOT / "README.md"
PICTURE: Final = ROOT / "docs" / "images" / "latency.svg"
BEGIN: Final = "<!-- figures: `make readme-figures` writes these lines -->"
END: Final = "<!-- end of figures -->"
LARGEST: Final = 2
"""So many components are named in the text."""

_WIDTH_INCHES: Final = 8.0
_ROW_INCHES: Final = 0.42


def main() -> None:
    """Write both files."""
    try:
        profile = load_profile(PROFILE)
        write_whole(PICTURE, picture(shown_cells(profile)))
        write_whole(README, with_block(README.read_text(), block(profile)))
    except MeshInsightError as error:
        sys.exit(f"readme-figures: {error}")
    sys.stdout.write(f"readme-figures: {PICTURE.relative_to(ROOT)}, {README.relative_to(ROOT)}\n")


def shown_cells(profile: Profile) -> list[Cell]:
    """Both sidecars, plain, at the base load, wherever the scheduler put the processes.

    Raises:
        MeshInsightError: the profile has no such cell of HTTP/1.1.
    """
    plain = [
        cell
        for cell in profile.cells
        if cell.latency
        and cell.cpu
        and not cell.reference
        and (cell.topology, cell.placement, cell.tls, cell.filters) == (BOTH, FREE, "none", [])
    ]
    if not any(cell.protocol == HTTP1 for cell in plain):
        raise MeshInsightError(f"{PROFILE}: no plain HTTP/1.1 cell with two sidecars")
    smallest = min(cell.request_bytes + cell.response_bytes for cell in plain)
    return [cell for cell in plain if cell.request_bytes + cell.response_bytes == smallest]


def block(profile: Profile) -> str:
    """The lines of the README: the picture, what it shows, where and when it was measured."""
    cell = next(cell for cell in shown_cells(profile) if cell.protocol == HTTP1)
    latency, cpu = cell.latency, cell.cpu
    if latency is None or cpu is None:
        raise MeshInsightError(f"{cell.id} lacks latency or CPU")
    largest = summaries.leading(latency, LARGEST)
    parts = " and ".join(f"`{name}` ({numbers.percent(share)})" for name, share in largest)
    machine, file = profile.environment, PROFILE.relative_to(ROOT)
    proxies = ", ".join(f"{name.capitalize()} {proxy.version}" for name, proxy in profile.proxies.items())
    lines = [
        "![Latency added by two sidecars, by component](docs/images/latency.svg)",
        "",
        f"With {summaries.temperature_name(cell.temperature)}, two HTTP/1.1 sidecars add "
        f"{numbers.micros(latency.overhead_p50_ns)} µs to the median request",
        f"(95 % interval {numbers.micros_interval(latency.overhead_ci95_ns)}) and {numbers.micros(cpu.overhead_ns)} µs "
        f"of CPU. The largest parts of the latency are {parts}.",
        "A bar is the sum of the components, a diamond the overhead measured without probes, with its interval.",
        "",
        f"*Measured on {machine.get('cpus')} CPUs ({machine.get('cpu_model')}, {machine.get('virtualisation')}), "
        f"{proxies}, {profile.created[:10]}; [the profile]({file}).*",
    ]
    return "\n".join(lines) + "\n"


def with_block(readme: str, text: str) -> str:
    """The README with new lines between the marks.

    Raises:
        MeshInsightError: the marks are missing.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(readme)) != 1:
        raise MeshInsightError(f"README.md: the marks {BEGIN} and {END} must occur once")
    return pattern.sub(lambda _: f"{BEGIN}\n{text}{END}", readme)


def picture(cells: Sequence[Cell]) -> str:
    """Stacked bars of the components, a bar per cell, as SVG; the same for the same profile."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "meshinsight", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(_WIDTH_INCHES, 1.3 + _ROW_INCHES * len(cells)), layout="constrained")
        axes = figure.subplots()
        drawn: set[str] = set()
        for row, cell in enumerate(cells):
            if cell.latency:
                _draw_bar(axes, row, cell.latency, drawn)
        axes.set_yticks(range(len(cells)), [_label(cell) for cell in cells])
        axes.invert_yaxis()
        axes.set_xlabel("latency that two sidecars add to the median request, µs")
        axes.spines[["top", "right"]].set_visible(False)
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        names = summaries.ordered(handles)
        figure.legend([handles[name] for name in names], names, loc="outside upper center", ncols=6, frameon=False)
        stream = StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None}, facecolor="white")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _label(cell: Cell) -> str:
    return f"{summaries.protocol_name(cell.protocol)}, {summaries.temperature_name(cell.temperature)}"


def _draw_bar(axes: "Axes", row: int, latency: Latency, drawn: set[str]) -> None:
    """Components from zero to the right, negative ones to the left; the overhead with its interval as a diamond."""
    ends = {True: 0.0, False: 0.0}
    medians_ns = summaries.medians_ns(latency)
    for name in summaries.ordered(medians_ns):
        value_us = medians_ns[name] / 1e3
        label = None if name in drawn else name
        axes.barh(row, value_us, left=ends[value_us > 0], height=0.6, color=palette.colour(name), label=label)
        ends[value_us > 0] += value_us
        drawn.add(name)
    total_us = latency.overhead_p50_ns / 1e3
    low_us, high_us = (value / 1e3 for value in latency.overhead_ci95_ns or (latency.overhead_p50_ns,) * 2)
    spread = [[max(0.0, total_us - low_us)], [max(0.0, high_us - total_us)]]
    axes.errorbar(total_us, row, xerr=spread, fmt="D", color="black", markersize=4, capsize=3, linewidth=1)


if __name__ == "__main__":
    main()
