"""Puts the results of all experiments on one page, docs/explanation/results.md.

Usage: python experiments/summary.py
Reads the title of each folder's README.md and from result.md: the machine, one table, the result in short, and the
published statement it is compared with. `machine.py` has the words by which these are found.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.machine import IN_SHORT, MACHINE, PUBLISHED
from profiler.errors import MeshInsightError
from profiler.files.writing import write_whole

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs" / "explanation" / "results.md"
MOST_SENTENCES: Final = 3

INTRODUCTION: Final = """\
# Results

What the [experiments](../../experiments/README.md) found: a table and a few sentences for each. Full tables, figures,
commands and environments are in their folders. All ran on small virtual machines of shared hosts. Quote ratios within
one run, not absolute times. A ranking holds on the machine that is named; on others another component or filter can
lead. `python experiments/summary.py` writes this page.
"""


@dataclass(frozen=True)
class Shown:
    """What the page shows of an experiment: columns of one of its tables, and the first rows that have these values."""

    folder: str
    columns: Sequence[str]
    table: int = 0
    where: tuple[str, tuple[str, ...]] | None = None
    rows: int = 16


_COSTS: Final = ("+ p50, µs", "95 % interval", "+ p50", "+ p99, µs", "+ CPU, µs")
_PARTS: Final = ("overhead, µs", "95 % interval", "ipc", "socket_write", "proxy_core", "parsing")
SHOWN: Final = (
    Shown("headline", ("protocol", "sidecars", *_COSTS)),
    Shown("components", ("proxy", "currency", *_PARTS, "tls")),
    Shown("size_sweep", ("protocol", "answer", "+ p50, µs", "95 % interval", "off the line", "+ CPU, µs")),
    Shown("rate_sweep", ("protocol", "offered, 1/s", "achieved", "+ p50, µs", "+ CPU, µs", "vCPU per sidecar")),
    Shown("connection_sweep", ("protocol", "connections", "+ p50, µs", "+ p50", "with, 1/s", "throughput")),
    Shown("filter_costs", ("filter", "latency, µs", "95 % interval", "CPU, µs", "95 % interval of CPU")),
    Shown("proxies", ("protocol", "proxy", "currency", *_PARTS)),
    Shown("temperature", ("requests/s", "HTTP/1.1 hot", "cold", "TCP hot")),
    Shown(
        "application_graphs",
        ("graphs", "figure", "number", "mean error, anchored", "worst error, anchored", "inside the interval"),
        rows=9,
    ),
    Shown("what_ifs", ("graph", "what-if", "measured", "95 % interval", "share", "anchored", "anchored error")),
    Shown("own_overhead", ("load", "attached", "throughput", "p50", "p99"), where=("load", ("http1, 1 connection",))),
    Shown("attach_overhead", ("load", "nothing", "attached", "estimated overhead")),
    Shown("go_proxies", ("proxy", "protocol", "requests/s", "messages per request", "user time with a component")),
    Shown(
        "cluster_agreement",
        ("cell", "currency", "component", "local", "pods", "pods / local"),
        where=("component", ("overhead", "ipc", "parsing", "redirect")),
    ),
    Shown("repeatability", ("figure", "hot", "cold"), table=1),
    Shown(
        "envoy_versions",
        ("cell", "version", "latency, µs", "against the version before", "CPU, µs", "CPU against the version before"),
        where=("cell", ("HTTP/1.1", "HTTP/2", "gRPC")),
    ),
    Shown("duet", ("case", "runs", "any verdict better or worse", "its component in latency", "in CPU")),
    Shown("load_generators", ("generator", "server", "p50, µs", "p99, µs", "CPU of generator, µs")),
    Shown("user_time", ("run", "proxy", "symbols", "eh_frame", "ladder")),
    Shown("import_speed", ("traces", "spans", "spans/s (CPU)", "peak MiB")),
    Shown("batch_speed", ("graphs", "calls", "graphs/s, best", "median", "peak MiB"), table=1),
)


def main() -> None:
    """Write the page."""
    try:
        write_whole(PAGE, page())
    except MeshInsightError as error:
        sys.exit(str(error))
    print(f"{PAGE.relative_to(HERE.parent)}: {len(SHOWN)} experiments")


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *map(section, SHOWN)])


def section(shown: Shown) -> str:
    """One experiment: title, machine, table, result, published statement, where to read on.

    Raises:
        MeshInsightError: its result.md lacks one of these, or is longer than the page allows.
    """
    folder = HERE / shown.folder
    readme = folder / "README.md"
    heading = (readme if readme.exists() else folder / "result.md").read_text().splitlines()[0].lstrip("# ")
    text = (folder / "result.md").read_text()
    parts = [f"## {heading}", machine_of(text, shown.folder), table_of(text, shown), result_of(text, shown.folder)]
    parts += [part for part in text.split("\n\n") if part.startswith(PUBLISHED)]
    return "\n\n".join([*parts, f"More: [{shown.folder}](../../experiments/{shown.folder}/result.md)"]) + "\n"


def machine_of(text: str, name: str) -> str:
    """The line that names the machine."""
    for line in text.splitlines():
        if line.startswith(MACHINE):
            return line
    raise MeshInsightError(f"experiments/{name}/result.md: no line begins with {MACHINE!r}")


def result_of(text: str, name: str) -> str:
    """The result in short."""
    for part in text.split("\n\n"):
        if part.startswith(IN_SHORT):
            result = " ".join(part.removeprefix(IN_SHORT).split())
            if len(re.findall(r"\.(?= |$)", result)) > MOST_SENTENCES:
                raise MeshInsightError(f"experiments/{name}/result.md: more than {MOST_SENTENCES} sentences in short")
            return result
    raise MeshInsightError(f"experiments/{name}/result.md: no paragraph begins with {IN_SHORT!r}")


def table_of(text: str, shown: Shown) -> str:
    """The columns and rows of the table that the page shows."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    try:
        head, rule, *rows = [cells_of(line) for line in tables[shown.table].splitlines()]
        places = [head.index(column) for column in shown.columns]
        if shown.where:
            column, values = shown.where
            rows = [row for row in rows if row[head.index(column)] in values]
    except (IndexError, ValueError) as error:
        columns = ", ".join(shown.columns)
        raise MeshInsightError(f"experiments/{shown.folder}/result.md: no table with {columns}") from error
    chosen = [[row[place] for place in places] for row in (head, rule, *rows[: shown.rows])]
    return "\n".join(f"| {' | '.join(row)} |" for row in chosen)


def cells_of(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


if __name__ == "__main__":
    main()
