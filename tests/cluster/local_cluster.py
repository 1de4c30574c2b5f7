"""A real Kubernetes cluster on this machine for tests, from packages and Go modules only. Needs root, and no registry.

    python -m tests.cluster.local_cluster up [--nodes 1|2] [--mesh istio] | down | status | image import FILE

etcd, the control plane and one or two nodes (containerd, runc, kubelet, kube-proxy) run in network and mount namespaces
of their own. There is at most one such cluster on a machine. There is no DNS in it and no way out of it; images come
from `image import` (`imagePullPolicy: Never`).
"""

import argparse
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError, MissingError, ProcessError, UsageError
from profiler.host.programs import run_tool
from tests.cluster import cgroups, daemons, istio, network
from tests.cluster.binaries import KUBERNETES, Binaries, built_binaries, install_packages
from tests.cluster.daemons import API_SERVER, CONTROL_PLANE_USERS, CONTROLLERS, ETCD, Layout, on_node
from tests.cluster.images import busybox_image, pause_image, write_archive
from tests.cluster.network import FIRST, Node
from tests.cluster.node import enter_argv, hold_node, run_on
from tests.cluster.pki import VALID

STATE: Final = Path("/var/lib/meshinsight-cluster")
"""On a disk, not below /run: images would fill the memory of machines where that is a tmpfs."""

MOST_NODES: Final = 2
ISTIO: Final = "istio"
_API_WAIT_S: Final = 60.0
_RUNTIME_WAIT_S: Final = 20.0
_NODE_WAIT_S: Final = 90.0
_DEVICE_WAIT_S: Final = 10.0
_POLL_S: Final = 0.1
_REQUEST_LIMIT: Final = "--request-timeout=5s"
_IMPORT_LIMIT_S: Final = 300.0
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LocalCluster:
    """The cluster that runs on this machine.

    Attributes: `nodes` by number, `kubeconfig` of its administrator, usable from the machine itself.
    """

    def __init__(self, binaries: Binaries, nodes: Sequence[Node], layout: Layout) -> None:
        self.nodes = tuple(nodes)
        self.kubeconfig = layout.admin_kubeconfig
        self._binaries = binaries
        self._layout = layout

    def kubectl(self, *arguments: str, input_text: str = "", timeout_s: float = 60.0) -> str:
        """Run kubectl as the administrator and return its standard output. Raises ProcessError."""
        options = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self._layout.root / 'kubectl'}"]
        return run_tool([self._binaries["kubectl"], *options, *arguments], input_text=input_text, timeout_s=timeout_s)

    def run_on(self, node: Node, argv: Sequence[str], *, timeout_s: float = 10.0) -> str:
        """Run a short command in a node's namespaces and return its standard output. Raises ProcessError."""
        return run_on(node, argv, timeout_s=timeout_s)

    def kubeconfig_for(
        self, user: str, path: Path, *, groups: Sequence[str] = (), valid: timedelta = VALID, server: str | None = None
    ) -> Path:
        """Write a kubeconfig of any user to `path`; a negative `valid` makes the credentials expired ones."""
        name = "".join(letter if letter.isalnum() else "-" for letter in user)
        self._layout.authority.issue(name, user, groups=groups, valid=valid)
        self._layout.authority.write_kubeconfig(path, server or network.API_SERVER, name)
        return path

    def import_image(self, archive: Path) -> None:
        """Put the images of an OCI or Docker archive on every node. Raises UsageError for what is no such archive."""
        for node in self.nodes:
            # From standard input: the node has folders of its own in place of some of the machine's.
            command = [*enter_argv(node), "ctr", "--namespace", "k8s.io", "images", "import", "-"]
            try:
                with archive.open("rb") as file:
                    done = subprocess.run(
                        command, stdin=file, capture_output=True, text=True, timeout=_IMPORT_LIMIT_S, check=False
                    )
            except OSError as error:
                raise UsageError(f"{archive}: image archive cannot be read: {error.strerror or error}") from error
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise UsageError(f"{archive}: not imported on {node.name}: {reason}; give an OCI or Docker archive")

    def stop_api_server(self) -> None:
        """Kill the API server. Returns when it is gone."""
        cgroups.kill_daemon(API_SERVER)

    def start_api_server(self) -> None:
        """Start the API server and wait until it is ready. Raises ProcessError when it does not get there."""
        self._start_on(FIRST, API_SERVER, daemons.api_server_argv(self._binaries, self._layout))
        self._await_api()

    def restart_api_server(self) -> None:
        """Stop and start the API server; what it stored stays."""
        self.stop_api_server()
        self.start_api_server()

    def stop_kubelet(self, node: Node) -> None:
        """Kill the kubelet of a node; its containers go on, and after 50 s the node counts as lost."""
        cgroups.kill_daemon(on_node("kubelet", node))

    def start_kubelet(self, node: Node) -> None:
        """Start the kubelet of a node and wait until it serves. A new node is Ready a little later."""
        self._launch_kubelet(node)
        name = on_node("kubelet", node)
        health = ["get", "--raw", f"/api/v1/nodes/{node.name}/proxy/healthz", _REQUEST_LIMIT]
        self._await_daemon(name, lambda: _succeeds(lambda: self.kubectl(*health)), _NODE_WAIT_S)

    def is_whole(self) -> bool:
        """Whether all its daemons run and the API server is ready."""
        return all(map(cgroups.daemon_pids, self.daemon_names())) and self._api_is_ready()

    def daemon_names(self) -> list[str]:
        """Names of all its daemons; those of a node end with the node's name."""
        per_node = ("containerd", "kubelet", "kube-proxy")
        return [
            ETCD,
            API_SERVER,
            CONTROLLERS,
            "kube-scheduler",
            *(on_node(daemon, node) for node in self.nodes for daemon in per_node),
        ]

    def start(self) -> None:
        """Start everything and wait until all nodes are Ready. Raises ProcessError and MissingError."""
        self._connect_nodes()
        self._write_credentials()
        self._start_on(FIRST, ETCD, daemons.etcd_argv(self._binaries, self._layout))
        self._start_on(FIRST, API_SERVER, daemons.api_server_argv(self._binaries, self._layout))
        for node in self.nodes:
            daemons.write_node_configs(self._layout, node, cgroups.create_node_group(node.name))
            self._start_on(node, on_node("containerd", node), daemons.containerd_argv(self._layout))
        self._import_own_images()
        self._await_api()
        self._start_on(FIRST, CONTROLLERS, daemons.controller_manager_argv(self._binaries, self._layout))
        self._start_on(FIRST, "kube-scheduler", daemons.scheduler_argv(self._binaries, self._layout))
        for node in self.nodes:
            self._launch_kubelet(node)
            self._start_on(node, on_node("kube-proxy", node), daemons.proxy_argv(self._binaries, self._layout, node))
        self._await_nodes()

    def _connect_nodes(self) -> None:
        environment = self._environment()
        pids = {node: hold_node(self._layout, node, self._binaries, environment) for node in self.nodes}
        run_tool(["ip", "-batch", "-"], input_text=network.host_commands(pids[FIRST]))
        for node in self.nodes:
            if node == FIRST:
                commands = network.first_node_commands(pids)
            else:
                commands = network.other_node_commands(node, list(self.nodes))
            run_on(node, ["ip", "-batch", "-"], input_text=commands)

    def _write_credentials(self) -> None:
        authority = self._layout.authority
        authority.create()
        inside = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", network.FIRST_SERVICE)
        hosts = (*inside, FIRST.address, "127.0.0.1", "localhost")
        authority.issue(API_SERVER, API_SERVER, hosts=hosts)
        users = {name: (user, "") for name, user in CONTROL_PLANE_USERS.items()}
        users["admin"] = ("admin", "system:masters")
        for name, (user, group) in users.items():
            authority.issue(name, user, groups=[group] if group else [])
        for node in self.nodes:
            name = on_node("kubelet", node)
            users[name] = (f"system:node:{node.name}", "system:nodes")
            authority.issue(name, users[name][0], groups=["system:nodes"], hosts=[node.name, node.address])
        for name in users:
            authority.write_kubeconfig(self._layout.kubeconfig(name), network.API_SERVER, name)
        authority.write_kubeconfig(self.kubeconfig, network.API_SERVER, "admin")

    def _launch_kubelet(self, node: Node) -> None:
        argv = daemons.kubelet_argv(self._binaries, self._layout, node)
        self._start_on(node, on_node("kubelet", node), argv)

    def _import_own_images(self) -> None:
        for node in self.nodes:
            runtime = on_node("containerd", node)
            answers = functools.partial(run_on, node, ["ctr", "version"])
            self._await_daemon(runtime, functools.partial(_succeeds, answers), _RUNTIME_WAIT_S)
        self._layout.images.mkdir()
        for image in (pause_image(), busybox_image()):
            archive = self._layout.images / "own.tar"
            write_archive(image, archive)
            self.import_image(archive)
            archive.unlink()

    def _await_api(self) -> None:
        self._await_daemon(API_SERVER, self._api_is_ready, _API_WAIT_S)

    def _await_nodes(self) -> None:
        for node in self.nodes:
            self._await_daemon(on_node("kubelet", node), functools.partial(self._is_ready, node), _NODE_WAIT_S)
        # Without its service account a namespace admits no pod.
        account = ["get", "serviceaccount/default", _REQUEST_LIMIT]
        self._await_daemon(CONTROLLERS, lambda: _succeeds(lambda: self.kubectl(*account)), _NODE_WAIT_S)

    def _api_is_ready(self) -> bool:
        return _succeeds(lambda: self.kubectl("get", "--raw", "/readyz", _REQUEST_LIMIT))

    def _is_ready(self, node: Node) -> bool:
        path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        try:
            return self.kubectl("get", f"node/{node.name}", "-o", path, _REQUEST_LIMIT) == "True"
        except ProcessError:
            return False

    def _await_daemon(self, name: str, condition: Callable[[], bool], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            lives = bool(cgroups.daemon_pids(name))
            if not lives or time.monotonic() > deadline:
                what = f"was not ready within {limit_s:g} s" if lives else "has ended"
                raise ProcessError(f"{name} {what}; its last line: {_last_line(self._layout.log(name))}")
            time.sleep(_POLL_S)

    def _start_on(self, node: Node, name: str, argv: Sequence[str]) -> None:
        environment = self._environment()
        cgroups.start_daemon(name, [*enter_argv(node), *argv], env=environment, log_path=self._layout.log(name))

    def _environment(self) -> dict[str, str]:
        # Without the second the kubelet asks the metadata service of a cloud that this machine may not be in.
        return {"PATH": f"{self._binaries.folder}:{_PATH}", "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/root"}


def running_cluster() -> LocalCluster | None:
    """The cluster of this machine, None when there is none or not all of it runs."""
    layout = Layout(STATE)
    try:
        described = json.loads(layout.description.read_text())
    except (OSError, ValueError):
        return None
    cluster = LocalCluster(Binaries(Path(described["binaries"])), _nodes(described["nodes"]), layout)
    return cluster if cluster.is_whole() else None


def up(nodes: int = 1, mesh: str = "") -> LocalCluster:
    """Start a cluster and wait until its nodes are Ready, or give the one that runs; then put the mesh on it.

    Raises:
        UsageError: one with fewer nodes runs already.
        MissingError: something that it needs is not on this machine and cannot be installed.
        ProcessError: a part of it did not start; nothing is left.
    """
    _require_root()
    with _lock():
        cluster = running_cluster()
        if cluster is None:
            cluster = _start(nodes, mesh)
        elif len(cluster.nodes) < nodes:
            raise UsageError(f"a cluster with {len(cluster.nodes)} node runs already; first: local_cluster down")
        elif mesh == ISTIO:
            istio.install(cluster)
        return cluster


def _start(nodes: int, mesh: str) -> LocalCluster:
    _remove_everything()
    install_packages()
    binaries = built_binaries()
    _check_addresses()
    layout = Layout(STATE)
    layout.root.mkdir(mode=0o700)
    layout.log("").parent.mkdir()
    cluster = LocalCluster(binaries, _nodes(nodes), layout)
    try:
        cluster.start()
        if mesh == ISTIO:
            istio.install(cluster)
        described = {"kubernetes": KUBERNETES, "nodes": nodes, "binaries": str(binaries.folder)}
        layout.description.write_text(json.dumps(described))
    except BaseException:
        _remove_everything()
        raise
    return cluster


def down() -> None:
    """Stop the cluster, or what a killed `up` left of one, and remove all of it. No effect when there is none."""
    _require_root()
    with _lock():
        _remove_everything()


@contextmanager
def _lock() -> Generator[None]:
    """Let one process at a time build, start or stop. Leaves no file, and ends with its holder, however that ends."""
    folder = os.open(STATE.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flock(folder, LOCK_EX)
        yield
    finally:
        os.close(folder)


def _remove_everything() -> None:
    cgroups.kill_tree()
    cgroups.remove_tree()
    # The kernel takes the device away with the node's namespace, a little later; it may be faster than `ip`.
    if _device().exists() and not _succeeds(lambda: run_tool(["ip", "link", "delete", network.HOST_DEVICE])):
        _await_no_device()
    if STATE.exists():
        shutil.rmtree(STATE)


def _device() -> Path:
    return Path("/sys/class/net") / network.HOST_DEVICE


def _await_no_device() -> None:
    deadline = time.monotonic() + _DEVICE_WAIT_S
    while _device().exists():
        if time.monotonic() > deadline:
            raise ProcessError(f"network device {network.HOST_DEVICE} cannot be removed")
        time.sleep(_POLL_S)


def _check_addresses() -> None:
    if taken := run_tool(["ip", "-4", "route", "show", "root", network.WHOLE]).strip():
        raise MissingError(f"the cluster needs the addresses {network.WHOLE}, but this machine has: {taken}")


def _nodes(count: int) -> list[Node]:
    return [Node(number) for number in range(1, count + 1)]


def _require_root() -> None:
    if os.geteuid() != 0:
        raise UsageError("the local cluster needs root; run it with sudo, or give the tests any other KUBECONFIG")


def _succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except ProcessError:
        return False
    return True


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else f"nothing in {log}"


def _status() -> int:
    cluster = running_cluster()
    if cluster is None:
        left = STATE.exists() or cgroups.tree_exists()
        _say("a broken cluster; remove it: local_cluster down" if left else "no cluster runs")
        return 1
    _say(cluster.kubectl("get", "nodes", "-o", "wide").strip())
    _say(f"KUBECONFIG={cluster.kubeconfig}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="local_cluster", description="A real Kubernetes cluster on this machine for tests."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start it, wait until it is ready, print its KUBECONFIG")
    start.add_argument("--nodes", type=int, choices=range(1, MOST_NODES + 1), default=1)
    start.add_argument("--mesh", choices=[ISTIO], default="", help="put it on the cluster; built once, in minutes")
    commands.add_parser("down", help="stop it and leave nothing")
    commands.add_parser("status", help="show it; exit status 1 when none runs")
    image = commands.add_parser("image", help="put an image on every node")
    image.add_argument("action", choices=["import"])
    image.add_argument("file", type=Path)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit status is the project's (0, 1 failed, 2 wrong request)."""
    arguments = _arguments(argv)
    try:
        if arguments.command == "up":
            _say(f"KUBECONFIG={up(arguments.nodes, arguments.mesh).kubeconfig}")
        elif arguments.command == "down":
            down()
        elif arguments.command == "status":
            return _status()
        else:
            cluster = running_cluster()
            if cluster is None:
                raise UsageError("no cluster runs; start one: local_cluster up")
            cluster.import_image(arguments.file)
    except MeshInsightError as error:
        sys.stderr.write(f"local_cluster: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
