"""Did Envoy get slower from version to version, and which part of it?

Usage: python experiments/envoy_versions/run.py [--profile DIR]... [--results DIR]
Without `--profile`, each protocol is measured by a run; a run takes about five minutes, as root. `result.json`,
`result.md` and `result.png` are written into the results folder.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments import sweep
from experiments.machine import IN_SHORT, MACHINE
from meshinsight import numbers
from meshinsight.reports.renderers import palette
from meshinsight.reports.subjects import summaries
from profiler.comparison.compare import Compared
from profiler.comparison.figures import CPU, LATENCY, TOTAL, TOTALS
from profiler.comparison.variants import compare_variants, variant_names
from profiler.errors import MeshInsightError
from profiler.files.writing import write_whole
from profiler.profile.document import load_profile
from profiler.profile.types import Cell, Profile
from profiler.vocabulary.variant import family_id

HERE: Final = Path(__file__).parent
VERSIONS: Final = ("1.36.4", "1.37.0", "1.38.2", "1.39.3", "1.40.0")
PROTOCOLS: Final = ("tcp", "http1", "http2", "grpc")
DELTA: Final = 0.02
_SAME: Final = "~"

Row = dict[str, Any]


def main() -> None:
    """Measure, or read profiles, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path, action="append", default=[], help="read this profile, measure nothing")
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    try:
        profiles = [load_profile(path) for path in options.profile] or [measured(name) for name in PROTOCOLS]
        result = result_of(profiles)
    except (MeshInsightError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"envoy_versions: {error}")
    options.results.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(10.0, 9.0), layout="constrained")
    draw(figure, result["rows"])
    sweep.save_figure(figure, options.results / "result.png")
    write_whole(options.results / "result.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    text = as_text(result)
    write_whole(options.results / "result.md", text)
    print(text)


def measured(protocol: str) -> Profile:
    """All versions with one protocol, plain and mTLS."""
    command = [sys.executable, "-m", "meshinsight", "profile", "--proxy-version", ",".join(VERSIONS)]
    command += ["--protocol", protocol, "--tls", "none,mtls", "--topology", "both", "--temperature", "hot"]
    command += ["--rounds", "8", "--duration", "300ms"]
    with tempfile.TemporaryDirectory(prefix="meshinsight-versions-") as folder:
        subprocess.run([*command, "--out", f"{folder}/run"], check=True, stdout=subprocess.DEVNULL)
        return load_profile(Path(folder) / "run")


def result_of(profiles: Sequence[Profile]) -> dict[str, Any]:
    """Rows of all profiles, one per cell and version, in the order of the versions."""
    rows = [row for profile in profiles for row in rows_of(profile)]
    return {
        "rows": rows,
        "environments": [sweep.environment_of(profile) for profile in profiles],
        "commands": [sweep.command_of(profile) for profile in profiles],
    }


def rows_of(profile: Profile) -> Iterator[Row]:
    """What each version of each cell costs, and how it differs from the version before and from the first."""
    versions = variant_names(profile)
    steps = {new: (old, judged(profile, old, new)) for old, new in pairwise(versions)}
    first = {new: judged(profile, versions[0], new) for new in versions[1:]}
    for cell in profile.cells:
        if cell.reference or not cell.variant:
            continue
        latency, cpu = sweep.measured(cell)
        old, step = steps.get(cell.variant, ("", {}))
        yield {
            "cell": label(cell),
            "family": family_id(cell.id, cell.variant),
            "version": cell.variant,
            "before": old or None,
            "latency_ns": latency.overhead_p50_ns,
            "cpu_ns_per_request": sweep.cpu_overhead(cell)[0],
            "components": {
                LATENCY: {name: part.median_ns for name, part in latency.components.items()},
                CPU: {name: part.cpu_ns_per_request for name, part in cpu.components.items()},
            },
            "closure": {LATENCY: latency.closure_residual, CPU: cpu.closure_residual},
            "step": step.get(cell.id),
            "since_first": first.get(cell.variant, {}).get(cell.id),
        }


def label(cell: Cell) -> str:
    """Protocol and TLS, as on reports."""
    name = summaries.protocol_name(cell.protocol)
    return f"{name}, mTLS" if cell.tls == "mtls" else name


def judged(profile: Profile, old: str, new: str) -> dict[str, Row]:
    """Differences of the totals and the components that differ, by the id of the newer version's cell."""
    found = compare_variants(profile, old, new, DELTA)
    return {cell.id: {key.currency: difference(cell.figures, key.currency) for key in TOTALS} for cell in found.cells}


def difference(figures: Mapping[Any, Compared], currency: str) -> Row:
    """The total's difference as a share of the overhead, half of its interval, its verdict, and the parts."""
    total = next(figures[key] for key in TOTALS if key.currency == currency)
    parts = {
        key.component: entry.effect
        for key, entry in figures.items()
        if key.total == total.key and key.component != TOTAL and entry.decided
    }
    half = total.difference.half
    return {
        "share": total.effect,
        "half": None if half is None else half / total.whole,
        "verdict": total.verdict,
        "parts": parts,
    }


def changed(step: Row | None, currency: str) -> str:
    """A difference in a table: share, half of its interval, and the verdict where it is one."""
    if step is None:
        return numbers.UNKNOWN
    found = step[currency]
    half = numbers.UNKNOWN if found["half"] is None else numbers.percent(found["half"], 1)
    mark = f" {found['verdict']}" if found["verdict"] in ("better", "worse") else ""
    return f"{numbers.signed_percent(found['share'], 1)} ± {half}{mark}"


def parts_text(step: Row | None) -> str:
    """The components that differ, in either currency."""
    if step is None:
        return numbers.UNKNOWN
    found = [
        f"{name} {numbers.signed_percent(share, 1)}{' CPU' if currency == CPU else ''}"
        for currency in (LATENCY, CPU)
        for name, share in step[currency]["parts"].items()
    ]
    return ", ".join(found) or _SAME


COLUMNS: Final[sweep.Columns] = {
    "cell": lambda row: row["cell"],
    "version": lambda row: row["version"],
    "latency, µs": lambda row: numbers.micros(row["latency_ns"]),
    "against the version before": lambda row: changed(row["step"], LATENCY),
    "CPU, µs": lambda row: numbers.micros(row["cpu_ns_per_request"]),
    "CPU against the version before": lambda row: changed(row["step"], CPU),
    "parts that differ": lambda row: parts_text(row["step"]),
    "latency since 1.36.4": lambda row: changed(row["since_first"], LATENCY),
    "CPU since 1.36.4": lambda row: changed(row["since_first"], CPU),
}


def in_short(rows: Sequence[Row]) -> str:
    """The steps with a verdict, and what all steps together come to."""
    steps = [(row, currency) for row in rows if row["step"] for currency in (LATENCY, CPU)]
    verdicts = [(row, currency, row["step"][currency]) for row, currency in steps]
    marked = [entry for entry in verdicts if entry[2]["verdict"] in ("better", "worse")]
    largest = sorted(marked, key=lambda entry: -abs(entry[2]["share"]))[:3]
    named = "; ".join(
        f"{row['cell']} {row['version']} {numbers.signed_percent(found['share'], 1)} in {currency_name(currency)}"
        for row, currency, found in largest
    )
    last = [row for row in rows if row["version"] == VERSIONS[-1] and row["since_first"]]
    since = [row["since_first"][currency]["share"] for row in last for currency in (LATENCY, CPU)]
    span = f"{numbers.signed_percent(min(since), 1)} to {numbers.signed_percent(max(since), 1)}" if since else "unknown"
    most = f" The largest are {named}." if named else ""
    return (
        f"On this machine {len(marked)} of {len(verdicts)} steps from version to version are better or worse.{most} "
        f"From {VERSIONS[0]} to {VERSIONS[-1]} the overheads of the cells changed by {span}."
    )


def currency_name(currency: str) -> str:
    """As it is written in a sentence."""
    return "CPU" if currency == CPU else currency


def as_text(result: Mapping[str, Any]) -> str:
    """The result in Markdown."""
    rows = result["rows"]
    environment = result["environments"][0]
    drifts = [entry["anchor_drift_ratio"] for entry in result["environments"] if entry["anchor_drift_ratio"]]
    drift = f" The anchor cell drifted by up to {numbers.percent(max(drifts))} within a run." if drifts else ""
    return "\n".join(
        [
            "# Result",
            "Did Envoy get slower from version to version, and which part of it?",
            "",
            f"{MACHINE}{environment['cpus']} CPUs ({environment['cpu_model']}, {environment['virtualisation']}), Linux "
            f"{environment['kernel']}; {environment['date']}.{drift}",
            "Measured by:",
            *(f"`{command}`" for command in result["commands"]),
            "Raw: [result.json](result.json).",
            "",
            *sweep.markdown_table(rows, COLUMNS),
            "",
            "![overhead of each version by component](result.png)",
            "",
            f"{IN_SHORT}{in_short(rows)}",
            "",
            "No published finding is about this.",
            "",
        ]
    )


def draw(figure: Figure, rows: Sequence[Row]) -> None:
    """One row of panels per currency: bars per version, by component, one panel per cell."""
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    panels = figure.subplots(2, len(cells), squeeze=False, sharex=True)
    for line, currency in zip(panels, (LATENCY, CPU), strict=True):
        for axes, cell in zip(line, cells, strict=True):
            draw_cell(axes, [row for row in rows if row["cell"] == cell], currency)
            axes.set_title(cell, fontsize=8)
    panels[0][0].set_ylabel("added latency of the median exchange, µs")
    panels[1][0].set_ylabel("added CPU per request, µs")
    names = drawn(rows, LATENCY) + drawn(rows, CPU)
    patches = [Patch(color=palette.colour(name), label=name) for name in summaries.ordered(dict.fromkeys(names))]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, frameon=False)


def drawn(rows: Sequence[Row], currency: str) -> list[str]:
    """Components that are not zero everywhere."""
    return summaries.ordered(summaries.nonzero([row["components"][currency] for row in rows]))


def draw_cell(axes: Axes, rows: Sequence[Row], currency: str) -> None:
    """Stacked bars, one per version; components below zero are stacked downwards."""
    places = range(len(rows))
    up, down = [0.0] * len(rows), [0.0] * len(rows)
    for name in drawn(rows, currency):
        values = [row["components"][currency].get(name, 0.0) / 1e3 for row in rows]
        bottoms = [high if value >= 0 else low for value, high, low in zip(values, up, down, strict=True)]
        axes.bar(places, values, bottom=bottoms, color=palette.colour(name), width=0.75)
        up = [high + max(0.0, value) for value, high in zip(values, up, strict=True)]
        down = [low + min(0.0, value) for value, low in zip(values, down, strict=True)]
    axes.set_xticks(places, [row["version"] for row in rows], rotation=90, fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.axhline(0, color="black", linewidth=0.6)


if __name__ == "__main__":
    main()
