"""From a container's id, as the API server knows it, to its processes and network namespace on this node.

Works on the cgroup tree of the node, mounted into the profiler's pod, and on the process ids of the node (hostPID).
Runtimes name a container's cgroup `<id>` (cgroupfs driver), `cri-containerd-<id>.scope`, `crio-<id>.scope` or
`docker-<id>.scope` (systemd driver); a container may have made cgroups of its own below it.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError, ProcessError
from profiler.host.netns import Namespace
from profiler.host.programs import run_tool

_CONTAINER_ID: Final = re.compile(r"(?:(?P<runtime>[a-z0-9.-]+)://)?(?P<id>[0-9a-f]{12,64})")
_SCOPE: Final = "(?:cri-containerd-|crio-|docker-|libpod-)"
_V1_CONTROLLERS: Final = ("pids", "cpu,cpuacct", "cpu", "cpuacct", "memory", "devices", "systemd", "unified")
"""Hierarchies of cgroup v1 in which every container is, in the order they are looked at."""


def parse_container_id(reported: str) -> str:
    """The bare id of `containerd://<id>` and the like. Raises MeshInsightError."""
    found = _CONTAINER_ID.fullmatch(reported)
    if found is None:
        raise MeshInsightError(f"container id {reported!r} is not of the form containerd://<hexadecimal digits>")
    return found["id"]


def container_pids(reported: str, cgroup_root: Path) -> list[int]:
    """Processes of a container on this node, in order of their ids.

    Args:
        reported: the container's id, as in a pod's status.
        cgroup_root: where the node's /sys/fs/cgroup is.

    Raises:
        MeshInsightError: no cgroup of that container, or no process in it.
    """
    container = parse_container_id(reported)
    for hierarchy in hierarchies(cgroup_root):
        if folder := _find(hierarchy, container):
            pids = sorted(set(_pids(folder)))
            if not pids:
                raise MeshInsightError(f"container {container[:12]}: has no process any more; it has ended")
            return pids
    raise MeshInsightError(
        f"container {container[:12]}: no cgroup of it below {cgroup_root}; it has ended, runs on another node, or the "
        "node's cgroups are not mounted there"
    )


def hierarchies(cgroup_root: Path) -> list[Path]:
    """The trees to look through: the one of cgroup v2, or those of v1 that hold all containers."""
    if (cgroup_root / "cgroup.controllers").exists():
        return [cgroup_root]
    return [cgroup_root / name for name in _V1_CONTROLLERS if (cgroup_root / name).is_dir()]


def leave_cpu_group(pids: Sequence[int], cgroup_root: Path, runtime_pid: int | None = None) -> None:
    """Move processes to the root of the hierarchy that shares out CPU time, where only priorities count.

    This writes the only file of the node that is ever written. The pod has the node's cgroups read-only, so it is
    reached through the root folder of a process of the node: hostPID and SYS_PTRACE lead there.

    Args:
        pids: the processes.
        cgroup_root: where the node's /sys/fs/cgroup is mounted.
        runtime_pid: a process in the node's own namespaces; by default the container runtime's, which is the parent
            of a container's first process.

    Raises MeshInsightError.
    """
    pid = os.getppid() if runtime_pid is None else runtime_pid
    there = Path(f"/proc/{pid}/root/sys/fs/cgroup")
    if (cgroup_root / "cgroup.controllers").exists():
        # With cgroup v2 a process may not leave its cgroup namespace, so it is done from that of the node.
        _move(pids, there / "cgroup.procs", ["nsenter", f"--target={pid}", "--cgroup"])
        return
    hierarchy = next((name for name in ("cpu,cpuacct", "cpu") if (cgroup_root / name).is_dir()), None)
    if hierarchy is not None:  # else CPU time is not shared out by groups
        _move(pids, there / hierarchy / "cgroup.procs", [])


def _move(pids: Sequence[int], file: Path, enter: Sequence[str]) -> None:
    for pid in pids:
        try:
            run_tool([*enter, "sh", "-c", f"echo {pid} >{shlex.quote(str(file))}"])
        except ProcessError as error:
            raise MeshInsightError(
                f"hot and cold caches need neighbours in the node's root control group, which is refused: {error}; "
                "use --temperature natural"
            ) from error


def named(pids: Sequence[int], process_name: str, proc: Path = Path("/proc")) -> list[int]:
    """Those of the processes whose name (as in /proc/PID/comm, at most 15 characters) is this."""
    return [pid for pid in pids if _comm(proc, pid) == process_name[:15]]


def network_namespace(pids: Sequence[int], proc: Path = Path("/proc")) -> Namespace:
    """The network namespace of a container, by its first process that still lives: it goes when that process ends.

    Raises MeshInsightError.
    """
    for pid in pids:
        path = proc / str(pid) / "ns" / "net"
        try:
            path.stat()
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise MeshInsightError(
                f"{path}: not allowed to look at it; the profiler needs the capability SYS_PTRACE and hostPID"
            ) from error
        # A namespace's name is the rest of its path, so that an absolute one is taken as it is.
        return Namespace(str(path.absolute()))
    raise MeshInsightError(f"processes {', '.join(map(str, pids))}: none lives any more; the pod has ended")


def _find(hierarchy: Path, container: str) -> Path | None:
    # A short id is good enough to be found; `crio-conmon-<id>.scope` is its monitor, not the container.
    wanted = re.compile(rf"(?:{_SCOPE})?{container}[0-9a-f]*(?:\.scope)?")
    for folder, below, _ in os.walk(hierarchy):
        below.sort(key=lambda name: "kube" not in name)
        for name in below:
            if wanted.fullmatch(name):
                return Path(folder) / name
    return None


def _pids(folder: Path) -> Iterator[int]:
    for below, _, _ in os.walk(folder):
        try:
            lines = (Path(below) / "cgroup.procs").read_text().split()
        except OSError:  # it went away, or is a threaded cgroup of v2, whose processes stand in its parent
            continue
        # 0 is a process of another pid namespace: then there is no hostPID.
        yield from (int(line) for line in lines if line != "0")


def _comm(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().rstrip("\n")
    except OSError:
        return ""
