"""Which side of a proxy a file descriptor is on: a connection it accepted, or one it made. Looked up in /proc."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ACCEPTED: Final = "accepted"
MADE: Final = "made"
NO_SOCKET: Final = "no socket"
UNKNOWN: Final = "unknown"
"""A socket that was closed before it could be looked up, or one that is neither TCP nor Unix."""

_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{1,8}")
_LISTEN: Final = "0A"
_UNIX_LISTENS: Final = 0x10000  # __SO_ACCEPTCON in the flags
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 5.0


@dataclass
class Sockets:
    """The sockets of one process. The kernel's tables, which take milliseconds to read, are read ever more seldom.

    A TCP connection whose own port is one that the process's network listens on was accepted: so it is after a
    redirection too. One that was captured transparently (TPROXY) keeps another port and is taken for one made.
    """

    pid: int
    proc: Path = Path("/proc")
    _sides: dict[str, str] = field(default_factory=dict)
    _look_after_s: float = 0.0
    _pause_s: float = _FIRST_PAUSE_S

    def sides(self, descriptors: Iterable[int]) -> dict[int, str]:
        """The side of each file descriptor as it is now."""
        links = {number: self._link(number) for number in descriptors}
        sockets = {link for link in links.values() if link.startswith("socket:[")}
        if not sockets <= self._sides.keys() and time.monotonic() >= self._look_after_s:
            self._look()
        return {
            number: self._sides.get(link, UNKNOWN) if link in sockets or not link else NO_SOCKET
            for number, link in links.items()
        }

    def _link(self, number: int) -> str:
        try:
            return str((self.proc / str(self.pid) / "fd" / str(number)).readlink())
        except OSError:
            return ""

    def _look(self) -> None:
        self._look_after_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        net = self.proc / str(self.pid) / "net"
        rows = [row for name in ("tcp", "tcp6") for row in _rows(net / name)]
        ports = [(row[1].rpartition(":")[2], row[3], row[9]) for row in rows if len(row) > 9]
        listening = {port for port, state, _ in ports if state == _LISTEN}
        self._sides = {f"socket:[{inode}]": ACCEPTED if port in listening else MADE for port, _, inode in ports}
        for row in _rows(net / "unix"):
            if len(row) > 6 and _HEXADECIMAL.fullmatch(row[3]) and not int(row[3], 16) & _UNIX_LISTENS:
                # a connection that was accepted has the path of the socket that listens, one made has none
                self._sides[f"socket:[{row[6]}]"] = ACCEPTED if len(row) > 7 else MADE


def open_files(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """The file descriptors that a process has open; none if it has ended."""
    try:
        return [int(entry.name) for entry in (proc / str(pid) / "fd").iterdir()]
    except OSError:
        return []


def _rows(table: Path) -> Iterator[list[str]]:
    """The fields of each line of a table of the kernel's, without its head; none where it cannot be read."""
    try:
        # Names of Unix sockets are bytes of their makers' choice.
        lines = table.read_text(errors="replace").split("\n")[1:]
    except OSError:
        return
    yield from map(str.split, lines)
