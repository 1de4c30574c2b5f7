"""Istio on the local cluster: its webhook injects, its iptables capture, its certificates are needed; profiles, what
`attach` finds under load, and what is said where Istio is away, refuses, or injects nothing.
"""

import json
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.objects.plan import ClusterPlan
from profiler.cluster.run.leftovers import this_process
from profiler.cluster.run.lifecycle import create, remove
from profiler.errors import ProcessError
from profiler.profile.document import load_profile
from profiler.vocabulary.hop import Hop
from tests.cluster import istio
from tests.cluster.images import BUSYBOX
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.runs import COMMAND, IMAGE, POINTS, Profile, cleanup, objects, require_as_before
from tests.profiler.cluster.plans import plan

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # the first one may build Istio

NAMESPACE = "meshed"
PORT = 8080
HOP = Hop("http1", "server")
MESH = Path(str(resources.files("profiler.cluster.objects").joinpath("meshes", "istio.yaml")))
ISTIO_OPTIONS = ("--mesh=istio", "--topology=both", "--tls=none,mtls", "--rounds=2")
HOPS = """
hops: [{protocol: http2, topology: both}, {protocol: grpc, topology: both, tls: mtls}]
temperatures: [hot]
"""
NO_IMAGE = "localhost/meshinsight-there-is-none:1"
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
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": NAMESPACE},
            "spec": {"selector": {"app": "server"}, "ports": [{"name": "http", "port": PORT}]},
        },
        *(pod(name, injected=name != "outside") for name in ("server", "inside", "outside")),
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
    container: dict[str, Any] = {"name": "app", "image": BUSYBOX, "imagePullPolicy": "Never", "workingDir": "/etc"}
    container |= {"command": command}
    if name != "server":
        container["env"] = [{"name": "SERVER_URL", "value": f"http://server:{PORT}"}]
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


def meshinsight(*arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timing
@pytest.mark.needs_image
def test_a_profile_of_istios_sidecars_predicts_the_graph_of_its_manifests(
    pods: LocalCluster, profile: Callable[..., Profile], tmp_path: Path
) -> None:
    run = profile(*ISTIO_OPTIONS, "--protocol=tcp,http1")
    assert run.end() == 0, run.errors()
    found = load_profile(tmp_path / "out")
    assert found.status == "complete"
    assert {(cell.protocol, cell.tls) for cell in found.cells} == {
        (protocol, tls) for protocol in ("tcp", "http1") for tls in ("none", "mtls")
    }
    manifests, graph = tmp_path / "manifests.yaml", tmp_path / "graph.yaml"
    manifests.write_text(pods.kubectl("--namespace", NAMESPACE, "get", "pod,service,peerauthentication", "-o", "yaml"))
    meshinsight("graph", "from-manifests", str(manifests), f"--out={graph}")
    calls = {call["caller"]: call for call in yaml.safe_load(graph.read_text())["calls"]}
    assert {name: (call["protocol"], call["tls"]) for name, call in calls.items()} == {
        "inside": ("http1", "mtls"),
        "outside": ("http1", "none"),
    }
    predicted = json.loads(meshinsight("predict", str(tmp_path / "out"), str(graph), "-o", "json"))
    assert predicted["latency"]["mean"]["overhead_ns"]["value"] > 0


@pytest.mark.timing
@pytest.mark.needs_image
def test_http2_and_grpc_are_profiled_by_port_names_while_istiod_restarts(
    cluster: LocalCluster, profile: Callable[..., Profile], tmp_path: Path
) -> None:
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(HOPS)
    run = profile("--mesh=istio", f"--matrix={matrix}", small=("--rounds=2", "--duration=300ms"))
    run.await_(POINTS["measuring"])
    cluster.kubectl("--namespace", istio.NAMESPACE, "delete", "pod", "--selector=app=istiod", timeout_s=60.0)
    assert run.end() == 0, run.errors()
    found = load_profile(tmp_path / "out")
    assert found.status == "complete"
    cells = {(cell.protocol, cell.tls): cell for cell in found.cells if cell.protocol in ("http2", "grpc")}
    assert set(cells) == {("http2", "none"), ("grpc", "none"), ("grpc", "mtls")}  # plain gRPC is a step of its ladder
    for cell in cells.values():
        assert cell.latency is not None
        assert cell.latency.components["parsing"].median_ns > 0, cell.id


@pytest.mark.timing
@pytest.mark.needs_image
def test_a_sidecar_of_istio_is_found_and_looked_at_under_load(pods: LocalCluster) -> None:
    with load(pods):
        said = meshinsight(
            *("attach", "--selector=app=server", f"--namespace={NAMESPACE}", "--duration=5s", "--cpu-budget=5%"),
            *(f"--image={IMAGE}", "-o", "json"),
        )
    (target,) = json.loads(said)["targets"]
    assert target["label"] == f"{NAMESPACE}/server (istio-proxy)"
    assert {"ipc", "socket_read", "socket_write", "redirect"} <= set(target["components"])
    assert target["messages"]["per_second"] > 20
    assert 0 <= target["wake_ups"]["crossing_share"] <= 1


@contextmanager
def load(cluster: LocalCluster) -> Iterator[None]:
    """Requests from the pod with a sidecar, one after the other, while the block lasts."""
    loop = f"while :; do wget -q -O /dev/null http://$SERVER_SERVICE_HOST:{PORT}/hostname; done"
    inside = ["--namespace", NAMESPACE, "exec", "inside", "-c", "app", "--", "timeout", "30", "sh", "-c", loop]
    command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", *inside]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.timing
@pytest.mark.needs_image
@pytest.mark.parametrize("point", ["owner", "pod", "all ready", "measuring", "last round"])
def test_killed_anywhere_a_run_leaves_nothing_that_cleanup_does_not_remove(
    cluster: LocalCluster, profile: Callable[..., Profile], point: str
) -> None:
    before = objects()
    run = profile("--mesh=istio")
    run.await_(POINTS[point])
    run.kill()
    cleanup()
    require_as_before(before)


@pytest.fixture(scope="module")
def theirs(cluster: LocalCluster) -> Iterator[str]:
    """A namespace of somebody else's."""
    name = f"theirs-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, timeout_s=120.0)


@pytest.fixture
def made(session: Session, theirs: str) -> Iterator[Callable[..., ClusterPlan]]:
    """Makes plans of runs in that namespace, with a mesh file; what they leave is removed."""
    plans: list[ClusterPlan] = []

    def make(mesh: str = "istio") -> ClusterPlan:
        where = {"namespace": theirs, "own_namespace": False}
        new = plan(mesh, (HOP,), secrets.token_hex(4), image=IMAGE or NO_IMAGE, started_by=this_process(), **where)
        plans.append(new)
        return new

    yield make
    for one in plans:
        remove(session, one)


@contextmanager
def labelled(cluster: LocalCluster, namespace: str, key: str, value: str) -> Iterator[None]:
    """The namespace with a label, for as long as the block lasts."""
    cluster.kubectl("label", "namespace", namespace, f"{key}={value}")
    try:
        yield
    finally:
        cluster.kubectl("label", "namespace", namespace, f"{key}-")


def changed_mesh(directory: Path, old: str, new: str) -> str:
    """The file of the mesh `istio` with a text replaced."""
    text, file = MESH.read_text(), directory / "mesh.yaml"
    assert old in text
    file.write_text(text.replace(old, new))
    return str(file)


def refusal(session: Session, run: ClusterPlan) -> str:
    """What is said where the objects of a run are created."""
    with pytest.raises(ClusterError) as caught:
        create(session, run, None)
    return str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("istio-injection", "disabled"), ("istio.io/rev", "canary")])
def test_a_namespace_that_is_not_injected_is_named_with_its_label(
    cluster: LocalCluster, session: Session, made: Callable[..., ClusterPlan], key: str, value: str
) -> None:
    run = made()
    with labelled(cluster, run.namespace_name, key, value):
        said = refusal(session, run)
    assert "got no container istio-proxy from istio" in said
    assert f"has {key}={value}; revisions that run: default;" in said


def test_a_pod_without_the_label_gets_no_sidecar_which_is_said(
    session: Session, made: Callable[..., ClusterPlan], tmp_path: Path
) -> None:
    unlabelled = changed_mesh(tmp_path, 'labels: {sidecar.istio.io/inject: "true"}', "labels: {}")
    assert "has no label istio-injection or istio.io/rev; revisions" in refusal(session, made(unlabelled))


def test_a_namespace_of_the_revision_that_runs_is_injected(
    cluster: LocalCluster, session: Session, made: Callable[..., ClusterPlan]
) -> None:
    run = made()
    with labelled(cluster, run.namespace_name, "istio.io/rev", "default"):
        create(session, run, None)
    pod = session.get("Pod", run.echo_pod(HOP).name, run.namespace_name)
    assert pod is not None
    assert "istio-proxy" in [one["name"] for one in (*pod["spec"]["containers"], *pod["spec"]["initContainers"])]


def test_what_istios_webhook_refuses_is_said_in_its_words(
    session: Session, made: Callable[..., ClusterPlan], tmp_path: Path
) -> None:
    broken = changed_mesh(tmp_path, "proxy.istio.io/config: '{", "proxy.istio.io/config: '{{")
    said = refusal(session, made(broken))
    assert re.search(r"create Pod \S+: webhook object\.sidecar-injector\.istio\.io refuses it: .*config", said), said


@pytest.mark.timing
@pytest.mark.needs_image
def test_strict_mutual_tls_refuses_a_client_outside_of_the_mesh_which_is_said(
    cluster: LocalCluster, profile: Callable[..., Profile], tmp_path: Path
) -> None:
    strict = changed_mesh(tmp_path, "DISABLE", "STRICT")
    run = profile(f"--mesh={strict}", "--topology=server")
    assert run.end() == 1
    assert re.search(r"http1-server: .*refuses connections \(mutual TLS that it requires", run.errors())


def test_istio_that_is_down_is_said_to_be(
    cluster: LocalCluster, session: Session, made: Callable[..., ClusterPlan]
) -> None:
    scale(cluster, 0)
    try:
        said = refusal(session, made())
    finally:
        scale(cluster, 1)
    assert re.search(r"webhook \S+\.istio\.io cannot be called: .*istiod", said), said
    assert "meshinsight doctor --cluster" in said


def scale(cluster: LocalCluster, replicas: int) -> None:
    """Run so many istiods, and wait until it is so."""
    istiod = ["--namespace", istio.NAMESPACE]
    cluster.kubectl(*istiod, "scale", "deployment/istiod", f"--replicas={replicas}")
    if replicas:
        cluster.kubectl(*istiod, "rollout", "status", "deployment/istiod", "--timeout=60s", timeout_s=70.0)
        istio.wait_until_injecting(cluster)
    else:
        cluster.kubectl(
            *istiod, "wait", "--for=delete", "pod", "--selector=app=istiod", "--timeout=60s", timeout_s=70.0
        )
