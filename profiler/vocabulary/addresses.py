"""Where something listens, and whose certificate it shows. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Address:
    """Where something listens: an IPv4 address and port, or a Unix domain socket."""

    host: str = ""
    port: int = 0
    socket: Path | None = None

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Certificates:
    """PEM files of one workload: its certificate chain, its key, and the authority that it trusts."""

    chain: Path
    key: Path
    authority: Path


SERVER_NAME: Final = "server.meshinsight.local"
