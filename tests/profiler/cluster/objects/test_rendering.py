"""The objects of a run: what every one of them has, and what each mesh makes of them."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from profiler.cluster.api.session import Object
from profiler.cluster.objects.mesh import load_mesh
from profiler.cluster.objects.objects import ATTACH_CAPABILITIES, CAPABILITIES
from profiler.cluster.objects.rendering import UNKNOWN_UID, make_secrets, render
from profiler.cluster.objects.templates import as_yaml, manifests_folder
from profiler.errors import UsageError
from profiler.vocabulary.hop import Hop
from tests.profiler.cluster.plans import HOPS, plan

MTLS = tuple(replace(hop, tls="mtls") if hop.topology == "both" else hop for hop in HOPS)
MESHES = {"none": HOPS[:1], "builtin": HOPS, "istio": HOPS, "linkerd": MTLS}


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {made["metadata"]["name"].removeprefix("mi-0a1b2c3d-"): made for made in objects if made["kind"] == kind}


def containers(objects: list[Object]) -> list[dict[str, Any]]:
    specs = [made["spec"] for made in objects if made["kind"] == "Pod"]
    specs += [made["spec"]["template"]["spec"] for made in objects if made["kind"] == "Job"]
    return [container for spec in specs for container in [*spec["containers"], *spec.get("initContainers", [])]]


@pytest.fixture(params=MESHES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render(plan(request.param, MESHES[request.param]))


def test_every_object_is_known_by_the_runs_label(objects: list[Object]) -> None:
    for made in objects:
        labels = made["metadata"]["labels"]
        assert (labels["app.kubernetes.io/managed-by"], labels["meshinsight.io/run-id"]) == ("meshinsight", "0a1b2c3d")


def test_everything_but_the_namespace_hangs_on_one_owner(objects: list[Object]) -> None:
    assert [made["kind"] for made in objects[:2]] == ["Namespace", "ConfigMap"]
    for made in objects[2:]:
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ConfigMap", "mi-0a1b2c3d-run", UNKNOWN_UID)
        assert made["metadata"]["namespace"] == "meshinsight-0a1b2c3d"


def test_no_two_objects_have_the_same_name(objects: list[Object]) -> None:
    names = [(made["kind"], made["metadata"]["name"]) for made in objects]
    assert len(names) == len(set(names))


def test_every_container_asks_for_and_is_limited_in_cpu_and_memory(objects: list[Object]) -> None:
    for container in containers(objects):
        assert set(container["resources"]["requests"]) == set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_nothing_is_privileged(objects: list[Object]) -> None:
    for container in containers(objects):
        security = container["securityContext"]
        assert security.get("privileged") is None
        assert security["capabilities"]["drop"] == ["ALL"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True


def test_only_the_profiler_sees_the_node_and_only_to_read(objects: list[Object]) -> None:
    for name, made in of_kind(objects, "Pod").items():
        assert made["spec"].get("hostPID", False) is (name == "profiler")
        folders = [volume["name"] for volume in made["spec"]["volumes"] if "hostPath" in volume]
        assert folders == (["tracefs", "cgroups"] if name == "profiler" else [])
        mounts = made["spec"]["containers"][0]["volumeMounts"]
        assert [mount["name"] for mount in mounts if mount["name"] in folders and not mount.get("readOnly")] == []


def test_every_pod_ends_by_itself_and_leaves_quickly(objects: list[Object]) -> None:
    for name, made in of_kind(objects, "Pod").items():
        assert made["spec"]["activeDeadlineSeconds"] == 600
        assert made["spec"]["restartPolicy"] == "Never"
        # The profiler's has a result to hand over.
        assert made["spec"]["terminationGracePeriodSeconds"] == (20 if "profiler" in name else 2)
        assert made["spec"]["automountServiceAccountToken"] is False


def test_commands_and_labels_are_text(objects: list[Object]) -> None:
    for container in containers(objects):
        probe = container.get("startupProbe", {}).get("exec", {"command": []})
        assert all(isinstance(word, str) for word in [*container["command"], *probe["command"]])


def test_the_yaml_reads_back_as_the_same_objects(objects: list[Object]) -> None:
    assert list(yaml.safe_load_all(as_yaml(objects))) == objects


def test_a_run_id_that_looks_like_a_number_stays_text() -> None:
    assert "meshinsight.io/run-id: '1234e567'" in as_yaml(render(plan(run_id="1234e567")))
    assert "meshinsight.io/run-id: '12345678'" in as_yaml(render(plan(run_id="12345678")))


def test_hops_share_pods_whose_sidecars_are_the_same() -> None:
    pods = of_kind(render(plan()), "Pod")
    assert set(pods) == {"echo", "load", "load-tcp", "load-http1", "load-grpc", "echo-http1", "echo-grpc", "profiler"}


def test_every_hop_has_a_service_that_leads_to_its_server() -> None:
    services = of_kind(render(plan()), "Service")
    assert {name: made["spec"]["selector"]["meshinsight.io/pod"][12:] for name, made in services.items()} == {
        "direct": "echo",
        "tcp-client": "echo",
        "http1-server": "echo-http1",
        "http1-both": "echo-http1",
        "grpc-both": "echo-grpc",
    }
    assert services["grpc-both"]["spec"]["ports"] == [{"name": "grpc-echo", "port": 8082, "targetPort": 8082}]


def test_our_own_sidecar_comes_with_its_capture_rules() -> None:
    pod = of_kind(render(plan()), "Pod")["echo-http1"]["spec"]
    assert [container["name"] for container in pod["initContainers"]] == ["capture"]
    assert [container["name"] for container in pod["containers"]] == ["server", "sidecar"]
    assert pod["containers"][1]["securityContext"]["runAsUser"] == 1337


def test_istio_is_asked_by_label_and_told_the_mode_of_tls() -> None:
    objects = render(plan("istio", (Hop("http1", "both", tls="mtls"), Hop("http1", "server"), Hop("none", "none"))))
    pods, modes = of_kind(objects, "Pod"), of_kind(objects, "PeerAuthentication")
    assert pods["echo-http1-mtls"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    assert '"concurrency": 1' in pods["echo-http1"]["metadata"]["annotations"]["proxy.istio.io/config"]
    assert pods["echo"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert {name: made["spec"]["mtls"]["mode"] for name, made in modes.items()} == {
        "echo-http1-mtls": "STRICT",
        "echo-http1": "DISABLE",
    }
    selected = modes["echo-http1"]["spec"]["selector"]["matchLabels"]["meshinsight.io/pod"]
    assert selected == pods["echo-http1"]["metadata"]["labels"]["meshinsight.io/pod"]


def test_linkerd_is_asked_by_annotation_and_told_of_opaque_ports() -> None:
    objects = render(plan("linkerd", (Hop("tcp", "both", tls="mtls"),)))
    annotations = of_kind(objects, "Pod")["echo-tcp-mtls"]["metadata"]["annotations"]
    assert annotations == {"linkerd.io/inject": "enabled", "config.linkerd.io/opaque-ports": "8080"}
    assert of_kind(objects, "Service")["tcp-both-mtls"]["metadata"]["annotations"] == {
        "config.linkerd.io/opaque-ports": "8080"
    }
    assert of_kind(objects, "Pod")["profiler"]["metadata"]["annotations"] == {"linkerd.io/inject": "disabled"}


def test_proxies_may_reach_their_control_plane() -> None:
    policy = of_kind(render(plan("istio")), "NetworkPolicy")["run"]["spec"]["egress"]
    namespaces = [
        to["namespaceSelector"]["matchLabels"] for rule in policy for to in rule["to"] if "namespaceSelector" in to
    ]
    assert namespaces == [{"kubernetes.io/metadata.name": name} for name in ("kube-system", "istio-system")]


def test_all_pods_are_on_one_node_unless_two_are_named() -> None:
    pods = of_kind(render(plan(client_node="a", server_node="b")), "Pod")
    assert set(pods) >= {"profiler", "profiler-2"}
    for name, node in (("load", "a"), ("echo", "b"), ("profiler", "a"), ("profiler-2", "b")):
        terms = pods[name]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert terms["nodeSelectorTerms"][0]["matchFields"][0]["values"] == [node]
    assert pods["profiler-2"]["spec"]["containers"][0]["command"][-1] == "agent"
    mounting = {name for name, pod in pods.items() if any("secret" in volume for volume in pod["spec"]["volumes"])}
    assert mounting == {"profiler", "profiler-2"}  # who talk to each other; no sidecar has anything to hide here
    together = of_kind(render(plan()), "Pod")["load"]["spec"]["affinity"]["podAffinity"]
    assert together["requiredDuringSchedulingIgnoredDuringExecution"][0]["topologyKey"] == "kubernetes.io/hostname"


def test_in_a_namespace_of_the_users_nothing_but_the_run_can_be_reaped() -> None:
    objects = render(plan(namespace="theirs", own_namespace=False))
    assert of_kind(objects, "Namespace") == {}
    (rule,) = of_kind(objects, "Role")["reaper"]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["mi-0a1b2c3d-run"],
        "verbs": ["delete"],
    }
    command = of_kind(objects, "Job")["reaper"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[-1] == "--path=/api/v1/namespaces/theirs/configmaps/mi-0a1b2c3d-run"


def test_secrets_are_made_for_our_own_sidecars_only_and_are_not_shown() -> None:
    secure = plan(hops=(Hop("http1", "both", tls="mtls"),))
    secrets = make_secrets(secure)
    assert secrets is not None
    shown, made = (of_kind(render(secure, secrets=given), "Secret") for given in (None, secrets))
    for role, contents in secrets.items():
        assert made[role]["data"] == contents
        assert set(shown[role]["data"]) == set(contents)
        assert not set(shown[role]["data"].values()) & set(contents.values())
    assert make_secrets(plan("istio", (Hop("http1", "both", tls="mtls"),))) is None


def test_each_role_has_a_key_of_its_own_and_only_its_pods_get_it() -> None:
    across = plan(hops=(Hop("http1", "both", tls="mtls"),), client_node="a", server_node="b")
    secrets = make_secrets(across)
    assert secrets is not None
    assert {role: sorted(contents) for role, contents in secrets.items()} == {
        "workload": ["authority.pem", "chain.pem", "jwks.json", "key.pem"],
        "profiler": ["authority.pem", "chain.pem", "jwks.json", "key.pem", "token"],
        "assistant": ["authority.pem", "chain.pem", "key.pem"],
    }
    assert len({contents["key.pem"] for contents in secrets.values()}) == 3
    mounted = {
        name: [volume["secret"]["secretName"] for volume in made["spec"]["volumes"] if "secret" in volume]
        for name, made in of_kind(render(across), "Pod").items()
    }
    assert mounted == {
        "echo-http1-mtls": ["mi-0a1b2c3d-workload"],
        "load-http1-mtls": ["mi-0a1b2c3d-workload"],
        "profiler": ["mi-0a1b2c3d-profiler"],
        "profiler-2": ["mi-0a1b2c3d-assistant"],
    }


def test_nothing_secret_is_outside_of_secrets() -> None:
    filtered = plan(hops=(Hop("http1", "both", tls="mtls", filters=("jwt_authn",)),))
    secrets = make_secrets(filtered)
    assert secrets is not None
    token = base64.b64decode(secrets["profiler"]["token"]).decode()
    others = [made for made in render(filtered, secrets=secrets) if made["kind"] != "Secret"]
    assert token not in json.dumps(others)
    assert "PRIVATE KEY" not in json.dumps(others)


def test_every_interpreter_in_a_container_is_isolated(objects: list[Object]) -> None:
    for container in containers(objects):
        probe = container.get("startupProbe", {}).get("exec", {"command": container["command"]})
        for command in (container["command"], probe["command"]):
            assert command[:2] == ["python3", "-I"]


def test_in_a_prepared_namespace_a_run_makes_no_account_and_no_role() -> None:
    objects = render(plan(namespace="meshinsight", own_namespace=False, prepared=True))
    assert not {"Namespace", "ServiceAccount", "Role", "RoleBinding"} & {made["kind"] for made in objects}
    specs = [made["spec"] for made in objects if made["kind"] == "Pod"]
    specs += [made["spec"]["template"]["spec"] for made in objects if made["kind"] == "Job"]
    documents = yaml.safe_load_all((manifests_folder() / "accounts.yaml").read_text())
    there = {made["metadata"]["name"] for made in documents if made["kind"] == "ServiceAccount"}
    assert {spec["serviceAccountName"] for spec in specs} == there


@pytest.mark.parametrize(("hops", "capabilities"), [(HOPS, CAPABILITIES), ((), ATTACH_CAPABILITIES)])
def test_the_profiler_has_the_capabilities_that_the_docs_give_reasons_for(
    hops: tuple[Hop, ...], capabilities: tuple[str, ...]
) -> None:
    made = of_kind(render(plan(hops=hops)), "Pod")["profiler"]
    assert made["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] == list(capabilities)
    text = (manifests_folder().parent / "docs" / "how-to" / "cluster.md").read_text()
    assert [name for name in capabilities if f"| {name} |" not in text] == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"hops": (Hop("http1", "shared"),)}, "--topology shared: not on a cluster"),
        ({"hops": (Hop("http1", "both", transport="uds"),)}, "--transport uds"),
        ({"hops": (Hop("http1", "both", placement="apart"),)}, "--placement apart: not on a cluster"),
        ({"hops": (Hop("http1", "both", proxy="nginx"),)}, "--proxy nginx: on a cluster the mesh brings the proxy"),
        ({"hops": (Hop("http1", "both", filters=("ext_authz",)),)}, "--filter ext_authz: needs a service"),
        ({"image": ""}, "--image: give the image"),
        ({"now_s": 0, "deadline_s": 3601}, "60 minutes at most"),
    ],
)
def test_what_a_cluster_cannot_do_is_said_before_it_is_asked(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        plan(**settings)


def test_names_of_hops_fit_into_dns_labels() -> None:
    hop = Hop("http1", "both", filters=("access_log", "compressor", "cors", "local_ratelimit", "buffer"), tls="mtls")
    for made in render(plan(hops=(hop, Hop("http1", "both", filters=("lua", "rbac"))))):
        name = made["metadata"]["name"]
        assert len(name) <= 63
        assert name.replace("-", "").isalnum()


def test_every_mesh_is_described() -> None:
    assert all(load_mesh(name).description.endswith(".") for name in MESHES)
