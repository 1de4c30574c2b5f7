"""Pods of one run: network namespaces joined by a bridge that lives in a namespace of its own.

Nothing of it touches the root namespace: no device, address, route or rule there, so the addresses below cannot clash
with the machine's own and no packet can leave it.
"""

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiler.errors import UsageError
from profiler.host.netns import Namespace
from profiler.testbed.redirect import capture_rules, capture_traffic
from profiler.testbed.run import Run

SUBNET: Final = ipaddress.IPv4Network("10.99.0.0/16")
_FIRST_POD: Final = 10
_BRIDGE: Final = "bridge"
_POD_SYSCTLS: Final = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    # Room for loads that open a connection per request: ports are used again after a second.
    "net/ipv4/ip_local_port_range": "16384 65535",
    "net/ipv4/tcp_tw_reuse": "1",
    "net/netfilter/nf_conntrack_tcp_timeout_time_wait": "2",
}
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Pod:
    """A network namespace with one address, reachable from the other pods of its run only."""

    name: str
    namespace: Namespace
    address: str


class PodNetwork:
    """The network of one run. Removed with the run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pods: list[Pod] = []
        self._bridge = run.add_namespace(_BRIDGE)
        _set_sysctls(self._bridge, {"net/ipv6/conf/all/disable_ipv6": "1", "net/bridge/bridge-nf-call-iptables": "0"})
        # No spanning tree and no snooping: no timers, and a port forwards from its first packet.
        self._bridge.ip_batch(
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set br0 up\n"
        )

    def add_pod(self, name: str, capture: bool = False, only: str = "") -> Pod:
        """A new pod on the bridge; with `capture` its TCP connections are led to the sidecar's ports.

        `only` captures one direction: `outbound` or `inbound`.

        Raises UsageError for a name that is taken or not of lower-case letters, digits and dashes.
        """
        if not _NAME.fullmatch(name) or name == _BRIDGE or name in {pod.name for pod in self._pods}:
            raise UsageError(f"pod name {name!r} is taken or not made of at most 32 lower-case letters, digits, dashes")
        index = len(self._pods)
        pod = Pod(name, self._run.add_namespace(name), str(SUBNET[_FIRST_POD + index]))
        self._pods.append(pod)
        self._connect(pod, port=f"pod{index}")
        if capture:
            capture_traffic(pod.namespace, capture_rules(only=only))
        return pod

    def _connect(self, pod: Pod, port: str) -> None:
        _set_sysctls(pod.namespace, _POD_SYSCTLS)
        pod.namespace.ip_batch(
            f"link add eth0 type veth peer name {port} netns {self._bridge.name}\n"
            f"address add {pod.address}/{SUBNET.prefixlen} dev eth0\n"
            "link set eth0 up\n"
        )
        self._bridge.ip_batch(f"link set {port} master br0 up\n")


def _set_sysctls(namespace: Namespace, values: dict[str, str]) -> None:
    def write() -> None:
        for name, value in values.items():
            with suppress(FileNotFoundError):  # a kernel without IPv6 or bridge netfilter needs no switching off
                (Path("/proc/sys") / name).write_text(value)

    namespace.call(write)
