"""Does a profile measured in the pods of a cluster say the same as one of the local testbed on the same machine?

Usage: python experiments/cluster_agreement/run.py --image IMAGE [--rounds N] [--results DIR]
Run it as root from the root of the checkout, on the only node of the cluster that KUBECONFIG names. A round takes about
three minutes. `result.json` and `result.md` are written into the results folder.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.machine import IN_SHORT, MACHINE, machine_text
from meshinsight import __version__
from profiler.attribution.statistics import Floats, bootstrap_interval
from profiler.cluster.api.session import Session, connect
from profiler.cluster.run.continuing import Where
from profiler.cluster.run.running import ClusterRun
from profiler.errors import MeshInsightError
from profiler.files.writing import write_whole
from profiler.host.environment import describe_environment
from profiler.measuring.profiling import Invocation, Profiling
from profiler.planning.settings import ProfileSettings
from profiler.profile.types import Profile
from profiler.proxies.registry import find_proxy

HERE: Final = Path(__file__).parent
QUESTION: Final = "Does a profile measured in pods say the same as a local one on the same machine?"
LOCAL, PODS = "local", "pods"
SETTINGS: Final = ProfileSettings(
    protocols=("http1",), topologies=("both",), temperatures=("hot", "cold"), repeats=2, duration_s=1.0
)
"""With http1 comes the same in TCP, from which parsing is told."""
BOUND: Final = 0.15
ABOVE_NS: Final = 5000.0
FURTHEST: Final = 3
"""So many of the components that agree least are named."""
SEED: Final = 1
RESAMPLES: Final = 1000

Figures = dict[tuple[str, str, str], float]
"""Nanoseconds by cell, kind (latency or cpu) and component."""


def main() -> int:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 100), metavar="N")
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    options.results.mkdir(exist_ok=True, parents=True)
    try:
        with connect() as session:
            for rounds in measure(session, options.image, options.rounds):
                document = described(rounds, session.version)
                write_whole(options.results / "result.json", json.dumps(document, indent=1) + "\n")
                write_whole(options.results / "result.md", text_of(document))
    except MeshInsightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(verdict(document))
    return 0


def described(rounds: Sequence[Mapping[str, Figures]], kubernetes: str) -> dict[str, Any]:
    """The result of the rounds so far."""
    envoy = find_proxy("envoy").identify().version
    return {
        "question": QUESTION,
        "date": time.strftime("%Y-%m-%d"),
        "environment": {**describe_environment(), "envoy": envoy, "kubernetes": kubernetes},
        "rounds": len(rounds),
        "settings": SETTINGS.as_json(),
        "components": evaluated(rounds),
    }


def measure(session: Session, image: str, rounds: int) -> Iterator[list[dict[str, Figures]]]:
    """Both in each round, in random order; yields all rounds so far after each."""
    random = np.random.default_rng(SEED)
    found: list[dict[str, Figures]] = []
    for number in range(rounds):
        here: dict[str, Figures] = {}
        for where in random.permutation([LOCAL, PODS]).tolist():
            print(f"round {number + 1} of {rounds}: {where}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                here[where] = figures(profile(session, image, where, Path(folder) / "profile"))
        found.append(here)
        yield found


def profile(session: Session, image: str, where: str, directory: Path) -> Profile:
    """One profile, measured here or there."""
    command = ("python", "experiments/cluster_agreement/run.py")
    if where == LOCAL:
        outcome = Profiling(SETTINGS, Invocation(command, __version__)).run(directory, quietly)
    else:
        outcome = ClusterRun(session, SETTINGS, Where(image), command, __version__).run(directory, quietly)
    if outcome.interrupted:
        raise outcome.interrupted
    return outcome.profile


def quietly(label: str, left_s: float) -> None:
    """Report nothing."""


def figures(profile: Profile) -> Figures:
    """What the profile says of each component."""
    found: Figures = {}
    for cell in profile.cells:
        if cell.latency is not None:
            for name, part in cell.latency.components.items():
                found[cell.id, "latency", name] = part.median_ns
            found[cell.id, "latency", "overhead"] = cell.latency.overhead_p50_ns
            found[cell.id, "latency", "baseline"] = cell.latency.baseline_p50_ns
        for name, cost in cell.cpu.components.items() if cell.cpu else ():
            found[cell.id, "cpu", name] = cost.cpu_ns_per_request
    return found


def evaluated(rounds: Sequence[Mapping[str, Figures]]) -> list[dict[str, Any]]:
    """What is large enough: medians over rounds, and their ratio with its interval from drawing rounds again."""
    keys = [key for key in rounds[0][LOCAL] if all(key in one[where] for one in rounds for where in (LOCAL, PODS))]
    rows = []
    for key in keys:
        pairs = [np.array([one[PODS][key], one[LOCAL][key]]) for one in rounds]
        pods, local = np.median(np.array(pairs), axis=0)
        if local < ABOVE_NS:
            continue
        low, high = bootstrap_interval(pairs, ratio_of_medians, SEED, RESAMPLES)
        cell, kind, component = key
        rows.append(
            {
                "cell": cell, "kind": kind, "component": component, "local_ns": float(local), "pods_ns": float(pods),
                "ratio": float(pods / local), "ci95": [float(low[0]), float(high[0])],
            }
        )  # fmt: skip
    return rows


def ratio_of_medians(pairs: list[Floats]) -> Floats:
    """Of the pods' to the local."""
    pods, local = np.median(np.array(pairs), axis=0)
    return np.array([pods / local])


def text_of(document: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    machine = document["environment"]
    head = (
        f"{MACHINE}{machine_text(machine)}.\nEnvoy {machine['envoy']}, Kubernetes {machine['kubernetes']}; "
        f"{document['rounds']} rounds, {document['date']}. Raw: [result.json](result.json)."
    )
    intro = f"Medians over rounds of what is above {ABOVE_NS / 1000:g} µs locally, with 95 % intervals of the ratio:"
    return "\n\n".join(["# Result", head, verdict(document), intro, table(document)]) + "\n"


def table(document: Mapping[str, Any]) -> str:
    """One row for each component."""
    lines = ["| cell | currency | component | local | pods | pods / local |", "|---|---|---|--:|--:|--:|"]
    for row in document["components"]:
        low, high = row["ci95"]
        lines.append(
            f"| {row['cell']} | {row['kind']} | {row['component']} | {row['local_ns'] / 1000:.1f} µs "
            f"| {row['pods_ns'] / 1000:.1f} µs | {row['ratio']:.2f} ({low:.2f} … {high:.2f}) |"
        )
    return "\n".join(lines)


def verdict(document: Mapping[str, Any]) -> str:
    """How many components agree, and which agree least."""
    parts = [row for row in document["components"] if row["component"] not in ("overhead", "baseline")]
    agree = sum(abs(row["ratio"] - 1) <= BOUND for row in parts)
    furthest = sorted(parts, key=lambda row: -abs(math.log(row["ratio"])))[:FURTHEST]
    named = "; ".join(
        f"{row['component']} ({row['kind']}, {row['cell'].split('-q')[0]}) {row['ratio']:.2f}" for row in furthest
    )
    above = f"components above {ABOVE_NS / 1000:g} µs agree within {BOUND:.0%}"
    return f"{IN_SHORT}On this machine {agree} of {len(parts)} {above}. Furthest apart, pods over local: {named}."


if __name__ == "__main__":
    sys.exit(main())
