"""Whole applications measured side by side: windows of load on their variants, with sidecars and without.

Latency and CPU have windows of their own: nothing is attached while requests are timed. Times are those of requests at
a fixed rate, from when each was due.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from profiler.attribution.cpu_classes import components_from_states
from profiler.errors import ProcessError
from profiler.host.accounting import Noise
from profiler.host.hop_cpus import cpus_for_hops
from profiler.measuring.bench import START_WITHIN_S, wait_until_sending
from profiler.measuring.busy_time import BusyTime
from profiler.planning.cells import ANCHOR_SCENE, Scene, anchor_scene, paced
from profiler.probes.cputime import CpuTime
from profiler.testbed.application import Application, ApplicationDeployment
from profiler.testbed.certificates import make_certificates
from profiler.testbed.deployment import Deployment, Secrets
from profiler.testbed.neighbour import Neighbours
from profiler.testbed.pods import PodNetwork
from profiler.testbed.run import Run
from profiler.testbed.tokens import make_token
from profiler.vocabulary import usual
from profiler.vocabulary.components import CLIENT_APP, FILTER_SERVICE, SERVER_APP, SERVER_SIDECAR
from profiler.vocabulary.cpu_states import NEIGHBOUR, TOOL
from profiler.vocabulary.hop import BOTH, Hop
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1
from profiler.vocabulary.temperature import COLD, HOT, Mode
from profiler.workload.base import Answers, LoadGenerator, LoadResult, Target
from profiler.workload.generators.h2load import H2load
from profiler.workload.generators.own import OwnGenerator
from profiler.workload.servers.haproxy import HaproxyServer

_SETTLE_S: Final = 0.2
_TAIL_S: Final = 0.15
_ATTACHING_S: Final = 0.25
_TRACED: Final = 1 / 3
"""The part of a window of CPU time that is split into components; the rest is measured without probes."""
_CONNECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class AnchorCell:
    """The anchor's load on a hop with sidecars on both sides that take it for `protocol`, at a temperature.

    `rate_rps` None is as fast as answers come, with cold neighbours at the pace of cold cells. `placement` is how the
    hop is deployed: one for each cell, so that the other fields identify it.
    """

    protocol: str
    temperature: str
    rate_rps: float | None = None
    placement: str = field(default=usual.PLACEMENT, compare=False)

    @property
    def hop(self) -> Hop:
        """What is deployed."""
        return Hop(self.protocol, BOTH, placement=self.placement)

    @property
    def name(self) -> str:
        """`http1-both-hot`, `http1-both-hot-200rps`."""
        return f"{Hop(self.protocol, BOTH).name}-{self.temperature}" + (
            f"-{self.rate_rps:g}rps" if self.rate_rps else ""
        )

    @property
    def scene(self) -> Scene:
        """Its load beside its neighbours."""
        return anchor_scene(self.temperature, self.rate_rps)


@dataclass(frozen=True, slots=True)
class AnchorReading:
    """What an anchor cell costs: overhead at the median, and CPU of the whole machine per request, both in ns."""

    latency_ns: float
    cpu_ns: float


@dataclass(frozen=True)
class LatencyReading:
    """Latencies in ns of the requests of a window, of all entries together; `answered_rps` were answered within it.

    `by_service_ns` is how long each service took for its requests, with its calls.
    """

    latency_ns: npt.NDArray[np.int64]
    failed: int
    noise: Noise
    answered_rps: float
    by_service_ns: Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class CpuReading:
    """CPU of a window: requests from outside that were answered, and ns.

    `busy_ns` is what `BusyTime` counts, without probes; `components_ns` splits as many requests with probes, with
    `user` of the sidecars as one; `by_service_ns` is the run time of each service with its sidecar.
    """

    requests: float
    busy_ns: float
    components_ns: Mapping[str, float]
    by_service_ns: Mapping[str, float]
    noise: Noise


class ApplicationBench:
    """Variants of an application, and anchor hops, deployed side by side. Enter it to deploy, leave it to detach.

    `rates_rps` are the requests from outside by entry id; rates that are asked for keep their ratios. `anchor_cells`
    are those of `anchors`.
    """

    def __init__(
        self, run: Run, variants: Mapping[str, Application], rates_rps: Mapping[str, float], temperature: str = HOT,
        anchor_cells: Sequence[AnchorCell] = (AnchorCell(HTTP1, HOT),),
    ) -> None:  # fmt: skip
        self._run = run
        self._anchor_cells = anchor_cells
        self._variants = variants
        self._total_rps = sum(rates_rps.values())
        self._shares = {name: rate / self._total_rps for name, rate in rates_rps.items()}
        self._temperature = temperature
        self._stack = ExitStack()
        self._generator = OwnGenerator()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._cputime = stack.enter_context(CpuTime())
            self._cputime.detach()
            self._directories = {
                entry: self._run.add_directory(f"load-{number}") for number, entry in enumerate(self._shares)
            }
            temperatures = {self._temperature, *(cell.temperature for cell in self._anchor_cells)}
            modes: list[Mode] = ["awake", "cold"] if COLD in temperatures else ["awake"]
            self.neighbours = Neighbours(self._run, cpus_for_hops(), modes)
            self._cputime.watch_neighbours(self.neighbours.steps)
            network = PodNetwork(self._run)
            secrets = Secrets(make_certificates(self._run.add_directory("certificates")), make_token())
            self.deployments = {
                name: ApplicationDeployment(self._run, network, f"v{number}", variant, secrets)
                for number, (name, variant) in enumerate(self._variants.items())
            }
            hops = dict.fromkeys(hop for cell in self._anchor_cells for hop in (cell.hop.baseline, cell.hop))
            self._anchors = {
                hop: Deployment(self._run, network, number, hop, HaproxyServer(), _anchor_answers(), secrets)
                for number, hop in enumerate(hops)
            }
            for application in self.deployments.values():
                application.wait_ready()
            for hop in self._anchors.values():
                hop.wait_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def serial_rps(self, variant: str, seconds: float) -> float:
        """Requests per second with one in flight, each sent when the one before was answered."""
        self.neighbours.set_temperature(self._temperature)
        deployment = self.deployments[variant]
        entry = next(iter(self._shares))
        load = self._load(deployment, entry, None, connections=1)
        with self._loaded({entry: load}, deployment, _SETTLE_S + seconds) as start_ns:
            time.sleep(seconds)
        return self._result(entry).rate_rps(start_ns, start_ns + int(seconds * 1e9))

    def latency(self, variant: str, rate_rps: float, seconds: float) -> LatencyReading:
        """Time requests for so many seconds at the rate, all entries together. Raises ProcessError."""
        self.neighbours.set_temperature(self._temperature)
        deployment = self.deployments[variant]
        before = Noise.read()
        with self._loaded(self._loads(deployment, rate_rps), deployment, _SETTLE_S + seconds + _TAIL_S) as start_ns:
            time.sleep(seconds)
            deployment.check()
            self.neighbours.check()
        end_ns = start_ns + int(seconds * 1e9)
        noise = Noise.between(before, Noise.read())
        results = [self._result(entry) for entry in self._shares]
        latencies = np.concatenate([result.between(start_ns, end_ns) for result in results])
        if not len(latencies):
            raise ProcessError(
                f"{variant}: no request was answered in {seconds:g} s at {rate_rps:g}/s; give a lower --rate"
            )
        answered_rps = sum(result.rate_rps(start_ns, end_ns) for result in results)
        failed = sum(result.failed for result in results)
        return LatencyReading(latencies, failed, noise, answered_rps, deployment.answer_times_ns(start_ns, end_ns))

    def cpu(self, variant: str, rate_rps: float, seconds: float) -> CpuReading:
        """Account for all CPU time for so many seconds at the rate: first without probes, then with them."""
        self.neighbours.set_temperature(self._temperature)
        deployment = self.deployments[variant]
        before = Noise.read()
        loads = self._loads(deployment, rate_rps)
        with self._loaded(loads, deployment, _SETTLE_S + seconds + _ATTACHING_S + _TAIL_S), ExitStack() as stack:
            roles = self._roles(deployment)
            busy, own_ns = BusyTime(self.neighbours, [], roles), _run_times(deployment)
            busy.start()
            free = _asleep((1 - _TRACED) * seconds)
            busy.end()
            spent_ns = {name: ns - own_ns[name] for name, ns in _run_times(deployment).items()}
            busy_ns = busy.read_ns()
            stack.callback(self._cputime.detach)
            self._cputime.attach()
            self._cputime.set_roles(roles)
            self._cputime.count(busy.cpus)
            self._cputime.reset()
            traced = _asleep(_TRACED * seconds)
            times_ns = self._cputime.measure().time_ns
            deployment.check()
            self.neighbours.check()
        requests, traced_requests = (self._answered(*times) for times in (free, traced))
        if requests <= 0 or traced_requests <= 0:
            raise ProcessError(f"{variant}: no request was answered in {seconds:g} s at {rate_rps:g}/s")
        components_ns = components_from_states(times_ns)
        return CpuReading(
            requests,
            busy_ns,
            {name: spent * requests / traced_requests for name, spent in components_ns.items()},
            spent_ns,
            Noise.between(before, Noise.read()),
        )

    def _answered(self, start_ns: int, end_ns: int) -> float:
        rate_rps = sum(self._result(entry).rate_rps(start_ns, end_ns) for entry in self._shares)
        return rate_rps * (end_ns - start_ns) / 1e9

    def anchors(self, seconds: float) -> dict[AnchorCell, AnchorReading]:
        """What the anchor cells cost, windows so long: how fast the machine is now. Raises ProcessError."""
        found = {(hop, scene): self._anchor_window(hop, scene, seconds) for hop, scene in self._anchor_points}
        readings = {}
        for cell in self._anchor_cells:
            above, below = found[cell.hop, cell.scene], found[cell.hop.baseline, cell.scene]
            readings[cell] = AnchorReading(above.latency_ns - below.latency_ns, above.cpu_ns - below.cpu_ns)
        return readings

    @property
    def windows_per_anchor(self) -> int:
        """How many windows of load `anchors` takes."""
        return len(self._anchor_points)

    @property
    def _anchor_points(self) -> list[tuple[Hop, Scene]]:
        pairs = [(hop, cell.scene) for cell in self._anchor_cells for hop in (cell.hop.baseline, cell.hop)]
        return list(dict.fromkeys(pairs))

    def _anchor_window(self, hop: Hop, scene: Scene, seconds: float) -> AnchorReading:
        """The hop's own latency at the median and CPU per request, beside which its baseline's are to be held."""
        self.neighbours.set_temperature(scene.temperature)
        deployment = self._anchors[hop]
        load = paced(scene)
        generator: LoadGenerator = H2load() if load.rate_rps is None else self._generator
        directory = next(iter(self._directories.values()))
        argv = generator.argv(deployment.target, load, _SETTLE_S + seconds + _TAIL_S, directory)
        process = self._run.spawn("anchor", argv, netns=deployment.client.namespace, cpu=deployment.cpus_of(CLIENT_APP))
        try:
            wait_until_sending(generator, directory, process)
            time.sleep(_SETTLE_S)
            measured = [process.pid, *(pid for here in deployment.places for pid in here)]
            busy = BusyTime(self.neighbours, [], measured)
            start_ns, end_ns = _asleep(seconds)
            busy.end()
            busy_ns = busy.read_ns()
            self.neighbours.check()
            process.wait(seconds + START_WITHIN_S)
        finally:
            process.stop(grace_s=0.5)
        result = generator.result(directory)
        latencies = result.between(start_ns, end_ns)
        requests = result.rate_rps(start_ns, end_ns) * (end_ns - start_ns) / 1e9
        if not len(latencies) or requests <= 0:
            raise ProcessError(f"no request of the anchor {hop.name} was answered; is the machine busy?")
        return AnchorReading(float(np.median(latencies)), busy_ns / requests)

    def rss_bytes(self, variant: str) -> float:
        """Resident memory of all sidecars of a variant."""
        return float(sum(process.rss_bytes() for process in self.deployments[variant].sidecars.values()))

    def _loads(self, deployment: ApplicationDeployment, rate_rps: float) -> dict[str, Load]:
        return {
            entry: self._load(deployment, entry, rate_rps * share, connections=_CONNECTIONS)
            for entry, share in self._shares.items()
        }

    def _load(
        self, deployment: ApplicationDeployment, entry_id: str, rate_rps: float | None, *, connections: int
    ) -> Load:
        entry = next(edge for edge in deployment.application.entries if edge.id == entry_id)
        return Load(
            connections,
            rate_rps,
            entry.request_bytes,
            entry.response_bytes,
            extra_headers=deployment.headers_for(entry),
        )

    @contextmanager
    def _loaded(self, loads: Mapping[str, Load], deployment: ApplicationDeployment, seconds: float) -> Iterator[int]:
        """Load runs inside; the value is the monotonic time from which on requests count."""
        processes = []
        try:
            for entry, load in loads.items():
                target: Target = deployment.targets[entry]
                argv = self._generator.argv(target, load, seconds, self._directories[entry])
                processes.append(
                    self._run.spawn("load", argv, netns=deployment.client.namespace, cpu=deployment.load_cpu)
                )
            self._generators = dict(zip(loads, processes, strict=True))
            for entry, process in zip(loads, processes, strict=True):
                wait_until_sending(self._generator, self._directories[entry], process)
            time.sleep(_SETTLE_S)
            yield time.monotonic_ns()
            for process in processes:
                if process.wait(seconds + START_WITHIN_S) != 0:
                    process.check()
        except ProcessError:
            deployment.check()  # a service or sidecar that has ended is why, if one has
            raise
        finally:
            for process in processes:
                process.stop(grace_s=0.5)

    def _result(self, entry: str) -> LoadResult:
        result = self._generator.result(self._directories[entry])
        if not len(result.due_ns):
            words = self._generators[entry].last_words()
            raise ProcessError(f"no request of {entry} was answered ({result.failed} failed){words}")
        return result

    def _roles(self, deployment: ApplicationDeployment) -> dict[int, str]:
        roles = {process.pid: SERVER_APP for process in deployment.services.values()}
        roles |= {process.pid: SERVER_SIDECAR for process in deployment.sidecars.values()}
        roles |= {process.pid: FILTER_SERVICE for process in deployment.others}
        roles |= {process.pid: CLIENT_APP for process in self._generators.values()}
        roles |= {process.pid: NEIGHBOUR for process in self.neighbours.processes}
        return {**roles, os.getpid(): TOOL}


def _asleep(seconds: float) -> tuple[int, int]:
    """Wait so long; returns the monotonic time before and after."""
    start_ns = time.monotonic_ns()
    time.sleep(seconds)
    return start_ns, time.monotonic_ns()


def _run_times(deployment: ApplicationDeployment) -> dict[str, float]:
    """Run time of each service and its sidecar so far, in ns."""
    found = {name: float(process.run_time_ns()) for name, process in deployment.services.items()}
    for name, process in deployment.sidecars.items():
        found[name] = found.get(name, 0.0) + process.run_time_ns()
    return found


def _anchor_answers() -> Answers:
    load = ANCHOR_SCENE.load
    return Answers(((load.response_bytes, load.messages),), load.request_bytes)
