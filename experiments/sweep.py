"""What the experiments that are one `meshinsight profile` run share: measuring, rows of cells, the result's files.

Each of them describes itself as an `Experiment` and calls `main`:

    python experiments/NAME/run.py [--profile DIR|FILE] [--results DIR]

Without `--profile` the experiment's `matrix.yaml` is measured first. `result.json`, `result.md` and `result.png` go to
the results folder, by default the experiment's own. Rows hold nanoseconds, bytes, requests per second and fractions;
tables and figures show microseconds and percent.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.machine import IN_SHORT, MACHINE, published_text
from meshinsight import numbers
from meshinsight.reports.renderers import palette
from meshinsight.reports.subjects import summaries
from predictor.models.readings import reading
from profiler.errors import MeshInsightError
from profiler.files.writing import write_whole
from profiler.planning.matrix import load_matrix
from profiler.planning.settings import ProfileSettings
from profiler.profile.document import load_profile
from profiler.profile.types import Cell, Cpu, CpuComponent, Latency, LatencyComponent, Profile

ROOT: Final = Path(__file__).resolve().parents[1]
MATRIX: Final = "matrix.yaml"
PAPER: Final = "MeshInsight, SoCC'23"

YES: Final = "yes"
PARTLY: Final = "partly"
NO: Final = "no"

LATENCY: Final = "latency"
CPU: Final = "cpu"

_DIMENSIONS: Final = {
    "protocol": "protocols",
    "proxy": "proxies",
    "topology": "topologies",
    "tls": "tls",
    "filters": "filters",
    "transport": "transports",
    "workers": "workers",
    "temperature": "temperatures",
    "request_bytes": "request_bytes",
    "response_bytes": "response_bytes",
    "messages": "messages",
    "connections": "connections",
    "rate_rps": "rates_rps",
    "new_connections": "new_connections",
}
"""Keys of a cell and the settings that list what they may be; rows are in this order."""

_Z95: Final = 1.96
_DPI: Final = 120
_NUMERIC: Final = "+-0123456789" + numbers.UNKNOWN

Row = dict[str, Any]
Columns = Mapping[str, Callable[[Row], str]]


@dataclass(frozen=True)
class Finding:
    """A published statement compared with the rows: `holds` is yes, partly or no; None where nothing was published.

    `text` has at most three sentences and begins with the machine, since what leads can differ by machine. `criterion`
    is when the statement holds.
    """

    published: str | None
    source: str | None
    holds: str | None
    text: str
    criterion: str | None = None


@dataclass(frozen=True)
class Experiment:
    """One question, the matrix in its folder, and how its cells become rows, a table, a verdict and a figure."""

    folder: Path
    question: str
    extract: Callable[[Sequence[Cell]], list[Row]]
    columns: Columns
    judge: Callable[[list[Row]], Finding]
    draw: Callable[[Figure, list[Row]], None]
    size_inches: tuple[float, float] = (10.0, 4.4)

    @property
    def matrix(self) -> Path:
        """The matrix file, relative to the repository."""
        return self.folder.resolve().relative_to(ROOT) / MATRIX


def main(experiment: Experiment) -> None:
    """Measure or read a profile and write the result; what goes wrong is one line and exit status 1."""
    parser = argparse.ArgumentParser(description=experiment.question)
    parser.add_argument("--profile", type=Path, metavar="DIR|FILE", help="draw from this profile, measure nothing")
    parser.add_argument("--results", type=Path, metavar="DIR", default=experiment.folder, help="where to write")
    options = parser.parse_args()
    try:
        if options.profile:
            finding = write_result(experiment, load_profile(options.profile), options.results)
        else:
            finding = measured_result(experiment, options.results)
    except (MeshInsightError, OSError) as error:
        sys.exit(f"{experiment.folder.name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"{experiment.folder.name}: holds: {finding.holds or 'nothing published'}. {finding.text}")


def measured_result(experiment: Experiment, results: Path) -> Finding:
    """Measure the experiment's matrix and write its result; the profile stays only where that fails."""
    folder = Path(tempfile.mkdtemp(prefix="meshinsight-experiment-"))
    out = folder / "profile"
    try:
        measure(experiment.matrix, out)
        finding = write_result(experiment, load_profile(out), results)
    except BaseException:
        if out.exists():
            print(f"{experiment.folder.name}: what was measured is kept in {out}", file=sys.stderr)
        else:
            folder.rmdir()
        raise
    shutil.rmtree(folder)
    return finding


def measure(matrix: Path, out: Path) -> None:
    """Measure a matrix file into a new directory; progress and problems go to standard error.

    Raises:
        MeshInsightError: the run failed; it has said why.
    """
    command = [sys.executable, "-m", "meshinsight", "profile", "--matrix", str(matrix), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it was interrupted as well, and is removing what it has deployed
        raise
    if status:
        raise MeshInsightError(f"meshinsight profile ended with status {status}; its own message is above")


def write_result(experiment: Experiment, profile: Profile, folder: Path) -> Finding:
    """Write result.png, result.json and result.md into the folder, each whole or not at all.

    Raises:
        MeshInsightError: the profile has not the cells that the experiment is about, or a file cannot be written.
    """
    cells = asked_cells(experiment.matrix, profile)
    rows = experiment.extract([cell for cell in cells if cell.latency and cell.cpu])
    if not rows:
        raise MeshInsightError(f"the profile has no cell of {experiment.matrix}; leave --profile out to measure it")
    finding = experiment.judge(rows)
    result = {
        "question": experiment.question,
        "finding": asdict(finding),
        "environment": environment_of(profile),
        "command": command_of(profile),
        "notes": notes_of(cells, profile),
        "rows": rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=experiment.size_inches, layout="constrained")
    experiment.draw(figure, rows)
    save_figure(figure, folder / "result.png")
    write_whole(folder / "result.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_whole(folder / "result.md", as_markdown(result, experiment.columns))
    return finding


def asked_cells(matrix: Path, profile: Profile) -> list[Cell]:
    """The profile's cells that the matrix asks for, in its order, without the rungs that were measured besides."""
    settings = ProfileSettings(**load_matrix(str(ROOT / matrix)))
    allowed = {key: getattr(settings, values) for key, values in _DIMENSIONS.items()}

    def place(cell: Cell) -> list[int]:
        return [values.index(_coordinate(cell, key)) for key, values in allowed.items()]

    found = [
        cell
        for cell in profile.cells
        if not cell.reference and all(_coordinate(cell, key) in values for key, values in allowed.items())
    ]
    return sorted(found, key=place)


def _coordinate(cell: Cell, key: str) -> Any:
    return tuple(cell.filters) if key == "filters" else getattr(cell, key)


def environment_of(profile: Profile) -> dict[str, Any]:
    """Where and when the profile was measured, and how quiet the machine was."""
    machine, anchor = profile.environment, profile.anchor
    return {
        **{key: machine.get(key) for key in ("cpu_model", "cpus", "virtualisation", "kernel")},
        "proxies": {name: proxy.version for name, proxy in profile.proxies.items()},
        "date": profile.created[:10],
        "steal_ratio": profile.noise.steal_ratio,
        "anchor_drift_ratio": anchor.drift_ratio if anchor else None,
    }


def command_of(profile: Profile) -> str:
    """How the profile was measured, without the place it was saved at."""
    words = iter(profile.command)
    kept = []
    for word in words:
        if word == "--out":
            next(words, None)
        elif not word.startswith("--out="):
            kept.append(word)
    return " ".join(kept)


def notes_of(cells: Sequence[Cell], profile: Profile) -> list[str]:
    """What to know before a figure is used: a run that ended early, errors of cells."""
    early = [] if profile.status == "complete" else ["the run ended early"]
    return early + [f"{cell.id}: {error}" for cell in cells for error in cell.errors]


def measured(cell: Cell) -> tuple[Latency, Cpu]:
    """Both currencies of a cell that `write_result` chose. Raises ValueError for one that lacks either."""
    if cell.latency is None or cell.cpu is None:
        raise ValueError(f"{cell.id} lacks latency or CPU")
    return cell.latency, cell.cpu


def costs(cell: Cell) -> Row:
    """What the sidecars of a cell cost: median and 99th percentile, CPU per request, throughput, absolute and relative.

    The interval of the CPU figure is ±1.96 standard errors of the rounds' totals, and there are few rounds of it.
    """
    latency, cpu = measured(cell)
    row: Row = {"cell": cell.id}
    for name in ("p50", "p99"):
        without_ns, with_ns = getattr(latency.baseline, f"{name}_ns"), getattr(latency.with_sidecars, f"{name}_ns")
        row[f"baseline_{name}_ns"] = without_ns
        row[f"{name}_overhead_ns"] = with_ns - without_ns
        row[f"{name}_overhead_ratio"] = _ratio(with_ns - without_ns, without_ns)
    value_ns, interval_ns = cpu_overhead(cell)
    return {
        **row,
        "p50_overhead_ci95_ns": latency.overhead_ci95_ns,
        "baseline_cpu_ns_per_request": cpu.baseline_cpu_ns_per_request,
        "cpu_overhead_ns_per_request": value_ns,
        "cpu_overhead_ci95_ns_per_request": interval_ns,
        "cpu_overhead_ratio": _ratio(value_ns, cpu.baseline_cpu_ns_per_request),
        "cpu_rate_rps": cpu.rate_rps,
        "baseline_achieved_rps": cell.baseline_achieved_rps,
        "achieved_rps": cell.achieved_rps,
    }


P50_COLUMNS: Final[Columns] = {
    "+ p50, µs": lambda row: numbers.micros(row["p50_overhead_ns"]),
    "95 % interval": lambda row: numbers.micros_interval(row["p50_overhead_ci95_ns"]),
    "+ p50": lambda row: numbers.signed_percent(row["p50_overhead_ratio"]),
}
"""The columns that say what rows of `costs` add to the median."""


def cpu_overhead(cell: Cell) -> tuple[float, list[float]]:
    """CPU that the sidecars add per request in ns, as measured, with a 95 % interval."""
    found = reading(cell, "cpu")
    value_ns, half_ns = (found.total, _Z95 * found.error()) if found else (0.0, 0.0)
    return value_ns, [value_ns - half_ns, value_ns + half_ns]


def breakdowns(cells: Sequence[Cell]) -> list[Row]:
    """Two rows per cell: latency and CPU."""
    return [row for cell in cells for row in _breakdown(cell)]


def _breakdown(cell: Cell) -> list[Row]:
    """A cell's components, one row for latency (shares of the median exchange) and one for CPU."""
    common = {key: getattr(cell, key) for key in ("protocol", "proxy", "topology", "tls")}
    latency, cpu = measured(cell)
    value_ns, interval_ns = cpu_overhead(cell)
    return [
        {
            **common,
            "currency": LATENCY,
            "baseline_ns": latency.baseline_p50_ns,
            "overhead_ns": latency.overhead_p50_ns,
            "overhead_ci95_ns": latency.overhead_ci95_ns,
            **_components(latency.components, "median_ns"),
            "closure_residual": latency.closure_residual,
        },
        {
            **common,
            "currency": CPU,
            "baseline_ns": cpu.baseline_cpu_ns_per_request,
            "overhead_ns": value_ns,
            "overhead_ci95_ns": interval_ns,
            **_components(cpu.components, "cpu_ns_per_request"),
            "closure_residual": cpu.closure_residual,
        },
    ]


def _components(parts: Mapping[str, LatencyComponent] | Mapping[str, CpuComponent], key: str) -> Row:
    names = summaries.ordered(parts)
    return {
        "components_ns": {name: getattr(parts[name], key) for name in names},
        "components_ci95_ns": {name: parts[name].ci95_ns for name in names},
    }


def share(row: Row, names: Sequence[str]) -> float:
    """The part of a breakdown's sum that the named components are."""
    parts: dict[str, float] = row["components_ns"]
    return summaries.share(sum(parts.get(name, 0.0) for name in names), parts.values()) or 0.0


def dominates(row: Row, names: Sequence[str]) -> str:
    """Whether the named components dominate: yes above half of the sum, partly above every other component, or no."""
    parts: dict[str, float] = row["components_ns"]
    named_ns = sum(parts.get(name, 0.0) for name in names)
    if share(row, names) > 0.5:
        return YES
    return PARTLY if all(named_ns > value_ns for name, value_ns in parts.items() if name not in names) else NO


DOMINATES: Final = (
    "if the named components are more than half of the latency in every row, partly if they are more than any other"
)
"""When a statement about dominant components holds."""


def verdict(answers: Sequence[str | bool]) -> str:
    """The answer on which all agree; partly where they do not."""
    words = {answer if isinstance(answer, str) else YES if answer else NO for answer in answers}
    return words.pop() if len(words) == 1 else PARTLY


def pick(rows: Sequence[Row], **wanted: Any) -> Row:
    """The first row with these values. Raises MeshInsightError where there is none."""
    for row in rows:
        if all(row[key] == value for key, value in wanted.items()):
            return row
    named = ", ".join(f"{key} {value}" for key, value in wanted.items())
    raise MeshInsightError(f"the profile has no cell with {named}; leave --profile out to measure the whole matrix")


def as_markdown(result: Mapping[str, Any], columns: Columns) -> str:
    """The result as a page: environment, table, figure, what it says, and whether the published finding holds."""
    finding = result["finding"]
    lines = ["# Result", result["question"], "", f"{MACHINE}{_environment_text(result['environment'])}"]
    lines += [f"Measured by `{result['command']}`. Raw: [result.json](result.json).", ""]
    lines += [*markdown_table(result["rows"], columns), "", "![the table as a figure](result.png)", ""]
    lines += [f"{IN_SHORT}{finding['text']}", ""]
    if finding["published"]:
        lines.append(published_text(finding))
        lines += ["", f"It holds {finding['criterion']}."] if finding["criterion"] else []
    else:
        lines.append("No published finding is about this.")
    if result["notes"]:
        lines += ["", "Notes:", *(f"- {note}" for note in result["notes"])]
    return "\n".join(lines) + "\n"


def markdown_table(rows: Sequence[Row], columns: Columns) -> list[str]:
    """Lines of a table; columns of numbers are aligned to the right."""
    texts = [[column(row) for column in columns.values()] for row in rows]
    numeric = [all(text[:1] in _NUMERIC for text in column) for column in zip(*texts, strict=True)]
    rule = "|".join("--:" if right else "---" for right in numeric)
    lines = [f"| {' | '.join(columns)} |", f"|{rule}|"]
    return lines + [f"| {' | '.join(row)} |" for row in texts]


def _environment_text(environment: Mapping[str, Any]) -> str:
    proxies = ", ".join(f"{name} {version}" for name, version in environment["proxies"].items())
    return (
        f"{environment['cpus']} CPUs ({environment['cpu_model']}), {environment['virtualisation']}, Linux "
        f"{environment['kernel']}; {proxies}; {environment['date']}. The host took "
        f"{numbers.percent(environment['steal_ratio'], 1)} of the CPU time; the anchor cell drifted by "
        f"{numbers.percent(environment['anchor_drift_ratio'])}."
    )


def breakdown_columns(components: Sequence[str]) -> Columns:
    """The columns of breakdown rows that are figures: overhead, interval, and each component in µs."""
    found: dict[str, Callable[[Row], str]] = {
        "overhead, µs": lambda row: numbers.micros(row["overhead_ns"]),
        "95 % interval": lambda row: numbers.micros_interval(row["overhead_ci95_ns"]),
        "of baseline": lambda row: numbers.signed_percent(_ratio(row["overhead_ns"], row["baseline_ns"])),
    }
    return found | {name: _component_text(name) for name in components}


def _component_text(name: str) -> Callable[[Row], str]:
    return lambda row: numbers.micros(row["components_ns"].get(name))


def draw_breakdown(figure: Figure, rows: Sequence[Row], label: Callable[[Row], str]) -> None:
    """Stacked bars of components, latency on the left and CPU on the right; diamonds are the measured overheads."""
    panels = figure.subplots(1, 2, sharey=True)
    titles = ((LATENCY, "added latency of the median exchange, µs"), (CPU, "added CPU per request, µs"))
    for axes, (currency, title) in zip(panels, titles, strict=True):
        shown = [row for row in rows if row["currency"] == currency]
        for place, row in enumerate(shown):
            _stack(axes, place, row["components_ns"])
        values_us = [row["overhead_ns"] / 1e3 for row in shown]
        spread_us = error_bars(values_us, [row["overhead_ci95_ns"] for row in shown])
        axes.errorbar(values_us, range(len(shown)), xerr=spread_us, fmt="D", color="black", markersize=4, capsize=3)
        axes.set_yticks(range(len(shown)), [label(row) for row in shown])
        axes.set_xlabel(title)
        axes.axvline(0, color="black", linewidth=0.6)
    panels[0].invert_yaxis()
    names = summaries.ordered({name for row in rows for name in row["components_ns"]})
    handles = [Patch(color=palette.colour(name), label=name) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8)


def _stack(axes: Axes, place: int, parts: Mapping[str, float]) -> None:
    """One bar; negative components go to the left of zero."""
    right_us = left_us = 0.0
    for name, value_ns in parts.items():
        start_us = right_us if value_ns >= 0 else left_us
        axes.barh(place, value_ns / 1e3, left=start_us, height=0.65, color=palette.colour(name))
        right_us += max(0.0, value_ns / 1e3)
        left_us += min(0.0, value_ns / 1e3)


def error_bars(values_us: Sequence[float], intervals_ns: Sequence[Sequence[float] | None]) -> list[list[float]]:
    """Distances in µs from values to both ends of their intervals, as matplotlib wants them; zero where unknown."""
    pairs = list(zip(values_us, intervals_ns, strict=True))
    below = [max(0.0, value - interval[0] / 1e3) if interval else 0.0 for value, interval in pairs]
    above = [max(0.0, interval[1] / 1e3 - value) if interval else 0.0 for value, interval in pairs]
    return [below, above]


def save_figure(figure: Figure, target: Path) -> None:
    """Write a PNG whole or not at all. Raises OSError."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=_DPI)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _ratio(value: float, base: float) -> float | None:
    return value / base if base > 0 else None
