"""Addresses of the cluster: everything inside one private /16, in network namespaces that no one else sees.

    host ── veth ── bridge of node 1 ── veth ── node 2
    .0.1            .0.11                       .0.12

Pods of node N are in .(16+N).0/24, services in .128.0/20.
"""

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "10.97"
WHOLE: Final = f"{PREFIX}.0.0/16"
HOST: Final = f"{PREFIX}.0.1"
SERVICES: Final = f"{PREFIX}.128.0/20"
FIRST_SERVICE: Final = f"{PREFIX}.128.1"
"""Address of the service `kubernetes`: always the first one."""
DNS: Final = f"{PREFIX}.128.10"
"""Where pods look names up. Nobody answers there until a test makes a service of this address."""

ISTIOD: Final = f"{PREFIX}.128.15"
"""Address of Istio's service, which proxies are given in place of its name: there is no DNS."""

HOST_DEVICE: Final = "micluster0"
FABRIC: Final = "fabric0"
POD_BRIDGE: Final = "cni0"


@dataclass(frozen=True)
class Node:
    """One node by its number, from 1."""

    number: int

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        return f"{PREFIX}.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        """Subnet of its pods."""
        return f"{PREFIX}.{16 + self.number}.0/24"


FIRST: Final = Node(1)
API_SERVER: Final = f"https://{FIRST.address}:6443"


def host_commands(first_pid: int) -> str:
    """`ip` commands for the machine: a veth into the network namespace of the first node's holder."""
    return (
        f"link add {HOST_DEVICE} type veth peer name host0 netns {first_pid}\n"
        f"addr add {HOST}/24 dev {HOST_DEVICE}\n"
        f"link set {HOST_DEVICE} up\n"
    )


def first_node_commands(pids: dict[Node, int]) -> str:
    """`ip` commands for the first node, whose bridge all others and the machine are plugged into."""
    lines = [
        "link set lo up",
        f"link add {FABRIC} type bridge",
        f"addr add {FIRST.address}/24 dev {FABRIC}",
        f"link set {FABRIC} up",
        f"link set host0 master {FABRIC} up",
    ]
    for node, pid in pids.items():
        if node != FIRST:
            lines.append(f"link add {node.name} type veth peer name {FABRIC} netns {pid}")
            lines.append(f"link set {node.name} master {FABRIC} up")
    return "\n".join([*lines, *_routes(FIRST, list(pids))]) + "\n"


def other_node_commands(node: Node, nodes: list[Node]) -> str:
    """`ip` commands for a node that is not the first."""
    lines = ["link set lo up", f"addr add {node.address}/24 dev {FABRIC}", f"link set {FABRIC} up"]
    return "\n".join([*lines, *_routes(node, nodes)]) + "\n"


def _routes(node: Node, nodes: list[Node]) -> list[str]:
    # Without a route to services a packet is refused before kube-proxy's rules see it. There is no default route on
    # purpose: nothing of the cluster can reach, or wait for, anything outside.
    to_pods = [f"route add {other.pods} via {other.address}" for other in nodes if other != node]
    to_services = [f"route add {SERVICES} dev {FABRIC}", f"route add unreachable {DNS}"]
    return [*to_services, *to_pods]
