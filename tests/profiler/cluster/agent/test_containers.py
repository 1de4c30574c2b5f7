"""From container ids to processes, on the file trees that runtimes and cgroup versions make."""

import os
from pathlib import Path

import pytest

from profiler.cluster.agent.containers import (
    container_pids,
    leave_cpu_group,
    named,
    network_namespace,
    parse_container_id,
)
from profiler.errors import MeshInsightError

ID = "4f1a" * 16
OTHER = "b07e" * 16
POD = "pod0d5c2a7e-3d4e-4f5a-9b6c-7d8e9f0a1b2c"
SLICE = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{POD.replace('-', '_')}.slice"


def put(folder: Path, *pids: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


def v2(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    return root


@pytest.mark.parametrize(
    ("runtime", "name"),
    [
        ("containerd", f"{SLICE}/cri-containerd-{ID}.scope"),
        ("cri-o", f"{SLICE}/crio-{ID}.scope"),
        ("docker", f"{SLICE}/docker-{ID}.scope"),
        ("containerd", f"kubepods/burstable/{POD}/{ID}"),
        ("containerd", f"kubelet.slice/kubelet-{SLICE}/cri-containerd-{ID}.scope"),
    ],
)
def test_a_container_is_found_in_cgroup_v2_however_its_runtime_names_it(
    tmp_path: Path, runtime: str, name: str
) -> None:
    put(v2(tmp_path) / name, 30, 12)
    put(tmp_path / name.replace(ID, OTHER), 99)
    assert container_pids(f"{runtime}://{ID}", tmp_path) == [12, 30]


@pytest.mark.parametrize("controller", ["pids", "cpu,cpuacct", "memory", "systemd"])
def test_a_container_is_found_in_any_hierarchy_of_cgroup_v1(tmp_path: Path, controller: str) -> None:
    put(tmp_path / controller / "kubepods" / "besteffort" / POD / ID, 7)
    (tmp_path / "blkio").mkdir()
    assert container_pids(f"containerd://{ID}", tmp_path) == [7]


def test_the_monitor_of_cri_o_is_not_the_container(tmp_path: Path) -> None:
    put(v2(tmp_path) / SLICE / f"crio-conmon-{ID}.scope", 5)
    put(tmp_path / SLICE / f"crio-{ID}.scope", 6)
    assert container_pids(f"cri-o://{ID}", tmp_path) == [6]


def test_processes_in_cgroups_of_the_containers_own_are_its_processes(tmp_path: Path) -> None:
    folder = v2(tmp_path) / SLICE / f"crio-{ID}.scope"
    put(folder)
    put(folder / "container", 8, 9)
    assert container_pids(f"cri-o://{ID}", tmp_path) == [8, 9]


def test_a_container_without_cgroup_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    put(v2(tmp_path) / SLICE / f"cri-containerd-{OTHER}.scope", 1)
    with pytest.raises(MeshInsightError, match=f"container {ID[:12]}: no cgroup of it below .*another node"):
        container_pids(f"containerd://{ID}", tmp_path)


def test_an_ended_container_is_said_to_have_ended(tmp_path: Path) -> None:
    put(v2(tmp_path) / SLICE / f"cri-containerd-{ID}.scope")
    with pytest.raises(MeshInsightError, match="has no process any more"):
        container_pids(f"containerd://{ID}", tmp_path)


def test_processes_of_another_pid_namespace_do_not_count(tmp_path: Path) -> None:
    put(v2(tmp_path) / SLICE / f"cri-containerd-{ID}.scope", 0, 0)
    with pytest.raises(MeshInsightError, match="has no process any more"):
        container_pids(f"containerd://{ID}", tmp_path)


@pytest.mark.parametrize("reported", ["", "containerd://", "containerd://../../etc", f"containerd://{ID}/x", "x" * 64])
def test_what_is_no_container_id_is_refused(reported: str) -> None:
    with pytest.raises(MeshInsightError, match="is not of the form"):
        parse_container_id(reported)


def test_processes_are_told_apart_by_their_names(tmp_path: Path) -> None:
    for pid, name in ((1, "pilot-agent"), (2, "envoy"), (3, "linkerd2-proxy-")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    assert named([1, 2, 3, 4], "envoy", tmp_path) == [2]
    assert named([1, 2, 3], "linkerd2-proxy-longer", tmp_path) == [3]


def test_the_network_namespace_is_that_of_the_first_living_process() -> None:
    found = network_namespace([2**22 + 1, os.getpid()])
    assert found.path.samefile(f"/proc/{os.getpid()}/ns/net")


def test_a_pod_that_has_ended_has_no_network_namespace(tmp_path: Path) -> None:
    with pytest.raises(MeshInsightError, match="none lives any more"):
        network_namespace([1, 2], tmp_path)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_root_control_group_that_cannot_be_reached_leaves_the_natural_temperature(
    tmp_path: Path, version: str
) -> None:
    if version == "v2":
        v2(tmp_path)
    else:
        (tmp_path / "cpu").mkdir()
    with pytest.raises(MeshInsightError, match="use --temperature natural"):
        leave_cpu_group([os.getpid()], tmp_path, runtime_pid=2**22 + 1)
