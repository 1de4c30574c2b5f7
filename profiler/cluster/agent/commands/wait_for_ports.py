"""`listening PORT…`: whether something listens on all these ports of the pod. Looked up, not tried."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError

_LISTEN: Final = "0A"
_PORT: Final = re.compile(r"[0-9A-F]{4}")
_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError naming the ports that nobody listens on."""
    there = set[int]()
    for table in _TABLES:
        there |= listening_ports(table.read_text()) if table.exists() else set()
    if missing := [port for port in map(int, arguments) if port not in there]:
        raise MeshInsightError(f"nothing listens on port {', '.join(map(str, missing))} yet")


def listening_ports(table: str) -> set[int]:
    """Ports with a listener in a table such as /proc/net/tcp. Pure."""
    rows = (line.split() for line in table.splitlines()[1:])
    ports = (row[1].rpartition(":")[2] for row in rows if len(row) > 3 and row[3] == _LISTEN)
    return {int(port, 16) for port in ports if _PORT.fullmatch(port)}
