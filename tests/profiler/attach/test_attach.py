"""Attaching to real proxies under real load."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from profiler.attach.attach import attach
from profiler.attach.measuring import Measurement, Settings
from profiler.attach.messages import Messages, pair
from profiler.attach.results import COMPLETE, Attached, WakeUps
from profiler.attach.targets import local_targets, watched
from profiler.testbed.leftovers import remove_leftovers
from profiler.testbed.run import Run
from profiler.vocabulary.components import (
    EVENT_WAIT,
    IPC,
    PARSING,
    PROXY_CORE,
    REQUEST,
    RESPONSE,
    SOCKET_READ,
    SOCKET_WRITE,
)
from profiler.vocabulary.cpu_states import USER
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load
from profiler.workload.base import LoadResult
from profiler.workload.generators.own import OwnGenerator
from tests.profiler.probes.workloads import PARTNERS, child
from tests.profiler.testbed.hops import Deployed, deploy

pytestmark = [pytest.mark.kernel, pytest.mark.timing]

BOUND = 0.05
LOOSE = 0.5
SATURATING = Load(16, None, 128, 1024)
AHEAD_S = 0.5
AT_MOST_S = 60.0


@dataclass(frozen=True)
class Looked:
    """What attach found of a sidecar under load, and what there really was in that time."""

    found: Attached
    result: LoadResult
    start_ns: int
    end_ns: int
    sidecar_ns: int

    @property
    def vcpus(self) -> float:
        return self.sidecar_ns / (self.end_ns - self.start_ns)


@contextmanager
def running() -> Iterator[Run]:
    """A run of its own: not this module's, since each hop wants a network of its own."""
    state_dir = Path(tempfile.mkdtemp(prefix="meshinsight-test-"))
    state_dir.chmod(0o755)
    with Run.start(state_dir) as run:
        yield run
    remove_leftovers(state_dir)
    shutil.rmtree(state_dir)


@contextmanager
def loaded(run: Run, up: Deployed, load: Load) -> Iterator[Callable[[], LoadResult]]:
    """Load on a hop; what is yielded ends it and returns its result."""
    directory = run.add_directory("attach-load")
    generator = OwnGenerator()
    argv = generator.argv(up.deployment.target, load, AT_MOST_S, directory)
    process = run.spawn("attach-load", argv, netns=up.deployment.client.namespace)

    def ended() -> LoadResult:
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0, process.log_path.read_text()
        return generator.result(directory)

    try:
        time.sleep(AHEAD_S)
        yield ended
    finally:
        process.stop()
        shutil.rmtree(directory)


def looked(run: Run, up: Deployed, load: Load, seconds: float) -> Looked:
    """Load a hop, and attach to its sidecar meanwhile."""
    stamps: list[tuple[int, int]] = []
    sidecar = up.deployment.sidecars[0]
    with loaded(run, up, load) as ended:
        found, signum = attach(
            local_targets([sidecar.pid]),
            Settings(seconds, BOUND),
            lambda _: stamps.append((time.monotonic_ns(), sidecar.run_time_ns())),
        )
        assert signum is None
        result = ended()
    (_, (start_ns, before_ns), (end_ns, after_ns)) = stamps
    return Looked(found, result, start_ns, end_ns, after_ns - before_ns)


@pytest.fixture
def saturated() -> Looked:
    with running() as run:
        return looked(run, deploy(run, Hop("http1", "client")), SATURATING, 4.0)


def test_vcpus_are_those_of_the_kernel_s_account(saturated: Looked) -> None:
    assert saturated.found.targets[0].vcpus == pytest.approx(saturated.vcpus, rel=0.2)


def test_components_add_up_to_the_whole(saturated: Looked) -> None:
    target = saturated.found.targets[0]
    assert sum(part.vcpus for part in target.components.values()) == pytest.approx(target.vcpus)
    assert sum(part.share for part in target.components.values()) == pytest.approx(1)
    assert {IPC, SOCKET_READ, SOCKET_WRITE, EVENT_WAIT} <= target.components.keys()


def test_a_stripped_proxy_s_user_time_stays_whole_and_says_why(saturated: Looked) -> None:
    target = saturated.found.targets[0]
    assert USER in target.components
    assert any("stripped" in warning for warning in target.warnings)


def test_each_request_is_two_messages() -> None:
    with running() as run, ExitStack() as stack:
        up = deploy(run, Hop("http1", "client"))
        ended = stack.enter_context(loaded(run, up, SATURATING))
        targets = local_targets([up.deployment.sidecars[0].pid])
        lives = stack.enter_context(watched(targets))
        seen = stack.enter_context(Measurement(targets, Settings(3.0, LOOSE))).run(lives)
        result = ended()
    messages = Messages()
    for burst in seen.bursts:
        messages.add(pair(burst.calls, burst.sides))
    answers_ns = result.due_ns + result.latency_ns
    answered = sum(np.sum((burst.start_ns <= answers_ns) & (answers_ns < burst.end_ns)) for burst in seen.bursts)
    assert answered > 50
    assert len(messages.time_ns[REQUEST]) == pytest.approx(len(messages.time_ns[RESPONSE]), rel=0.1)
    assert messages.count == pytest.approx(2 * answered, rel=0.1)


def test_times_inside_the_proxy_are_shorter_than_those_of_requests(saturated: Looked) -> None:
    messages = saturated.found.targets[0].messages
    assert messages
    latency_ns = saturated.result.between(saturated.start_ns, saturated.end_ns)
    inside_ns = sum(messages.directions[name].p50_ns for name in (REQUEST, RESPONSE))
    assert 1_000 < inside_ns < sorted(latency_ns)[len(latency_ns) // 2]


def test_the_bound_is_kept_by_the_tool_s_own_estimate(saturated: Looked) -> None:
    overhead = saturated.found.overhead
    assert saturated.found.status == COMPLETE
    assert 0 < overhead.ratio <= BOUND
    assert overhead.bursts > 0
    assert overhead.ratio == pytest.approx(overhead.probes_ratio + overhead.sampling_ratio + overhead.tool_ratio)


def test_names_of_functions_split_the_user_time_of_haproxy() -> None:
    with running() as run:
        up = deploy(run, Hop("http1", "client", proxy="haproxy"))
        target = looked(run, up, SATURATING, 3.0).found.targets[0]
    assert target.proxy == "haproxy"
    assert USER not in target.components
    assert {PARSING, PROXY_CORE} <= target.components.keys()


def wake_ups_of_partners(cpus: tuple[int, int]) -> WakeUps:
    """What attach finds of the second of two processes that send a byte to and fro on these CPUs."""
    with child(PARTNERS.format(cpus=cpus, rounds=10**9)) as process:
        assert process.stdin
        assert process.stdout
        second = int(process.stdout.readline())
        process.stdin.write("go\n")
        process.stdin.flush()
        found, _ = attach(local_targets([second]), Settings(1.5, LOOSE))
    assert found.targets[0].wake_ups
    return found.targets[0].wake_ups


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_wake_ups_between_processes_on_two_cpus_cross() -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    wake_ups = wake_ups_of_partners((first, second))
    assert wake_ups.count > 100
    assert wake_ups.crossing_share == pytest.approx(1, abs=0.05)


def test_wake_ups_between_processes_on_one_cpu_do_not_cross() -> None:
    only = min(os.sched_getaffinity(0))
    wake_ups = wake_ups_of_partners((only, only))
    assert wake_ups.count > 100
    assert wake_ups.crossing_share == pytest.approx(0, abs=0.05)
