"""Ports of Services: what Istio takes them for. Pure.

`appProtocol` counts, else the name up to its first dash. What neither names is detected from the first bytes, except on
ports where servers speak first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from predictor.graph.types import Protocol
from predictor.importers.manifests.objects import Body, text_of

_DECLARED: Final[dict[str, Protocol]] = {
    "http": "http1", "http1": "http1", "http2": "http2", "h2c": "http2", "grpc": "grpc", "grpc-web": "grpc",
    "kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http1", "kubernetes.io/wss": "tcp", "ws": "http1",
    "https": "tcp", "tls": "tcp", "tcp": "tcp", "udp": "tcp", "mongo": "tcp", "mysql": "tcp", "redis": "tcp",
    "hbone": "tcp",
}  # fmt: skip
_SERVERS_SPEAK_FIRST: Final = ("25", "53", "3306", "27017")
_SCHEMES: Final[dict[str, Protocol]] = {
    "http": "http1",
    "ws": "http1",
    "h2c": "http2",
    "http2": "http2",
    "grpc": "grpc",
}


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service; `protocol` is None where Istio detects it. UDP passes no sidecar."""

    number: str
    name: str
    target: str
    protocol: Protocol | None
    udp: bool = False

    @property
    def is_http(self) -> bool:
        """Whether a sidecar may parse what comes in here."""
        return self.protocol != "tcp"


def read_port(port: Body) -> Port:
    """A Service's port as its manifest has it."""
    number = text_of(port, "port")
    udp = text_of(port, "protocol").upper() == "UDP" or text_of(port, "name").lower().startswith("udp")
    target = text_of(port, "targetPort") or number
    return Port(number, text_of(port, "name"), target, "tcp" if udp else declared_protocol(port), udp)


def declared_protocol(port: Body) -> Protocol | None:
    """What `appProtocol` or the name of a port declares; None where Istio detects it."""
    given = text_of(port, "appProtocol").lower()
    name = text_of(port, "name").lower()
    prefix = "grpc-web" if name.startswith("grpc-web") else name.split("-")[0]
    found = _DECLARED.get(given) if given else _DECLARED.get(prefix)
    return "tcp" if found is None and text_of(port, "port") in _SERVERS_SPEAK_FIRST else found


def port_protocol(port: Body) -> Protocol:
    """What a sidecar takes a Service's port for where nothing is sent that it could detect: else TCP, UDP included."""
    return declared_protocol(port) or "tcp"


def scheme_protocol(scheme: str) -> Protocol | None:
    """What a sidecar detects when a URL of this scheme is called; None where nobody says the scheme."""
    return _SCHEMES.get(scheme, "tcp") if scheme else None


def find_port(ports: Sequence[Port], number: str) -> Port | None:
    """The port of that number, else the one with that container's port, as headless Services are called."""
    return next((port for port in ports if number and port.number == number), None) or next(
        (port for port in ports if number and port.target == number), None
    )


def main_port(ports: Sequence[Port]) -> Port | None:
    """The first port that is declared HTTP, else the first that may be, else the first."""
    declared = next((port for port in ports if port.protocol not in (None, "tcp")), None)
    return declared or next((port for port in ports if port.is_http), None) or next(iter(ports), None)
