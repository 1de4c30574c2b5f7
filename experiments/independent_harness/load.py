"""One window of load: latency at the median and CPU time per request, with the CPUs kept hot or cold."""

import json
import mmap
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from experiments.independent_harness.pods import CLIENT, HERE, PORT, Pods, Started, address
from profiler.errors import ProcessError
from profiler.host.programs import find_program

HOT, COLD = "hot", "cold"
HOT_BYTES: Final = 2048
FALLBACK_L2_BYTES: Final = 1 << 20
EDGE_S: Final = 0.2
"""CPU time is read so long after the load began, and before it ends."""
_TICK_NS: Final = 10**9 // os.sysconf("SC_CLK_TCK")
_STAT_LINE: Final = re.compile(r"^cpu(\d+) (.+)$", re.MULTILINE)
_IDLE, _IOWAIT, _STEAL = 3, 4, 7


@dataclass(frozen=True)
class Window:
    """What one window showed.

    Median latency, CPU time of the whole machine per request, shares of CPU time stolen and of requests sent late.
    """

    p50_ns: float
    cpu_ns: float
    steal: float
    late: float


@dataclass(frozen=True)
class Sent:
    """What a load generator says: latency at the median, requests per second, share of them that was sent late."""

    p50_ns: float
    rate_rps: float
    late: float = 0.0


def measure(pods: Pods, own_ns: Callable[[], float], services: int, rate_rps: float | None, seconds: int) -> Window:
    """One window: as fast as answers come by wrk, or at a rate by the paced client."""
    host = address("s1")
    if rate_rps is None:
        url = f"http://{host}:{PORT}/{services}"
        options = ["--threads=1", "--connections=1", f"--duration={seconds}s", f"--script={HERE / 'wrk.lua'}"]
        command = [wrk_program(), *options, url]
    else:
        arguments = [host, str(PORT), f"/{services}", str(rate_rps), str(seconds)]
        command = [sys.executable, "-S", str(HERE / "paced_client.py"), *arguments]
    generator = pods.spawn(CLIENT, "load", command)
    time.sleep(EDGE_S)
    before = Reading.now(own_ns())
    time.sleep(seconds - 2 * EDGE_S)
    after = Reading.now(own_ns())
    text = generator.text_at_end(10)
    sent = of_wrk(text) if rate_rps is None else of_paced_client(text)
    wall_ns = (after.at_ns - before.at_ns) * len(allowed())
    steal_ns = after.steal_ns - before.steal_ns
    busy_ns = wall_ns - (after.idle_ns - before.idle_ns) - steal_ns - (after.own_ns - before.own_ns)
    requests = sent.rate_rps * (after.at_ns - before.at_ns) / 1e9
    return Window(sent.p50_ns, busy_ns / requests, steal_ns / wall_ns, sent.late)


def wrk_program() -> str:
    """Full path of wrk. Raises MissingError with the remedy."""
    return find_program("wrk", remedy="run `apt-get install wrk`")


@dataclass(frozen=True)
class Reading:
    """Clocks at one moment, in nanoseconds; idle, stolen and neighbours' own time of all CPUs together."""

    at_ns: int
    idle_ns: int
    steal_ns: int
    own_ns: float

    @classmethod
    def now(cls, own_ns: float) -> "Reading":
        return cls(time.perf_counter_ns(), *idle_and_steal_ns(Path("/proc/stat").read_text(), allowed()), own_ns)


def allowed() -> set[int]:
    """The CPUs that are used."""
    return os.sched_getaffinity(0)


def idle_and_steal_ns(stat: str, cpus: Collection[int]) -> tuple[int, int]:
    """Time that these CPUs were idle and stolen, of a /proc/stat."""
    rows = [[int(word) for word in words.split()] for cpu, words in _STAT_LINE.findall(stat) if int(cpu) in cpus]
    return (
        _TICK_NS * sum(row[_IDLE] + row[_IOWAIT] for row in rows),
        _TICK_NS * sum(row[_STEAL] for row in rows),
    )


def of_wrk(text: str) -> Sent:
    """The output of wrk.lua. Raises ProcessError where requests failed."""
    summary = re.search(r"^summary (\d+) (\d+) (\d+)$", text, re.MULTILINE)
    if summary is None:
        raise ProcessError("wrk gave no summary")
    requests, duration_us, failed = map(int, summary.groups())
    if failed or not requests:
        raise ProcessError(f"wrk: {failed} requests failed, {requests} were answered")
    bins = {int(value): int(count) for value, count in re.findall(r"^bin (\d+) (\d+)$", text, re.MULTILINE)}
    return Sent(grouped_median(bins) * 1e3, requests / duration_us * 1e6)


def grouped_median(bins: Mapping[int, int]) -> float:
    """The median of values that were rounded to whole numbers: within its number in proportion to the counts."""
    half, below = sum(bins.values()) / 2, 0
    for value, count in sorted(bins.items()):
        if below + count >= half:
            return value - 0.5 + (half - below) / count
        below += count
    raise ValueError("no value")


def of_paced_client(text: str) -> Sent:
    """The output of the paced client, without its first requests."""
    document = json.loads(text)
    latencies_ns = document["latencies_ns"]
    rate_rps = len(latencies_ns) / document["elapsed_ns"] * 1e9
    skipped = round(rate_rps * EDGE_S)
    return Sent(float(np.median(latencies_ns[skipped:])), rate_rps, document["late"] / len(latencies_ns))


@contextmanager
def neighbours(temperature: str) -> Iterator[Callable[[], float]]:
    """Keep all CPUs awake, hot or cold; gives the time in nanoseconds that the neighbours have used themselves."""
    started: list[Started] = []
    with tempfile.TemporaryDirectory(prefix="harness-neighbours-") as folder:
        try:
            words = []
            for cpu in sorted(allowed()):
                file = Path(folder) / str(cpu)
                file.write_bytes(bytes(24))
                size = HOT_BYTES if temperature == HOT else l2_bytes(cpu)
                command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-S", str(HERE / "neighbour.py")]
                started.append(
                    Started("neighbour", [*command, str(cpu), str(size), str(file)], file.with_suffix(".out"))
                )
                with file.open("rb") as opened:
                    words.append(memoryview(mmap.mmap(opened.fileno(), 24, access=mmap.ACCESS_READ)).cast("q"))
            await_steps(started, words)
            yield lambda: own_time_ns(words)
            for process in started:
                process.check()
        finally:
            for process in started:
                process.stop()


def await_steps(started: Sequence[Started], words: Sequence[Sequence[int]]) -> None:
    """Wait until all neighbours work."""
    deadline_s = time.monotonic() + 10
    while not all(word[2] > 1000 for word in words):
        for process in started:
            process.check()
        if time.monotonic() > deadline_s:
            raise ProcessError("a neighbour does not get CPU time; the machine is too busy")
        time.sleep(0.01)


def own_time_ns(words: Sequence[Sequence[int]]) -> float:
    """Time of all steps; one in which something else had the CPU counts as much as the others took on average."""
    return sum(own_ns * steps / undisturbed for own_ns, undisturbed, steps in words)


def l2_bytes(cpu: int) -> int:
    """The size of a CPU's second-level cache."""
    for index in Path(f"/sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"):
        if (index / "level").read_text().strip() == "2":
            return int((index / "size").read_text().strip().removesuffix("K")) * 1024
    return FALLBACK_L2_BYTES
