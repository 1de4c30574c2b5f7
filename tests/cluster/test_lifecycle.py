"""That `up` and `down` leave nothing on the machine, whatever happens. Runs only when asked for, without a cluster."""

import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cluster.binaries import CACHE_VARIABLE, built_binaries
from tests.cluster.cgroups import TREE
from tests.cluster.daemons import API_SERVER
from tests.cluster.local_cluster import STATE, running_cluster

pytestmark = pytest.mark.timeout(1800)  # the first one may build Kubernetes

COMMAND = (sys.executable, "-m", "tests.cluster.local_cluster")
CHECKOUT = Path(__file__).parents[2]
SYSTEM_FOLDERS = ("/etc", "/opt", "/run", "/usr/libexec", "/var/lib", "/var/log", "/run/netns")
SYSCTLS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
OF_TESTBEDS = "mi-"  # local testbeds of MeshInsight come and go meanwhile


def local_cluster(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)


def output_lines(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def is_of_cluster(process: str) -> bool:
    dead = process.startswith("Z")  # the machine's init has not asked for its exit status yet
    return not dead and any(name in process for name in ("kube", "etcd", "containerd", TREE))


def machine() -> dict[str, list[str]]:
    """What a cluster could leave behind, by kind."""
    found = {
        "devices": [entry.name for entry in Path("/sys/class/net").iterdir()],
        "routes": output_lines("ip", "route", "show", "table", "all"),
        "mounts": Path("/proc/self/mounts").read_text().splitlines(),
        "rules": [line for line in output_lines("iptables-save") if not line.startswith(("#", ":"))],
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{TREE}*")],
        "processes": [line for line in output_lines("ps", "-eo", "stat,args") if is_of_cluster(line)],
        "sysctls": [Path("/proc/sys", name).read_text() for name in SYSCTLS],
    }
    for folder in filter(Path.exists, map(Path, SYSTEM_FOLDERS)):
        found[str(folder)] = [entry.name for entry in folder.iterdir()]
    return {kind: sorted(entry for entry in entries if OF_TESTBEDS not in entry) for kind, entries in found.items()}


@pytest.fixture
def before() -> Generator[dict[str, list[str]]]:
    assert running_cluster() is None, "these tests stop the cluster that runs; stop it yourself first"
    assert local_cluster("down").returncode == 0
    yield machine()
    local_cluster("down")


@pytest.mark.parametrize("nodes", [1, 2])
def test_down_leaves_nothing(before: dict[str, list[str]], nodes: int) -> None:
    assert local_cluster("up", "--nodes", str(nodes)).returncode == 0
    cluster = running_cluster()
    assert cluster is not None
    cluster.kubectl("create", "deployment", "left", "--image=localhost/meshinsight-test/pause:1", "--replicas=3")
    cluster.kubectl("wait", "--for=condition=Available", "deployment/left", "--timeout=60s")
    assert local_cluster("down").returncode == 0
    assert machine() == before


@pytest.mark.parametrize("after_s", [0.2, 0.5, 0.8, 1.2, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0])
def test_down_after_a_killed_up_leaves_nothing(before: dict[str, list[str]], after_s: float) -> None:
    with subprocess.Popen([*COMMAND, "up"], cwd=CHECKOUT) as starting:
        time.sleep(after_s)
        starting.kill()
    assert local_cluster("down").returncode == 0
    assert machine() == before


def test_up_after_a_killed_up_gives_a_whole_cluster(before: dict[str, list[str]]) -> None:
    with subprocess.Popen([*COMMAND, "up"], cwd=CHECKOUT) as starting:
        time.sleep(4)
        starting.kill()
    assert local_cluster("up").returncode == 0
    assert running_cluster() is not None


def test_up_that_fails_says_why_and_leaves_nothing(
    before: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = built_binaries().folder
    broken = tmp_path / "cluster" / built.name
    broken.mkdir(parents=True)
    for program in built.iterdir():
        (broken / program.name).symlink_to(program)
    (broken / API_SERVER).unlink()
    (broken / API_SERVER).write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    (broken / API_SERVER).chmod(0o755)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    failed = local_cluster("up")
    assert failed.returncode == 1
    assert failed.stderr == "local_cluster: kube-apiserver has ended; its last line: out of order\n"
    assert machine() == before


def test_more_nodes_than_run_are_refused(before: dict[str, list[str]]) -> None:
    assert local_cluster("up").returncode == 0
    refused = local_cluster("up", "--nodes", "2")
    assert refused.returncode == 2
    assert refused.stderr == "local_cluster: a cluster with 1 node runs already; first: local_cluster down\n"


def test_second_down_does_nothing(before: dict[str, list[str]]) -> None:
    assert local_cluster("down").returncode == 0
    assert not STATE.exists()
