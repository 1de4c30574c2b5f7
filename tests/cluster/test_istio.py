"""Istio on the local cluster: its webhook injects, its iptables capture, its certificates are needed; and a profile."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from profiler.errors import ProcessError
from profiler.profile.document import load_profile
from tests.cluster import istio
from tests.cluster.images import BUSYBOX
from tests.cluster.local_cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # the first one may build Istio

IMAGE = os.environ.get("MESHINSIGHT_TEST_IMAGE", "")
NAMESPACE = "meshed"
PORT = 8080
_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def cluster(local_cluster: LocalCluster) -> Iterator[LocalCluster]:
    if istio.is_installed(local_cluster):
        yield local_cluster
        return
    istio.install(local_cluster)
    yield local_cluster
    istio.uninstall(local_cluster)


@pytest.fixture(scope="module")
def pods(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A server and a client with sidecars and a client without, in a separate namespace."""
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *(pod(name, injected=name != "outside") for name in ("server", "inside", "outside")),
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": NAMESPACE},
            "spec": {"selector": {"app": "server"}, "ports": [{"name": "http", "port": PORT}]},
        },
    ]  # fmt: skip
    cluster.kubectl("apply", "-f", "-", input_text=yaml.safe_dump_all(objects))
    ready = ["--namespace", NAMESPACE, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s"]
    cluster.kubectl(*ready, timeout_s=100.0)
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, timeout_s=120.0)


def pod(name: str, *, injected: bool) -> dict[str, object]:
    command = ["httpd", "-f", "-p", str(PORT)] if name == "server" else ["sleep", "3600"]
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {"app": name, "sidecar.istio.io/inject": str(injected).lower()},
    }
    container = {"name": "app", "image": BUSYBOX, "imagePullPolicy": "Never", "command": command, "workingDir": "/etc"}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def reaches(cluster: LocalCluster, client: str) -> bool:
    """Whether a client gets a file of the server."""
    service = ["--namespace", NAMESPACE, "get", "service/server", "-o", "jsonpath={.spec.clusterIP}"]
    url = f"http://{cluster.kubectl(*service)}:{PORT}/hostname"
    try:
        inside = ["--namespace", NAMESPACE, "exec", client, "-c", "app", "--"]
        return cluster.kubectl(*inside, "timeout", "5", "wget", "-q", "-O", "-", url).strip() == "server"
    except ProcessError:
        return False


def require_reached(cluster: LocalCluster, client: str, *, expected: bool) -> None:
    deadline_s = time.monotonic() + _WITHIN_S
    while reaches(cluster, client) != expected:
        assert time.monotonic() < deadline_s
        time.sleep(0.5)


def test_only_pods_that_ask_for_it_get_a_sidecar(pods: LocalCluster) -> None:
    names = "jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}"
    found = {
        name: pods.kubectl("--namespace", NAMESPACE, "get", f"pod/{name}", "-o", names).split()
        for name in ("server", "inside", "outside")
    }
    assert {"istio-init", "istio-proxy"} < set(found["server"]) == set(found["inside"])
    assert found["outside"] == ["app"]


@pytest.mark.parametrize(("mode", "outside_reaches"), [("DISABLE", True), ("STRICT", False), ("PERMISSIVE", True)])
def test_a_client_without_a_certificate_is_refused_by_strict_mutual_tls_only(
    pods: LocalCluster, mode: str, outside_reaches: bool
) -> None:
    authentication = {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "server", "namespace": NAMESPACE}, "spec": {"mtls": {"mode": mode}},
    }  # fmt: skip
    pods.kubectl("apply", "-f", "-", input_text=yaml.safe_dump(authentication))
    require_reached(pods, "outside", expected=outside_reaches)
    require_reached(pods, "inside", expected=True)


@pytest.mark.timing
@pytest.mark.needs_image
def test_sidecars_of_istio_are_profiled_with_and_without_mutual_tls(cluster: LocalCluster, tmp_path: Path) -> None:
    options = ["--protocol=tcp,http1", "--tls=none,mtls", "--topology=both", "--temperature=hot", "--rounds=2"]
    argv = [sys.executable, "-m", "meshinsight", "profile", "--cluster", "--mesh=istio", f"--image={IMAGE}"]
    done = subprocess.run(
        [*argv, *options, "--duration=300ms", f"--out={tmp_path / 'out'}"],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = load_profile(tmp_path / "out")
    assert found.status == "complete"
    assert {(cell.protocol, cell.tls) for cell in found.cells} == {
        (protocol, tls) for protocol in ("tcp", "http1") for tls in ("none", "mtls")
    }
