"""Creating, waiting and removing, on a cluster that keeps its objects in memory."""

from pathlib import Path
from typing import Any

import pytest

from profiler.cluster.api.errors import ClusterError, ForbiddenError
from profiler.cluster.api.session import Session
from profiler.cluster.names import PREPARED_LABEL
from profiler.cluster.objects.plan import ClusterPlan
from profiler.cluster.objects.rendering import render
from profiler.cluster.run import lifecycle
from profiler.cluster.run.lifecycle import Place, check_pods, create, decide_namespace, remove, wait_ready
from profiler.errors import UsageError
from profiler.vocabulary.hop import Hop
from tests.profiler.cluster.fake_api import FakeApi, status
from tests.profiler.cluster.plans import plan

FOREIGN = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs", "labels": {}}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_POLL_S", 0.01)
    monkeypatch.setattr(lifecycle, "_EVENTS_EVERY_S", 0.02)
    monkeypatch.setattr(lifecycle, "_UNSCHEDULABLE_GRACE_S", 0.02)


def pod(api: FakeApi, plan: ClusterPlan, name: str) -> dict[str, Any]:
    return api.objects["pods", plan.namespace_name, f"{plan.prefix}-{name}"]


def test_a_run_is_created_with_its_owner_and_removed_whole(ready: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    owner = ready.objects["configmaps", run.namespace_name, f"{run.prefix}-run"]["metadata"]["uid"]
    assert pod(ready, run, "profiler")["metadata"]["ownerReferences"][0]["uid"] == owner
    assert len(ready.objects) == len(render(run))
    assert len(wait_ready(session, run)) == 8
    remove(session, run)
    assert ready.objects == {}


def test_nothing_is_created_when_something_is_not_allowed(api: FakeApi, session: Session) -> None:
    api.denied = {("create", "networkpolicies")}
    with pytest.raises(ForbiddenError, match="create networkpolicies"):
        create(session, plan(), None)
    assert api.objects == {}


def test_nothing_is_created_when_the_mesh_is_not_there(api: FakeApi, session: Session) -> None:
    with pytest.raises(ClusterError, match=r"--mesh istio: the cluster does not know PeerAuthentication"):
        create(session, plan("istio"), None)
    assert api.objects == {}


def test_a_quota_is_named_and_what_there_is_can_be_removed(api: FakeApi, session: Session) -> None:
    said = status(403, 'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2')
    api.answers["POST .*/pods"] = [(403, said)]
    with pytest.raises(ClusterError, match="exceeded quota: small, requested: pods=1"):
        create(session, plan(), None)
    remove(session, plan())
    assert api.objects == {}


def test_a_namespace_that_is_not_ours_is_refused_unless_allowed(session: Session) -> None:
    session.create(FOREIGN)
    with pytest.raises(
        UsageError, match=r"--namespace theirs: was not made by MeshInsight; .*--allow-foreign-namespace"
    ):
        decide_namespace(session, "theirs", allow_foreign=False)
    assert decide_namespace(session, "theirs", allow_foreign=True) == Place(own=False)
    assert decide_namespace(session, "new", allow_foreign=False) == Place(own=True)
    assert decide_namespace(session, "", allow_foreign=False) == Place(own=True)


def test_a_namespace_that_an_administrator_prepared_is_used_without_being_asked_twice(session: Session) -> None:
    labels = {PREPARED_LABEL: "true"}
    session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshinsight", "labels": labels}})
    assert decide_namespace(session, "meshinsight", allow_foreign=False) == Place(own=False, prepared=True)


def test_a_namespace_of_another_run_is_refused_even_then(api: FakeApi, session: Session) -> None:
    session.create(render(plan(namespace="mine"))[0])
    with pytest.raises(UsageError, match="--namespace mine: belongs to run 0a1b2c3d"):
        decide_namespace(session, "mine", allow_foreign=True)


def test_a_namespace_that_is_being_removed_says_what_it_waits_for(api: FakeApi, session: Session) -> None:
    session.create(FOREIGN)
    found = api.objects["namespaces", "", "theirs"]
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    message = "Some content in the namespace has finalizers remaining: x/y in 1 resource instances"
    found["status"] = {"conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True", "message": message}]}
    with pytest.raises(ClusterError, match=r"is being removed: Some content .* x/y in 1 resource"):
        decide_namespace(session, "theirs", allow_foreign=True)


def test_in_a_namespace_of_the_users_only_the_run_is_removed(ready: FakeApi, session: Session) -> None:
    session.create(FOREIGN)
    run = plan(namespace="theirs", own_namespace=False)
    create(session, run, None)
    remove(session, run)
    assert list(ready.objects) == [("namespaces", "", "theirs")]


def test_what_has_not_the_runs_label_is_left_alone(api: FakeApi, session: Session) -> None:
    session.create({**FOREIGN, "metadata": {"name": plan().namespace_name}})
    with pytest.raises(ClusterError, match="does not belong to run 0a1b2c3d; it is left alone"):
        remove(session, plan())
    assert len(api.objects) == 1


def test_a_namespace_that_does_not_go_says_why(api: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    api.answers["DELETE .*"] = [(200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "x"}})]
    message = "Some resources are remaining: pods. has 1 resource instances"
    api.objects["namespaces", "", run.namespace_name]["status"] = {
        "conditions": [{"type": "NamespaceContentRemaining", "status": "True", "message": message}]
    }
    with pytest.raises(
        ClusterError, match=r"not gone after 0\.1 s: is being removed: Some resources are remaining: pods"
    ):
        remove(session, run, within_s=0.1)


def test_a_pod_that_cannot_start_stops_the_waiting_with_its_own_reason(ready: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    pod(ready, run, "echo")["status"] = {
        "phase": "Pending",
        "containerStatuses": [{"name": "server", "state": {"waiting": waiting}}],
    }
    with pytest.raises(ClusterError, match=r"pod mi-0a1b2c3d-echo: container server: the image cannot be pulled"):
        wait_ready(session, run)


def test_a_failing_init_container_is_heard(ready: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    pod(ready, run, "load-tcp")["status"] = {
        "phase": "Failed",
        "initContainerStatuses": [{"name": "capture", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}],
    }
    ready.logs["mi-0a1b2c3d-load-tcp"] = "iptables-restore failed: Permission denied\n"
    with pytest.raises(ClusterError, match=r"init container capture ended .*; its last words: iptables-restore failed"):
        wait_ready(session, run)


def test_an_event_of_the_pod_is_given_when_it_never_starts(ready: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    found = pod(ready, run, "profiler")
    found["status"] = {"phase": "Pending"}
    message = "hostPath type check failed: /sys/kernel/tracing is not a directory"
    session.create({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": run.namespace_name},
        "type": "Warning", "reason": "FailedMount", "message": message,
    })  # fmt: skip
    with pytest.raises(ClusterError, match=r"profiler: the node lacks a folder .*: hostPath type check failed"):
        wait_ready(session, run)


def test_a_pod_that_no_node_takes_is_waited_for_a_moment_only(ready: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    said = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Too many pods."}
    pod(ready, run, "load")["status"] = {"phase": "Pending", "conditions": [said]}
    with pytest.raises(ClusterError, match="load: no node takes it: 0/1 nodes are available: 1 Too many pods"):
        wait_ready(session, run)


def test_waiting_ends_in_time(ready: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    pod(ready, run, "echo")["status"] = {"phase": "Pending"}
    with pytest.raises(ClusterError, match=r"echo: not ready within 0\.1 s; it has no warning among its events"):
        wait_ready(session, run, within_s=0.1)


def test_a_sidecar_that_does_not_start_is_heard(ready: FakeApi, session: Session) -> None:
    run = plan()
    create(session, run, None)
    states = [{"name": "sidecar", "state": {"running": {}}, "started": False, "ready": False}]
    pod(ready, run, "echo")["status"] = {"phase": "Pending", "initContainerStatuses": states}
    ready.logs["mi-0a1b2c3d-echo"] = "Envoy proxy is NOT ready: config not received (is Istiod running?)\n"
    with pytest.raises(ClusterError, match=r"the last words of sidecar: Envoy proxy is NOT ready: .*is Istiod running"):
        wait_ready(session, run, within_s=0.1)


def not_injected(session: Session, mesh: str) -> str:
    """What is said where a mesh adds nothing to pods."""
    with pytest.raises(ClusterError, match="pod mi-0a1b2c3d-echo-http1: got no container") as caught:
        create(session, plan(mesh, (Hop("http1", "server"),), namespace="theirs", own_namespace=False), None)
    return str(caught.value)


def test_a_mesh_that_does_not_inject_is_noticed_before_pods_start(ready: FakeApi, session: Session) -> None:
    session.create(FOREIGN)
    said = not_injected(session, "linkerd")
    assert "linkerd-proxy from linkerd: namespace theirs has no label linkerd.io/inject; see docs" in said


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, "has no label istio-injection or istio.io/rev; revisions that run: canary, stable;"),
        ({"istio-injection": "disabled"}, "has istio-injection=disabled; revisions"),
        ({"istio.io/rev": "old"}, "has istio.io/rev=old; revisions that run: canary, stable;"),
    ],
)
def test_a_pod_without_a_sidecar_is_explained_by_labels_and_revisions(
    ready: FakeApi, session: Session, labels: dict[str, str], expected: str
) -> None:
    ready.kinds["security.istio.io/v1"] = {"PeerAuthentication": "peerauthentications"}
    session.create({**FOREIGN, "metadata": {"name": "theirs", "labels": labels}})
    for revision in ("stable", "canary"):
        marks = {"app": "istiod", "istio.io/rev": revision}
        metadata = {"namespace": "istio-system", "name": revision, "labels": marks}
        ready.objects["deployments", "istio-system", revision] = {"kind": "Deployment", "metadata": metadata}
    assert expected in not_injected(session, "istio")


def test_a_sidecar_that_must_not_be_there_is_noticed(ready: FakeApi, session: Session) -> None:
    ready.on_create = lambda made: (
        made["kind"] == "Pod" and made["spec"]["containers"].append({"name": "linkerd-proxy"})
    )
    with pytest.raises(ClusterError, match="echo: got a container linkerd-proxy it must not have from linkerd"):
        create(session, plan("linkerd", (Hop("http1", "client"),)), None)


def test_a_pod_that_is_lost_meanwhile_is_named(ready: FakeApi, session: Session, tmp_path: Path) -> None:
    run = plan()
    create(session, run, None)
    check_pods(session, run)
    del ready.objects["pods", run.namespace_name, f"{run.prefix}-echo"]
    with pytest.raises(
        ClusterError, match="pod mi-0a1b2c3d-echo: is gone; somebody deleted it, or its node was drained"
    ):
        check_pods(session, run)
