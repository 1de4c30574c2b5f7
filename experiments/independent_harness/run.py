"""Does a second way of measuring say the same as the profile? One hop and chains, TCP and HTTP/1.1, hot and cold.

Usage: python experiments/independent_harness/run.py [--profile DIR] [--cases NAME …] [--rounds N] [--results DIR]
Run it as root from the root of the checkout, on a machine that does nothing else; sixteen rounds take about eleven
minutes. `result.json` and `result.md` are written into the results folder.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.independent_harness.evaluation import (
    CASES,
    PLAIN,
    TOPOLOGIES,
    Case,
    Round,
    as_text,
    compared,
    evaluated,
    verdict,
)
from experiments.independent_harness.load import COLD, Window, measure, neighbours, wrk_program
from experiments.independent_harness.pods import CLIENT, HERE, SERVICES, Pods
from profiler.errors import MeshInsightError, MissingError, ProcessError
from profiler.files.writing import write_whole
from profiler.host.environment import describe_environment
from profiler.host.programs import first_line, require_program
from profiler.proxies.envoy import PROXY

QUESTION: Final = "Does an independent harness measure the overhead that the profile predicts?"
DRAIN_S: Final = 0.25
"""Longer than nginx and Envoy keep connections that nobody uses, so that none outlasts the rules of its time."""
SEED: Final = 1

Rounds = Mapping[tuple[str, str], Sequence[Round]]
"""All rounds so far, by topology and temperature."""


def main() -> int:
    """Measure, compare, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, metavar="DIR", help="compare with what this profile predicts")
    parser.add_argument("--measured", action="store_true", help="compare what result.json has, measure nothing")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES, metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=16, choices=range(1, 100), metavar="N")
    parser.add_argument("--seconds", type=int, default=1, choices=range(1, 60), metavar="N", help="of one window")
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    file = options.results / "result.json"
    if options.measured and not (options.profile and file.exists()):
        parser.error(f"--measured needs --profile DIR, and {file} of an earlier run")
    options.results.mkdir(exist_ok=True, parents=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        if options.measured:
            document = json.loads(file.read_text())
        else:
            for document in measured([CASES[name] for name in options.cases], options.rounds, options.seconds):
                write(document, options.results)
        if options.profile:
            for name, entry in document["cases"].items():
                document["cases"][name] = compared(entry, predicted(options.profile, CASES[name], entry))
            write(document, options.results)
    except MeshInsightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    print(document["finding"]["text"])
    return 0


def interrupt(*_: object) -> None:
    """End the run as Ctrl-C does."""
    raise KeyboardInterrupt


def measured(cases: Sequence[Case], rounds: int, seconds: int) -> Iterator[dict[str, Any]]:
    """The result so far, after each round."""
    if os.geteuid() != 0:
        raise MissingError("network namespaces and iptables need root; run this as root")
    wrk_program()
    treatments: dict[tuple[str, str], list[str]] = defaultdict(lambda: [PLAIN])
    for case in cases:
        treatments[case.cell].append(case.protocol)
    random = np.random.default_rng(SEED)
    found: dict[tuple[str, str], list[Round]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder, Pods(Path(folder)) as pods:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for index in random.permutation(len(treatments)):
                cell = list(treatments)[index]
                order = random.permutation(treatments[cell]).tolist()
                found[cell].append(one_round(pods, cell[0], cell[1], order, seconds))
            yield described(cases, found, seconds)


def one_round(
    pods: Pods, topology: str, temperature: str, treatments: Sequence[str], seconds: int
) -> dict[str, Window]:
    """One window of each treatment, in this order."""
    asked = TOPOLOGIES[topology]
    rate_rps = asked.rate_rps if temperature == COLD else None
    windows = {}
    with neighbours(temperature) as own_ns:
        for treatment in treatments:
            if treatment != PLAIN:
                pods.capture(treatment, (CLIENT, *SERVICES) if asked.client else SERVICES)
            windows[treatment] = measure(pods, own_ns, asked.services, rate_rps, seconds)
            expected, hit = (0 if treatment == PLAIN else asked.rules), pods.rules_hit()
            if hit != expected:
                raise ProcessError(f"{treatment}, {topology}: {hit} rules of capture saw connections, not {expected}")
            time.sleep(DRAIN_S)
            if treatment != PLAIN:
                pods.release()
    return windows


def described(cases: Collection[Case], rounds: Rounds, seconds: int) -> dict[str, Any]:
    """The result of the rounds so far."""
    nginx = first_line(require_program("nginx", "nginx"), "-v").removeprefix("nginx version: ")
    programs = {"envoy": PROXY.identify().version, "nginx": nginx}
    windows = [window for cell in rounds.values() for one in cell for window in one.values()]
    return with_finding(
        {
            "question": QUESTION,
            "date": time.strftime("%Y-%m-%d"),
            "environment": {**describe_environment(), **programs},
            "rounds": len(next(iter(rounds.values()))),
            "seconds": seconds,
            "steal": float(np.mean([window.steal for window in windows])),
            "cases": {case.name: evaluated(case, rounds[case.cell]) for case in cases},
        }
    )


def with_finding(document: dict[str, Any]) -> dict[str, Any]:
    """The result with what its figures say, for the page of all results."""
    finding = {"published": None, "source": None, "holds": None, "text": verdict(document["cases"])}
    return {**document, "finding": finding}


def predicted(profile: Path, case: Case, measured: Mapping[str, Any]) -> dict[str, float]:
    """What `meshinsight predict` says of a case, in ns per request. Raises ProcessError with its message."""
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        graph = Path(folder) / "graph.yaml"
        graph.write_text(yaml.safe_dump(filled(case, measured["p50"]["plain_ns"], len(os.sched_getaffinity(0)))))
        command = [sys.executable, "-m", "meshinsight", "predict", str(profile), str(graph), "-o", "json"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ProcessError(f"meshinsight predict, {case.name}: {(run.stderr.splitlines() or ['no message'])[-1]}")
    document = json.loads(run.stdout)
    return {"p50": document["latency"]["p50"]["overhead_ns"]["value"], "cpu": document["vcpu"]["value"] * 1e9}


def filled(case: Case, plain_ns: float, cpus: int) -> dict[str, Any]:
    """The graph of a case: at one request per second, so that CPU time is per request and nothing waits."""
    graph: dict[str, Any] = yaml.safe_load((HERE / "graphs" / f"{case.topology}.yaml").read_text())
    for kind in ("call", "ingress"):
        graph["defaults"][kind]["protocol"] = case.protocol
    for service in graph["services"]:
        if service["name"] != CLIENT:
            service["service_time"] = f"{plain_ns / TOPOLOGIES[case.topology].services:.0f}ns"
    graph["cold_weight"] = int(case.temperature == COLD)
    graph["cluster"] = {"nodes": 1, "cpus_per_node": cpus}
    return graph


def write(document: dict[str, Any], results: Path) -> None:
    """The two files of the result."""
    document.update(with_finding(document))
    write_whole(results / "result.json", json.dumps(document, indent=1) + "\n")
    write_whole(results / "result.md", as_text(document))


if __name__ == "__main__":
    sys.exit(main())
