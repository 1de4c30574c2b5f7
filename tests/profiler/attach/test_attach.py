"""Attaching to real proxies under real load."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.attach.attach import attach
from profiler.attach.measuring import Settings
from profiler.attach.results import COMPLETE, Attached
from profiler.attach.targets import local_targets
from profiler.attribution.cpu_classes import USER
from profiler.components import EVENT_WAIT, IPC, PARSING, PROXY_CORE, REQUEST, RESPONSE, SOCKET_READ, SOCKET_WRITE
from profiler.testbed.deployment import Hop
from profiler.testbed.leftovers import remove_leftovers
from profiler.testbed.run import Run
from profiler.workload.base import Load, LoadResult
from profiler.workload.own_generator import OwnGenerator
from tests.profiler.testbed.hops import Deployed, deploy

pytestmark = pytest.mark.kernel

BOUND = 0.05
SATURATING = Load(16, None, 128, 1024)
AHEAD_S, BEHIND_S = 0.5, 6.0


@dataclass(frozen=True)
class Looked:
    """What attach found of a sidecar under load, and what there really was in that time."""

    found: Attached
    result: LoadResult
    start_ns: int
    end_ns: int
    sidecar_ns: int

    @property
    def rate_rps(self) -> float:
        return self.result.rate_rps(self.start_ns, self.end_ns)

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


def looked(run: Run, up: Deployed, load: Load, seconds: float) -> Looked:
    """Load a hop, and attach to its sidecar meanwhile."""
    directory = run.add_directory("attach-load")
    generator = OwnGenerator()
    argv = generator.argv(up.deployment.target, load, AHEAD_S + seconds + BEHIND_S, directory)
    process = run.spawn("attach-load", argv, netns=up.deployment.client.namespace)
    stamps: list[tuple[int, int]] = []
    sidecar = up.deployment.sidecars[0]
    try:
        time.sleep(AHEAD_S)
        found, signum = attach(
            local_targets([sidecar.pid]),
            Settings(seconds, BOUND),
            lambda _: stamps.append((time.monotonic_ns(), sidecar.run_time_ns())),
        )
        assert signum is None
        assert process.wait(AHEAD_S + seconds + BEHIND_S + 10) == 0, process.log_path.read_text()
    finally:
        process.stop()
    result = generator.result(directory)
    shutil.rmtree(directory)
    (_, (start_ns, before_ns), (end_ns, after_ns)) = stamps
    return Looked(found, result, start_ns, end_ns, after_ns - before_ns)


@pytest.fixture(scope="module")
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


def test_each_request_is_two_messages(saturated: Looked) -> None:
    messages = saturated.found.targets[0].messages
    assert messages
    assert messages.per_second == pytest.approx(2 * saturated.rate_rps, rel=0.35)
    assert messages.directions[REQUEST].count == pytest.approx(messages.directions[RESPONSE].count, rel=0.1)


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
