"""Command lines and configuration files of the cluster's daemons. Pure but for writing the files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster import network
from tests.cluster.binaries import Binaries
from tests.cluster.images import PAUSE
from tests.cluster.network import Node
from tests.cluster.pki import Authority

CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
ETCD: Final = "etcd"
API_SERVER: Final = "kube-apiserver"
CONTROLLERS: Final = "kube-controller-manager"
CONTROL_PLANE_USERS: Final = {
    CONTROLLERS: "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
    "kube-proxy": "system:kube-proxy",
}
"""Daemon → the user it is to the API; the rights of these are built into Kubernetes."""

_ETCD_URL: Final = "http://127.0.0.1:2379"
_CNI_CONFIG: Final = "/var/lib/cni/net.d"  # the node's own /var/lib
_EVICTION_SIGNALS: Final = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available")
_VOLUME_PLUGINS: Final = "/var/lib/kubelet/volumeplugins"  # the default is made in the machine's /usr
_CNI_PLUGINS: Final = "/usr/lib/cni"


@dataclass(frozen=True)
class Layout:
    """The state folder of a cluster."""

    root: Path

    @property
    def authority(self) -> Authority:
        return Authority(self.root / "pki")

    @property
    def admin_kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def description(self) -> Path:
        """Written last: there is a cluster when it exists."""
        return self.root / "cluster.json"

    @property
    def images(self) -> Path:
        return self.root / "images"

    def kubeconfig(self, name: str) -> Path:
        return self.root / "pki" / f"{name}.kubeconfig"

    def config(self, name: str) -> Path:
        return self.root / "config" / name

    def log(self, name: str) -> Path:
        return self.root / "log" / f"{name}.log"

    def node(self, node: Node) -> Path:
        """Folder of what a node sees as its own /run, /var/lib and /var/log."""
        return self.root / node.name


def on_node(daemon: str, node: Node) -> str:
    """Name of a daemon that every node has."""
    return f"{daemon}-{node.name}"


def etcd_argv(binaries: Binaries, layout: Layout) -> list[str]:
    # Nothing of this outlives the machine: no fsync.
    return [
        binaries[ETCD],
        f"--data-dir={layout.root / ETCD}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={_ETCD_URL}",
        f"--advertise-client-urls={_ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--log-level=warn",
    ]


def api_server_argv(binaries: Binaries, layout: Layout) -> list[str]:
    authority = layout.authority
    return [
        binaries[API_SERVER],
        f"--advertise-address={network.FIRST.address}",
        f"--etcd-servers={_ETCD_URL}",
        f"--service-cluster-ip-range={network.SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={authority.certificate_path()}",
        f"--tls-cert-file={authority.certificate_path(API_SERVER)}",
        f"--tls-private-key-file={authority.key_path(API_SERVER)}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={authority.folder / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={authority.key_path('service-accounts')}",
        f"--kubelet-certificate-authority={authority.certificate_path()}",
        f"--kubelet-client-certificate={authority.certificate_path('admin')}",
        f"--kubelet-client-key={authority.key_path('admin')}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def controller_manager_argv(binaries: Binaries, layout: Layout) -> list[str]:
    authority = layout.authority
    return [
        binaries[CONTROLLERS],
        f"--kubeconfig={layout.kubeconfig(CONTROLLERS)}",
        "--leader-elect=false",
        f"--flex-volume-plugin-dir={_VOLUME_PLUGINS}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={authority.key_path('service-accounts')}",
        f"--root-ca-file={authority.certificate_path()}",
        f"--cluster-signing-cert-file={authority.certificate_path()}",
        f"--cluster-signing-key-file={authority.key_path()}",
    ]


def scheduler_argv(binaries: Binaries, layout: Layout) -> list[str]:
    return [
        binaries["kube-scheduler"],
        f"--kubeconfig={layout.kubeconfig('kube-scheduler')}",
        "--leader-elect=false",
    ]


def proxy_argv(binaries: Binaries, layout: Layout, node: Node) -> list[str]:
    return [
        binaries["kube-proxy"],
        f"--config={layout.config('kube-proxy.yaml')}",
        f"--hostname-override={node.name}",
    ]


def containerd_argv(layout: Layout) -> list[str]:
    return ["containerd", "--config", str(layout.config("containerd.toml"))]


def kubelet_argv(binaries: Binaries, layout: Layout, node: Node) -> list[str]:
    return [
        binaries["kubelet"],
        f"--config={layout.config(on_node('kubelet', node))}",
        f"--kubeconfig={layout.kubeconfig(on_node('kubelet', node))}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]


def write_node_configs(layout: Layout, node: Node, cgroup_root: str) -> None:
    """Write what the daemons of one node read, the pod network's included."""
    layout.config("").mkdir(exist_ok=True)
    _write(layout.config(on_node("kubelet", node)), _kubelet(layout, node, cgroup_root))
    _write(layout.config("kube-proxy.yaml"), _proxy(layout))
    layout.config("containerd.toml").write_text(_CONTAINERD)
    pod_network = layout.node(node) / "var-lib" / "cni" / "net.d" / "pods.conflist"
    pod_network.parent.mkdir(parents=True)
    _write(pod_network, _pod_network(node))


def _write(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document, indent=1))


def _kubelet(layout: Layout, node: Node, cgroup_root: str) -> Mapping[str, object]:
    authority, name = layout.authority, on_node("kubelet", node)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.certificate_path())},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(authority.certificate_path(name)),
        "tlsPrivateKeyFile": str(authority.key_path(name)),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "volumePluginDir": _VOLUME_PLUGINS,
        "clusterDNS": [network.DNS],
        "clusterDomain": "cluster.local",
        # No registry has these images: none may be thrown away, and no pod evicted because the machine's disk is full.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": dict.fromkeys(_EVICTION_SIGNALS, "0%"),
    }


def _proxy(layout: Layout) -> Mapping[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("kube-proxy"))},
        "clusterCIDR": network.WHOLE,
        "oomScoreAdj": 0,
        # These limits are the whole machine's.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _pod_network(node: Node) -> Mapping[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": network.POD_BRIDGE,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": node.pods}]]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins: Sequence[Mapping[str, object]] = [bridge, ports]
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}


_CONTAINERD: Final = f"""version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "runc"
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_CNI_PLUGINS}"
    conf_dir = "{_CNI_CONFIG}"
"""
