"""A node's namespaces: a network and a mount namespace held by a sleeping process, without a name.

When the last process inside is killed, the kernel takes the namespaces, their mounts and their devices away.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from profiler.errors import ProcessError
from profiler.host.programs import run_tool
from tests.cluster.binaries import Binaries
from tests.cluster.cgroups import daemon_pids, start_daemon
from tests.cluster.daemons import Layout, on_node
from tests.cluster.network import Node

_OWN_FOLDERS: Final = ("/var/lib", "/var/log", "/run")
_SYSCTLS: Final = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What the kubelet wants of the whole machine. It finds it in files that hide the real settings, so it writes none."""
_HOLD_WAIT_S: Final = 10.0
_POLL_S: Final = 0.02


def hold_node(layout: Layout, node: Node, binaries: Binaries, env: Mapping[str, str]) -> int:
    """Make the node's namespaces and give the pid of the process that holds them. Raises ProcessError."""
    script = _mounts(layout, node, ready := layout.node(node) / "holds", (layout.root, binaries.folder))
    name = on_node("holder", node)
    log = layout.log(name)
    start_daemon(
        name,
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", script],
        env=env,
        log_path=log,
    )
    deadline = time.monotonic() + _HOLD_WAIT_S
    while not ready.exists():
        if not daemon_pids(name) or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines()
            raise ProcessError(f"{node.name} got no namespaces: {lines[-1] if lines else f'nothing in {log}'}")
        time.sleep(_POLL_S)
    return holder_pid(node)


def holder_pid(node: Node) -> int:
    """The process that holds the node's namespaces. Raises ProcessError when there is none."""
    pids = daemon_pids(on_node("holder", node))
    if not pids:
        raise ProcessError(f"{node.name} is not running; start the cluster: python -m tests.cluster.local_cluster up")
    return pids[0]


def enter_argv(node: Node) -> list[str]:
    """What to put before a command that is to run on the node."""
    # `ip netns exec` would mount a new /sys, and the control groups would be gone from it.
    return ["nsenter", f"--target={holder_pid(node)}", "--net", "--mount", "--"]


def run_on(node: Node, argv: Sequence[str], *, input_text: str = "", timeout_s: float = 10.0) -> str:
    """Run a short command on the node and return its standard output. Raises ProcessError."""
    return run_tool([*enter_argv(node), *argv], input_text=input_text, timeout_s=timeout_s)


def _mounts(layout: Layout, node: Node, ready: Path, visible: Sequence[Path]) -> str:
    """Shell script that gives the node folders of its own (`visible` stays inside them), creates `ready` and sleeps."""
    own = layout.node(node)
    lines = ["mount --make-rshared /"]
    for folder in _OWN_FOLDERS:
        source = own / folder.strip("/").replace("/", "-")
        source.mkdir(parents=True, exist_ok=True)
        for path in visible:
            if path.is_relative_to(folder):
                inside = source / path.relative_to(folder)
                inside.mkdir(parents=True, exist_ok=True)
                lines.append(f"mount --bind {_quoted(path)} {_quoted(inside)}")
        lines.append(f"mount --rbind {_quoted(source)} {folder}")
    for name, value in _SYSCTLS.items():
        file = own / name.replace("/", "-")
        file.write_text(f"{value}\n")
        lines.append(f"mount --bind {_quoted(file)} /proc/sys/{name}")
    lines += [
        "grep -q ' tracefs ' /proc/self/mounts || mount -t tracefs nodev /sys/kernel/tracing",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        f"touch {_quoted(ready)}",
        "exec sleep infinity",
    ]
    return "\n".join(lines)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
