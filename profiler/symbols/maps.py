"""From an instruction pointer to a place in a file, through the mappings of its process.

A place is a file and an offset in it, which stays the same whatever address a position-independent program is loaded
at. The mappings come from the records that perf writes (they survive the process), else from /proc.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

VDSO: Final = "[vdso]"
"""The kernel's library in each process; it is in no file."""
NOWHERE: Final = ""
"""The file of an address that no mapping covers."""

_RECORD = re.compile(
    r".*PERF_RECORD_MMAP2? (?P<process>-?\d+)/-?\d+: \[0x(?P<start>[0-9a-f]+)\(0x(?P<size>[0-9a-f]+)\)"
    r" @ (?:0x)?(?P<offset>[0-9a-f]+)[^\]]*\]: (?P<mode>\S+) (?P<path>.*?)\s*"
)
_PROC_LINE = re.compile(
    r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<mode>\S+) (?P<offset>[0-9a-f]+) \S+ \d+\s*(?P<path>.*?)\n?"
)


class UserAddress(NamedTuple):
    """A place in a file: the path as its process sees it, and the offset in bytes from the file's beginning.

    Where no mapping covers an address, the path is empty and the offset is the address itself.
    """

    dso: str
    offset: int


class MappedPages(NamedTuple):
    """Executable pages from `start` up to `end`, which begin at `offset` of the file."""

    start: int
    end: int
    offset: int
    path: str


@dataclass
class AddressSpaces:
    """The executable mappings of processes, by process id. A later mapping replaces what it covers."""

    mappings: dict[int, list[MappedPages]] = field(default_factory=dict)

    def add_record(self, line: str) -> bool:
        """Take a line of `perf script --show-mmap-events`; whether it was one."""
        record = _RECORD.fullmatch(line)
        if record is None:
            return False
        if "x" in record["mode"]:
            start = int(record["start"], 16)
            mapping = MappedPages(start, start + int(record["size"], 16), int(record["offset"], 16), record["path"])
            self.mappings.setdefault(int(record["process"]), []).append(mapping)
        return True

    def place(self, process: int, address: int) -> UserAddress:
        """The place in a file of an address of a process."""
        for mapping in reversed(self.mappings.get(process, [])):
            if mapping.start <= address < mapping.end:
                # The kernel gives the vdso any offset; it has one mapping, from its beginning.
                offset = 0 if mapping.path == VDSO else mapping.offset
                return UserAddress(mapping.path, address - mapping.start + offset)
        return UserAddress(NOWHERE, address)


def read_mappings(process: int, proc: Path = Path("/proc")) -> list[MappedPages]:
    """The executable mappings that a process has now; none if it has ended or may not be read."""
    try:
        text = (proc / str(process) / "maps").read_text(errors="replace")
    except OSError:
        return []
    return parse_mappings(text.splitlines())


def parse_mappings(lines: Iterable[str]) -> list[MappedPages]:
    """The executable mappings in the lines of a /proc/<pid>/maps."""
    found = []
    for line in lines:
        entry = _PROC_LINE.fullmatch(line)
        if entry and "x" in entry["mode"]:
            start, end, offset = (int(entry[name], 16) for name in ("start", "end", "offset"))
            found.append(MappedPages(start, end, offset, entry["path"]))
    return found
