"""Traffic capture of a pod: the iptables rules that lead its TCP connections through the sidecar, as Istio lays them.

Only the first packet of a connection walks these rules; the later ones pay for connection tracking.
"""

from typing import Final

from profiler.host.netns import Namespace
from profiler.proxies.base import INBOUND, OUTBOUND

PROXY_UID: Final = 1337
OUTBOUND_PORT: Final = 15001
INBOUND_PORT: Final = 15006
INBOUND_SOURCE: Final = "127.0.0.6"
"""Source address by which the sidecar's connections to its own application are known."""
PROXY_PORTS: Final = "15000:15090"
"""Ports of the proxy itself, never captured. Istio names the open ones one by one (15008, 15020, 15021, 15090)."""


def capture_rules(*, proxy_uid: int = PROXY_UID, outbound_port: int = OUTBOUND_PORT, inbound_port: int = INBOUND_PORT,
                  proxy_ports: str = PROXY_PORTS, only: str = "") -> str:  # fmt: skip
    """The rules as input for iptables-restore. Pure.

    Out: all TCP but the sidecar's own and what stays on 127.0.0.1 goes to `outbound_port`. In: all TCP but to
    `proxy_ports` ("first:last") goes to `inbound_port`. `only` leaves one direction: `outbound` or `inbound`.
    """
    out = "" if only == INBOUND else "-A OUTPUT -p tcp -j MESHINSIGHT_OUTPUT\n"
    in_ = "" if only == OUTBOUND else "-A PREROUTING -p tcp -j MESHINSIGHT_INBOUND\n"
    return f"""\
*nat
:MESHINSIGHT_OUTPUT - [0:0]
:MESHINSIGHT_REDIRECT - [0:0]
:MESHINSIGHT_INBOUND - [0:0]
:MESHINSIGHT_IN_REDIRECT - [0:0]
-A MESHINSIGHT_REDIRECT -p tcp -j REDIRECT --to-ports {outbound_port}
-A MESHINSIGHT_IN_REDIRECT -p tcp -j REDIRECT --to-ports {inbound_port}
{out}-A MESHINSIGHT_OUTPUT -s {INBOUND_SOURCE}/32 -o lo -j RETURN
-A MESHINSIGHT_OUTPUT -m owner --uid-owner {proxy_uid} -j RETURN
-A MESHINSIGHT_OUTPUT -d 127.0.0.1/32 -j RETURN
-A MESHINSIGHT_OUTPUT -j MESHINSIGHT_REDIRECT
{in_}-A MESHINSIGHT_INBOUND -p tcp --dport {proxy_ports} -j RETURN
-A MESHINSIGHT_INBOUND -p tcp -j MESHINSIGHT_IN_REDIRECT
COMMIT
"""


def capture_traffic(namespace: Namespace, rules: str) -> None:
    """Put the rules in force inside the namespace only. Raises MissingError and ProcessError."""
    namespace.run(["iptables-restore", "--wait", "5"], input_text=rules)
