"""The vocabulary of cost: components, places and directions. Pure: no I/O.

Components are exclusive and add up to the measured overhead. Later configurations add `tls` and `filter:<name>`.
"""

from typing import Final

IPC: Final = "ipc"
SOCKET_READ: Final = "socket_read"
SOCKET_WRITE: Final = "socket_write"
EVENT_WAIT: Final = "event_wait"
REDIRECT: Final = "redirect"
PROXY_CORE: Final = "proxy_core"
PARSING: Final = "parsing"
QUEUEING: Final = "queueing"
OTHER: Final = "other"

COMPONENTS: Final = (IPC, SOCKET_READ, SOCKET_WRITE, EVENT_WAIT, REDIRECT, PROXY_CORE, PARSING, QUEUEING, OTHER)
"""Every component, in the order tables and charts show them."""

DESCRIPTIONS: Final = {
    IPC: "moving bytes between processes: loopback/veth receive work, wake-up, wait for a CPU, return from the wait",
    SOCKET_READ: "recv-family system calls",
    SOCKET_WRITE: "send-family system calls, without the receive work nested in them",
    EVENT_WAIT: "the epoll calls themselves, not the idle time in them",
    REDIRECT: "netfilter and conntrack work of the traffic capture",
    PROXY_CORE: "user time the proxy needs even as a plain TCP proxy",
    PARSING: "user time for the protocol: codec, header maps, routing",
    QUEUEING: "waiting behind other requests (only where more than one is in flight)",
    OTHER: "what is left: the applications' own change, other system calls, preemption",
}

CLIENT_APP: Final = "client_app"
CLIENT_SIDECAR: Final = "client_sidecar"
SERVER_SIDECAR: Final = "server_sidecar"
SERVER_APP: Final = "server_app"
PLACES: Final = (CLIENT_APP, CLIENT_SIDECAR, SERVER_SIDECAR, SERVER_APP)
"""The processes of one hop, in the order a request meets them."""

SIDECARS: Final = (CLIENT_SIDECAR, SERVER_SIDECAR)

REQUEST: Final = "request"
RESPONSE: Final = "response"
DIRECTIONS: Final = (REQUEST, RESPONSE)
