"""What the local cluster must offer to the tests that use it, tried on it."""

import os
import subprocess
import sys
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiler.errors import ProcessError, UsageError
from tests.cluster import network
from tests.cluster.images import BUSYBOX, PAUSE, Image, write_archive
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.network import Node

pytestmark = pytest.mark.cluster

NAMESPACE = "test-local-cluster"
SERVE = ["httpd", "-f", "-p", "8080", "-h", "/etc"]
WAIT = "--timeout=60s"


def pod(name: str, image: str = BUSYBOX, *, node: Node | None = None, **container: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": image, "imagePullPolicy": "Never", **container}],
    }
    if node:
        spec["nodeName"] = node.name
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


class Workspace:
    """A namespace of the cluster."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster

    def kubectl(self, *arguments: str, input_text: str = "") -> str:
        return self.cluster.kubectl("--namespace", NAMESPACE, *arguments, input_text=input_text)

    def create(self, *objects: dict[str, Any]) -> None:
        self.kubectl("create", "-f", "-", input_text=yaml.safe_dump_all(objects))

    def create_ready(self, *pods: dict[str, Any]) -> None:
        self.create(*pods)
        self.kubectl("wait", "--for=condition=Ready", WAIT, *(f"pod/{item['metadata']['name']}" for item in pods))


@pytest.fixture
def space(local_cluster: LocalCluster) -> Generator[Workspace]:
    local_cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        local_cluster.kubectl("wait", "--for=create", WAIT, "--namespace", NAMESPACE, "serviceaccount/default")
        yield Workspace(local_cluster)
    finally:
        local_cluster.kubectl("delete", "namespace", NAMESPACE, WAIT, timeout_s=90)


def test_pod_of_the_pause_image_gets_ready(space: Workspace) -> None:
    space.create_ready(pod("pause", PAUSE))


def test_pods_reach_each_other_across_nodes_by_address_and_by_service(space: Workspace) -> None:
    first, last = space.cluster.nodes[0], space.cluster.nodes[-1]
    space.create_ready(pod("server", node=first, command=SERVE), pod("client", node=last, command=["sleep", "inf"]))
    space.kubectl("expose", "pod/server", "--port=80", "--target-port=8080")
    space.kubectl("wait", "--for=jsonpath={.endpoints[0].conditions.ready}=true", WAIT, "endpointslice", "--all")
    address = space.kubectl("get", "pod/server", "-o", "jsonpath={.status.podIP}:8080")
    service = space.kubectl("get", "service/server", "-o", "jsonpath={.spec.clusterIP}")
    for target in (address, service):
        fetch = (
            f"for i in 1 2 3 4 5; do wget -q -O - http://{target}/hostname && exit; done; exit 1"  # kube-proxy is late
        )
        assert space.kubectl("exec", "client", "--", "sh", "-c", fetch).strip() == "server"


def test_service_account_without_rights_is_refused(space: Workspace) -> None:
    credentials = [f"--kubeconfig={os.devnull}", f"--server={network.API_SERVER}", "--insecure-skip-tls-verify"]
    credentials.append(f"--token={space.kubectl('create', 'token', 'default').strip()}")
    with pytest.raises(ProcessError, match=r"serviceaccount:test-local-cluster:default.*cannot list resource"):
        space.kubectl(*credentials, "get", "secrets")


def test_privileged_pod_sees_tracefs_of_the_machine(space: Workspace) -> None:
    seeing = pod(
        "tracer",
        command=["sleep", "inf"],
        securityContext={"privileged": True},
        volumeMounts=[{"name": "tracing", "mountPath": "/sys/kernel/tracing"}],
    )
    seeing["spec"]["volumes"] = [{"name": "tracing", "hostPath": {"path": "/sys/kernel/tracing"}}]
    space.create_ready(seeing)
    seen = space.kubectl("exec", "tracer", "--", "ls", "/sys/kernel/tracing/events/syscalls")
    assert "sys_enter_read" in seen.split()


def test_pod_security_refuses_a_privileged_pod(space: Workspace) -> None:
    space.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=baseline")
    with pytest.raises(ProcessError, match="violates PodSecurity"):
        space.create(pod("privileged", securityContext={"privileged": True}))


def test_quota_refuses_the_pod_beyond_it(space: Workspace) -> None:
    space.kubectl("create", "quota", "none", "--hard=pods=0")
    space.kubectl("wait", "--for=jsonpath={.status.hard.pods}=0", WAIT, "quota/none")
    with pytest.raises(ProcessError, match="exceeded quota"):
        space.create(pod("beyond"))


def test_network_policy_is_accepted(space: Workspace) -> None:
    metadata = {"name": "deny"}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {"podSelector": {}},
    }
    space.create(policy)


def test_finished_job_is_removed_after_its_time_to_live(space: Workspace) -> None:
    template = {"spec": pod("once", command=["true"])["spec"] | {"restartPolicy": "Never"}}
    spec = {"ttlSecondsAfterFinished": 1, "template": template}
    space.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec})
    space.kubectl("wait", "--for=delete", WAIT, "job/once")
    space.kubectl("wait", "--for=delete", WAIT, "pod", "--selector=job-name=once")


def test_objects_go_with_their_owner(space: Workspace) -> None:
    space.kubectl("create", "configmap", "owner")
    uid = space.kubectl("get", "configmap/owner", "-o", "jsonpath={.metadata.uid}")
    owned = pod("owned", PAUSE)
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    space.create_ready(owned)
    space.kubectl("delete", "configmap/owner")
    space.kubectl("wait", "--for=delete", WAIT, "pod/owned")


def test_imported_image_runs_on_every_node(space: Workspace, tmp_path: Path) -> None:
    name = "localhost/meshinsight-test/imported:1"
    write_archive(Image(name, ["/pause", "-P"], {"pause": Path("/usr/bin/catatonit")}), tmp_path / "image.tar")
    space.cluster.import_image(tmp_path / "image.tar")
    space.create_ready(*(pod(f"on-{node.name}", name, node=node) for node in space.cluster.nodes))


def test_what_is_no_image_archive_is_refused(local_cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"image.tar: not imported on node-1"):
        local_cluster.import_image(tmp_path / "image.tar")


def test_restarted_api_server_knows_what_there_was(space: Workspace) -> None:
    space.kubectl("create", "configmap", "kept", "--from-literal=key=value")
    space.cluster.restart_api_server()
    assert space.kubectl("get", "configmap/kept", "-o", "jsonpath={.data.key}") == "value"


def test_containers_outlive_the_kubelet(space: Workspace) -> None:
    node = space.cluster.nodes[-1]
    space.create_ready(pod("server", node=node, command=SERVE))
    address = space.kubectl("get", "pod/server", "-o", "jsonpath={.status.podIP}:8080")
    space.cluster.stop_kubelet(node)
    try:
        with pytest.raises(ProcessError, match="10250"):
            space.kubectl("exec", "server", "--", "true")
        space.cluster.run_on(node, ["busybox", "wget", "-q", "-O", "-", f"http://{address}/hostname"])
    finally:
        space.cluster.start_kubelet(node)
    restarts = "jsonpath={.status.containerStatuses[0].restartCount}"
    assert space.kubectl("get", "pod/server", "-o", restarts) == "0"


def test_expired_credentials_are_refused(local_cluster: LocalCluster, tmp_path: Path) -> None:
    expired = local_cluster.kubeconfig_for("late", tmp_path / "kubeconfig", valid=-timedelta(hours=1))
    with pytest.raises(ProcessError, match=r"[Uu]nauthorized|must be logged in"):
        local_cluster.kubectl("--kubeconfig", str(expired), "get", "nodes")


def test_second_up_gives_the_running_cluster(local_cluster: LocalCluster) -> None:
    pids = local_cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}")
    command = [sys.executable, "-m", "tests.cluster.local_cluster", "up"]
    root = Path(__file__).parents[2]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert printed == f"KUBECONFIG={local_cluster.kubeconfig}\n"
    assert local_cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}") == pids
