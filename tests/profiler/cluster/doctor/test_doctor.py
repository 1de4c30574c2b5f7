"""Whether a run can work on a cluster, on fake clusters where something is missing."""

from collections.abc import Callable
from typing import Any

import pytest

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.doctor import ClusterDiagnosis, diagnose_cluster
from profiler.cluster.run.continuing import Where
from profiler.cluster.run.permissions import needed
from profiler.doctor.check import Check
from profiler.errors import UsageError
from tests.profiler.cluster.doctor.conftest import add, control_plane, namespace, node
from tests.profiler.cluster.fake_api import FakeApi, status
from tests.profiler.cluster.plans import plan

IMAGE = "localhost/meshinsight:1"
ISTIOD = control_plane("istio-system", "istiod", {"app": "istiod"}, "host:5000/istio/pilot:1.24.2@sha256:0")
LEVEL = "pod-security.kubernetes.io/enforce"
PREPARED = {"meshinsight.io/prepared": "true", LEVEL: "privileged"}
Look = Callable[..., ClusterDiagnosis]


@pytest.fixture
def look(session: Session) -> Look:
    def diagnosed(**settings: Any) -> ClusterDiagnosis:
        return diagnose_cluster(lambda: session, Where(**{"image": IMAGE, **settings}), "meshinsight:0")

    return diagnosed


def found(diagnosis: ClusterDiagnosis, name: str) -> Check:
    (check,) = [check for check in diagnosis.checks if check.name == name]
    return check


def works(diagnosis: ClusterDiagnosis) -> bool:
    return all(feature.works for feature in diagnosis.features)


def test_on_a_sound_cluster_a_run_can_work_and_nothing_is_created(api: FakeApi, look: Look) -> None:
    before = dict(api.objects)
    diagnosis = look()
    assert diagnosis.summary == "A run can work on the cluster of context test."
    assert {check.status for check in diagnosis.checks} == {"ok"}
    assert api.objects == before
    assert {request for request in api.requests if not request.startswith("GET")} == {
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
    }


@pytest.mark.parametrize(
    ("error", "detail", "remedy"),
    [
        (ClusterError("x: the kubeconfig is expired; log in again"), "x: the kubeconfig is expired", "log in again"),
        (ClusterError("no remedy"), "no remedy", None),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_a_finding(error: ClusterError, detail: str, remedy: str | None) -> None:
    def refuse() -> Session:
        raise error

    diagnosis = diagnose_cluster(refuse, Where(IMAGE), "meshinsight:0")
    (check,) = diagnosis.checks
    assert (check.status, check.detail, check.remedy) == ("missing", detail, remedy)
    assert diagnosis.summary == "A run cannot work on this cluster: API server."


def test_every_right_of_a_run_is_asked_for(look: Look) -> None:
    wanted = {one.resource for one in needed(plan(), "v1.34.0")}
    assert {check.name for check in look().checks if check.area == "rights"} == wanted


def test_a_right_that_is_missing_comes_with_its_rule(api: FakeApi, look: Look) -> None:
    api.denied = {("create", "pods"), ("get", "pods/exec")}
    diagnosis = look()
    assert diagnosis.summary == "A run cannot work on the cluster of context test: pods, pods/exec."
    check = found(diagnosis, "pods")
    assert check.detail == "may not create cluster-wide"
    assert str(check.remedy).endswith('{apiGroups: [""], resources: ["pods"], verbs: ["create"]}')


def test_a_mesh_that_needs_rights_of_its_own_has_them_checked(api: FakeApi, look: Look) -> None:
    add(api, "namespaces", namespace("mi", **PREPARED))
    api.denied = {("create", "peerauthentications")}
    check = found(look(mesh="istio", namespace="mi"), "peerauthentications")
    assert check.detail == "may not create in namespace mi"
    assert "meshinsight-run-istio" in str(check.remedy)


@pytest.mark.parametrize(
    ("labels", "settings", "name", "level", "says"),
    [
        (PREPARED, {}, "PodSecurity", "ok", "privileged"),
        ({**PREPARED, LEVEL: "baseline"}, {}, "PodSecurity", "missing", "baseline: refuses hostPID"),
        ({"meshinsight.io/prepared": "true"}, {}, "PodSecurity", "warn", "no level"),
        ({}, {}, "mi", "missing", "was not made by MeshInsight"),
        ({}, {"allow_foreign": True}, "mi", "ok", "not prepared for runs, and allowed"),
    ],
)
def test_a_namespace_has_to_admit_the_profiler(
    api: FakeApi, look: Look, labels: dict[str, str], settings: dict[str, Any], name: str, level: str, says: str
) -> None:
    add(api, "namespaces", namespace("mi", **labels))
    diagnosis = look(namespace="mi", **settings)
    check = found(diagnosis, name)
    assert check.status == level
    assert says in check.detail
    assert works(diagnosis) == (level != "missing")


def test_a_namespace_that_does_not_exist_is_made_by_the_run(look: Look) -> None:
    diagnosis = look(namespace="mi")
    assert found(diagnosis, "mi").detail.startswith("does not exist: a run makes it")
    assert found(diagnosis, "namespaces").detail == "get, list, create, delete cluster-wide"
    assert works(diagnosis)


def test_a_namespace_that_may_not_be_read_is_one_finding(api: FakeApi, look: Look) -> None:
    refusal = 'User "ann" cannot get resource "namespaces" in API group "" in the namespace "mi"'
    api.answers["GET /api/v1/namespaces/mi"] = [(403, status(403, refusal))]
    check = found(look(namespace="mi"), "mi")
    assert check.status == "missing"
    assert "ann may not get namespaces" in check.detail


@pytest.mark.parametrize(
    ("changes", "says", "remedy"),
    [
        ({"info": {"operatingSystem": "windows"}}, "windows, not Linux", "--node"),
        ({"info": {"kernelVersion": "5.4.0"}}, "Linux 5.4.0: too old", "Linux 5.10 or later"),
        ({"ready": "False"}, "not ready", "kubectl describe node other"),
        ({"spec": {"unschedulable": True}}, "cordoned", "kubectl uncordon other"),
        ({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}, "taint gpu", "kubectl taint node other gpu-"),
        ({"labels": {"type": "virtual-kubelet"}}, "virtual", "--node"),
    ],
)
def test_nodes_that_cannot_be_used_are_told_from_those_that_can(
    api: FakeApi, look: Look, changes: dict[str, Any], says: str, remedy: str
) -> None:
    add(api, "nodes", node("other", **changes))
    check = found(look(), "other")
    assert check.status == "warn"
    assert says in check.detail
    assert remedy in str(check.remedy)
    assert works(look())
    assert not works(look(node="other"))
    del api.objects["nodes", "", "worker-1"]
    assert not works(look())


def test_equal_nodes_are_one_line(api: FakeApi, look: Look) -> None:
    for number in range(2, 101):
        add(api, "nodes", node(f"worker-{number}"))
    (check,) = [check for check in look().checks if check.area == "nodes"]
    assert check.name.endswith("and 97 more")
    assert "Linux 6.1.0-18-amd64 amd64, containerd 1.7.0: tracefs can be expected" in check.detail


def test_a_node_that_does_not_exist_stops_a_run(look: Look) -> None:
    check = found(look(node="worker-7"), "worker-7")
    assert (check.status, check.remedy) == ("missing", "name one of worker-1")


def test_nodes_that_may_not_be_listed_are_a_warning(api: FakeApi, look: Look) -> None:
    api.answers["GET /api/v1/nodes"] = [(403, status(403, "no"))]
    diagnosis = look()
    assert found(diagnosis, "nodes").status == "warn"
    assert works(diagnosis)


def test_a_mesh_is_found_with_its_version_and_its_namespaces(api: FakeApi, look: Look) -> None:
    add(api, "deployments", ISTIOD)
    add(api, "namespaces", namespace("shop", **{"istio-injection": "enabled"}))
    add(api, "namespaces", namespace("new", **{"istio.io/rev": "canary"}))
    add(api, "namespaces", namespace("old", **{"istio-injection": "disabled"}))
    assert found(look(), "istio").detail == "version 1.24.2, istio-system/istiod; injects new, shop"


def test_each_revision_of_a_mesh_is_a_finding(api: FakeApi, look: Look) -> None:
    add(api, "deployments", ISTIOD)
    labels = {"app": "istiod", "app.kubernetes.io/version": "1.25.0"}
    add(api, "deployments", control_plane("istio-system", "istiod-canary", labels, "pilot"))
    details = [check.detail for check in look().checks if check.name == "istio"]
    assert [detail.partition(";")[0] for detail in sorted(details)] == [
        "version 1.24.2, istio-system/istiod",
        "version 1.25.0, istio-system/istiod-canary",
    ]


def test_linkerd_marks_namespaces_by_annotations(api: FakeApi, look: Look) -> None:
    labels = {"linkerd.io/control-plane-component": "destination"}
    add(api, "deployments", control_plane("linkerd", "linkerd-destination", labels, "x/controller:edge-24.1.1"))
    shop = namespace("shop")
    shop["metadata"]["annotations"] = {"linkerd.io/inject": "enabled"}
    add(api, "namespaces", shop)
    assert found(look(), "linkerd").detail == "version edge-24.1.1, linkerd/linkerd-destination; injects shop"


def test_a_mesh_that_is_asked_for_has_to_be_there(api: FakeApi, look: Look) -> None:
    check = found(look(mesh="linkerd"), "linkerd")
    assert (check.status, check.detail) == ("missing", "not installed: no control plane was found")
    add(api, "deployments", control_plane("istio-system", "istiod", {"app": "istiod"}, "pilot:1", available=0))
    assert found(look(mesh="istio"), "istio").detail == "istio-system/istiod has no pod that is ready"
    assert found(look(mesh="istio"), "PeerAuthentication").status == "missing"


@pytest.mark.parametrize(
    ("labels", "level", "says"),
    [
        ({"istio-injection": "disabled"}, "missing", "has istio-injection=disabled, so that its pods get no sidecar"),
        (
            {"istio.io/rev": "old"},
            "warn",
            "revision old get a sidecar only by a tag of that name; there are canary",
        ),
        ({}, "warn", "pods of revision default get a sidecar only by a tag"),
    ],
)
def test_what_speaks_against_injection_is_found(
    api: FakeApi, look: Look, labels: dict[str, str], level: str, says: str
) -> None:
    plane = {"app": "istiod", "istio.io/rev": "canary"}
    add(api, "deployments", control_plane("istio-system", "istiod-canary", plane, "pilot"))
    add(api, "namespaces", namespace("mi", **PREPARED, **labels))
    first = next(one for one in look(mesh="istio", namespace="mi").checks if one.name == "injection")
    assert first.status == level
    assert says in first.detail


def test_a_namespace_of_a_revision_that_runs_is_injected(api: FakeApi, look: Look) -> None:
    plane = {"app": "istiod", "istio.io/rev": "canary"}
    add(api, "deployments", control_plane("istio-system", "istiod-canary", plane, "pilot"))
    add(api, "namespaces", namespace("mi", **PREPARED, **{"istio.io/rev": "canary"}))
    assert "injection" not in [check.name for check in look(mesh="istio", namespace="mi").checks]


def test_an_image_that_a_node_reports_is_found(api: FakeApi, look: Look) -> None:
    add(api, "nodes", node("worker-1", images=["docker.io/library/meshinsight:0", "docker.io/me/other:latest"]))
    assert found(look(image=""), "image").detail == "meshinsight:0 is on worker-1"
    assert found(look(image="me/other"), "image").detail == "me/other is on worker-1"
    assert "it is pulled" in found(look(image="registry/mi:2"), "image").detail


def test_without_an_image_it_is_said_how_to_get_one(look: Look) -> None:
    check = found(look(image=""), "image")
    assert check.status == "warn"
    assert "podman build -t REGISTRY/meshinsight ." in str(check.remedy)


def test_an_unknown_mesh_is_a_usage_error(look: Look) -> None:
    with pytest.raises(UsageError, match="--mesh x: no such mesh or file"):
        look(mesh="x")
