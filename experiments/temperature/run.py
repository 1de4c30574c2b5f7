"""What makes a sidecar cold? One hop at falling rates, and one sidecar among others.

Usage: python experiments/temperature/run.py [--rounds N] [--results DIR]
Run it as root from the root of the checkout; six rounds take about six minutes. `result.json`, `result.md` and
`result.png` are written into the results folder.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np

from experiments.machine import IN_SHORT, MACHINE, machine_text
from profiler.files.writing import write_whole
from profiler.host.environment import describe_environment
from profiler.measuring.applications import AnchorCell, ApplicationBench
from profiler.measuring.bench import wait_until_sending
from profiler.testbed.application import NO_SIDECAR, Application, Edge, Microservice
from profiler.testbed.run import Run, measuring_lock
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1, TCP
from profiler.vocabulary.temperature import COLD, HOT
from profiler.workload.generators.own import OwnGenerator

HERE: Final = Path(__file__).parent
RATES: Final = (2000.0, 1000.0, 500.0, 200.0, 100.0, 50.0)
CELLS: Final = (
    *(AnchorCell(protocol, HOT, rate) for protocol in (HTTP1, TCP) for rate in (None, *RATES)),
    *(AnchorCell(protocol, COLD, rate) for protocol in (HTTP1, TCP) for rate in (1000.0, 500.0, 200.0, 100.0)),
)
SERVICE_NS: Final = 100_000
OTHERS: Final = 4
SELDOM_RPS: Final = 40.0
ENTRY: Final = "ingress->a"

ALONE: Final = "alone"
AMONG_SIDECARS: Final = "among four services with sidecars"
AMONG_SERVICES: Final = "among four services without"
OFTEN: Final = "alone, five times as often"


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    paced, shared = measured(options.rounds)
    result: dict[str, Any] = {
        "rounds": options.rounds,
        "by_rate": [
            {
                "protocol": cell.protocol,
                "temperature": cell.temperature,
                "rate_rps": cell.rate_rps,
                "overhead_ns": float(np.median(paced[cell])),
                "quartiles_ns": np.percentile(paced[cell], (25, 75)).tolist(),
            }
            for cell in CELLS
        ],
        "among_others": {
            name: {"overhead_ns": float(np.median(values)), "quartiles_ns": np.percentile(values, (25, 75)).tolist()}
            for name, values in shared.items()
        },
        "common": common(shared),
        "environment": describe_environment(),
    }
    result["finding"] = {"published": None, "source": None, "holds": None, "text": found(result)}
    write_whole(options.results / "result.json", json.dumps(result, indent=1) + "\n")
    draw(result, options.results / "result.png")
    text = as_text(result)
    write_whole(options.results / "result.md", text)
    print(text)


def service(sidecar: str) -> Application:
    """One service that is asked from outside."""
    edge = Edge(ENTRY, "a", HTTP1, NO_SIDECAR, sidecar, request_bytes=128, response_bytes=1024)
    return Application((Microservice("a", (SERVICE_NS,)),), (edge,))


def measured(rounds: int) -> tuple[dict[AnchorCell, list[float]], dict[str, list[float]]]:
    """Overheads in ns, in rounds: of the cells, and of one service in company."""
    variants = {
        f"{kind}{number}": service(sidecar)
        for kind, sidecar in (("with", HTTP1), ("without", NO_SIDECAR))
        for number in range(1 + OTHERS)
    }
    paced: dict[AnchorCell, list[float]] = defaultdict(list)
    shared: dict[str, list[float]] = defaultdict(list)
    with measuring_lock(), Run.start() as run:
        run.suspend_autogroup()
        with ApplicationBench(run, variants, {ENTRY: 1.0}, HOT, CELLS) as bench:
            company = Company(run, bench)
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", flush=True)
                for cell, reading in bench.anchors(1.0).items():
                    paced[cell].append(reading.latency_ns)
                company.measure(shared)
    return paced, shared


class Company:
    """Load on several services at once; the first is timed."""

    def __init__(self, run: Run, bench: ApplicationBench) -> None:
        self._run = run
        self._bench = bench
        self._directories = [run.add_directory(f"company-{number}") for number in range(1 + OTHERS)]

    def measure(self, shared: dict[str, list[float]]) -> None:
        """Add one round of each kind of company."""
        bare, meshed = (f"{kind}0" for kind in ("without", "with"))
        others = {kind: [f"{kind}{number}" for number in range(1, 1 + OTHERS)] for kind in ("with", "without")}
        self._bench.neighbours.awake()
        among = self._median_ns([bare, *others["without"]], SELDOM_RPS)
        shared[ALONE].append(self._median_ns([meshed], SELDOM_RPS) - self._median_ns([bare], SELDOM_RPS))
        shared[AMONG_SERVICES].append(self._median_ns([meshed, *others["without"]], SELDOM_RPS) - among)
        shared[AMONG_SIDECARS].append(self._median_ns([meshed, *others["with"]], SELDOM_RPS) - among)
        often_rps = SELDOM_RPS * (1 + OTHERS)
        shared[OFTEN].append(self._median_ns([meshed], often_rps) - self._median_ns([bare], often_rps))

    def _median_ns(self, names: Sequence[str], rate_rps: float, seconds: float = 1.5) -> float:
        cpu = sorted(os.sched_getaffinity(0))[0]
        generator, started = OwnGenerator(), []
        for name, directory in zip(names, self._directories, strict=False):
            deployment = self._bench.deployments[name]
            load = Load(1, rate_rps, 128, 1024, extra_headers=deployment.headers_for(deployment.application.entries[0]))
            argv = generator.argv(deployment.targets[ENTRY], load, seconds + 0.5, directory)
            started.append(self._run.spawn(f"load-{name}", argv, netns=deployment.client.namespace, cpu=cpu))
        for process, directory in zip(started, self._directories, strict=False):
            wait_until_sending(generator, directory, process)
        time.sleep(0.2)
        start_ns = time.monotonic_ns()
        time.sleep(seconds)
        end_ns = time.monotonic_ns()
        for process in started:
            process.wait(30)
        return float(np.median(generator.result(self._directories[0]).between(start_ns, end_ns)))


def common(shared: Mapping[str, Sequence[float]]) -> float:
    """The share of what cools that others' sidecars keep warm: 0 none, 1 as good as being asked as often oneself."""
    alone, among, often = (np.median(shared[name]) for name in (AMONG_SERVICES, AMONG_SIDECARS, OFTEN))
    return float((alone - among) / (alone - often))


def draw(result: Mapping[str, Any], file: Path) -> None:
    """Overhead over the time between requests, and in company."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for color, protocol in (("C0", HTTP1), ("C1", TCP)):
        for style, temperature in (("o-", HOT), ("s--", COLD)):
            rows = [
                row
                for row in result["by_rate"]
                if (row["protocol"], row["temperature"]) == (protocol, temperature) and row["rate_rps"]
            ]
            x, y = [1e3 / row["rate_rps"] for row in rows], [row["overhead_ns"] * 1e-3 for row in rows]
            spans = np.abs(np.array([row["quartiles_ns"] for row in rows]).T * 1e-3 - np.array(y))
            left.errorbar(x, y, yerr=spans, fmt=style, color=color, label=f"{protocol}, {temperature}", markersize=4)
    left.set_xscale("log")
    left.set_xlabel("time between two requests, ms")
    left.set_ylabel("overhead of two sidecars at the median, µs")
    left.set_ylim(bottom=0)
    left.legend(frameon=False)
    names, entries = zip(*result["among_others"].items(), strict=True)
    values = [entry["overhead_ns"] * 1e-3 for entry in entries]
    spans = np.abs(np.array([entry["quartiles_ns"] for entry in entries]).T * 1e-3 - np.array(values))
    right.barh(names, values, xerr=spans, color="C0")
    right.set_xlabel("overhead of one sidecar at the median, µs")
    figure.savefig(file, dpi=110)


def by_cell(result: Mapping[str, Any]) -> dict[tuple[str, str, float | None], float]:
    """Overheads in ns by protocol, temperature and rate."""
    return {(row["protocol"], row["temperature"], row["rate_rps"]): row["overhead_ns"] for row in result["by_rate"]}


def found(result: Mapping[str, Any]) -> str:
    """The result in three sentences."""
    rows = by_cell(result)
    return (
        "On this machine, whose caches other guests share, time alone cools: at 50 requests/s HTTP/1.1 costs "
        f"{rows[HTTP1, HOT, 50.0] / rows[HTTP1, HOT, None]:.1f} times what it costs as fast as answers come. "
        "The temperature model takes this curve from each profile. "
        f"Sidecars of other services, which run the same program, kept {result['common']:.0%} of what cools here and "
        "44 % in an earlier run with fewer services to compare: not established, so not in the model."
    )


def as_text(result: Mapping[str, Any]) -> str:
    """The result for people."""
    rows = by_cell(result)
    environment = result["environment"]
    lines = [
        "# Result", "", f"{MACHINE}{machine_text(environment)}.", "",
        "Overhead of two sidecars at the median in µs, one request at a time; `hot`: CPUs are awake and nothing else "
        "runs, `cold`: a neighbour walks a buffer of the L2's size.", "",
        "| requests/s | HTTP/1.1 hot | cold | TCP hot | cold |", "|---|--:|--:|--:|--:|",
    ]  # fmt: skip
    for rate in (None, *RATES):
        cells = [rows.get((protocol, temperature, rate)) for protocol in (HTTP1, TCP) for temperature in (HOT, COLD)]
        texts = ["–" if value is None else f"{value * 1e-3:.0f}" for value in cells]
        lines.append(f"| {'as fast as answered' if rate is None else f'{rate:g}'} | {' | '.join(texts)} |")
    lines += ["", f"One HTTP/1.1 sidecar before a service that is asked {SELDOM_RPS:g} times a second:", ""]
    lines += [f"- {name}: {entry['overhead_ns'] * 1e-3:.0f} µs" for name, entry in result["among_others"].items()]
    lines += ["", "![overhead over the time between requests, and in company](result.png)", ""]
    lines.append(f"{IN_SHORT}{found(result)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
