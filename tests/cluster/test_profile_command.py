"""`meshinsight profile --cluster` as a user runs it, and what happens to the cluster when it ends badly.

Needs an image of MeshInsight that the nodes have: MESHINSIGHT_TEST_IMAGE.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median

import pytest

from profiler.cluster.api.session import Session
from profiler.cluster.names import RUN_LABEL
from profiler.profile.document import FILE_NAME, load_profile
from profiler.vocabulary.hop import Hop
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.network import FIRST
from tests.cluster.runs import POINTS, Profile, cleanup, objects, require_as_before

pytestmark = [pytest.mark.timing, pytest.mark.cluster, pytest.mark.needs_image, pytest.mark.timeout(600)]


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
    profile: Callable[..., Profile], session: Session, tmp_path: Path
) -> None:
    before = objects()
    clients, servers = sorted(node["metadata"]["name"] for node in session.find("Node"))[:2]
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
    profile: Callable[..., Profile], session: Session, tmp_path: Path
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
