"""`meshinsight profile --cluster` as a user runs it, and what happens to the cluster when it ends badly.

Needs an image of MeshInsight that the nodes have: MESHINSIGHT_TEST_IMAGE.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

import pytest

from profiler.cluster.api.pod_state import is_ready
from profiler.cluster.api.session import Object, Session, connect
from profiler.cluster.names import MANAGED_BY, MANAGED_LABEL, PROFILER, RUN_LABEL
from profiler.errors import MeshInsightError
from profiler.profile.document import FILE_NAME, load_profile
from profiler.vocabulary.hop import Hop
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.network import FIRST

pytestmark = [pytest.mark.timing, pytest.mark.cluster, pytest.mark.needs_image, pytest.mark.timeout(600)]

IMAGE = os.environ.get("MESHINSIGHT_TEST_IMAGE", "")
COMMAND = (sys.executable, "-m", "meshinsight")
SMALL = ["--protocol=http1", "--topology=both", "--temperature=hot", "--rounds=3", "--duration=300ms"]
UNSTEADY = "events|events.events.k8s.io|leases.coordination.k8s.io|componentstatuses"
"""What a cluster writes by itself at any time, and what is no object at all."""
_WITHIN_S = 120.0
_POLL_S = 0.1


@pytest.fixture
def cluster() -> Iterator[Session]:
    with connect() as session:
        yield session


class Profile:
    """A profile run in a process of its own."""

    def __init__(self, cluster: Session, out: Path, *options: str) -> None:
        self._cluster = cluster
        self._known = namespaces(cluster)
        argv = [*COMMAND, "profile", "--cluster", f"--image={IMAGE}", *SMALL, f"--out={out}", *options]
        self.process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def namespace(self) -> Object | None:
        """The run's own, once it is there."""
        new = [name for name in namespaces(self._cluster) if name not in self._known]
        found = self._cluster.get("Namespace", new[0]) if new else None
        labels = (found["metadata"].get("labels") or {}) if found else {}
        return found if labels.get(MANAGED_LABEL) == MANAGED_BY else None

    def find(self, kind: str) -> list[Object]:
        """Its objects of a kind."""
        where = self.namespace()
        return self._cluster.find(kind, where["metadata"]["name"], selector=RUN_LABEL) if where else []

    def output(self) -> str:
        """What the profiler has printed so far."""
        pods = [pod for pod in self.find("Pod") if pod["metadata"]["name"].endswith(PROFILER)]
        try:
            where = pods[0]["metadata"] if pods else None
            return self._cluster.log(where["namespace"], where["name"], PROFILER) if where else ""
        except MeshInsightError:
            return ""

    def await_(self, there: Callable[["Profile"], object]) -> None:
        """Wait until the run has come so far."""
        deadline_s = time.monotonic() + _WITHIN_S
        while not there(self):
            assert self.process.poll() is None, self.errors()
            assert time.monotonic() < deadline_s
            time.sleep(_POLL_S)

    def end(self, within_s: float = 300.0) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(within_s)

    def errors(self) -> str:
        """What it said on standard error, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def kill(self) -> None:
        """Kill it outright, if it still runs."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def profile(cluster: Session, tmp_path: Path) -> Iterator[Callable[..., Profile]]:
    started: list[Profile] = []

    def start(*options: str) -> Profile:
        started.append(Profile(cluster, tmp_path / "out", *options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        if one.process.stderr:
            one.process.stderr.close()
    cleanup()


def cleanup() -> str:
    done = subprocess.run([*COMMAND, "cleanup", "--cluster"], capture_output=True, text=True, check=True)
    return done.stdout


def namespaces(cluster: Session) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.find("Namespace")]


def objects() -> list[str]:
    """Every object in the cluster, as kind/namespace/name."""
    kinds = subprocess.run(
        ["kubectl", "api-resources", "--verbs=list", "--output=name"], capture_output=True, text=True, check=True
    ).stdout.split()
    steady = [kind for kind in kinds if not re.fullmatch(UNSTEADY, kind)]
    columns = "custom-columns=K:.kind,N:.metadata.namespace,M:.metadata.name"
    listing = ["kubectl", "get", ",".join(steady), "--all-namespaces", "--no-headers", f"--output={columns}"]
    return sorted(subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines())


def require_as_before(before: list[str], within_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + within_s
    while (now := objects()) != before and time.monotonic() < deadline_s:
        time.sleep(1.0)
    assert now == before


def all_ready(run: Profile) -> bool:
    pods = [pod for pod in run.find("Pod") if "reaper" not in pod["metadata"]["name"]]
    return bool(pods) and all(map(is_ready, pods))


def is_being_removed(run: Profile) -> bool:
    there = run.namespace()
    return there is not None and "deletionTimestamp" in there["metadata"]


POINTS: dict[str, Callable[[Profile], object]] = {
    "namespace": lambda run: run.namespace(),
    "owner": lambda run: run.find("ConfigMap"),
    "reaper": lambda run: run.find("Job"),
    "pod": lambda run: run.find("Pod"),
    "all ready": all_ready,
    "setting up": lambda run: "setting up" in run.output(),
    "measuring": lambda run: "round 1 of" in run.output(),
    "last round": lambda run: "round 3 of" in run.output(),
    "result": lambda run: '"result"' in run.output(),
    "removing": is_being_removed,
}
"""How far a run can be; each is seen from outside."""


def test_kubectl_finds_the_plugin() -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    argv = ["kubectl", "meshinsight", "attach", "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path})
    assert done.stdout.startswith("Usage: kubectl meshinsight attach ")


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_leaves_nothing_that_cleanup_does_not_remove(
    profile: Callable[..., Profile], point: str
) -> None:
    before = objects()
    run = profile()
    run.await_(POINTS[point])
    run.kill()
    cleanup()
    require_as_before(before)


@pytest.mark.two_nodes
def test_a_hop_across_two_nodes_is_followed_to_its_last_nanosecond(
    profile: Callable[..., Profile], cluster: Session, tmp_path: Path
) -> None:
    before = objects()
    clients, servers = sorted(node["metadata"]["name"] for node in cluster.find("Node"))[:2]
    run = profile("--topology=both,server,client", f"--node={clients}", f"--server-node={servers}")
    assert run.end() == 0, run.errors()
    require_as_before(before)
    found = load_profile(tmp_path / "out")
    where = found.environment["cluster"]
    assert (where["node"], where["server_node"]) == (clients, servers)
    assert where["server_machine"]["cpus"] >= 1
    assert found.status == "complete"
    assert {cell.topology for cell in found.cells} == {"both", "server", "client"}
    residuals = []
    for cell in found.cells:
        assert cell.latency is not None, cell.id
        followed = cell.latency.components["ipc"]
        assert followed.samples > 20, cell.id
        assert followed.lost < 0.1 * followed.samples, cell.id
        reached = {part.place for part in cell.latency.by_place}
        assert set(Hop("http1", cell.topology).sidecar_places) <= reached, cell.id
        assert cell.latency.closure_residual is not None, cell.id
        residuals.append(abs(cell.latency.closure_residual))
    assert median(residuals) < 0.2


def test_ctrl_c_brings_what_is_finished(profile: Callable[..., Profile], tmp_path: Path) -> None:
    before = objects()
    run = profile()
    run.await_(POINTS["last round"])
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 128 + signal.SIGINT, run.errors()
    assert load_profile(tmp_path / "out").status == "partial"
    assert "Traceback" not in run.errors()
    require_as_before(before)


def test_ended_before_anything_was_measured_it_leaves_no_profile(
    profile: Callable[..., Profile], tmp_path: Path
) -> None:
    before = objects()
    run = profile()
    run.await_(POINTS["pod"])
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 128 + signal.SIGTERM, run.errors()
    assert not (tmp_path / "out" / FILE_NAME).exists()
    require_as_before(before)


def test_a_node_that_is_drained_ends_it_with_what_is_finished(
    profile: Callable[..., Profile], cluster: Session, tmp_path: Path
) -> None:
    before = objects()
    run = profile()
    run.await_(POINTS["last round"])
    (node,) = {pod["spec"]["nodeName"] for pod in run.find("Pod") if "reaper" not in pod["metadata"]["name"]}
    kubectl("drain", node, f"--pod-selector={RUN_LABEL}", "--force", "--delete-emptydir-data", "--ignore-daemonsets")
    try:
        assert run.end() == 1
    finally:
        kubectl("uncordon", node)
    said = run.errors()
    assert re.search(r"pod mi-\S+: (it was evicted|is gone|it was deleted).*drained", said), said
    assert "Traceback" not in said
    assert load_profile(tmp_path / "out").status == "partial"
    require_as_before(before)


def kubectl(*arguments: str) -> None:
    subprocess.run(["kubectl", *arguments], check=True, capture_output=True, timeout=120)


def test_an_api_server_that_restarts_does_not_end_it(
    profile: Callable[..., Profile], local_cluster: LocalCluster, tmp_path: Path
) -> None:
    before = objects()
    run = profile()
    run.await_(POINTS["measuring"])
    local_cluster.restart_api_server()
    assert run.end() == 0, run.errors()
    assert load_profile(tmp_path / "out").status == "complete"
    require_as_before(before)


def test_expired_credentials_are_said_to_be(
    profile: Callable[..., Profile], local_cluster: LocalCluster, tmp_path: Path
) -> None:
    expired = local_cluster.kubeconfig_for("ann", tmp_path / "kubeconfig", valid=timedelta(seconds=-60))
    run = profile(f"--kubeconfig={expired}")
    assert run.end() == 1
    assert re.search(r"expired", run.errors())


def test_a_server_that_is_not_there_is_said_to_be(
    profile: Callable[..., Profile], local_cluster: LocalCluster, tmp_path: Path
) -> None:
    elsewhere = local_cluster.kubeconfig_for("ann", tmp_path / "kubeconfig", server="https://127.0.0.1:1")
    run = profile(f"--kubeconfig={elsewhere}")
    assert run.end() == 1
    assert "https://127.0.0.1:1" in run.errors()


def test_a_node_without_tracefs_is_said_to_lack_it(
    profile: Callable[..., Profile], local_cluster: LocalCluster
) -> None:
    before = objects()
    local_cluster.run_on(FIRST, ["umount", "/sys/kernel/tracing"])
    try:
        run = profile(f"--node={local_cluster.nodes[0].name}")
        assert run.end() == 1
    finally:
        local_cluster.run_on(FIRST, ["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"])
    assert re.search(r"tracefs|tracing", run.errors())
    require_as_before(before)
