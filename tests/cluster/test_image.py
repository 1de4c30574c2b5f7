"""What MeshInsight's image must offer to the pods of a run, tried in pods; and when it is built anew."""

import json
import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshinsight import __version__
from profiler.cluster.objects import objects
from tests.cluster.image import KEPT_STAGES, RECIPE, SOURCES, TAG, build, checksum, copy_context, full_name
from tests.cluster.local_cluster import LocalCluster
from tests.profiler.cluster.plans import plan

NAMESPACE = "test-image"
ROOT = Path(__file__).parents[2]
UNPRIVILEGED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
LOCAL_PODS = {"CAP_NET_ADMIN", "network namespaces", "iptables"}
"""Checks of what makes pods and their rules on a machine without a cluster. On a cluster they are there already."""
LARGEST_BYTES = 350_000_000
"""Of the image unpacked. Envoy has 107 MB of it, Clang with LLVM 62."""
ALGEBRA = """
import numpy as np
random = np.random.default_rng(1)
for kind in "fdFD":
    rows, columns, wanted = (random.normal(size=size).astype(kind) for size in ((40, 30), (30, 20), 30))
    if kind in "FD":
        rows, wanted = rows * (1 + 0.5j), wanted * (1 - 2j)
    near = lambda one, other: np.allclose(one, other, rtol=1e-3, atol=1e-3)
    square = rows.conj().T @ rows + np.eye(30, dtype=kind)
    assert near(rows @ columns, (rows[:, :, None] * columns[None]).sum(1))
    assert near(rows.T @ rows, (rows[:, :, None] * rows[:, None, :]).sum(0))
    assert near(rows @ wanted, (rows * wanted).sum(1)) and near(np.vdot(wanted, wanted), (abs(wanted) ** 2).sum())
    assert near(np.linalg.lstsq(rows, rows @ wanted, rcond=None)[0], wanted)
    assert near(np.linalg.solve(square, square @ wanted), wanted) and near(np.linalg.inv(square) @ square, np.eye(30))
    lower, (one, other), (values, vectors) = np.linalg.cholesky(square), np.linalg.qr(rows), np.linalg.eigh(square)
    assert near(lower @ lower.conj().T, square) and near(one @ other, rows)
    assert near(square @ vectors, vectors * values)
    values, vectors = np.linalg.eig(square)
    left, middle, right = np.linalg.svd(rows, full_matrices=False)
    assert near(square @ vectors, vectors * values) and near((left * middle) @ right, rows)
try:
    np.linalg.inv(np.zeros((3, 3)))
except np.linalg.LinAlgError:
    print("ok")
"""
"""Every kind of call that numpy makes into the libraries of linear algebra."""
in_pods = [pytest.mark.cluster, pytest.mark.timeout(3600)]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    checkout = tmp_path / "checkout"
    for name in SOURCES:
        (checkout / name).mkdir(parents=True)
        (checkout / name / "file").write_text(name)
    for name in RECIPE:
        (checkout / name).write_text(name)
    copy_context(checkout, tmp_path / "context")
    return tmp_path / "context"


def test_same_files_give_the_same_checksum(context: Path, tmp_path: Path) -> None:
    shutil.copytree(context, tmp_path / "other")
    os.utime(tmp_path / "other" / "Containerfile", (0, 0))
    assert checksum(context, TAG) == checksum(tmp_path / "other", TAG)


@pytest.mark.parametrize("change", ["contents", "name", "mode", "recipe"])
def test_whatever_goes_into_the_image_changes_the_checksum(context: Path, change: str) -> None:
    before, file = checksum(context, TAG), context / "profiler" / "file"
    if change == "name":
        file.rename(file.with_name("other"))
    elif change == "mode":
        file.chmod(0o755)
    else:
        (file if change == "contents" else context / "Containerfile").write_text("changed")
    assert checksum(context, TAG) != before


def test_compiled_files_do_not_go_into_the_image(tmp_path: Path) -> None:
    copy_context(ROOT, tmp_path / "context")
    assert not list(tmp_path.rglob("__pycache__"))


def test_what_is_copied_is_what_the_builder_is_let_see() -> None:
    lines = (ROOT / ".containerignore").read_text().splitlines()
    assert sorted(line.removeprefix("!") for line in lines if line.startswith("!")) == sorted(SOURCES)


def test_every_stage_that_takes_long_is_kept() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert sorted(stages) == sorted({*KEPT_STAGES, "system", "code"})


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("meshinsight", "localhost/meshinsight:latest"),
        ("meshinsight:test", "localhost/meshinsight:test"),
        ("ann/meshinsight:1", "localhost/ann/meshinsight:1"),
        ("localhost/meshinsight:1", "localhost/meshinsight:1"),
        ("registry.example:5000/meshinsight", "registry.example:5000/meshinsight:latest"),
    ],
)
def test_name_says_where_the_image_is(tag: str, name: str) -> None:
    assert full_name(tag) == name


class Pods:
    """Runs commands in pods of the image."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster

    def run(self, name: str, spec: dict[str, Any]) -> str:
        """What the pod printed once it has ended well."""
        made = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": spec | {"restartPolicy": "Never"},
        }
        self._kubectl("create", "-f", "-", input_text=yaml.safe_dump(made))
        # Not the phase, which follows later; a pod that failed has its output in the assertion.
        ended = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
        self._kubectl("wait", f"--for={ended}", "--timeout=90s", f"pod/{name}")
        printed = self._kubectl("logs", name)
        assert self._kubectl("get", f"pod/{name}", "-o", ended) == "0", printed
        return printed

    def _kubectl(self, *arguments: str, input_text: str = "") -> str:
        return self._cluster.kubectl("--namespace", NAMESPACE, *arguments, input_text=input_text, timeout_s=100)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    file = tmp_path_factory.mktemp("image") / "image.tar"
    build(TAG, file)
    yield file
    file.unlink()


@pytest.fixture(scope="module")
def pods(local_cluster: LocalCluster, archive: Path) -> Generator[Pods]:
    local_cluster.import_image(archive)
    local_cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        account = ["--namespace", NAMESPACE, "serviceaccount/default"]
        local_cluster.kubectl("wait", "--for=create", "--timeout=60s", *account)
        yield Pods(local_cluster)
    finally:
        local_cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s", timeout_s=90)


def unprivileged(**container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": TAG, "imagePullPolicy": "Never", "securityContext": UNPRIVILEGED}
    return {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [main | container]}


def profiler_spec(command: list[str]) -> dict[str, Any]:
    """The profiler's pod as a run creates it, with another command."""
    spec: dict[str, Any] = objects.profiler_pod(plan(image=TAG, hops=plan().hops[:1]), 0)["spec"]
    spec["containers"][0]["command"] = command
    return {key: value for key, value in spec.items() if key not in ("affinity", "serviceAccountName")}


@pytest.fixture(scope="module")
def diagnosis(pods: Pods) -> dict[str, str]:
    """Status by check of doctor in the profiler's pod, of what it is for: no reports, no clusters."""
    printed = pods.run("doctor", profiler_spec(["meshinsight", "doctor", "-o", "json"]))
    found = json.loads(printed)["checks"]
    checks = [check for check in found if not check["affects"] or "profile" in check["affects"]]
    return {check["name"]: check["status"] for check in checks}


class TestInPods:
    pytestmark = in_pods

    def test_image_stays_small(self, archive: Path) -> None:
        assert archive.stat().st_size <= LARGEST_BYTES

    def test_command_line_runs_without_any_privilege_and_without_writing(self, pods: Pods) -> None:
        assert pods.run("version", unprivileged(args=["--version"])) == f"meshinsight {__version__}\n"

    def test_user_is_an_ordinary_one(self, pods: Pods) -> None:
        assert pods.run("user", unprivileged(command=["id", "-u"])) == "65532\n"

    def test_nothing_in_it_may_change_the_user(self, pods: Pods) -> None:
        assert pods.run("setuid", unprivileged(command=["find", "/usr", "/opt", "-perm", "/6000", "-type", "f"])) == ""

    def test_proxies_and_servers_run(self, pods: Pods) -> None:
        programs = "envoy --version && haproxy -v && nginx -v && nghttpd --version && h2load --version"
        assert "RELEASE" in pods.run("programs", unprivileged(command=["sh", "-c", programs]))

    def test_linear_algebra_is_right(self, pods: Pods) -> None:
        assert pods.run("algebra", unprivileged(command=["python", "-c", ALGEBRA])) == "ok\n"

    def test_profiler_lacks_nothing_but_what_makes_local_pods(self, diagnosis: dict[str, str]) -> None:
        assert {name for name, status in diagnosis.items() if status == "missing"} <= LOCAL_PODS

    @pytest.mark.parametrize("check", ["BPF programs", "raw tracepoints", "perf", "kernel headers"])
    def test_probes_work_in_the_profiler(self, diagnosis: dict[str, str], check: str) -> None:
        assert diagnosis[check] == "ok"
