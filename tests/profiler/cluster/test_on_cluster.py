"""A run's objects on the real cluster that KUBECONFIG names.

Tests that start pods for good need an image of MeshInsight that its nodes have: MESHINSIGHT_TEST_IMAGE.
"""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from predictor.models.fitting import fit_profile
from profiler.cluster.api.errors import ClusterError, ForbiddenError
from profiler.cluster.api.pod_state import container_statuses
from profiler.cluster.api.session import Object, Session, connect
from profiler.cluster.api.transfer import fetch_folder, hand_over
from profiler.cluster.names import MANAGED_LABEL
from profiler.cluster.objects.plan import ClusterPlan, Memory
from profiler.cluster.objects.rendering import make_secrets, render
from profiler.cluster.objects.templates import manifests_folder
from profiler.cluster.run.attaching import attach_on_cluster, find_sidecars
from profiler.cluster.run.continuing import Where
from profiler.cluster.run.leftovers import find_runs, remove_leftovers, this_process
from profiler.cluster.run.lifecycle import Place, check_pods, create, decide_namespace, remove, remove_run, wait_ready
from profiler.cluster.run.permissions import ROLE, check_permissions, needed
from profiler.cluster.run.progress import follow
from profiler.cluster.run.running import ClusterRun
from profiler.errors import UsageError
from profiler.planning.settings import ProfileSettings
from profiler.profile.document import load_profile
from profiler.vocabulary.hop import Hop
from tests.profiler.cluster.plans import HOPS, plan
from tests.profiler.testbed.conftest import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

IMAGE = os.environ.get("MESHINSIGHT_TEST_IMAGE", "")
NO_IMAGE = "localhost/meshinsight-there-is-none:1"
RBAC = "rbac.authorization.k8s.io"
BARE = (Hop("none", "none"),)
SECURE = (Hop("none", "none"), Hop("http1", "both", tls="mtls"), Hop("grpc", "server", application="grpc"))
MESHES = {
    "builtin": HOPS,
    "istio": (*HOPS, Hop("http1", "both", tls="mtls")),
    "linkerd": (*HOPS[:3], Hop("grpc", "both", application="grpc", tls="mtls")),
}
PEER_AUTHENTICATION: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "peerauthentications.security.istio.io"},
    "spec": {
        "group": "security.istio.io",
        "names": {"kind": "PeerAuthentication", "plural": "peerauthentications", "singular": "peerauthentication"},
        "scope": "Namespaced",
        "versions": [{
            "name": "v1", "served": True, "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }],
    },
}  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Session]:
    with connect() as session:
        yield session


@pytest.fixture
def run(cluster: Session) -> Iterator[Callable[..., ClusterPlan]]:
    """Makes plans of runs, and removes whatever is left of them."""
    made: list[ClusterPlan] = []

    def new(mesh: str, hops: tuple[Hop, ...], **settings: Any) -> ClusterPlan:
        common: dict[str, Any] = {"image": IMAGE or NO_IMAGE, "started_by": this_process()}
        made.append(plan(mesh, hops, secrets.token_hex(4), **{**common, **settings}))
        return made[-1]

    yield new
    for one in made:
        if cluster.get("Namespace", one.namespace_name):
            remove(cluster, one)


@pytest.fixture
def foreign(cluster: Session) -> Iterator[str]:
    """A namespace of somebody else's."""
    name = f"theirs-{secrets.token_hex(4)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.delete("Namespace", name)
    gone(cluster, name)


def gone(cluster: Session, namespace: str, within_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + within_s
    while cluster.get("Namespace", namespace) is not None:
        assert time.monotonic() < deadline_s, f"{namespace} is still there"
        time.sleep(0.5)


def kubeconfig_of(path: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """The cluster's kubeconfig, changed."""
    config = yaml.safe_load(Path(os.environ.get("KUBECONFIG", Path.home() / ".kube/config")).read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))
    return str(path)


def with_token(config: dict[str, Any], token: str) -> None:
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["user"] = config["users"][0]["name"]


def test_a_context_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="--context nowhere: no such context in"):
        connect(context="nowhere")


def test_credentials_that_are_not_valid_are_refused(tmp_path: Path) -> None:
    path = kubeconfig_of(tmp_path / "kubeconfig", partial(with_token, token="no" + "token"))
    with pytest.raises(ClusterError, match="the credentials of the kubeconfig are expired or invalid"):
        connect(path)


@pytest.mark.parametrize("mesh", MESHES)
def test_the_api_server_takes_every_object_of_a_mesh(
    cluster: Session, run: Callable[..., ClusterPlan], mesh: str
) -> None:
    wanted = run(mesh, MESHES[mesh])
    namespace, owner, *rest = render(wanted)
    cluster.create(namespace)
    uid = cluster.create(owner)["metadata"]["uid"]
    stand_in = mesh == "istio" and not cluster.serves("security.istio.io/v1", "PeerAuthentication")
    if stand_in:
        cluster.create(PEER_AUTHENTICATION)
    try:
        with connect() as session:  # that has looked after the definition was there
            deadline_s = time.monotonic() + 20
            while stand_in and not session.serves("security.istio.io/v1", "PeerAuthentication"):
                assert time.monotonic() < deadline_s
                time.sleep(0.5)
            objects = render(wanted, owner_uid=uid)[2:]
            # Accounts are there for good: pods are not taken without theirs.
            taken = [session.apply(made, dry_run=made["kind"] != "ServiceAccount") for made in objects]
            assert len(taken) == len(rest)
    finally:
        if stand_in:
            cluster.delete("CustomResourceDefinition", PEER_AUTHENTICATION["metadata"]["name"],
                           api_version="apiextensions.k8s.io/v1")  # fmt: skip


def test_an_image_that_cannot_be_pulled_is_named(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    wanted = run("none", BARE, image="registry.invalid/meshinsight:1")
    create(cluster, wanted, None)
    with pytest.raises(ClusterError, match=r"cannot be pulled; check --image .*registry\.invalid/meshinsight:1"):
        wait_ready(cluster, wanted)


def test_a_node_that_is_not_there_takes_no_pod(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    wanted = run("none", BARE, client_node="nowhere", server_node="nowhere")
    create(cluster, wanted, None)
    with pytest.raises(ClusterError, match=r"no node takes it: 0/\d+ nodes are available: .*[Aa]ffinity"):
        wait_ready(cluster, wanted)


def test_a_quota_is_named(cluster: Session, run: Callable[..., ClusterPlan], foreign: str) -> None:
    cluster.create({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": foreign},
        "spec": {"hard": {"pods": "0"}},
    })  # fmt: skip
    wanted = run("none", BARE, namespace=foreign, own_namespace=False)
    time.sleep(1.0)  # until the quota is counted
    with pytest.raises(ClusterError, match=r"create Pod mi-.*: exceeded quota: small, requested: pods=1"):
        create(cluster, wanted, None)
    remove(cluster, wanted)


def test_a_namespace_of_somebody_else_is_refused(cluster: Session, foreign: str) -> None:
    with pytest.raises(UsageError, match=f"--namespace {foreign}: was not made by MeshInsight"):
        decide_namespace(cluster, foreign, allow_foreign=False)


def test_a_run_in_a_namespace_of_somebody_else_leaves_it_as_it_was(
    cluster: Session, run: Callable[..., ClusterPlan], foreign: str
) -> None:
    kinds = ("ConfigMap", "ServiceAccount", "Secret", "Service", "Pod")

    def names() -> list[list[str]]:
        return [[one["metadata"]["name"] for one in cluster.find(kind, foreign)] for kind in kinds]

    time.sleep(2.0)  # its own account and authority appear
    before = names()
    wanted = run("builtin", SECURE, namespace=foreign, own_namespace=False)
    create(cluster, wanted, make_secrets(wanted))
    remove(cluster, wanted)
    deadline_s = time.monotonic() + 30
    while names() != before:
        assert time.monotonic() < deadline_s, names()
        time.sleep(0.5)


def test_a_namespace_that_is_stuck_says_what_it_waits_for(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    wanted = run("none", BARE)
    cluster.create(render(wanted)[0])
    held = {"name": "held", "namespace": wanted.namespace_name, "finalizers": ["example.org/held"]}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    try:
        with pytest.raises(ClusterError, match=r"not gone after 15 s: is being removed: .*example\.org/held"):
            remove(cluster, wanted, within_s=15)
        with pytest.raises(ClusterError, match="is being removed: "):
            decide_namespace(cluster, wanted.namespace_name, allow_foreign=True)
    finally:
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**held, "finalizers": []}})
        release(cluster, "held", wanted.namespace_name)
    gone(cluster, wanted.namespace_name)


def release(cluster: Session, name: str, namespace: str) -> None:
    """Take the finalizers of a ConfigMap away."""
    cluster.core.patch_namespaced_config_map(name, namespace, {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("created", range(1, 15, 2))
def test_whatever_was_created_before_a_kill_is_removed(
    cluster: Session, run: Callable[..., ClusterPlan], created: int
) -> None:
    dead = this_process().replace(f"/{os.getpid()}.", "/1.")
    wanted = run("builtin", SECURE, started_by=dead)
    objects = render(wanted)
    owner: Object = {}
    for made in objects[:2][:created]:
        owner = cluster.create(made)
    if created > 2:
        for made in render(wanted, owner_uid=owner["metadata"]["uid"])[2:created]:
            cluster.create(made)
    assert wanted.run_id in [one.run_id for one in remove_leftovers(cluster)]
    assert wanted.run_id not in [one.run_id for one in find_runs(cluster)]


PREPARED = "meshinsight"
"""The namespace that `kubectl apply -k manifests/` makes."""


@pytest.fixture
def limited(cluster: Session, tmp_path: Path) -> Iterator[Callable[[], Session]]:
    """Sessions of the account that `kubectl apply -k manifests/` makes, which may run profiles in one namespace."""
    from kubernetes.client import AuthenticationV1TokenRequest, V1TokenRequestSpec

    objects = [
        made
        for name in yaml.safe_load((manifests_folder() / "kustomization.yaml").read_text())["resources"]
        for made in yaml.safe_load_all((manifests_folder() / name).read_text())
    ]
    for made in objects:
        cluster.apply(made)
    sessions: list[Session] = []

    def open_() -> Session:
        request = AuthenticationV1TokenRequest(spec=V1TokenRequestSpec(audiences=[], expiration_seconds=600))
        answer = cluster.core.create_namespaced_service_account_token("meshinsight", PREPARED, request)
        path = kubeconfig_of(tmp_path / "limited", partial(with_token, token=answer.status.token))
        sessions.append(connect(path))
        return sessions[-1]

    yield open_
    for session in sessions:
        session.close()
    for made in reversed(objects):
        cluster.delete(made["kind"], made["metadata"]["name"], made["metadata"].get("namespace"),
                       api_version=made["apiVersion"])  # fmt: skip
    gone(cluster, PREPARED)


def test_kustomize_applies_and_deletes_the_manifests(cluster: Session) -> None:
    folder = str(manifests_folder())
    subprocess.run(["kubectl", "apply", "--kustomize", folder], check=True, capture_output=True)
    try:
        assert cluster.get("ServiceAccount", "meshinsight", PREPARED)
        assert cluster.get("Role", ROLE, PREPARED, api_version="rbac.authorization.k8s.io/v1")
    finally:
        subprocess.run(["kubectl", "delete", "--kustomize", folder], check=True, capture_output=True)
    gone(cluster, PREPARED)


def prepared(run: Callable[..., ClusterPlan], hops: tuple[Hop, ...], **settings: Any) -> ClusterPlan:
    """A plan for the namespace that an administrator has prepared."""
    return run("builtin", hops, namespace=PREPARED, own_namespace=False, prepared=True, **settings)


def test_what_the_administrator_grants_is_enough(
    run: Callable[..., ClusterPlan], limited: Callable[[], Session]
) -> None:
    session, wanted = limited(), prepared(run, SECURE)
    assert decide_namespace(session, PREPARED, allow_foreign=False) == Place(own=False, prepared=True)
    create(session, wanted, make_secrets(wanted))
    check_permissions(session, wanted)
    assert wanted.run_id in [one.run_id for one in find_runs(session, PREPARED)]
    remove(session, wanted)


FORBIDDEN = [
    *(("create", "", resource) for resource in ("pods", "pods/exec", "secrets", "services", "configmaps")),
    *(("create", "", resource) for resource in ("namespaces", "nodes", "serviceaccounts", "serviceaccounts/token")),
    *((verb, "", "secrets") for verb in ("get", "list", "watch")),
    *((verb, "", "pods") for verb in ("get", "list", "delete")),
    *((verb, "", "namespaces") for verb in ("get", "list", "delete", "patch")),
    ("get", "", "nodes"),
    ("delete", "", "configmaps"),
    ("create", "batch", "jobs"),
    *((verb, RBAC, kind) for verb in ("create", "bind", "escalate") for kind in ("roles", "clusterroles")),
    *(("create", RBAC, kind) for kind in ("rolebindings", "clusterrolebindings")),
    ("impersonate", "", "users"),
    ("*", "*", "*"),
]
"""What nobody may do because of manifests/, outside of the prepared namespace: as `kubectl auth can-i` asks."""


@pytest.mark.parametrize("namespace", [None, "default", "kube-system"])
def test_outside_of_its_namespace_the_account_may_do_nothing(
    limited: Callable[[], Session], namespace: str | None
) -> None:
    session = limited()
    allowed = [one for one in FORBIDDEN if session.allowed(*one, namespace)]
    assert allowed == []


def test_in_its_namespace_the_account_may_do_what_its_role_says_and_no_more(
    run: Callable[..., ClusterPlan], limited: Callable[[], Session]
) -> None:
    session = limited()
    wanted = {(one.verb, one.group, one.resource) for one in needed(prepared(run, BARE))}
    assert [one for one in sorted(wanted) if not session.allowed(*one, PREPARED)] == []
    assert [one for one in FORBIDDEN if session.allowed(*one, PREPARED) and one not in wanted] == []


def test_without_a_namespace_the_account_is_told_of_the_prepared_one(
    run: Callable[..., ClusterPlan], limited: Callable[[], Session]
) -> None:
    session = limited()
    with pytest.raises(
        ForbiddenError, match=r"may not .*create namespaces.*; let an administrator .* give --namespace"
    ):
        create(session, run("none", BARE), None)
    with pytest.raises(ForbiddenError, match="give --namespace"):
        find_runs(session)


def test_a_namespace_that_is_not_the_accounts_is_refused(limited: Callable[[], Session], foreign: str) -> None:
    with pytest.raises(ForbiddenError, match=f"may not get namespaces in namespace {foreign}"):
        decide_namespace(limited(), foreign, allow_foreign=True)


def test_each_verb_that_is_missing_is_named(
    cluster: Session, run: Callable[..., ClusterPlan], limited: Callable[[], Session]
) -> None:
    role = cluster.get("Role", ROLE, PREPARED, api_version=f"{RBAC}/v1")
    assert role is not None
    kept = [rule for rule in role["rules"] if rule["resources"] not in (["jobs"], ["events"])]
    cluster.apply({
        "apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": ROLE, "namespace": PREPARED}, "rules": kept,
    })  # fmt: skip
    session = limited_again(limited)
    message = f"may not list events, create jobs in namespace {PREPARED}; let an administrator bind the Role {ROLE}"
    with pytest.raises(ForbiddenError, match=message):
        create(session, prepared(run, BARE), None)


def limited_again(limited: Callable[[], Session]) -> Session:
    time.sleep(1.0)  # until the authorizer has seen the change
    return limited()


# --- pods that run: with the image only ----------------------------------------------------------------------------


def ask(cluster: Session, wanted: ClusterPlan, hop: Hop) -> bytes:
    """The answer to a request from the hop's load pod to its service."""
    service = cluster.get("Service", wanted.service_name(hop), wanted.namespace_name)
    assert service is not None
    url = f"http://{service['spec']['clusterIP']}:8080/1024"
    code = f"import sys,urllib.request as r;sys.stdout.buffer.write(r.urlopen({url!r},timeout=10).read())"
    pod = wanted.load_pod(hop).name
    return b"".join(cluster.execute(wanted.namespace_name, pod, "load", ["python3", "-c", code]))


def answers(cluster: Session, wanted: ClusterPlan, hop: Hop) -> bool:
    """Whether it answers as it should: sidecars listen a moment before they know each other."""
    with suppress(ClusterError):
        return ask(cluster, wanted, hop) == b"r" * 1024
    return False


@pytest.mark.needs_image
@pytest.mark.timing
def test_requests_go_through_our_own_sidecars(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    wanted = run("builtin", SECURE)
    create(cluster, wanted, make_secrets(wanted))
    wait_ready(cluster, wanted)
    for hop in SECURE[:2]:
        assert eventually(partial(answers, cluster, wanted, hop), within_s=30)
    stats = (
        "import socket;s=socket.socket(socket.AF_UNIX);s.connect('/run/meshinsight/admin.sock');"
        "s.sendall(b'GET /stats?filter=ssl.handshake HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n');"
        "print(s.makefile().read())"
    )
    pod = wanted.echo_pod(SECURE[1]).name
    said = b"".join(cluster.execute(wanted.namespace_name, pod, "sidecar", ["python3", "-c", stats])).decode()
    assert "handshake: 0" not in said
    assert "ssl.handshake: " in said


@pytest.mark.needs_image
@pytest.mark.timing
def test_the_profiler_finds_the_processes_of_a_sidecar(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    hop = Hop("http1", "server")
    wanted = run("builtin", (hop,))
    create(cluster, wanted, None)
    echo = wait_ready(cluster, wanted)[wanted.echo_pod(hop).name]
    container = container_statuses(echo)["sidecar"]["containerID"]
    code = (
        "import json,os;from pathlib import Path;from profiler.cluster.agent import containers as c;"
        f"p=c.container_pids({container!r},Path(os.environ['MESHINSIGHT_CGROUPS']));"
        "n=c.network_namespace(p);from profiler.cluster.agent.commands.wait_for_ports import listening_ports as l;"
        "t=n.call(lambda:Path('/proc/thread-self/net/tcp').read_text());"
        "print(json.dumps([len(p),c.named(p,'envoy')==p,15006 in l(t)]))"
    )
    profiler = wanted.profiler_name(0)
    said = b"".join(cluster.execute(wanted.namespace_name, profiler, "profiler", ["python3", "-c", code]))
    assert json.loads(said) == [1, True, True]


@pytest.mark.needs_image
@pytest.mark.timing
def test_a_folder_comes_back_whole_and_the_output_is_followed(
    cluster: Session, run: Callable[..., ClusterPlan], tmp_path: Path
) -> None:
    code = (
        "import os,time;os.makedirs('/run/result');open('/run/result/a','wb').write(os.urandom(9000000));"
        "[(print(n,flush=True),time.sleep(0.2)) for n in range(10)];time.sleep(15)"
    )
    wanted = run("none", BARE, profiler_argv=("python3", "-c", code))
    create(cluster, wanted, None)
    wait_ready(cluster, wanted)
    namespace, pod = wanted.namespace_name, wanted.profiler_name(0)
    lines = follow(cluster, namespace, pod, "profiler")
    assert [next(lines) for _ in range(10)] == [str(number) for number in range(10)]
    fetch_folder(partial(cluster.execute, namespace, pod, "profiler"), "/run/result", tmp_path / "result")
    assert (tmp_path / "result" / "a").stat().st_size == 9_000_000
    assert list(lines) == []


@pytest.mark.needs_image
@pytest.mark.timing
def test_a_profiler_that_needs_too_much_memory_is_said_to(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    code = "import time;time.sleep(3);x=bytearray(1<<30);x[::4096]=b'1'*(1<<18);time.sleep(60)"
    wanted = run("none", BARE, memory=Memory(profiler="256Mi"), profiler_argv=("python3", "-c", code))
    create(cluster, wanted, None)
    wait_ready(cluster, wanted)
    with pytest.raises(ClusterError, match=r"container profiler was killed .*\(OOMKilled\)"):
        list(follow(cluster, wanted.namespace_name, wanted.profiler_name(0), "profiler"))


@pytest.mark.needs_image
@pytest.mark.timing
def test_a_command_that_fails_says_its_last_words(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    wanted = run("none", BARE, profiler_argv=("python3", "-c", "raise SystemExit('tracefs is not mounted')"))
    create(cluster, wanted, None)
    with pytest.raises(ClusterError, match=r"profiler ended with exit status 1 .*last words: tracefs is not mounted"):
        wait_ready(cluster, wanted)


def watch(cluster: Session, wanted: ClusterPlan) -> None:
    for _ in range(100):
        check_pods(cluster, wanted)
        time.sleep(0.1)


@pytest.mark.needs_image
@pytest.mark.timing
def test_an_init_container_that_fails_says_its_last_words(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    wanted = run("builtin", (Hop("http1", "client"),))
    namespace, owner, *_ = render(wanted)
    cluster.create(namespace)
    uid = cluster.create(owner)["metadata"]["uid"]
    for made in render(wanted, owner_uid=uid)[2:]:
        if made["kind"] == "Pod" and made["metadata"]["name"] == wanted.pods()[1].name:
            made["spec"]["initContainers"][0]["command"] = ["python3", "-c", "raise SystemExit('no table nat')"]
        cluster.create(made)
    with pytest.raises(ClusterError, match=r"init container capture ended with exit status 1 .*last words: no table"):
        wait_ready(cluster, wanted)


@pytest.mark.needs_image
@pytest.mark.timing
def test_a_pod_that_is_evicted_is_said_to_be_drained(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    from kubernetes.client import V1Eviction, V1ObjectMeta

    wanted = run("none", BARE)
    create(cluster, wanted, None)
    wait_ready(cluster, wanted)
    name = wanted.pods()[0].name
    eviction = V1Eviction(metadata=V1ObjectMeta(name=name, namespace=wanted.namespace_name))
    cluster.core.create_namespaced_pod_eviction(name, wanted.namespace_name, eviction)
    with pytest.raises(ClusterError, match=f"pod {name}: .*drained"):
        watch(cluster, wanted)


@pytest.mark.needs_image
@pytest.mark.timing
def test_at_its_deadline_a_run_removes_itself(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    now_s = int(time.time())
    wanted = run("builtin", SECURE, now_s=now_s, deadline_s=now_s + 25)
    create(cluster, wanted, make_secrets(wanted))
    gone(cluster, wanted.namespace_name, within_s=90)
    assert time.time() > wanted.deadline_s


@pytest.mark.needs_image
@pytest.mark.timing
def test_in_a_namespace_of_somebody_else_it_does_so_too(
    cluster: Session, run: Callable[..., ClusterPlan], foreign: str
) -> None:
    now_s = int(time.time())
    wanted = run("none", BARE, namespace=foreign, own_namespace=False, now_s=now_s, deadline_s=now_s + 15)
    create(cluster, wanted, None)
    deadline_s = time.monotonic() + 90
    while cluster.get("ConfigMap", f"{wanted.prefix}-run", foreign):
        assert time.monotonic() < deadline_s
        time.sleep(0.5)
    remove_run(cluster, wanted.run_id, foreign, own_namespace=False)
    assert cluster.get("Namespace", foreign) is not None


@pytest.mark.needs_image
@pytest.mark.timing
@pytest.mark.timeout(600)
def test_a_profile_of_the_cluster_is_a_profile_like_any_other(cluster: Session, tmp_path: Path) -> None:
    before = every_namespace(cluster)
    settings = ProfileSettings(
        protocols=("http1",), topologies=("both",), temperatures=("hot",), repeats=2, duration_s=0.3
    )
    told: list[str] = []
    outcome = ClusterRun(cluster, settings, Where(IMAGE), ("meshinsight", "profile", "--cluster"), "0").run(
        tmp_path / "out", lambda label, left_s: told.append(label)
    )
    assert outcome.interrupted is None
    assert outcome.profile.status == "complete"
    cells = {cell.id: cell for cell in load_profile(tmp_path / "out").cells}
    cell = cells["http1-both-hot-q128-s1024-c1-max"]
    assert cell.latency is not None
    assert cell.cpu is not None
    assert cell.latency.overhead_p50_ns > 20_000
    assert cell.latency.components["parsing"].median_ns > 0
    assert cell.cpu.components["parsing"].cpu_ns_per_request > 0
    assert fit_profile(outcome.profile).configurations
    assert any(label.startswith("round 1 of 2") for label in told)
    assert every_namespace(cluster) == before


@pytest.mark.needs_image
@pytest.mark.timing
@pytest.mark.timeout(600)
def test_with_the_smaller_role_a_profile_runs_in_the_prepared_namespace(
    cluster: Session, limited: Callable[[], Session], tmp_path: Path
) -> None:
    session, before = limited(), every_namespace(cluster)
    settings = ProfileSettings(
        protocols=("http1",), topologies=("both",), temperatures=("natural",), repeats=2, duration_s=0.3
    )
    where = Where(IMAGE, namespace=PREPARED)
    outcome = ClusterRun(session, settings, where, ("meshinsight",), "0").run(tmp_path / "out", lambda *_: None)
    assert outcome.profile.status == "complete"
    assert every_namespace(cluster) == before
    assert [cluster.find(kind, PREPARED, selector=MANAGED_LABEL) for kind in ("Pod", "ConfigMap")] == [[], []]


@pytest.mark.needs_image
@pytest.mark.timing
def test_with_the_smaller_role_the_reaper_removes_a_run_at_its_deadline(
    cluster: Session, run: Callable[..., ClusterPlan], limited: Callable[[], Session]
) -> None:
    now_s = int(time.time())
    wanted = prepared(run, BARE, now_s=now_s, deadline_s=now_s + 15)
    create(limited(), wanted, None)
    deadline_s = time.monotonic() + 90
    while cluster.get("ConfigMap", f"{wanted.prefix}-run", PREPARED):
        assert time.monotonic() < deadline_s
        time.sleep(0.5)
    remove(cluster, wanted)


@pytest.mark.needs_image
@pytest.mark.timing
def test_a_task_larger_than_an_argument_may_be_gets_into_the_pod(
    cluster: Session, run: Callable[..., ClusterPlan]
) -> None:
    code = (
        "import time;from profiler.cluster.agent.task_file import awaited_task;"
        "print(len(awaited_task()),flush=True);time.sleep(60)"
    )
    wanted = run("none", BARE, profiler_argv=("python3", "-I", "-c", code))
    create(cluster, wanted, None)
    wait_ready(cluster, wanted)
    place = (wanted.namespace_name, wanted.profiler_name(0), "profiler")
    hand_over(partial(cluster.execute, *place), json.dumps("x" * 1_000_000).encode())
    assert next(follow(cluster, *place)) == "1000000"


@pytest.mark.needs_image
@pytest.mark.timing
def test_a_profiler_cannot_write_to_the_nodes_control_groups(cluster: Session, run: Callable[..., ClusterPlan]) -> None:
    wanted = run("none", BARE)
    create(cluster, wanted, None)
    wait_ready(cluster, wanted)
    code = "import os;print([os.access(d, os.W_OK) for d in ('/host/sys/fs/cgroup', '/sys/kernel/tracing')])"
    place = (wanted.namespace_name, wanted.profiler_name(0), "profiler")
    assert b"".join(cluster.execute(*place, ["python3", "-I", "-c", code])) == b"[False, False]\n"


@pytest.mark.needs_image
@pytest.mark.timing
def test_a_sidecar_that_runs_is_looked_at_from_a_pod_of_its_node(
    cluster: Session, run: Callable[..., ClusterPlan]
) -> None:
    hop = Hop("http1", "server")
    wanted = run("builtin", (hop,))
    create(cluster, wanted, None)
    wait_ready(cluster, wanted)
    before = every_namespace(cluster)
    pod = f"{wanted.namespace_name}/{wanted.echo_pod(hop).name}"
    (sidecar,) = find_sidecars(cluster, [pod], None, "default", None)
    (found,) = attach_on_cluster(cluster, [sidecar], IMAGE, duration_s=3.0, max_ratio=0.05)
    assert found.status == "complete"
    (target,) = found.targets
    assert (target.label, target.proxy) == (f"{pod} (sidecar)", "envoy")
    assert target.vcpus < 0.5
    assert every_namespace(cluster) == before


def every_namespace(cluster: Session) -> set[str]:
    return {one["metadata"]["name"] for one in cluster.find("Namespace")}
