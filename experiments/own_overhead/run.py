"""What does measuring cost? The same load with nothing attached, with our probes, with perf and with bpftrace.

Usage: python experiments/own_overhead/run.py [--rounds N] [--seconds S] [--results DIR]
Run it as root from the root of the checkout; ten rounds take about twelve minutes. `result.json`, `result.md` and
`result.png` are written into the results folder. A tool that is not installed is left out, which the result says.
"""

import argparse
import json
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.machine import IN_SHORT, MACHINE, machine_text
from experiments.measuring import measuring_run
from profiler.attribution.statistics import Floats, bootstrap_interval, spread_ties
from profiler.errors import ProcessError
from profiler.evaluation.windows import Phase
from profiler.files.writing import write_whole
from profiler.host.accounting import Noise
from profiler.host.environment import describe_environment
from profiler.host.process import Process
from profiler.host.programs import first_line
from profiler.measuring.bench import SETTLE_S, Bench
from profiler.measuring.profiling import default_toolbox
from profiler.planning.cells import ANCHOR_HOP, ANCHOR_SCENE, Cell, Plan, Scene
from profiler.planning.settings import ProfileSettings
from profiler.profile.bounds import LATENCY_RATIO, THROUGHPUT_RATIO
from profiler.proxies.registry import find_proxy
from profiler.testbed.deployment import Deployment
from profiler.vocabulary.components import CLIENT_APP
from profiler.vocabulary.hop import BOTH, Hop
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import TCP

HERE: Final = Path(__file__).parent
QUESTION: Final = "What does measuring cost, against what people use instead?"

SCENES: Final = {
    f"{hop.protocol}, {connections} connection{'s' if connections > 1 else ''}": (
        hop,
        replace(ANCHOR_SCENE.load, connections=connections),
    )
    for hop in (ANCHOR_HOP, Hop(TCP, BOTH))
    for connections in (1, 16)
}
"""What is loaded, with sidecars on both sides: as fast as answers come."""

NOTHING: Final = "nothing"
AGAIN: Final = "nothing, again"
BURSTS: Final = "timeline in bursts"
ALWAYS: Final = "timeline all the time"
CPU_ACCOUNT: Final = "CPU account"
OURS: Final = (BURSTS, ALWAYS, CPU_ACCOUNT)

RATIOS: Final = ("throughput", "p50", "p99")
SEED: Final = 1
RESAMPLES: Final = 1000
TAIL_S: Final = 0.4
ATTEMPTS: Final = 3
PAUSE_S: Final = 0.5
ATTACH_WITHIN_S: Final = 20.0
ENABLE_S: Final = 0.2
END_WITHIN_S: Final = 60.0
CLOCK_NS: Final = 1000
"""Resolution of the closed-loop generator's readings."""

BPFTRACE: Final = """
tracepoint:raw_syscalls:sys_enter /{wanted}/ {{ @start[tid] = nsecs; }}
tracepoint:raw_syscalls:sys_exit /@start[tid]/ {{ @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }}
"""


@dataclass(frozen=True)
class Tracer:
    """A tool of others that traces the system calls of processes, from before the load until it is interrupted.

    `argv` is its command for process ids and a file of its own; `seen` finds numbers of events in what it prints.
    """

    program: str
    argv: Callable[[Sequence[int], Path], list[str]]
    seen: re.Pattern[str]

    def events(self, process: Process) -> int:
        """How many events it saw in all. Raises ProcessError when there were none."""
        text = process.log_path.read_text(errors="replace")
        events = sum(map(int, self.seen.findall(text)))
        if not events:
            said = " | ".join(text.strip().splitlines()[-3:])
            raise ProcessError(f"{self.program} saw no system call of the sidecars; it said: {said or 'nothing'}")
        return events


def joined(pids: Sequence[int]) -> str:
    """Process ids as perf takes them."""
    return ",".join(map(str, pids))


def bpftrace_script(pids: Sequence[int]) -> str:
    """A histogram of the times between entry and exit of the processes' system calls."""
    return BPFTRACE.format(wanted=" || ".join(f"pid == {pid}" for pid in pids))


TRACERS: Final[Mapping[str, Tracer]] = {
    "perf trace -s": Tracer(
        "perf",
        lambda pids, data: ["perf", "trace", "-s", "-p", joined(pids)],
        re.compile(r"\(\d+\), (\d+) events, "),
    ),
    "perf record": Tracer(
        "perf",
        lambda pids, data: ["perf", "record", "-e", "raw_syscalls:*", "-N", "-p", joined(pids), "-o", str(data)],
        re.compile(r"\((\d+) samples\)"),
    ),
    "bpftrace": Tracer(
        "bpftrace",
        lambda pids, data: ["bpftrace", "-e", bpftrace_script(pids)],
        re.compile(r"^[\[(].*[)\]]\s+(\d+) \|", re.MULTILINE),
    ),
}


@dataclass(frozen=True)
class Reading:
    """What a window saw. `events_per_request` is over all requests of the time that the treatment was in force."""

    throughput_rps: float
    p50_ns: float
    p99_ns: float
    events_per_request: float
    noise: Noise

    @property
    def values(self) -> tuple[float, float, float]:
        """What is compared, in the order of `RATIOS`."""
        return self.throughput_rps, self.p50_ns, self.p99_ns

    def ratios(self, reference: "Reading") -> Floats:
        """The values over those of the reference."""
        return np.asarray(np.array(self.values) / np.array(reference.values))


Readings = dict[str, dict[str, list[Reading]]]
"""Of each round, by scene and treatment."""


class OverheadBench(Bench):
    """A bench whose windows have one treatment from beginning to end."""

    def treated_window(self, name: str, hop: Hop, load: Load, seconds: float) -> Reading:
        """Load the hop for so many seconds with a treatment; again, a few times, if the host took much of the CPUs."""
        reading = self._try_window(name, hop, load, seconds)
        for _ in range(ATTEMPTS - 1):
            if not reading.noise.noisy:
                break
            self.repeated_windows += 1
            time.sleep(PAUSE_S)
            reading = self._try_window(name, hop, load, seconds)
        return reading

    def _try_window(self, name: str, hop: Hop, load: Load, seconds: float) -> Reading:
        deployment = self.deployments[hop]
        if not isinstance(deployment, Deployment):
            raise TypeError("the tracers watch hops of this machine only")
        self.machines.set_temperature("hot")
        before = Noise.read()
        if name in TRACERS:
            phase, events = self._traced(TRACERS[name], deployment, load, seconds)
        elif name == CPU_ACCOUNT:
            phase, events = self._accounted(deployment, load, seconds)
        else:
            phase, events = self._timed(name, deployment, load, seconds)
        noise = Noise.between(before, Noise.read())
        result = self._result(hop, load)
        latency_ns = result.between(phase.start_ns, phase.end_ns)
        if not len(latency_ns):
            raise ProcessError(f"{hop.name}: no request was answered with {name}; is the machine busy?")
        p50_ns, p99_ns = np.percentile(spread_ties(latency_ns, CLOCK_NS), [50, 99])
        requests = len(result.due_ns) if name in TRACERS else len(latency_ns)
        rate_rps = result.rate_rps(phase.start_ns, phase.end_ns)
        return Reading(rate_rps, float(p50_ns), float(p99_ns), events / requests, noise)

    def _timed(self, name: str, deployment: Deployment, load: Load, seconds: float) -> tuple[Phase, int]:
        """With the timeline, in bursts or throughout, or with nothing."""
        with ExitStack() as stack:
            generator = stack.enter_context(self._loaded(deployment, load, SETTLE_S + seconds + TAIL_S))
            timeline = self.machines.first.timeline
            timeline.reset({**deployment.places[0], generator.pid: CLIENT_APP})
            if name == ALWAYS:
                stack.enter_context(timeline)
            phase = self._timeline_phase(name == BURSTS, seconds)
            deployment.check()
        events = timeline.read()
        return phase, len(events) + events.dropped

    def _accounted(self, deployment: Deployment, load: Load, seconds: float) -> tuple[Phase, int]:
        """With the CPU account, attached before the load begins: priming waits for threads that never sleep."""
        with ExitStack() as stack:
            instruments = self.machines.first
            cputime = instruments.cputime
            stack.callback(cputime.detach)
            cputime.attach()
            cputime.set_roles({**deployment.places[0], **instruments.other_roles()})
            stack.enter_context(self._loaded(deployment, load, SETTLE_S + seconds + TAIL_S))
            cputime.reset()
            phase = self._timeline_phase(False, seconds)
            events = sum(status.hits for status in cputime.hits())
            deployment.check()
        return phase, events

    def _traced(self, tracer: Tracer, deployment: Deployment, load: Load, seconds: float) -> tuple[Phase, int]:
        """With a tool of others, attached to the sidecars before the load begins."""
        data = self._run.directory / "tracer.data"
        argv = tracer.argv([process.pid for process in deployment.sidecars], data)
        process = self._run.spawn("tracer", argv)
        try:
            wait_until_attached(process)
            with self._loaded(deployment, load, SETTLE_S + seconds + TAIL_S):
                phase = self._timeline_phase(False, seconds)
                process.check()
                deployment.check()
            process.signal(signal.SIGINT)
            process.wait(END_WITHIN_S)
        finally:
            process.stop()
            data.unlink(missing_ok=True)
        return phase, tracer.events(process)


def wait_until_attached(process: Process) -> None:
    """Wait until a tool has opened its events. Raises ProcessError when it ends, or does not in time."""
    deadline_s = time.monotonic() + ATTACH_WITHIN_S
    while not has_perf_events(process.pid):
        process.check()
        if time.monotonic() > deadline_s:
            raise ProcessError(f"{process.name} (pid {process.pid}) attached nothing within {ATTACH_WITHIN_S:g} s")
        time.sleep(0.02)
    time.sleep(ENABLE_S)


def has_perf_events(pid: int) -> bool:
    """Whether a process holds any event of perf open, as bpftrace does for tracepoints too."""
    try:
        return any("perf_event" in str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # a file was closed meanwhile, or the process ended
        return False


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    options.results.mkdir(exist_ok=True, parents=True)
    installed = [name for name, tracer in TRACERS.items() if shutil.which(tracer.program)]
    treatments = [NOTHING, AGAIN, *OURS, *installed]
    plan = Plan(tuple(Cell(hop, Scene("hot", load)) for hop, load in SCENES.values()))
    with measuring_run() as run:
        run.suspend_autogroup()
        with OverheadBench(run, plan, ProfileSettings(seed=SEED), default_toolbox()) as bench:
            readings = measure(bench, treatments, options.rounds, options.seconds)
            repeated = bench.repeated_windows
    document = {
        "question": QUESTION,
        "date": time.strftime("%Y-%m-%d"),
        "environment": environment(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "repeated_windows": repeated,
        "left_out": [name for name in TRACERS if name not in installed],
        "scenes": {scene: evaluated(by_treatment) for scene, by_treatment in readings.items()},
    }
    write_whole(options.results / "result.json", json.dumps(document, indent=1) + "\n")
    write_whole(options.results / "result.md", text_of(document))
    draw(document, options.results / "result.png")
    print("\n".join(findings(document)))


def measure(bench: OverheadBench, treatments: Sequence[str], rounds: int, seconds: float) -> Readings:
    """Rounds over all scenes in random order, in each scene over all treatments in random order."""
    random = np.random.default_rng(SEED)
    found: Readings = {scene: {name: [] for name in treatments} for scene in SCENES}
    for number in range(rounds):
        for scene in random.permutation(list(SCENES)).tolist():
            print(f"round {number + 1} of {rounds}: {scene}", file=sys.stderr, flush=True)
            hop, load = SCENES[scene]
            for name in random.permutation(list(treatments)).tolist():
                found[scene][name].append(bench.treated_window(name, hop, load, seconds))
    return found


def environment() -> dict[str, Any]:
    """The machine and the programs that were compared on it."""
    programs = {program: shutil.which(program) for program in ("perf", "bpftrace")}
    versions = {program: first_line(path, "--version") if path else None for program, path in programs.items()}
    return {**describe_environment(), "envoy": find_proxy("envoy").identify().version, **versions}


def evaluated(by_treatment: Mapping[str, Sequence[Reading]]) -> dict[str, Any]:
    """One scene: medians with nothing attached, and of each treatment its ratios to that, round by round."""
    reference = by_treatment[NOTHING]
    return {
        "nothing": {
            "throughput_rps": float(np.median([reading.throughput_rps for reading in reference])),
            "p50_ns": float(np.median([reading.p50_ns for reading in reference])),
            "p99_ns": float(np.median([reading.p99_ns for reading in reference])),
        },
        "treatments": {
            name: compared(readings, reference) for name, readings in by_treatment.items() if name != NOTHING
        },
        "rounds": {
            name: [[round(value, 1) for value in reading.values] for reading in readings]
            for name, readings in by_treatment.items()
        },
    }


def compared(readings: Sequence[Reading], reference: Sequence[Reading]) -> dict[str, Any]:
    """Median ratios with intervals from drawing rounds again."""
    rows = [reading.ratios(other) for reading, other in zip(readings, reference, strict=True)]
    low, high = bootstrap_interval(rows, medians, SEED, RESAMPLES)
    ratios = zip(RATIOS, medians(rows).tolist(), low.tolist(), high.tolist(), strict=True)
    return {
        **{f"{name}_ratio": {"value": value, "ci95": [least, most]} for name, value, least, most in ratios},
        "events_per_request": float(np.median([reading.events_per_request for reading in readings])),
    }


def medians(rows: list[Floats]) -> Floats:
    """The median of each ratio."""
    return np.asarray(np.median(np.array(rows), axis=0))


def text_of(document: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    machine = document["environment"]
    programs = [f"Envoy {machine['envoy']}", *(machine[name] for name in ("perf", "bpftrace") if machine[name])]
    head = (
        f"{MACHINE}{machine_text(machine)}.\n"
        f"{', '.join(programs)}; {document['rounds']} rounds of {document['seconds']:g} s, {document['date']}; "
        f"{document['repeated_windows']} windows measured again because the host took the CPU. "
        "Raw: [result.json](result.json)."
    )
    parts = ["# Result", head, "Ratios to nothing attached, medians over rounds with 95 % intervals:"]
    parts += [table(document), "![throughput and latency with each treatment](result.png)"]
    return "\n\n".join([*parts, in_short(document), "\n".join(findings(document))]) + "\n"


def table(document: Mapping[str, Any]) -> str:
    """All ratios, one row for each scene and treatment."""
    lines = ["| load | attached | throughput | p50 | p99 | events per request |", "|---|---|--:|--:|--:|--:|"]
    for scene, found in document["scenes"].items():
        plain = found["nothing"]
        lines.append(
            f"| {scene} | nothing | {plain['throughput_rps']:,.0f}/s | {plain['p50_ns'] / 1e3:,.1f} µs "
            f"| {plain['p99_ns'] / 1e3:,.1f} µs | |"
        )
        for name, treated in found["treatments"].items():
            cells = " | ".join(shown(treated[f"{ratio}_ratio"]) for ratio in RATIOS)
            events = f"{treated['events_per_request']:.1f}" if treated["events_per_request"] else ""
            lines.append(f"| {scene} | {name} | {cells} | {events} |")
    return "\n".join(lines)


def shown(ratio: Mapping[str, Any]) -> str:
    """A ratio with its interval."""
    low, high = ratio["ci95"]
    return f"{ratio['value']:.3f} ({low:.3f} … {high:.3f})"


def in_short(document: Mapping[str, Any]) -> str:
    """How throughput changes in profiles and with other tools, and whether the timeline keeps its bounds."""
    names = [name for name in next(iter(document["scenes"].values()))["treatments"] if name != AGAIN]
    ranges = []
    for name in names:
        values = [found["treatments"][name]["throughput_ratio"]["value"] for found in document["scenes"].values()]
        ranges.append(f"{min(values):.2f} to {max(values):.2f} ({name})")
    return (
        f"{IN_SHORT}On this machine throughput is {', '.join(ranges)} of that with nothing attached. "
        f"{bound_sentence(document)}"
    )


def findings(document: Mapping[str, Any]) -> list[str]:
    """The range of each treatment, and what was left out."""
    names = next(iter(document["scenes"].values()))["treatments"]
    lines = [span_line(document, name) for name in names]
    if document["left_out"]:
        lines.append(f"- Left out, because not installed here: {', '.join(document['left_out'])}.")
    return lines


def span_line(document: Mapping[str, Any], name: str) -> str:
    """The range of a treatment's ratios over all scenes."""
    treated = [found["treatments"][name] for found in document["scenes"].values()]
    spans = {ratio: [one[f"{ratio}_ratio"]["value"] for one in treated] for ratio in RATIOS}
    texts = ", ".join(f"{ratio} {min(values):.2f} to {max(values):.2f}" for ratio, values in spans.items())
    return f"- **{name}**: {texts} of that with nothing attached."


def bound_sentence(document: Mapping[str, Any]) -> str:
    """Whether the timeline in bursts, as profiles use it, keeps the bounds that reports mark cells by."""
    beyond = []
    for scene, found in document["scenes"].items():
        treated, (hop, load) = found["treatments"][BURSTS], SCENES[scene]
        slower = load.connections == 1 and treated["p50_ratio"]["value"] > LATENCY_RATIO[hop.protocol]
        if slower or treated["throughput_ratio"]["value"] < THROUGHPUT_RATIO:
            beyond.append(scene)
    verdict = f"beyond its bounds for {'; '.join(beyond)}" if beyond else "within its bounds in every scene"
    return (
        f"The {BURSTS} is {verdict} (bounds of the tool's reports: throughput from {THROUGHPUT_RATIO:g}; p50 of one "
        f"connection up to {LATENCY_RATIO['http1']:g} for HTTP/1.1, {LATENCY_RATIO['tcp']:g} for TCP)."
    )


def draw(document: Mapping[str, Any], file: Path) -> None:
    """Throughput and median latency of every treatment, a mark for each scene."""
    drawing, axes = plt.subplots(1, len(RATIOS), figsize=(12, 4.6), layout="constrained", sharey=True)
    for axis, ratio in zip(axes, RATIOS, strict=True):
        draw_ratio(axis, document, ratio)
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(SCENES), frameon=False)
    drawing.savefig(file, dpi=110)
    plt.close(drawing)


def draw_ratio(axis: Axes, document: Mapping[str, Any], ratio: str) -> None:
    """One ratio of all treatments, from top to bottom, with intervals."""
    for number, (scene, found) in enumerate(document["scenes"].items()):
        names = list(found["treatments"])
        figures = [treated[f"{ratio}_ratio"] for treated in found["treatments"].values()]
        values = np.array([one["value"] for one in figures])
        low, high = np.array([one["ci95"] for one in figures]).T
        spread = np.maximum([values - low, high - values], 0.0)
        places = np.arange(len(names)) + 0.15 * (number - 1.5)
        axis.errorbar(values, places, xerr=spread, fmt="osD^"[number % 4], markersize=4, linewidth=1.0, label=scene)
        axis.set_yticks(np.arange(len(names)), names)
    axis.axvline(1.0, color="grey", linewidth=0.8)
    if ratio != "throughput":
        axis.set_xscale("log")
    if not axis.yaxis_inverted():
        axis.invert_yaxis()
    axis.set_xlabel(f"{ratio}, ratio to nothing attached")


if __name__ == "__main__":
    main()
