"""What a sidecar proxy is to the testbed. Adding a proxy is adding one file with such a class and its configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
PROXY_UID = 1337
"""Ports and user of the capture, as Istio has them."""


@dataclass(frozen=True)
class SidecarConfig:
    """How one sidecar is to run. `protocol` is what it proxies the captured connections as."""

    protocol: str
    workers: int = 1


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

    def identify(self) -> ProxyVersion:
        """Version and build. Raises MissingError when it is not installed, UsageError for a debug build."""

    def render(self, config: SidecarConfig, directory: Path) -> str:
        """The configuration text of a sidecar that keeps its files in `directory`. Pure."""

    def argv(self, config: SidecarConfig, directory: Path) -> list[str]:
        """Write the configuration into `directory` and return the command that runs the sidecar."""

    def ready(self, directory: Path) -> bool:
        """Whether the sidecar that runs from `directory` accepts connections."""
