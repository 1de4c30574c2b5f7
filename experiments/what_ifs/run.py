"""Holds the predicted savings of what-ifs against measured ones, for every graph beside this file.

Usage: python experiments/what_ifs/run.py [PROFILE] [--rounds N] [--only NAME …] [--results DIR]
Without PROFILE, what the graphs need is profiled first (about 14 minutes). Each graph takes about five minutes.
`result.json`, `result.md` and `result.png` are written into the results folder; graphs left out keep their results.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from experiments.machine import IN_SHORT, MACHINE, machine_text, published_text
from profiler.files.writing import write_whole

HERE: Final = Path(__file__).parent
NAMES: Final = sorted(path.stem for path in (HERE / "graphs").glob("*.yaml"))

QUESTION: Final = "Do predicted savings of what-ifs hold, and are they in the right order?"
PUBLISHED: Final = "not all seemingly promising optimisations reduce overhead notably"
SOURCE: Final = "MeshInsight, SoCC'23"

TITLES: Final = {"latency": "latency, p50", "cpu": "CPU"}
KEYS: Final = {"latency": ("{}_p50_ns", "{}_p50_ci95_ns"), "cpu": ("{}_vcpu", "{}_ci95_vcpu")}
"""Names of a value and of its interval in the JSON of a validation, by currency."""

LARGE_US: Final = 10.0
"""Above it a saving is to be foretold within `BOUND_RATIO`."""
BOUND_RATIO: Final = 0.2
NOTABLE_RATIO: Final = 0.1
"""A what-if that saves less than this share of the overhead does not reduce it notably."""

MARKERS: Final = "osD^v"

Span = tuple[float, float]
Graphs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Figure:
    """A saving or an overhead in µs per request: predicted, the same at the machine's speed of then, and measured."""

    predicted_us: float
    anchored_us: float
    anchored_span_us: Span
    measured_us: float
    measured_span_us: Span

    @property
    def error_ratio(self) -> float | None:
        """Predicted over measured, minus one; None where nothing was saved."""
        return self.predicted_us / self.measured_us - 1.0 if self.measured_us > 0.0 else None

    @property
    def anchored_error_ratio(self) -> float | None:
        """The same of the anchored prediction."""
        return self.anchored_us / self.measured_us - 1.0 if self.measured_us > 0.0 else None


@dataclass(frozen=True)
class Row:
    """One what-if of one graph in one currency. `share` is its measured saving over the measured overhead."""

    graph: str
    name: str
    saving: Figure
    share: float


def main() -> int:
    """Validate what was asked for, one graph after another; 1 if one could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    options.results.mkdir(exist_ok=True, parents=True)
    file = options.results / "result.json"
    graphs: dict[str, dict[str, Any]] = json.loads(file.read_text())["graphs"] if file.exists() else {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="meshinsight-what-ifs-") as folder:
        profile = options.profile or profiled(Path(folder) / "profile")
        for name in options.only:
            document = validated(profile, name, options.rounds)
            if document is None:
                failed.append(name)
                continue
            graphs[name] = kept(document)
            write(graphs, options.results)
    if graphs:
        print("\n".join(summary(graphs)))
    if failed:
        print(f"no result: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def profiled(directory: Path) -> Path:
    """Measure the profile that the graphs here need."""
    if called(["profile", "--matrix", str(HERE / "matrix.yaml"), "--out", str(directory)]) is None:
        sys.exit(1)
    return directory


def validated(profile: Path, name: str, rounds: int) -> dict[str, Any] | None:
    """The result of `meshinsight validate` for one graph with its what-ifs; None where it failed."""
    print(name, file=sys.stderr, flush=True)
    command = ["validate", str(profile), str(HERE / "graphs" / f"{name}.yaml"), "--rounds", str(rounds), "-o", "json"]
    output = called([*command, "--what-if", str(HERE / "scenarios" / f"{name}.yaml")])
    document: dict[str, Any] | None = None if output is None else json.loads(output)
    return document


def called(arguments: Sequence[str]) -> str | None:
    """What a command of meshinsight prints; None where it failed, and said why on standard error."""
    process = subprocess.Popen([sys.executable, "-m", "meshinsight", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate()
    except KeyboardInterrupt:
        process.communicate()  # it was interrupted as well, and is removing what it has deployed
        raise
    return None if process.returncode else output


def kept(document: Mapping[str, Any]) -> dict[str, Any]:
    """What tables and plot need of a validation."""
    plain = ("services", "temperature", "rate_rps", "rounds", "seconds", "profile_run_id", "environment", "warnings")
    return {
        "date": time.strftime("%Y-%m-%d"),
        **{key: document[key] for key in plain},
        "anchor_factors": {name: anchor["factor"] for name, anchor in document["anchors"].items()},
        "overhead": {currency: needed(document[currency], currency) for currency in TITLES},
        "saving": {
            name: {currency: needed(variant["saving"][currency], currency) for currency in TITLES}
            for name, variant in document["what_if"].items()
        },
    }


def needed(part: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """The predicted, anchored and measured value of a part of a validation, with their intervals."""
    names = [key.format(kind) for kind in ("predicted", "anchored", "measured") for key in KEYS[currency]]
    return {name: part[name] for name in names}


def figure(part: Mapping[str, Any], currency: str, rate_rps: float) -> Figure:
    """A part of a validation in µs per request from outside."""
    value, span = KEYS[currency]
    unit = 1e-3 if currency == "latency" else 1e6 / rate_rps

    def ends(kind: str) -> Span:
        low, high = part[span.format(kind)]
        return low * unit, high * unit

    predicted, anchored, measured = (part[value.format(kind)] * unit for kind in ("predicted", "anchored", "measured"))
    return Figure(predicted, anchored, ends("anchored"), measured, ends("measured"))


def rows_of(graphs: Graphs, currency: str) -> list[Row]:
    """All what-ifs of all graphs."""
    rows = []
    for graph, entry in sorted(graphs.items()):
        overhead = figure(entry["overhead"][currency], currency, entry["rate_rps"])
        for name, parts in entry["saving"].items():
            saving = figure(parts[currency], currency, entry["rate_rps"])
            rows.append(Row(graph, name, saving, saving.measured_us / overhead.measured_us))
    return rows


def spearman(rows: Sequence[Row]) -> float:
    """Rank correlation of anchored and measured savings; 1 is the same order."""
    ranks = [
        np.argsort(np.argsort(values))
        for values in ([row.saving.anchored_us for row in rows], [row.saving.measured_us for row in rows])
    ]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def clearly_wrong(rows: Sequence[Row]) -> list[str]:
    """Pairs that are predicted the other way round, and whose measured savings differ by more than their intervals."""
    found = []
    for one, other in combinations(rows, 2):
        more, less = (one, other) if one.saving.measured_us >= other.saving.measured_us else (other, one)
        below = more.saving.measured_us - more.saving.measured_span_us[0]
        above = less.saving.measured_span_us[1] - less.saving.measured_us
        apart = more.saving.measured_us - less.saving.measured_us > np.hypot(below, above)
        if apart and more.saving.anchored_us < less.saving.anchored_us:
            found.append(f"{more.name} saves more than {less.name}")
    return found


def summary(graphs: Graphs) -> list[str]:
    """The verdicts: order in every graph, and errors of large savings."""
    lines = []
    for currency in TITLES:
        rows = rows_of(graphs, currency)
        lines += [order_line([row for row in rows if row.graph == graph], currency) for graph in sorted(graphs)]
        lines.append(error_line(rows, currency))
    return lines


def order_line(rows: Sequence[Row], currency: str) -> str:
    """Whether the what-ifs of one graph are in the right order."""
    rank, wrong = spearman(rows), clearly_wrong(rows)
    verdict = "right" if rank > 1.0 - 1e-9 else "right within the intervals" if not wrong else "wrong"
    pairs = f": in truth {'; '.join(wrong)}" if wrong else ""
    return f"- Order in {rows[0].graph}, {TITLES[currency]}: **{verdict}** (Spearman {rank:.2f}){pairs}."


def error_line(rows: Sequence[Row], currency: str) -> str:
    """Errors of the savings that are large enough to be held to the bound."""
    large = [row.saving for row in rows if row.saving.measured_us > LARGE_US]
    if not large:
        return f"- No saving above {LARGE_US:g} µs, {TITLES[currency]}."
    anchored = [abs(saving.anchored_us / saving.measured_us - 1.0) for saving in large]
    raw = [abs(saving.predicted_us / saving.measured_us - 1.0) for saving in large]
    within = sum(error <= BOUND_RATIO for error in anchored)
    worst = f"{max(anchored):.0%} ({max(raw):.0%} raw)"
    return (
        f"- Error of the {len(large)} savings above {LARGE_US:g} µs, {TITLES[currency]}: mean "
        f"**{np.mean(anchored):.0%}** anchored ({np.mean(raw):.0%} raw), worst {worst}; "
        f"{within} of {len(large)} within {BOUND_RATIO:.0%}."
    )


def finding(graphs: Graphs) -> dict[str, str]:
    """Whether the published finding holds: some what-if must save little, of latency and of CPU."""
    pairs = list(zip(*(rows_of(graphs, currency) for currency in TITLES), strict=True))
    small = [pair[0] for pair in pairs if all(row.share < NOTABLE_RATIO for row in pair)]
    names = [f"{row.name} ({row.graph})" for row in small]
    count = f"{len(small)} of {len(pairs)} what-ifs save less than {NOTABLE_RATIO:.0%}"
    return {
        "published": PUBLISHED,
        "source": SOURCE,
        "holds": "yes" if small else "no",
        "text": f"On this machine {count} of the overhead, of latency and of CPU: {'; '.join(names) or 'none'}.",
    }


def write(graphs: Graphs, results: Path) -> None:
    """Write the figures, the text and the plot."""
    document = {"question": QUESTION, "finding": finding(graphs), "graphs": graphs}
    write_whole(results / "result.json", json.dumps(document, indent=1) + "\n")
    write_whole(results / "result.md", text_of(graphs))
    draw(graphs, results / "result.png")


def text_of(graphs: Graphs) -> str:
    """The result as Markdown."""
    entry = next(iter(graphs.values()))
    environment = entry["environment"]
    runs = "; ".join(
        f"{name} at {one['rate_rps']:g} requests/s, {one['rounds']} rounds of {one['seconds']:g} s, {one['date']}, "
        f"anchor {one['anchor_factors']['http1-both-hot']:.2f}"
        for name, one in sorted(graphs.items())
    )
    head = f"{MACHINE}{machine_text(environment)}.\n{entry['temperature']}: {runs}. Raw: [result.json](result.json)."
    parts = ["# Result", head, *(table(graphs, currency) for currency in TITLES)]
    warnings = [f"- {name}: {warning}" for name, one in sorted(graphs.items()) for warning in one["warnings"]]
    verdict = finding(graphs)
    parts += ["![predicted against measured savings](result.png)", f"{IN_SHORT}{verdict['text']}"]
    parts += [published_text(verdict), "\n".join([*summary(graphs), *warnings])]
    return "\n\n".join(parts) + "\n"


def table(graphs: Graphs, currency: str) -> str:
    """Savings of all what-ifs, the largest of each graph first."""
    lines = [
        f"Saved of {TITLES[currency]}, µs per request, and its share of the overhead; error of the prediction:\n",
        "| graph | what-if | measured | 95 % interval | share | predicted | anchored | error | anchored error |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in sorted(rows_of(graphs, currency), key=lambda row: (row.graph, -row.saving.measured_us)):
        saving = row.saving
        low, high = saving.measured_span_us
        lines.append(
            f"| {row.graph} | {row.name} | {saving.measured_us:,.0f} | {low:,.0f} … {high:,.0f} | {row.share:.0%} "
            f"| {saving.predicted_us:,.0f} | {saving.anchored_us:,.0f} | {percent(saving.error_ratio)} "
            f"| {percent(saving.anchored_error_ratio)} |"
        )
    return "\n".join(lines)


def percent(ratio: float | None) -> str:
    """An error in percent."""
    return "–" if ratio is None else f"{ratio:+.0%}"


def draw(graphs: Graphs, file: Path) -> None:
    """Predicted over measured savings, latency and CPU; the band is ±20 %."""
    drawing, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    for axis, currency in zip(axes, TITLES, strict=True):
        draw_currency(axis, graphs, currency)
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7, frameon=False)
    drawing.savefig(file, dpi=110)
    plt.close(drawing)


def draw_currency(axis: Axes, graphs: Graphs, currency: str) -> None:
    """One currency: a marker per graph, a colour per what-if."""
    rows = rows_of(graphs, currency)
    names, known = list(dict.fromkeys(row.name for row in rows)), sorted(graphs)
    for row in rows:
        saving = row.saving
        x, y = saving.measured_us, saving.anchored_us
        axis.errorbar(
            x, y, xerr=around(x, saving.measured_span_us), yerr=around(y, saving.anchored_span_us), linewidth=0.8,
            fmt=MARKERS[known.index(row.graph) % len(MARKERS)], color=f"C{names.index(row.name) % 10}", markersize=5,
            label=f"{row.graph}: {row.name}",
        )  # fmt: skip
    least, most = min(axis.get_xlim()[0], axis.get_ylim()[0]), max(axis.get_xlim()[1], axis.get_ylim()[1])
    low, high = 1.0 - BOUND_RATIO, 1.0 + BOUND_RATIO
    axis.plot([least, most], [least, most], color="grey", linewidth=0.8)
    axis.fill_between([0.0, most], [0.0, low * most], [0.0, high * most], color="grey", alpha=0.15)
    axis.set_xlabel("measured saving, µs per request")
    axis.set_ylabel("predicted and anchored saving, µs per request")
    axis.set_title(TITLES[currency])


def around(value: float, span: Span) -> list[list[float]]:
    """An interval as the two distances that matplotlib wants."""
    return [[max(value - span[0], 0.0)], [max(span[1] - value, 0.0)]]


if __name__ == "__main__":
    sys.exit(main())
