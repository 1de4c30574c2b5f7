"""What a sidecar proxy is to the testbed. Adding a proxy is adding one file with such a class, and its data.

See docs/how-to/adding-a-proxy.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from profiler.vocabulary.addresses import Address, Certificates

OUTBOUND_PORT: Final = 15001
INBOUND_PORT: Final = 15006
TUNNEL_PORT: Final = 15008
PROXY_UID: Final = 1337
"""Ports of the capture and of tunnels, and user of the proxies, as Istio has them."""


OUTBOUND, INBOUND = "outbound", "inbound"
"""The two listeners: from the pod's application, and to it."""


@dataclass(frozen=True)
class Filter:
    """One filter of a listener, as its data file or the user describes it, ready to be put into the configuration.

    `settings` is what the data file holds, its placeholders filled in.
    """

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Listener:
    """One way through a sidecar: where it takes connections and where it sends them.

    `upstream` None is the connection's original destination; a proxy that cannot look it up uses `destination`, which
    is always the address that the connections of this testbed are bound for. `accept_tls` and `connect_tls` say
    whether the connection from before and the one onwards are mutual TLS; `accept_tunnel` and `connect_tunnel`, whether
    they are streams of a tunnel, opened by the CONNECT method of HTTP/2 (HBONE). With both it is a waypoint, with one
    an end of a tunnel, which moves bytes. `protocol` is what it is proxied as, where that is not the sidecar's.
    Listeners of one address are distinguished `by_destination`: each takes the connections that are bound for its own.
    """

    name: str
    listen: Address
    destination: Address
    upstream: Address | None = None
    accept_tls: bool = False
    connect_tls: bool = False
    accept_tunnel: bool = False
    connect_tunnel: bool = False
    filters: tuple[Filter, ...] = ()
    protocol: str = ""
    by_destination: bool = False

    @property
    def inbound(self) -> bool:
        """Whether it leads to the pod's own application."""
        return self.name.startswith(INBOUND)


@dataclass(frozen=True)
class SidecarConfig:
    """How one sidecar is to run: the protocol it proxies connections as, and its listeners.

    `bootstrap` is a complete configuration of the user's, taken as it is; everything else is then without effect, but
    for `workers`.
    """

    protocol: str
    listeners: tuple[Listener, ...]
    workers: int = 1
    certificates: Certificates | None = None
    bootstrap: str | None = None


@dataclass(frozen=True)
class ProxyVersion:
    """Which build of a proxy was measured."""

    version: str
    build: str
    binary_sha256: str


class Proxy(Protocol):
    """A proxy that can run as a sidecar."""

    name: str
    protocols: tuple[str, ...]
    """Protocols it can proxy captured connections as."""
    tls_protocols: tuple[str, ...]
    """Those of them that it can carry inside mutual TLS."""
    unix_sockets: bool
    """Whether it takes and makes connections over Unix domain sockets."""
    original_destination: bool
    """Whether it looks up where a captured connection was bound for; one that cannot is given the address."""
    by_destination: bool
    """Whether one sidecar can treat connections in different ways by where they are bound for."""
    tunnels: bool
    """Whether it takes and makes connections by tunnels, as a waypoint does."""
    most_workers: int
    """Largest number of worker threads it can run with here."""

    def identify(self) -> ProxyVersion:
        """Version and build. Raises MissingError when it is not installed, UsageError for a debug build."""

    def executable(self) -> Path:
        """The program whose functions its user time is spent in."""

    def with_program(self, program: Path) -> "Proxy":
        """The same proxy with another program than the installed one."""

    def render(self, config: SidecarConfig, directory: Path) -> str:
        """The configuration text of a sidecar that keeps its files in `directory`. Pure."""

    def argv(self, config: SidecarConfig, directory: Path) -> list[str]:
        """Write the configuration into `directory` and return the command that runs the sidecar."""

    def validate(self, config: SidecarConfig, directory: Path) -> None:
        """Let the proxy itself check the configuration. Raises UsageError with the proxy's own words."""

    def ready(self, directory: Path) -> bool:
        """Whether the sidecar that runs from `directory` has taken its configuration; listeners are tried besides."""
