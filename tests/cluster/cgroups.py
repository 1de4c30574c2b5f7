"""The cluster's control groups: one tree of a fixed name in every hierarchy of the machine.

Every process of the cluster is in that tree, daemons by the group they are started in and containers by the kubelet's
`cgroupRoot`. So stopping needs no list of processes that a killed tool might have failed to write.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from profiler.errors import MissingError, ProcessError

TREE: Final = "meshinsight-cluster"
_DAEMONS: Final = "daemons"
_WAIT_S: Final = 20.0
_POLL_S: Final = 0.05
_JOIN_POLL_S: Final = 0.002
_CPUSET_FILES: Final = ("cpuset.cpus", "cpuset.mems")
_JOIN_AND_RUN: Final = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


def _mounts() -> dict[Path, str]:
    """Mount point → type of every cgroup hierarchy."""
    entries = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return {Path(entry[1]): entry[2] for entry in entries if entry[2] in ("cgroup", "cgroup2")}


def create_node_group(node: str) -> str:
    """Make the groups that hold the pods of a node, in every hierarchy; gives the path for the kubelet."""
    for mount, kind in _mounts().items():
        group = mount
        for name in (TREE, node):
            if kind == "cgroup2":
                _enable_controllers(group)
            parent, group = group, group / name
            group.mkdir(exist_ok=True)
            for file in _CPUSET_FILES:
                if kind == "cgroup" and (group / file).exists():  # empty in a new group, and then it takes no process
                    (group / file).write_text((parent / file).read_text())
    return f"/{TREE}/{node}"


def start_daemon(name: str, argv: Sequence[str], *, env: Mapping[str, str], log_path: Path) -> None:
    """Start a program in a group of its own, where it outlives this process.

    Raises MissingError when the program is not there, ProcessError when it ends at once.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise MissingError(f"program not found: {argv[0]}; the cluster needs it")
    group = _daemon_group(name)
    group.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _JOIN_AND_RUN, str(group), program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(env),
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + _WAIT_S
    while process.pid not in _pids(group) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(_JOIN_POLL_S)
    if process.poll() is not None:
        lines = log_path.read_text(errors="replace").splitlines() or [f"nothing in {log_path}"]
        raise ProcessError(f"{name} has ended; its last line: {lines[-1]}")
    process.returncode = 0  # not ours to wait for: it is stopped through its group


def daemon_pids(name: str) -> list[int]:
    """Processes in the group of a daemon; none when it is not running."""
    return _pids(_daemon_group(name))


def kill_daemon(name: str) -> None:
    """Kill everything in the group of a daemon and wait until it is gone. Raises ProcessError when it stays."""
    _kill(lambda: [_daemon_group(name)])


def kill_tree() -> None:
    """Kill every process of the cluster. Raises ProcessError for those that stay."""
    _kill(_groups)


def remove_tree() -> None:
    """Remove the empty tree in every hierarchy. Raises ProcessError when something keeps a group."""
    deadline = time.monotonic() + _WAIT_S
    while left := list(_groups()):
        for group in sorted(left, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                group.rmdir()
        if time.monotonic() > deadline:
            raise ProcessError(f"cgroup {left[0]} cannot be removed; see its cgroup.procs")
        time.sleep(_POLL_S)


def tree_exists() -> bool:
    """Whether anything of the tree is there."""
    return next(_groups(), None) is not None


def _daemon_group(name: str) -> Path:
    mounts = _mounts()
    if not mounts:
        raise MissingError("no cgroup hierarchy is mounted; the cluster needs one at /sys/fs/cgroup")
    unified = [mount for mount, kind in mounts.items() if kind == "cgroup2"]
    return (unified or list(mounts))[0] / TREE / _DAEMONS / name


def _groups() -> Iterator[Path]:
    for mount in _mounts():
        for folder, _, _ in os.walk(mount / TREE):
            yield Path(folder)


def _enable_controllers(group: Path) -> None:
    wanted = (group / "cgroup.controllers").read_text().split()
    for controller in wanted:
        with suppress(OSError):  # some cannot be given away here; the kubelet names those that it misses
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _pids(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _kill(groups: Callable[[], Iterable[Path]]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while pids := {pid for group in groups() for pid in _pids(group)}:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # a child of this very process has to be waited for
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            raise ProcessError(f"processes {sorted(pids)} of the cluster do not react to SIGKILL")
        time.sleep(_POLL_S)
