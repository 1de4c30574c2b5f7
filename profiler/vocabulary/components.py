"""The vocabulary of cost: components, places and directions. Pure: no I/O.

Components are exclusive and add up to the measured overhead. Each filter adds one of its own, `filter:<name>`.
"""

from typing import Final

IPC: Final = "ipc"
SOCKET_READ: Final = "socket_read"
SOCKET_WRITE: Final = "socket_write"
EVENT_WAIT: Final = "event_wait"
REDIRECT: Final = "redirect"
PROXY_CORE: Final = "proxy_core"
PARSING: Final = "parsing"
TLS: Final = "tls"
RUNTIME: Final = "runtime"
TUNNEL: Final = "tunnel"
QUEUEING: Final = "queueing"
OTHER: Final = "other"

COMPONENTS: Final = (
    IPC, SOCKET_READ, SOCKET_WRITE, EVENT_WAIT, REDIRECT, PROXY_CORE, PARSING, TLS, RUNTIME, TUNNEL,
    QUEUEING, OTHER,
)  # fmt: skip
"""Every component but the filters, in the order tables and charts show them (filters follow `tls`)."""

DESCRIPTIONS: Final = {
    IPC: "moving bytes between processes: loopback/veth receive work, wake-up, wait for a CPU, return from the wait",
    SOCKET_READ: "recv-family system calls",
    SOCKET_WRITE: "send-family system calls, without the receive work nested in them",
    EVENT_WAIT: "the epoll calls themselves, not the idle time in them",
    REDIRECT: "netfilter and conntrack work of the traffic capture",
    PROXY_CORE: "user time the proxy needs even as a plain TCP proxy",
    PARSING: "user time for the protocol: codec, header maps, routing",
    TLS: "user time for mutual TLS: records, and the handshake of a new connection",
    RUNTIME: "user time for the runtime of a proxy's language: tasks, memory and its collection (only `attach`)",
    TUNNEL: "the two ends of a waypoint's tunnels on the nodes: all that stands in there for ztunnel costs",
    QUEUEING: "waiting behind other requests (only where more than one is in flight)",
    OTHER: "what is left: the applications' own change, other system calls, preemption",
}

CLIENT_APP: Final = "client_app"
CLIENT_SIDECAR: Final = "client_sidecar"
SERVER_SIDECAR: Final = "server_sidecar"
SERVER_APP: Final = "server_app"
SHARED_PROXY: Final = "shared_proxy"
FILTER_SERVICE: Final = "filter_service"
CLIENT_TUNNEL: Final = "client_tunnel"
WAYPOINT_PROXY: Final = "waypoint"
SERVER_TUNNEL: Final = "server_tunnel"
PLACES: Final = (
    CLIENT_APP, CLIENT_SIDECAR, SERVER_SIDECAR, SERVER_APP, SHARED_PROXY, FILTER_SERVICE, CLIENT_TUNNEL, WAYPOINT_PROXY,
    SERVER_TUNNEL,
)  # fmt: skip
"""The processes of one hop: those of a hop with sidecars in the order a request meets them, the node's shared proxy,
which stands in for sidecars, the server that a filter asks, and a waypoint between the two ends of its tunnels."""

SIDECARS: Final = (CLIENT_SIDECAR, SERVER_SIDECAR, SHARED_PROXY, WAYPOINT_PROXY)
"""The places where the proxy runs."""

TUNNELS: Final = (CLIENT_TUNNEL, SERVER_TUNNEL)
"""The places of what stands in for the nodes' tunnel proxies."""

REQUEST: Final = "request"
RESPONSE: Final = "response"
DIRECTIONS: Final = (REQUEST, RESPONSE)


def filter_component(name: str) -> str:
    """The component of a filter: all it costs in the proxy."""
    return f"filter:{name}"


def filter_wait_component(name: str) -> str:
    """The component of a filter's waiting for the server that it asks."""
    return f"filter:{name}.wait"


def filter_server_component(name: str) -> str:
    """The component of what that server needs of the CPU."""
    return f"filter:{name}.server"
