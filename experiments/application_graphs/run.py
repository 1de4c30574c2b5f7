"""Validates every graph beside this file against one profile, and draws predicted against measured.

Usage: python experiments/application_graphs/run.py PROFILE [--rounds N] [--only NAME …] [--temperature NAME]
[--results DIR]. Takes about a minute and a half per graph. `result.json`, `result.md` and `result.png` are written into
the results folder; what is not measured again is kept.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.machine import IN_SHORT, MACHINE, machine_text
from profiler.files.writing import write_whole
from profiler.vocabulary.temperature import APPLICATION_TEMPERATURES

HERE = Path(__file__).parent
GRAPHS = sorted((HERE / "graphs").glob("*.yaml"))

ALL: Final = "all"
UNSEEN = ("hotel-shape", "boutique-shape", "chain-6-mixed")
"""Measured after the model was made as it is. The others were in sight then: no constant was fitted to them, but what
the model lacked was looked for where they disagreed with it."""


def main() -> None:
    """Validate what was asked for, one graph after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--temperature", default="hot")
    parser.add_argument("--only", nargs="*", default=[path.stem for path in GRAPHS])
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    options.results.mkdir(exist_ok=True, parents=True)
    file = options.results / "result.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for graph in GRAPHS:
        if graph.stem in options.only:
            name = graph.stem if options.temperature == "hot" else f"{graph.stem}, {options.temperature}"
            result = validated(options.profile, graph, options.rounds, options.temperature)
            if isinstance(result, str):
                print(f"{name}: {result}", flush=True)
                continue
            found[name] = result
            write(found, options.results)
            print(line(name, found[name]), flush=True)
    print("\n".join(errors_table(summary(found))))


def write(found: dict[str, Any], results: Path) -> None:
    """The three files of the result."""
    write_whole(results / "result.json", json.dumps(found, indent=1) + "\n")
    write_whole(results / "result.md", as_text(found))
    draw(found, results / "result.png")


def validated(profile: Path, graph: Path, rounds: int, temperature: str) -> dict[str, Any] | str:
    """The result of `meshinsight validate` for one graph, or why there is none."""
    command = [sys.executable, "-m", "meshinsight", "validate", str(profile), str(graph), "-o", "json"]
    command += ["--rounds", str(rounds), "--temperature", temperature]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        return run.stderr.splitlines()[-1]
    document: dict[str, Any] = json.loads(run.stdout)
    return document


def line(name: str, found: dict[str, Any]) -> str:
    """One graph in a line."""
    latency, cpu = found["latency"], found["cpu"]
    return (
        f"{name:24} {found['rate_rps']:6g}/s  anchor {found['anchor']['factor']:.2f}  "
        f"p50 predicted {latency['predicted_p50_ns'] / 1e3:7.1f}, anchored {latency['anchored_p50_ns'] / 1e3:7.1f}, "
        f"measured {latency['measured_p50_ns'] / 1e3:7.1f} us ({percent(latency['error_ratio'])}, anchored "
        f"{percent(latency['anchored_error_ratio'])}, {'inside' if latency['inside_interval'] else 'outside'})  "
        f"CPU {percent(cpu['error_ratio'])}, anchored {percent(cpu['anchored_error_ratio'])}, "
        f"{'inside' if cpu['inside_interval'] else 'outside'}"
    )


def percent(ratio: float | None) -> str:
    """An error in percent."""
    return "-" if ratio is None else f"{ratio:+.0%}"


@dataclass(frozen=True)
class Errors:
    """Errors of one figure over a group of graphs, as ratios; `inside` is the share of intervals that hold it."""

    graphs: str
    figure: str
    count: int
    mean_anchored: float
    mean_raw: float
    worst_anchored: float
    worst_raw: float
    inside: float


def summary(found: dict[str, Any]) -> list[Errors]:
    """Mean and worst errors, with and without the graphs that were in sight when the model was made."""
    groups = {
        ALL: found,
        "two services and more": {name: entry for name, entry in found.items() if entry["services"] > 1},
        "not seen when the model was made": {name: entry for name, entry in found.items() if unseen(name)},
        **{
            f"{temperature}, two services and more": {
                name: entry
                for name, entry in found.items()
                if entry["temperature"] == temperature and entry["services"] > 1
            }
            for temperature in APPLICATION_TEMPERATURES
        },
    }
    rows = []
    for label, group in groups.items():
        for part, ending, name in (("latency", "", "p50"), ("latency", "_p99", "p99"), ("cpu", "", "CPU")):
            raw, anchored = (
                [abs(value) for entry in group.values() if (value := entry[part][f"{key}{ending}"]) is not None]
                for key in ("error_ratio", "anchored_error_ratio")
            )
            if anchored:
                inside = float(np.mean([entry[part][f"inside_interval{ending}"] for entry in group.values()]))
                errors = (float(np.mean(anchored)), float(np.mean(raw)), max(anchored), max(raw), inside)
                rows.append(Errors(label, name, len(anchored), *errors))
    return rows


def errors_table(rows: Sequence[Errors]) -> list[str]:
    """Lines of the table of errors."""
    lines = [
        "| graphs | figure | number | mean error, anchored | raw | worst error, anchored | raw | inside the interval |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        ratios = (row.mean_anchored, row.mean_raw, row.worst_anchored, row.worst_raw)
        cells = [row.graphs, row.figure, f"{row.count}", *(f"{ratio:.1%}" for ratio in ratios), f"{row.inside:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def in_short(rows: Sequence[Errors]) -> str:
    """Mean errors of all graphs, and how many measured figures are inside the intervals."""
    everything = [row for row in rows if row.graphs == ALL]
    means = ", ".join(f"{row.mean_anchored:.0%} of {row.figure} ({row.mean_raw:.0%} raw)" for row in everything)
    inside = ", ".join(f"{row.inside:.0%} of {row.figure}" for row in everything)
    return (
        f"{IN_SHORT}On this machine the mean error of the anchored predictions is {means}. "
        f"The 95 % intervals hold {inside}."
    )


def unseen(name: str) -> bool:
    """Whether the model was made before this graph was measured."""
    return name.partition(",")[0] in UNSEEN


def as_text(found: dict[str, Any]) -> str:
    """The result for people."""
    first = next(iter(found.values()))
    environment = first["environment"]
    rows = summary(found)
    lines = [
        "# Result", "",
        f"{MACHINE}{machine_text(environment)}.",
        f"Services take 100 to 200 µs each; {first['rounds']} rounds of {first['seconds']:g} s. "
        "Raw: [result.json](result.json).", "",
        *errors_table(rows), "",
        in_short(rows), "",
        "Overhead of the median in µs and of CPU in thousandths of a vCPU. Anchored: at the machine's speed of "
        "then, as measured at the anchor hops, without figures of the graph. † not seen when the model was made.",
        "",
        "| graph | requests/s | anchors | p50 predicted | anchored | measured | error | anchored | CPU anchored "
        "| measured | error | anchored |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for name, entry in found.items():
        latency, cpu = entry["latency"], entry["cpu"]
        anchors = ", ".join(f"{anchor['factor']:.2f}" for anchor in entry["anchors"].values())
        figures = [latency[f"{key}_p50_ns"] * 1e-3 for key in ("predicted", "anchored", "measured")]
        cpus = [cpu[f"{key}_vcpu"] * 1e3 for key in ("anchored", "measured")]
        cells = [
            f"{name} †" if unseen(name) else name, f"{entry['rate_rps']:g}", anchors, *(f"{x:,.0f}" for x in figures),
            percent(latency["error_ratio"]), percent(latency["anchored_error_ratio"]), *(f"{x:,.0f}" for x in cpus),
            percent(cpu["error_ratio"]), percent(cpu["anchored_error_ratio"]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Anchors: " + ", ".join(next(iter(found.values()))["anchors"]) + ", and TCP's where a graph has TCP.",
        "",
    ]
    return "\n".join([*lines, "![predicted against measured](result.png)", ""])


def draw(found: dict[str, Any], file: Path) -> None:
    """Predicted over measured, latency and CPU; the band is ±20 %. What the model was made with is hollow."""
    columns = 1 + len(found) // 25
    figure, axes = plt.subplots(1, 2, figsize=(9 + 1.5 * columns, 4.8), layout="constrained")
    plots = (
        ("latency", "anchored_p50_ns", "anchored_p50_ci95_ns", "measured_p50_ns", "measured_p50_ci95_ns", 1e-3, "µs"),
        ("cpu", "anchored_vcpu", "anchored_ci95_vcpu", "measured_vcpu", "measured_ci95_vcpu", 1e3, "mCPU"),
    )
    for axis, (currency, value, span, truth, truth_span, unit, label) in zip(axes, plots, strict=True):
        for index, (name, entry) in enumerate(found.items()):
            part = entry[currency]
            x, y = part[truth] * unit, part[value] * unit
            low, high = (end * unit for end in part[span])
            left, right = (end * unit for end in part[truth_span])
            axis.errorbar(
                x, y, xerr=[[max(x - left, 0)], [max(right - x, 0)]], yerr=[[max(y - low, 0)], [max(high - y, 0)]],
                fmt="osD^vPX"[index // 4 % 7], color=f"C{index % 10}", markersize=5, linewidth=0.8, label=name,
                fillstyle="full" if unseen(name) else "none",
            )  # fmt: skip
        values = [entry[currency][key] * unit for entry in found.values() for key in (value, truth)]
        ends = [0.7 * max(min(values), 1.0), 1.4 * max(values)]
        axis.plot(ends, ends, color="grey", linewidth=0.8)
        axis.fill_between(ends, [0.8 * end for end in ends], [1.2 * end for end in ends], color="grey", alpha=0.15)
        axis.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            scale.set_major_formatter("{x:,.0f}")
            scale.set_minor_formatter(NullFormatter())
        axis.set_xlabel(f"measured overhead, {label}")
        axis.set_ylabel(f"predicted and anchored, {label}")
        axis.set_title("latency, p50" if currency == "latency" else "CPU")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7, frameon=False, ncols=columns
    )
    figure.savefig(file, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
