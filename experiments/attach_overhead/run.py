"""What does `meshinsight attach` cost a saturated sidecar? Throughput while it looks, while it starts, and without it.

Usage: python experiments/attach_overhead/run.py [--rounds N] [--seconds S] [--max-overhead R] [--results DIR]
Run it as root from the root of the checkout; eight rounds take about nine minutes. `result.json` and `result.md` are
written into the results folder.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.machine import IN_SHORT, MACHINE, machine_text
from experiments.measuring import measuring_run
from profiler.attach.attach import attach
from profiler.attach.measuring import Settings
from profiler.attach.targets import local_targets
from profiler.attribution.statistics import Floats, bootstrap_interval
from profiler.files.writing import write_whole
from profiler.host.accounting import Noise, NoiseReading
from profiler.host.environment import describe_environment
from profiler.measuring.bench import SETTLE_S, Bench
from profiler.measuring.profiling import default_toolbox
from profiler.planning.cells import ANCHOR_SCENE, Cell, Plan, Scene
from profiler.planning.settings import ProfileSettings
from profiler.proxies.registry import find_proxy
from profiler.testbed.deployment import Deployment
from profiler.vocabulary.hop import CLIENT, Hop
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1, TCP

HERE: Final = Path(__file__).parent
QUESTION: Final = "What does attaching cost a saturated sidecar?"
GOAL: Final = 0.97
"""Throughput while attached, over that without, which the tool is to keep."""

SCENES: Final = {
    f"{protocol}, {connections} connections": (
        Hop(protocol, CLIENT),
        replace(ANCHOR_SCENE.load, connections=connections),
    )
    for protocol in (HTTP1, TCP)
    for connections in (16, 64)
}
"""One sidecar on a CPU of its own, as fast as answers come."""

NOTHING: Final = "nothing"
AGAIN: Final = "nothing, again"
ATTACHED: Final = "attached"
STARTING: Final = "starting"
"""From the beginning of the command to that of its measuring: not a treatment of its own, but the part before it."""

TREATMENTS: Final = (NOTHING, AGAIN, ATTACHED)
SEED: Final = 1
RESAMPLES: Final = 1000
START_S: Final = 16.0
"""Load for so much longer than the windows, per round, for the tool's start and its reading."""
END_WITHIN_S: Final = 30.0


@dataclass(frozen=True)
class Round:
    """Requests per second by treatment, what the tool said of itself, and how quiet the machine was.

    `left` is, by treatment, the part of the CPU time that the hypervisor left to this machine.
    """

    rates_rps: Mapping[str, float]
    left: Mapping[str, float]
    estimated_ratio: float
    messages_per_s: float
    noise: Noise

    def ratio(self, name: str) -> float:
        """Throughput over that with nothing attached."""
        return self.rates_rps[name] / self.rates_rps[NOTHING]

    def corrected_ratio(self, name: str) -> float:
        """The same per CPU time that there was."""
        return self.ratio(name) * self.left[NOTHING] / self.left[name]


class AttachBench(Bench):
    """A bench that attaches to the sidecar of a hop under load."""

    def round(self, hop: Hop, load: Load, seconds: float, max_overhead: float, order: Sequence[str]) -> Round:
        """One load, and within it a window of each treatment, in this order."""
        deployment = self.deployments[hop]
        if not isinstance(deployment, Deployment):
            raise TypeError("attach is measured on hops of this machine only")
        self.machines.set_temperature("hot")
        before = Noise.read()
        windows: dict[str, tuple[int, int]] = {}
        left: dict[str, float] = {}
        estimated_ratio = messages_per_s = 0.0
        with ExitStack() as stack:
            total_s = SETTLE_S + len(order) * seconds + START_S
            generator = stack.enter_context(self._loaded(deployment, load, total_s))
            for name in order:
                if name == ATTACHED:
                    readings: list[NoiseReading] = []
                    found, _ = attach(
                        local_targets([deployment.sidecars[0].pid]),
                        Settings(seconds, max_overhead),
                        lambda _, readings=readings: readings.append(Noise.read()),  # type: ignore[misc]
                    )
                    ready, start, end = readings
                    parts = {STARTING: (ready, start), name: (start, end)}
                    estimated_ratio = found.overhead.ratio
                    messages = found.targets[0].messages
                    messages_per_s = messages.per_second if messages else 0.0
                else:
                    start = Noise.read()
                    time.sleep(seconds)
                    parts = {name: (start, Noise.read())}
                for part, (first, last) in parts.items():
                    windows[part] = first.at_ns, last.at_ns
                    left[part] = 1 - Noise.between(first, last).steal_ratio
            deployment.check()
            generator.signal(signal.SIGTERM)
            generator.wait(END_WITHIN_S)
        result = self._result(hop, load)
        rates = {name: result.rate_rps(*window) for name, window in windows.items()}
        return Round(rates, left, estimated_ratio, messages_per_s, Noise.between(before, Noise.read()))


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--max-overhead", type=float, default=0.01, metavar="R")
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    options.results.mkdir(exist_ok=True, parents=True)
    plan = Plan(tuple(Cell(hop, Scene("hot", load)) for hop, load in SCENES.values()))
    with measuring_run() as run:
        run.suspend_autogroup()
        with AttachBench(run, plan, ProfileSettings(seed=SEED), default_toolbox()) as bench:
            rounds = measure(bench, options.rounds, options.seconds, options.max_overhead)
    document = {
        "question": QUESTION,
        "date": time.strftime("%Y-%m-%d"),
        "environment": {**describe_environment(), "envoy": find_proxy("envoy").identify().version},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "max_overhead": options.max_overhead,
        "scenes": {scene: evaluated(found) for scene, found in rounds.items()},
    }
    write_whole(options.results / "result.json", json.dumps(document, indent=1) + "\n")
    write_whole(options.results / "result.md", text_of(document))
    print(verdict(document))


def measure(bench: AttachBench, rounds: int, seconds: float, max_overhead: float) -> dict[str, list[Round]]:
    """Rounds over all scenes in random order, in each all treatments in random order within one load."""
    random = np.random.default_rng(SEED)
    found: dict[str, list[Round]] = {scene: [] for scene in SCENES}
    for number in range(rounds):
        for scene in random.permutation(list(SCENES)).tolist():
            print(f"round {number + 1} of {rounds}: {scene}", file=sys.stderr, flush=True)
            order = random.permutation(list(TREATMENTS)).tolist()
            found[scene].append(bench.round(*SCENES[scene], seconds, max_overhead, order))
    return found


def evaluated(rounds: Sequence[Round]) -> dict[str, Any]:
    """One scene: medians over rounds, ratios to nothing in the same round with intervals from drawing rounds again."""
    return {
        "nothing_rps": float(np.median([one.rates_rps[NOTHING] for one in rounds])),
        "ratios": with_intervals(rounds, Round.corrected_ratio),
        "plain_ratios": with_intervals(rounds, Round.ratio),
        "estimated_overhead": float(np.median([one.estimated_ratio for one in rounds])),
        "messages_per_request": float(
            np.median([one.messages_per_s / one.rates_rps[ATTACHED] for one in rounds if one.rates_rps[ATTACHED]])
        ),
        "rounds": [{"rates_rps": dict(one.rates_rps), "left": dict(one.left)} for one in rounds],
        "steal_ratio": float(np.median([one.noise.steal_ratio for one in rounds])),
    }


def with_intervals(rounds: Sequence[Round], ratio: Callable[[Round, str], float]) -> dict[str, Any]:
    """The median of a ratio over rounds for each treatment, with its interval."""
    names = (AGAIN, ATTACHED, STARTING)
    rows = [np.array([ratio(one, name) for name in names]) for one in rounds]
    low, high = bootstrap_interval(rows, medians, SEED, RESAMPLES)
    values = medians(rows)
    return {
        name: {"value": float(values[index]), "ci95": [float(low[index]), float(high[index])]}
        for index, name in enumerate(names)
    }


def medians(rows: list[Floats]) -> Floats:
    """The median of each ratio."""
    return np.asarray(np.median(np.array(rows), axis=0))


def text_of(document: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    machine = document["environment"]
    head = (
        f"{MACHINE}{machine_text(machine)}.\nEnvoy {machine['envoy']}; {document['rounds']} rounds of "
        f"{document['seconds']:g} s, bound {document['max_overhead']:.1%}, {document['date']}. "
        "Raw: [result.json](result.json)."
    )
    intro = (
        "Throughput per CPU time that the hypervisor left, over that with nothing attached; medians over rounds with "
        "95 % intervals. *plain*: without that correction."
    )
    return "\n\n".join(["# Result", head, intro, table(document), verdict(document)]) + "\n"


def table(document: Mapping[str, Any]) -> str:
    """One row for each scene."""
    lines = [
        f"| load | nothing | {AGAIN} | {ATTACHED} | {ATTACHED}, plain | {STARTING} | estimated overhead "
        "| messages per request |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for scene, found in document["scenes"].items():
        corrected, plain = found["ratios"], found["plain_ratios"]
        columns = (corrected[AGAIN], corrected[ATTACHED], plain[ATTACHED], corrected[STARTING])
        ratios = " | ".join(map(shown, columns))
        lines.append(
            f"| {scene} | {found['nothing_rps']:,.0f}/s | {ratios} | {found['estimated_overhead']:.2%} "
            f"| {found['messages_per_request']:.2f} |"
        )
    return "\n".join(lines)


def shown(ratio: Mapping[str, Any]) -> str:
    """A ratio with its interval."""
    low, high = ratio["ci95"]
    return f"{ratio['value']:.3f} ({low:.3f} … {high:.3f})"


def verdict(document: Mapping[str, Any]) -> str:
    """The range of throughput while attached, and in how many scenes the goal is kept."""
    ratios = [found["ratios"][ATTACHED] for found in document["scenes"].values()]
    values = [ratio["value"] for ratio in ratios]
    kept = sum(ratio["ci95"][0] >= GOAL for ratio in ratios)
    missed = sum(ratio["ci95"][1] < GOAL for ratio in ratios)
    return (
        f"{IN_SHORT}On this machine an attached sidecar has {min(values):.3f} to {max(values):.3f} of the throughput. "
        f"The goal of {GOAL:g} is kept in {kept} of {len(ratios)} scenes, missed in {missed} and inconclusive in "
        f"{len(ratios) - kept - missed} (the interval holds the goal)."
    )


if __name__ == "__main__":
    main()
